//! Sets of offsets, as ranges that do not touch.

use std::collections::BTreeMap;

use crate::ids::Offset;

/// A set of offsets.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Ranges {
    /// End of each range, exclusive, by its start.
    ends: BTreeMap<Offset, Offset>,
}

impl Ranges {
    /// Adds the offsets from `start` to `end`, exclusive.
    pub fn add(&mut self, start: Offset, end: Offset) {
        let (mut start, mut end) = (start, end);
        while let Some((&from, &to)) = self.ends.range(..=end).next_back()
            && to >= start
        {
            self.ends.remove(&from);
            start = start.min(from);
            end = end.max(to);
        }
        self.ends.insert(start, end);
    }

    /// Adds all offsets of another set.
    pub fn add_all(&mut self, other: &Self) {
        for (&start, &end) in &other.ends {
            self.add(start, end);
        }
    }

    /// Whether an offset is in the set.
    #[must_use]
    pub fn contains(&self, offset: Offset) -> bool {
        let range = self.ends.range(..=offset).next_back();
        range.is_some_and(|(_, end)| offset < *end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_was_added() {
        let mut ranges = Ranges::default();
        let mut model = [false; 64];
        let mut rng = crate::rng::Rng::new(3);
        for _ in 0..20 {
            let start = rng.below(60);
            let end = start + 1 + rng.below(4);
            for at in start..end {
                model[at as usize] = true;
            }
            let offset = |at: u64| Offset(i64::try_from(at).expect("small"));
            ranges.add(offset(start), offset(end));
            for (at, is_in) in (0..).zip(model) {
                assert_eq!(ranges.contains(Offset(at)), is_in, "{at} of {ranges:?}");
            }
        }
        let mut other = Ranges::default();
        other.add(Offset(70), Offset(80));
        ranges.add_all(&other);
        assert!(ranges.contains(Offset(79)) && !ranges.contains(Offset(80)));
    }
}
