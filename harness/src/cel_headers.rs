//! A header map as a value of the expression language: a map whose keys ignore case.

use cel::common::traits::{Iterable, Iterator, Sizer};
use cel::common::types::{CelInt, CelString};
use cel::common::value::Val;

use crate::cel_map::cel_map;
use crate::headers::HeaderMap;

/// Names and values, in their order; of a name that occurs several times the values are joined by commas.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Headers {
    pub(crate) entries: Vec<(CelString<'static>, CelString<'static>)>,
}

impl From<&HeaderMap> for Headers {
    fn from(map: &HeaderMap) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut entries = Vec::<(String, String)>::new();
        for (name, value) in map.iter() {
            let (name, value) = (text(name), text(value));
            match entries.iter_mut().find(|(before, _)| *before == name) {
                Some((_, joined)) => *joined = format!("{joined},{value}"),
                None => entries.push((name, value)),
            }
        }
        let entries = entries.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Headers { entries }
    }
}

impl Headers {
    fn find(&self, key: &dyn Val) -> Option<&(dyn Val + 'static)> {
        let key = key.downcast_ref::<CelString<'_>>()?;
        let found = self.entries.iter().find(|(name, _)| name.inner().eq_ignore_ascii_case(key.inner()));
        found.map(|(_, value)| value as &(dyn Val + 'static))
    }
}

cel_map!(
    Headers,
    fn equals(&self, other: &dyn Val) -> bool {
        other.downcast_ref::<Headers>() == Some(self)
    }
);

impl Sizer for Headers {
    fn size(&self) -> CelInt {
        CelInt::from(self.entries.len() as i64)
    }
}

impl Iterable for Headers {
    fn iter<'b, 'v>(&'b self) -> Box<dyn Iterator<'b, 'v> + 'b>
    where
        Self: 'v,
    {
        Box::new(Names(self.entries.iter()))
    }
}

/// The names, one by one.
struct Names<'b>(std::slice::Iter<'b, (CelString<'static>, CelString<'static>)>);

impl<'b, 'v> Iterator<'b, 'v> for Names<'b> {
    fn next(&mut self) -> Option<&'b (dyn Val + 'v)> {
        let (name, _) = self.0.next()?;
        Some(name)
    }
}
