//! JSON files that tools read: documents, and the fields in them.
//!
//! A missing field is refused in Kafka's words, a document that is no JSON with its place.

use serde_json::Value;

use crate::cli::failure::Failure;

/// Reads a document.
pub(crate) fn read(path: &str) -> Result<Value, Failure> {
    let content = std::fs::read_to_string(path)
        .map_err(|error| Failure::refused(format!("Unable to read file {path}: {error}.")))?;
    serde_json::from_str(&content)
        .map_err(|error| Failure::refused(format!("{path} is no JSON: {error}.")))
}

/// A field that must be there.
pub(crate) fn field<'a>(value: &'a Value, name: &str) -> Result<&'a Value, Failure> {
    value
        .get(name)
        .ok_or_else(|| Failure::refused(format!("No such field exists: `{name}`")))
}

/// A field that is text.
pub(crate) fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str, Failure> {
    let found = field(value, name)?;
    let other = || {
        Failure::refused(format!(
            "Expected `String` value of `{name}`, received {found}"
        ))
    };
    found.as_str().ok_or_else(other)
}

/// A field that is a whole number of 32 bits.
pub(crate) fn number(value: &Value, name: &str) -> Result<i32, Failure> {
    whole(field(value, name)?, name)
}

/// A whole number of 32 bits.
pub(crate) fn whole(value: &Value, name: &str) -> Result<i32, Failure> {
    let number = value.as_i64().and_then(|number| i32::try_from(number).ok());
    let other = || {
        Failure::refused(format!(
            "Expected `Int` value of `{name}`, received {value}"
        ))
    };
    number.ok_or_else(other)
}

/// A value that is a list.
pub(crate) fn array<'a>(value: &'a Value, name: &str) -> Result<&'a Vec<Value>, Failure> {
    let other = || Failure::refused(format!("Expected a list for `{name}`, received {value}"));
    value.as_array().ok_or_else(other)
}
