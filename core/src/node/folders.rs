//! Names of folders whose logs are no partition's any more.
//!
//! A topic's name may have 249 characters, and a file system takes 255 of a folder's: what tells
//! one folder from another stays whole, and the topic's name is cut. Compare with Kafka's
//! `LogFileUtils.logDeleteDirName` (4.3.1).

use std::sync::Arc;

use crate::ids::TopicId;

/// Longest name of a folder that common file systems take.
const CHARACTERS_MAX: usize = 255;

/// A name for the folder of a deleted log that no other has: `topic-0.<id>-delete`.
pub(super) fn deleted(folder: &str, topic: TopicId) -> Arc<str> {
    capped(folder, &format!(".{}-delete", hex(topic))).into()
}

/// A name for the folder of a log that is put aside: `topic-0.<digits>-stray`.
pub(super) fn stray(folder: &str, digits: &str) -> String {
    capped(folder, &format!(".{digits}-stray"))
}

/// An id as 32 digits.
pub(super) fn hex(id: TopicId) -> String {
    id.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A folder's name with an end, the topic's name shortened where the whole would be too long.
fn capped(folder: &str, end: &str) -> String {
    let dash = folder.rfind('-').unwrap_or(folder.len());
    let (topic, partition) = folder.split_at(dash);
    let room = CHARACTERS_MAX.saturating_sub(partition.len() + end.len());
    let mut kept = topic.len().min(room);
    while !topic.is_char_boundary(kept) {
        kept -= 1;
    }
    format!("{}{partition}{end}", &topic[..kept])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::TOPIC_NAME_CHARACTERS_MAX;

    const ID: TopicId = TopicId([0xab; 16]);

    #[test]
    fn partitions_of_a_long_topic_keep_apart() {
        let topic = "x".repeat(TOPIC_NAME_CHARACTERS_MAX);
        for name in [
            |folder: &str| deleted(folder, ID).to_string(),
            |folder: &str| stray(folder, &hex(ID)),
        ] {
            let named: Vec<String> = [0, 1, 99_999]
                .iter()
                .map(|index| name(&format!("{topic}-{index}")))
                .collect();
            assert!(named.iter().all(|name| name.len() == CHARACTERS_MAX));
            assert_ne!(named[0], named[1]);
            assert!(named[0].contains("x-0."), "{}", named[0]);
            assert!(named[2].contains("x-99999."), "{}", named[2]);
        }
    }

    #[test]
    fn short_names_stay_whole() {
        let digits = "ab".repeat(16);
        assert_eq!(&*deleted("a-b-3", ID), format!("a-b-3.{digits}-delete"));
        assert_eq!(stray("a-b-3", &digits), format!("a-b-3.{digits}-stray"));
    }

    #[test]
    fn a_name_that_is_no_partitions_is_cut_too() {
        let name = stray(&"ü".repeat(127), &hex(ID));
        assert!(name.len() <= CHARACTERS_MAX);
        assert!(name.starts_with("üü"), "{name}");
    }
}
