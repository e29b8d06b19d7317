//! A list that needs no allocation for its first element.
//!
//! For lists that nearly always hold one: the topics of a Produce, the partitions of such a topic,
//! those who wait for an append. Everything else is better off with a `Vec`.

use std::ops::{Deref, DerefMut};

/// A list whose first element lies in place.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum OneOrMany<T> {
    /// No element.
    #[default]
    None,
    /// One, in place.
    One(T),
    /// More than one, or one that is left of them.
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    /// Makes room for so many elements altogether, where one place is not enough.
    pub fn reserve_exact(&mut self, count: usize) {
        if count <= 1 {
            return;
        }
        let mut list = match std::mem::take(self) {
            Self::None => Vec::new(),
            Self::One(first) => vec![first],
            Self::Many(list) => list,
        };
        list.reserve_exact(count.saturating_sub(list.len()));
        *self = Self::Many(list);
    }

    /// Adds an element at the end.
    pub fn push(&mut self, element: T) {
        match self {
            Self::None => *self = Self::One(element),
            Self::One(_) => {
                self.reserve_exact(2);
                self.push(element);
            }
            Self::Many(list) => list.push(element),
        }
    }

    /// Takes out the element at `index`; those after it move up.
    ///
    /// # Panics
    /// Where there is none.
    pub fn remove(&mut self, index: usize) -> T {
        match std::mem::take(self) {
            Self::One(only) if index == 0 => only,
            Self::None | Self::One(_) => panic!("no element at {index}"),
            Self::Many(mut list) => {
                let element = list.remove(index);
                *self = Self::Many(list);
                element
            }
        }
    }
}

impl<T> Deref for OneOrMany<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::None => &[],
            Self::One(only) => std::slice::from_ref(only),
            Self::Many(list) => list,
        }
    }
}

impl<T> DerefMut for OneOrMany<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::None => &mut [],
            Self::One(only) => std::slice::from_mut(only),
            Self::Many(list) => list,
        }
    }
}

impl<T> Extend<T> for OneOrMany<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, elements: I) {
        for element in elements {
            self.push(element);
        }
    }
}

impl<T> FromIterator<T> for OneOrMany<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        let mut list = Self::None;
        list.extend(elements);
        list
    }
}

impl<'a, T> IntoIterator for &'a OneOrMany<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T> IntoIterator for OneOrMany<T> {
    type Item = T;
    type IntoIter = std::iter::Chain<std::option::IntoIter<T>, std::vec::IntoIter<T>>;

    fn into_iter(self) -> Self::IntoIter {
        let (one, many) = match self {
            Self::None => (None, Vec::new()),
            Self::One(only) => (Some(only), Vec::new()),
            Self::Many(list) => (None, list),
        };
        one.into_iter().chain(many)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_list() {
        for count in 0..5 {
            let mut list: OneOrMany<usize> = (0..count).collect();
            assert_eq!(list.len(), count);
            assert_eq!(*list, (0..count).collect::<Vec<_>>());
            assert_eq!(matches!(list, OneOrMany::Many(_)), count > 1);
            for element in list.iter_mut() {
                *element += 10;
            }
            let all: Vec<usize> = list.clone().into_iter().collect();
            assert_eq!(all, (10..10 + count).collect::<Vec<_>>());
            if count > 0 {
                assert_eq!(list.remove(count - 1), 9 + count);
                assert_eq!(list.len(), count - 1);
                list.push(7);
                assert_eq!(list.last(), Some(&7));
            }
        }
        let mut reserved = OneOrMany::One(1);
        reserved.reserve_exact(3);
        reserved.extend([2, 3]);
        assert_eq!(*reserved, [1, 2, 3]);
    }
}
