//! An object of properties as a value of the expression language: `request`, `connection` and the like.
//!
//! In Envoy it is a map that knows what is in it and cannot tell: it has no size and no list of names, and no bytes.

use std::collections::BTreeMap;

use cel::common::traits::{Iterable, Iterator, Sizer};
use cel::common::types::{CelInt, CelString};
use cel::common::value::Val;

use crate::cel_map::cel_map;

/// Values by their names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(pub(crate) BTreeMap<String, Box<dyn Val>>);

impl Fields {
    fn find(&self, key: &dyn Val) -> Option<&(dyn Val + 'static)> {
        self.0.get(key.downcast_ref::<CelString<'_>>()?.inner()).map(AsRef::as_ref)
    }
}

cel_map!(Fields);

impl Iterable for Fields {
    fn iter<'b, 'v>(&'b self) -> Box<dyn Iterator<'b, 'v> + 'b>
    where
        Self: 'v,
    {
        Box::new(Nothing)
    }
}

struct Nothing;

impl<'b, 'v> Iterator<'b, 'v> for Nothing {
    fn next(&mut self) -> Option<&'b (dyn Val + 'v)> {
        None
    }
}

impl Sizer for Fields {
    fn size(&self) -> CelInt {
        CelInt::from(0)
    }
}
