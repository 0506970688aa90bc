//! A header map as a value of the expression language: a map whose keys ignore case.

use std::any::Any;
use std::sync::Arc;

use cel::ExecutionError;
use cel::common::traits::{Container, Indexer, Iterable, Iterator, Sizer};
use cel::common::types::{CelInt, CelString, MAP_TYPE, Type};
use cel::common::value::{CowVal, StaticVal, Val};

use crate::headers::HeaderMap;

static TYPE: Type = MAP_TYPE;

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
    fn find(&self, key: &dyn Val) -> Option<&CelString<'static>> {
        let key = key.downcast_ref::<CelString<'_>>()?;
        let found = self.entries.iter().find(|(name, _)| name.inner().eq_ignore_ascii_case(key.inner()));
        found.map(|(_, value)| value)
    }
}

impl StaticVal for Headers {}

impl Val for Headers {
    fn get_type(&self) -> &Type {
        &TYPE
    }

    fn cel_type() -> &'static Type {
        &TYPE
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_iterable<'b, 'v>(&'b self) -> Option<&'b (dyn Iterable + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        other.downcast_ref::<Headers>() == Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl Container for Headers {
    fn contains(&self, value: &dyn Val) -> Result<bool, ExecutionError> {
        Ok(self.find(value).is_some())
    }
}

impl Indexer for Headers {
    fn get<'b, 'v>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let found = self.find(key).map(|value| CowVal::Borrowed(value));
        found.ok_or_else(|| ExecutionError::NoSuchKey(Arc::new(format!("{key:?}"))))
    }

    fn steal<'v>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(key).map(CowVal::into_owned)
    }
}

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
