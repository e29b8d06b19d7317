//! Which topics a member of a consumer group subscribed to, read from its metadata.
//!
//! The bytes are the client's business, of whatever version; the coordinator looks only at the
//! fields that every version begins with, as Kafka 4.3.1 does, and only to know what not to expire
//! and what not to delete. Message: `ConsumerProtocolSubscription`.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::ids::TopicName;

/// The protocol type of groups whose members are consumers.
pub(super) const CONSUMER: &str = "consumer";

/// Adds the topics of a subscription to `topics`; `None` where the bytes are none.
pub(super) fn add_topics(metadata: &[u8], topics: &mut BTreeSet<TopicName>) -> Option<()> {
    let (version, rest) = metadata.split_first_chunk::<2>()?;
    if i16::from_be_bytes(*version) < 0 {
        return None;
    }
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    let count = usize::try_from(i32::from_be_bytes(*count)).ok()?;
    for _topic in 0..count {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let length = usize::try_from(i16::from_be_bytes(*length)).ok()?;
        let name = std::str::from_utf8(after.get(..length)?).ok()?;
        if !topics.contains(name) {
            topics.insert(Arc::from(name));
        }
        rest = &after[length..];
    }
    let (length, rest) = rest.split_first_chunk::<4>()?;
    match i32::from_be_bytes(*length) {
        -1 => Some(()),
        length => rest.get(..usize::try_from(length).ok()?).map(|_| ()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(metadata: &[u8]) -> Option<Vec<String>> {
        let mut topics = BTreeSet::new();
        add_topics(metadata, &mut topics)?;
        Some(topics.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn topics_of_any_version() {
        let version_0 = b"\0\0\0\0\0\x02\0\x01b\0\x01a\xff\xff\xff\xff";
        assert_eq!(topics(version_0), Some(vec!["a".into(), "b".into()]));
        let version_3_with_more = b"\0\x03\0\0\0\x01\0\x01t\0\0\0\x01x\0\0\0\0\0\0\0\0\xff\xff";
        assert_eq!(topics(version_3_with_more), Some(vec!["t".into()]));
        assert_eq!(topics(b"\0\0\0\0\0\0\0\0\0\0"), Some(Vec::new()));
    }

    #[test]
    fn whatever_else_is_none() {
        for bytes in [
            b"".as_slice(),
            b"\0",
            b"\xff\xff\0\0\0\0\0\0\0\0",
            b"\0\0\x7f\xff\xff\xff\0\x01a",
            b"\0\0\xff\xff\xff\xff\0\0\0\0",
            b"\0\0\0\0\0\x01\0\x05a",
            b"\0\0\0\0\0\x01\0\x01\xff\0\0\0\0",
            b"\0\0\0\0\0\x01\0\x01a",
            b"\0\0\0\0\0\x01\0\x01a\0\0\0\x09",
        ] {
            assert_eq!(topics(bytes), None, "{bytes:?}");
        }
    }
}
