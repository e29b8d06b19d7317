//! Which names topics may have (K17), and which two may not stand side by side.

use crate::limits::TOPIC_NAME_CHARACTERS_MAX;
use crate::metadata::Image;

/// The topic of the metadata log: a name nobody may create.
pub const CLUSTER_METADATA: &str = "__cluster_metadata";

/// Why the name cannot be a topic's; `None` where it can.
#[must_use]
pub fn invalid_name(name: &str) -> Option<String> {
    let reason = if name.is_empty() {
        "the empty string is not allowed".to_owned()
    } else if name == "." || name == ".." {
        format!("'{name}' is not allowed")
    } else if name.chars().count() > TOPIC_NAME_CHARACTERS_MAX {
        format!(
            "the length of '{name}' is longer than the max allowed length \
             {TOPIC_NAME_CHARACTERS_MAX}"
        )
    } else if !name.bytes().all(is_legal) {
        format!(
            "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' \
             and '-'"
        )
    } else {
        return None;
    };
    Some(format!("Topic name is invalid: {reason}"))
}

fn is_legal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

/// A topic whose name differs from this one only in periods and underscores: Kafka's metric names
/// cannot tell the two apart.
#[must_use]
pub fn colliding_topic<'a>(image: &'a Image, name: &str) -> Option<&'a str> {
    if !has_collision_characters(name) {
        return None;
    }
    image
        .topics()
        .map(|topic| topic.name.as_ref())
        .find(|other| *other != name && collide(other, name))
}

/// Whether the name has a period or an underscore.
#[must_use]
pub fn has_collision_characters(name: &str) -> bool {
    name.contains(['.', '_'])
}

/// Whether two names differ at most in periods and underscores.
#[must_use]
pub fn collide(one: &str, other: &str) -> bool {
    let normal = |byte: u8| if byte == b'.' { b'_' } else { byte };
    one.len() == other.len()
        && std::iter::zip(one.bytes(), other.bytes()).all(|(a, b)| normal(a) == normal(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in [
            "a",
            "A-b_c.9",
            "x".repeat(249).as_str(),
            "__consumer_offsets",
        ] {
            assert_eq!(invalid_name(good), None);
        }
        for bad in ["", ".", "..", "a b", "ä", "a/b", "x".repeat(250).as_str()] {
            assert!(invalid_name(bad).is_some(), "{bad}");
        }
        assert!(collide("a.b_c", "a_b.c"));
        assert!(!collide("a.b", "a-b"));
    }
}
