//! Lists of which most stays the same from one look at the fleet to the next. Pure.

use std::{ops::Deref, sync::Arc};

/// A list that has elements in common with the one before it. Comparing both looks into those only that
/// are not the same in memory, too: a look at thousands of containers costs what changed.
#[derive(Debug)]
pub struct Shared<T>(Arc<[Arc<T>]>);

impl<T> Deref for Shared<T> {
    type Target = [Arc<T>];

    fn deref(&self) -> &[Arc<T>] {
        &self.0
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: PartialEq> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        let is_same = |(a, b): (&Arc<T>, &Arc<T>)| Arc::ptr_eq(a, b) || a == b;
        Arc::ptr_eq(&self.0, &other.0)
            || self.len() == other.len() && self.iter().zip(other.iter()).all(is_same)
    }
}

impl<T> FromIterator<Arc<T>> for Shared<T> {
    fn from_iter<I: IntoIterator<Item = Arc<T>>>(elements: I) -> Self {
        Self(elements.into_iter().collect())
    }
}

impl<T> From<Vec<T>> for Shared<T> {
    fn from(elements: Vec<T>) -> Self {
        elements.into_iter().map(Arc::new).collect()
    }
}

impl<'a, T> IntoIterator for &'a Shared<T> {
    type Item = &'a Arc<T>;
    type IntoIter = std::slice::Iter<'a, Arc<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static LOOKS: Cell<usize> = const { Cell::new(0) };
    }

    #[derive(Debug)]
    struct Element(u32);

    impl PartialEq for Element {
        fn eq(&self, other: &Self) -> bool {
            LOOKS.set(LOOKS.get() + 1);
            self.0 == other.0
        }
    }

    #[test]
    fn comparing_costs_what_changed() {
        let before: Shared<_> = (0..1000).map(Element).collect::<Vec<_>>().into();
        let after = |element: u32| -> Shared<_> {
            let changed = before.iter().take(999).cloned();
            changed.chain([Arc::new(Element(element))]).collect()
        };
        assert!(before == before.clone());
        assert_eq!(LOOKS.get(), 0, "it is the same list");
        assert!(before == after(999));
        assert!(before != after(1000));
        assert!(before != before.iter().take(999).cloned().collect::<Shared<_>>());
        assert_eq!(LOOKS.get(), 2, "the rest is the same in memory");
    }
}
