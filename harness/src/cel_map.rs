//! What every kind of map of the expression language has in common: how values are found in it by their names.

use cel::common::types::{MAP_TYPE, Type};

pub(crate) static TYPE: Type = MAP_TYPE;

/// Makes a type a map of the expression language. It must have `find(&self, key: &dyn Val) -> Option<&(dyn Val + 'static)>`,
/// be `Clone`, `Iterable` and a `Sizer`; further methods of `Val` may follow its name.
macro_rules! cel_map {
    ($map:ident $(, $more:item)*) => {
        impl cel::common::value::StaticVal for $map {}

        impl cel::common::value::Val for $map {
            fn get_type(&self) -> &cel::common::types::Type {
                &$crate::cel_map::TYPE
            }

            fn cel_type() -> &'static cel::common::types::Type {
                &$crate::cel_map::TYPE
            }

            fn as_container(&self) -> Option<&dyn cel::common::traits::Container> {
                Some(self)
            }

            fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn cel::common::traits::Indexer + 'v)>
            where
                Self: 'v,
            {
                Some(self)
            }

            fn as_iterable<'b, 'v>(&'b self) -> Option<&'b (dyn cel::common::traits::Iterable + 'v)>
            where
                Self: 'v,
            {
                Some(self)
            }

            fn as_sizer(&self) -> Option<&dyn cel::common::traits::Sizer> {
                Some(self)
            }

            fn clone_as_boxed<'v>(&self) -> Box<dyn cel::common::value::Val + 'v>
            where
                Self: 'v,
            {
                Box::new(self.clone())
            }

            $($more)*

            fn as_any(&self) -> Option<&dyn std::any::Any> {
                Some(self)
            }
        }

        impl cel::common::traits::Container for $map {
            fn contains(&self, value: &dyn cel::common::value::Val) -> Result<bool, cel::ExecutionError> {
                Ok(self.find(value).is_some())
            }
        }

        impl cel::common::traits::Indexer for $map {
            fn get<'b, 'v>(&'b self, key: &dyn cel::common::value::Val) -> Result<cel::common::value::CowVal<'b, 'v>, cel::ExecutionError>
            where
                Self: 'v,
            {
                let found = self.find(key).map(cel::common::value::CowVal::Borrowed);
                found.ok_or_else(|| cel::ExecutionError::NoSuchKey(std::sync::Arc::new(format!("{key:?}"))))
            }

            fn steal<'v>(self: Box<Self>, key: &dyn cel::common::value::Val) -> Result<Box<dyn cel::common::value::Val + 'v>, cel::ExecutionError>
            where
                Self: 'v,
            {
                self.get(key).map(cel::common::value::CowVal::into_owned)
            }
        }
    };
}

pub(crate) use cel_map;
