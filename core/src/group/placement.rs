//! Which partition of `__consumer_offsets` a group belongs to (K84).

/// Java's `String.hashCode`: over UTF-16 code units, wrapping.
pub(super) fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    })
}

/// The partition of a group, the same on every broker and client; `partitions_count` is that of
/// the topic and at least 1.
///
/// The hash of `i32::MIN` has no absolute value: Kafka's `Utils.abs` makes it 0 (4.3.1), where a
/// mask would make it 0 too.
#[must_use]
pub fn partition_of(group_id: &str, partitions_count: i32) -> i32 {
    assert!(partitions_count > 0, "a topic has at least one partition");
    let hash = java_hash(group_id);
    hash.checked_abs().unwrap_or(0) % partitions_count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_javas() {
        assert_eq!(java_hash(""), 0);
        assert_eq!(java_hash("a"), 97);
        assert_eq!(java_hash("polygenelubricants"), i32::MIN);
        // A character outside the basic plane counts as two code units.
        assert_eq!(java_hash("\u{1f600}"), 0xd83d * 31 + 0xde00);
    }

    #[test]
    fn a_group_has_one_partition() {
        assert_eq!(partition_of("polygenelubricants", 50), 0);
        assert_eq!(partition_of("a", 50), 47);
        assert_eq!(partition_of("test-group", 1), 0);
        let negative = "group-with-negative-hash";
        assert!((0..50).contains(&partition_of(negative, 50)));
    }
}
