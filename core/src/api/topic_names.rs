//! Which names a topic may have, with Kafka's words for those it may not (K17).
//!
//! Collisions of names are the controller's business. Compare Kafka's `Topic.validate`.

use crate::limits::TOPIC_NAME_CHARACTERS_MAX;

/// Checks a topic's name.
///
/// # Errors
/// What is wrong with it, in Kafka's words.
pub fn validate(name: &str) -> Result<(), String> {
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
        return Ok(());
    };
    Err(format!("Topic name is invalid: {reason}"))
}

fn is_legal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}
