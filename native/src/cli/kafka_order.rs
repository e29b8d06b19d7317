//! The order in which Kafka's tools print what they keep in hash maps.
//!
//! Scripts compare and cut such output, so ours has the same order. Source: the documented
//! `String.hashCode` of Java, and the table of `java.util.HashMap` as seen in the tools' output.

/// Entries a Java `HashMap` has room for when nothing else is said.
pub(crate) const HASH_MAP_CAPACITY: usize = 16;

/// Sorts `items` as a Java `HashMap` made for `capacity` entries lists them, by the hashes of their
/// keys.
///
/// Items of one bucket keep their order; the map treats more than eight of them otherwise, which
/// the tables of configurations never reach.
pub(crate) fn hash_map_order<T>(items: &mut [T], capacity: usize, hash: impl Fn(&T) -> u32) {
    let mut buckets = capacity.max(1).next_power_of_two();
    while items.len() * 4 > buckets * 3 {
        buckets *= 2;
    }
    let mask = u32::try_from(buckets - 1).unwrap_or(u32::MAX);
    items.sort_by_key(|item| {
        let hash = hash(item);
        (hash ^ (hash >> 16)) & mask
    });
}

/// Java's `String.hashCode`, as unsigned.
pub(crate) fn string_hash(text: &str) -> u32 {
    text.encode_utf16().fold(0u32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(u32::from(unit))
    })
}

/// The hash code of Kafka's `TopicPartition`.
pub(crate) fn topic_partition_hash(topic: &str, partition: i32) -> u32 {
    let partition = 31u32.wrapping_add(partition.cast_unsigned());
    partition.wrapping_mul(31).wrapping_add(string_hash(topic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_javas() {
        assert_eq!(string_hash(""), 0);
        assert_eq!(string_hash("a"), 97);
        assert_eq!(string_hash("hello"), 99_162_322);
        assert_eq!(string_hash("polygenelubricants"), 0x8000_0000);
    }

    #[test]
    fn items_are_listed_by_bucket() {
        let mut items = ["b", "a", "c"];
        hash_map_order(&mut items, 16, |item| string_hash(item));
        assert_eq!(items, ["a", "b", "c"]);
        let mut same_hash = ["BB", "Aa"];
        hash_map_order(&mut same_hash, 16, |item| string_hash(item));
        assert_eq!(same_hash, ["BB", "Aa"]);
    }
}
