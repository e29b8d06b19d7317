//! Kafka's formats that concern groups, read a second time: assignments, and the keys of the topic
//! of offsets. Only as far as the checker needs them.

use std::collections::BTreeSet;

use super::Key;
use crate::sim::checkers::compaction::read_batches;
use crate::sim::checkers::log_image::{i16_at, i32_at};

/// A record of the topic of offsets that takes something away.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum OffsetsRecord {
    GroupGone(String),
    OffsetGone {
        group: String,
        key: Key,
        timestamp_ms: i64,
    },
}

/// The records of a batch that take something away.
pub(super) fn records_of(batch: &[u8]) -> Vec<OffsetsRecord> {
    let mut found = Vec::new();
    for batch in read_batches(batch) {
        for (_offset, fact) in batch.records {
            let Some(key) = fact.key.filter(|key| fact.is_tombstone && key.len() >= 2) else {
                continue;
            };
            let mut rest = &key[2..];
            match i16_at(&key, 0) {
                0 | 1 => {
                    let (group, topic) = (string(&mut rest), string(&mut rest));
                    if let (Some(group), Some(topic), 4) = (group, topic, rest.len()) {
                        found.push(OffsetsRecord::OffsetGone {
                            group,
                            key: (topic, i32_at(rest, 0)),
                            timestamp_ms: fact.timestamp,
                        });
                    }
                }
                2 => found.extend(string(&mut rest).map(OffsetsRecord::GroupGone)),
                _other => {}
            }
        }
    }
    found
}

/// The partitions that an assignment of a consumer gives.
pub(super) fn assigned_of(blob: &[u8]) -> BTreeSet<Key> {
    let mut assigned = BTreeSet::new();
    let mut rest = blob.get(2..).unwrap_or_default();
    for _topic in 0..int(&mut rest).unwrap_or(0) {
        let Some(topic) = string(&mut rest) else {
            break;
        };
        for _partition in 0..int(&mut rest).unwrap_or(0) {
            let Some(partition) = int(&mut rest) else {
                break;
            };
            assigned.insert((topic.clone(), partition));
        }
    }
    assigned
}

fn int(rest: &mut &[u8]) -> Option<i32> {
    let (word, left) = rest.split_at_checked(4)?;
    *rest = left;
    Some(i32_at(word, 0))
}

fn string(rest: &mut &[u8]) -> Option<String> {
    let (length, left) = rest.split_at_checked(2)?;
    let length = usize::try_from(i16_at(length, 0)).ok()?;
    let (text, left) = left.split_at_checked(length)?;
    *rest = left;
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{LeaderEpoch, Offset};
    use crate::time::Timestamp;
    use crate::wire::batch::Compression;
    use crate::wire::builder::BatchBuilder;

    #[test]
    fn tombstones_are_read() {
        let offset_key = b"\0\x01\0\x01g\0\x02tt\0\0\0\x03";
        let group_key = b"\0\x02\0\x01g";
        let mut builder = BatchBuilder::new(Compression::None).at(Offset(0), LeaderEpoch(0));
        builder.push(Timestamp(5), Some(offset_key), Some(b"x"));
        builder.push(Timestamp(6), Some(offset_key), None);
        builder.push(Timestamp(7), Some(group_key), None);
        let found = records_of(&builder.build());
        let gone = OffsetsRecord::OffsetGone {
            group: "g".to_owned(),
            key: ("tt".to_owned(), 3),
            timestamp_ms: 6,
        };
        assert_eq!(found, [gone, OffsetsRecord::GroupGone("g".to_owned())]);
    }

    #[test]
    fn assignments_are_read() {
        let blob = b"\0\x03\0\0\0\x01\0\x01t\0\0\0\x02\0\0\0\0\0\0\0\x05\xff\xff\xff\xff";
        let expected = BTreeSet::from([("t".to_owned(), 0), ("t".to_owned(), 5)]);
        assert_eq!(assigned_of(blob), expected);
        assert!(assigned_of(b"").is_empty());
    }
}
