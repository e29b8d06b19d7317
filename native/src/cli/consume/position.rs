//! Where the consumption of one partition begins, stands and ends.

use ottla_core::ids::TopicId;

/// Where to begin in a partition.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Start {
    /// At the first record there is.
    Earliest,
    /// At this many records before the end.
    FromEnd(i64),
    /// After the last record there is.
    Latest,
    /// At this offset.
    Offset(i64),
}

/// Where one partition's consumption stands.
#[derive(Debug)]
pub(super) struct Position {
    /// The topic's id; zero where the broker has none.
    pub(super) topic_id: TopicId,
    /// The leader; negative for none.
    pub(super) leader: i32,
    /// The next offset to fetch; `None` until it is looked up.
    pub(super) offset: Option<i64>,
    /// Where to look it up.
    pub(super) start: Start,
    /// Where to stop; `None` for never, or until it is looked up.
    pub(super) end: Option<i64>,
}

impl Position {
    /// Takes the offset of the first record, or of the end; `ends` asks to stop there.
    pub(super) fn found(&mut self, end: bool, offset: i64, ends: bool) {
        if end && ends {
            self.end.get_or_insert(offset);
        }
        match self.start {
            Start::FromEnd(records) if end => {
                let first = self.offset.unwrap_or(0);
                self.offset = Some(offset.saturating_sub(records).max(first));
                self.start = Start::Latest;
            }
            Start::Earliest | Start::FromEnd(_) if !end => {
                self.offset.get_or_insert(offset);
            }
            Start::Latest if end => {
                self.offset.get_or_insert(offset);
            }
            Start::Earliest | Start::FromEnd(_) | Start::Latest | Start::Offset(_) => {}
        }
    }

    /// Whether everything up to the end has been read.
    pub(super) fn is_done(&self) -> bool {
        matches!((self.offset, self.end), (Some(offset), Some(end)) if offset >= end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(start: Start) -> Position {
        Position {
            topic_id: TopicId::ZERO,
            leader: 1,
            offset: None,
            start,
            end: None,
        }
    }

    #[test]
    fn a_start_before_the_first_record_is_the_first_record() {
        let mut from_end = position(Start::FromEnd(10));
        from_end.found(false, 5, true);
        from_end.found(true, 8, true);
        assert_eq!(from_end.offset, Some(5));
        assert_eq!(from_end.end, Some(8));
        let mut from_end = position(Start::FromEnd(2));
        from_end.found(false, 5, false);
        from_end.found(true, 8, false);
        assert_eq!(from_end.offset, Some(6));
        assert_eq!(from_end.end, None);
    }

    #[test]
    fn a_partition_without_records_is_done_at_once() {
        let mut earliest = position(Start::Earliest);
        earliest.found(false, 3, true);
        assert!(!earliest.is_done());
        earliest.found(true, 3, true);
        assert!(earliest.is_done());
    }
}
