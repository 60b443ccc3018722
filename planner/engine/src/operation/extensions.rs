//! What a step adds to a batch for its later operations, or to what its statistics share: one value of each type.

use std::any::Any;
use std::fmt::Debug;

/// What a step may add.
pub trait Extension: Any + Debug + Send {
    /// Numbers rows of the source from this number on.
    fn renumber(&mut self, _first_row_id: u64) {}
}

/// Values by their type.
#[derive(Debug, Default)]
pub struct Extensions(Vec<Box<dyn Extension>>);

impl Extensions {
    /// The value of a type.
    pub fn get<T: Extension>(&self) -> Option<&T> {
        self.0.iter().find_map(|value| {
            let any: &dyn Any = value.as_ref();
            any.downcast_ref()
        })
    }

    /// Puts a value in the place of the one of its type.
    pub fn insert<T: Extension>(&mut self, value: T) {
        self.remove::<T>();
        self.0.push(Box::new(value));
    }

    /// Takes the value of a type out.
    pub fn remove<T: Extension>(&mut self) -> Option<T> {
        let value: Box<dyn Any> = self.0.swap_remove(self.place::<T>()?);
        value.downcast().ok().map(|value| *value)
    }

    /// Numbers rows of the source from this number on.
    pub fn renumber(&mut self, first_row_id: u64) {
        for value in &mut self.0 {
            value.renumber(first_row_id);
        }
    }

    fn place<T: Extension>(&self) -> Option<usize> {
        self.0.iter().position(|value| {
            let any: &dyn Any = value.as_ref();
            any.is::<T>()
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[derive(Debug, PartialEq)]
    struct Rows(Vec<u64>);

    impl Extension for Rows {
        fn renumber(&mut self, first_row_id: u64) {
            self.0.iter_mut().for_each(|row| *row += first_row_id);
        }
    }

    #[derive(Debug, PartialEq)]
    struct Name(&'static str);

    impl Extension for Name {}

    /// There is one value of each type, which the next of the type replaces.
    #[test]
    fn values_by_type() {
        let mut extensions = Extensions::default();
        assert_eq!(extensions.get::<Name>(), None);
        extensions.insert(Rows(vec![3, 4]));
        extensions.insert(Name("first"));
        extensions.insert(Name("second"));
        extensions.renumber(10);
        assert_eq!(extensions.get(), Some(&Rows(vec![13, 14])));
        assert_eq!(extensions.remove(), Some(Name("second")));
        assert_eq!(extensions.remove::<Name>(), None);
        assert_eq!(extensions.remove(), Some(Rows(vec![13, 14])));
    }
}
