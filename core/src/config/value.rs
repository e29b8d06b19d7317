//! Texts into values and back, with the bounds of each definition.
//!
//! The wording of what is wrong follows Apache Kafka 4.3.1 (`ConfigDef`), because clients and
//! scripts read it; a test compares it with recorded answers. Fractions are parsed and compared,
//! never computed with, so that every platform decides alike.

use std::fmt;

use super::definition::{Definition, Kind, Valid};

/// A value of the right type, within its bounds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `true` or `false`.
    Boolean(bool),
    /// A decimal fraction.
    Double(f64),
    /// A number of type INT, LONG or SHORT.
    Integer(i64),
    /// Words, trimmed.
    List(Vec<String>),
    /// Text, a class or a secret.
    Text(String),
}

impl Value {
    /// The number; `None` where it is none.
    #[must_use]
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Boolean(_) | Self::Double(_) | Self::List(_) | Self::Text(_) => None,
        }
    }

    /// The words of a list; any other value as the one word that it is.
    #[must_use]
    pub fn into_list(self) -> Vec<String> {
        match self {
            Self::List(words) => words,
            Self::Boolean(_) | Self::Double(_) | Self::Integer(_) | Self::Text(_) => {
                vec![self.to_string()]
            }
        }
    }
}

impl fmt::Display for Value {
    /// The text in Kafka's form: lists joined by commas, fractions as Java prints them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => value.fmt(f),
            Self::Double(value) => f.write_str(&java_double(*value)),
            Self::Integer(value) => value.fmt(f),
            Self::List(words) => f.write_str(&words.join(",")),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// A value that a configuration cannot have, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InvalidValue {
    /// The configuration.
    pub name: &'static str,
    /// The value as Kafka's error shows it; `None` where it shows none.
    pub value: Option<String>,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, reason) = (self.name, &self.reason);
        match &self.value {
            Some(value) => write!(
                f,
                "Invalid value {value} for configuration {name}: {reason}"
            ),
            None => f.write_str(reason),
        }
    }
}

impl Definition {
    /// The value that `text` means.
    ///
    /// # Errors
    /// Where it is of another type or out of bounds.
    pub fn parse(&self, text: &str) -> Result<Value, InvalidValue> {
        let value = self.parse_kind(text)?;
        self.check(&value)?;
        Ok(value)
    }

    /// What would be right, in a few words, for a person who wrote something else.
    #[must_use]
    pub fn expectation(&self) -> String {
        let bounds = match self.valid {
            Valid::Any => String::new(),
            Valid::AtLeast(least) => format!(", at least {least}"),
            Valid::Between(least, most) => format!(", from {least} to {most}"),
            Valid::BetweenOr(least, most, other) => format!(", from {least} to {most}, or {other}"),
            Valid::FractionTo(most) => format!(", from 0 to {most}"),
            Valid::ListOf(words) => format!(" of {}", words.join(", ")),
            Valid::NonEmpty => ", not empty".to_owned(),
            Valid::OneOf(words) | Valid::OneOfIgnoringCase(words) => {
                format!(", one of {}", words.join(", "))
            }
            Valid::OffsetReset => ", earliest, latest or by_duration:<ISO duration>".to_owned(),
            Valid::ThrottledReplicas => ", * or partition:broker pairs".to_owned(),
        };
        format!("{}{bounds}", self.kind.name().to_ascii_lowercase())
    }

    /// The same, wherever the value lies.
    pub(super) fn parse_kind(&self, text: &str) -> Result<Value, InvalidValue> {
        let trimmed = text.trim();
        let integer = |least: i64, most: i64| {
            let digits = trimmed.strip_prefix('+').unwrap_or(trimmed);
            match digits.parse::<i64>() {
                Ok(number) if (least..=most).contains(&number) => Ok(Value::Integer(number)),
                Ok(_) | Err(_) => {
                    let kind = self.kind.name();
                    Err(self.invalid(text, format!("Not a number of type {kind}")))
                }
            }
        };
        match self.kind {
            Kind::Boolean if trimmed.eq_ignore_ascii_case("true") => Ok(Value::Boolean(true)),
            Kind::Boolean if trimmed.eq_ignore_ascii_case("false") => Ok(Value::Boolean(false)),
            Kind::Boolean => {
                let reason = "Expected value to be either true or false".to_owned();
                Err(self.invalid(text, reason))
            }
            Kind::Double => match trimmed.parse::<f64>() {
                Ok(number) => Ok(Value::Double(number)),
                Err(_) => Err(self.invalid(text, "Not a number of type DOUBLE".to_owned())),
            },
            Kind::Int => integer(i64::from(i32::MIN), i64::from(i32::MAX)),
            Kind::Long => integer(i64::MIN, i64::MAX),
            Kind::Short => integer(i64::from(i16::MIN), i64::from(i16::MAX)),
            Kind::List => Ok(Value::List(parse_list(trimmed))),
            Kind::Class | Kind::Password | Kind::String => Ok(Value::Text(trimmed.to_owned())),
        }
    }

    fn check(&self, value: &Value) -> Result<(), InvalidValue> {
        match (self.valid, value) {
            (Valid::AtLeast(least), Value::Integer(number)) if *number < least => {
                Err(self.invalid(number, format!("Value must be at least {least}")))
            }
            (Valid::Between(least, most), Value::Integer(number)) => {
                if *number < least {
                    Err(self.invalid(number, format!("Value must be at least {least}")))
                } else if *number > most {
                    Err(self.invalid(number, format!("Value must be no more than {most}")))
                } else {
                    Ok(())
                }
            }
            (Valid::BetweenOr(least, most, other), Value::Integer(number))
                if *number != other && !(least..=most).contains(number) =>
            {
                let reason =
                    format!("Value must be between {least} and {most} or equal to {other}");
                Err(self.invalid(number, reason))
            }
            (Valid::FractionTo(most), Value::Double(number)) => {
                if *number < 0.0 || number.is_nan() {
                    Err(self.invalid(value, "Value must be at least 0".to_owned()))
                } else if *number > most {
                    Err(self.invalid(value, format!("Value must be no more than {most}")))
                } else {
                    Ok(())
                }
            }
            (_, Value::List(words)) => self.check_list(words),
            (_, Value::Text(text)) => self.check_text(text),
            (_, Value::Boolean(_) | Value::Double(_) | Value::Integer(_)) => Ok(()),
        }
    }

    fn check_list(&self, words: &[String]) -> Result<(), InvalidValue> {
        match self.valid {
            Valid::ListOf(allowed) => {
                if words.iter().any(String::is_empty) {
                    return Err(InvalidValue {
                        name: self.name,
                        value: None,
                        reason: format!("Configuration '{}' values must not be empty.", self.name),
                    });
                }
                match words.iter().find(|word| !allowed.contains(&word.as_str())) {
                    None => Ok(()),
                    Some(word) => Err(self.invalid(word, must_be_one_of(allowed))),
                }
            }
            Valid::ThrottledReplicas => {
                let is_pair = |word: &String| {
                    word.split_once(':').is_some_and(|(partition, broker)| {
                        is_digits(partition) && is_digits(broker)
                    })
                };
                if words.iter().all(is_pair) || (words.len() == 1 && words[0] == "*") {
                    return Ok(());
                }
                let reason = format!(
                    "{} must be the literal '*' or a list of replicas in the following format: \
                     [partitionId]:[brokerId],[partitionId]:[brokerId],...",
                    self.name
                );
                Err(self.invalid(format!("[{}]", words.join(", ")), reason))
            }
            Valid::Any
            | Valid::AtLeast(_)
            | Valid::Between(..)
            | Valid::BetweenOr(..)
            | Valid::FractionTo(_)
            | Valid::NonEmpty
            | Valid::OffsetReset
            | Valid::OneOf(_)
            | Valid::OneOfIgnoringCase(_) => Ok(()),
        }
    }

    fn check_text(&self, text: &str) -> Result<(), InvalidValue> {
        match self.valid {
            Valid::NonEmpty if text.is_empty() => {
                Err(self.invalid(text, "String must be non-empty".to_owned()))
            }
            Valid::OneOf(allowed) if !allowed.contains(&text) => {
                Err(self.invalid(text, must_be_one_of(allowed)))
            }
            Valid::OneOfIgnoringCase(allowed)
                if !allowed.iter().any(|word| word.eq_ignore_ascii_case(text)) =>
            {
                let reason = format!(
                    "String must be one of (case insensitive): {}",
                    allowed.join(", ")
                );
                Err(self.invalid(text, reason))
            }
            Valid::OffsetReset if !is_offset_reset(text) => {
                let reason = format!(
                    "Invalid value `{text}` for configuration {}. The value must be either \
                     'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'.",
                    self.name
                );
                Err(self.invalid(text, reason))
            }
            Valid::Any
            | Valid::AtLeast(_)
            | Valid::Between(..)
            | Valid::BetweenOr(..)
            | Valid::FractionTo(_)
            | Valid::ListOf(_)
            | Valid::NonEmpty
            | Valid::OffsetReset
            | Valid::OneOf(_)
            | Valid::OneOfIgnoringCase(_)
            | Valid::ThrottledReplicas => Ok(()),
        }
    }

    fn invalid(&self, value: impl fmt::Display, reason: String) -> InvalidValue {
        InvalidValue {
            name: self.name,
            value: Some(value.to_string()),
            reason,
        }
    }
}

/// The words of a list: split at commas, trimmed; the empty text is the empty list.
#[must_use]
pub fn parse_list(text: &str) -> Vec<String> {
    let text = text.trim();
    if text.is_empty() {
        return Vec::new();
    }
    text.split(',').map(|word| word.trim().to_owned()).collect()
}

fn must_be_one_of(allowed: &[&str]) -> String {
    format!("String must be one of: {}", allowed.join(", "))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `earliest`, `latest`, or `by_duration:` and an ISO 8601 duration that is not negative.
fn is_offset_reset(text: &str) -> bool {
    let Some(duration) = text
        .to_ascii_lowercase()
        .strip_prefix("by_duration:")
        .map(str::to_owned)
    else {
        return matches!(text.to_ascii_lowercase().as_str(), "earliest" | "latest");
    };
    let Some(rest) = duration.strip_prefix('p') else {
        return false;
    };
    let (days, time) = match rest.split_once('t') {
        Some((days, time)) => (days, Some(time)),
        None => (rest, None),
    };
    let is_days = days.is_empty() || days.strip_suffix('d').is_some_and(is_digits);
    let is_time = time.is_none_or(is_duration_time);
    is_days && is_time && !(days.is_empty() && time.is_none())
}

/// Hours, minutes and seconds in this order, at least one of them; seconds may have a fraction.
fn is_duration_time(text: &str) -> bool {
    let mut rest = text;
    for unit in ['h', 'm', 's'] {
        let Some((number, after)) = rest.split_once(unit) else {
            continue;
        };
        let fraction_allowed = unit == 's';
        let (whole, fraction) = match number.split_once('.') {
            Some((whole, fraction)) if fraction_allowed => (whole, fraction),
            Some(_) => return false,
            None => (number, "0"),
        };
        if !is_digits(whole) || !is_digits(fraction) {
            return false;
        }
        rest = after;
    }
    rest.is_empty() && !text.is_empty()
}

/// A fraction as Java's `Double.toString` prints it, for the numbers configurations hold.
pub(crate) fn java_double(value: f64) -> String {
    if value == 0.0 {
        return "0.0".to_owned();
    }
    if (1e-3..1e7).contains(&value.abs()) {
        let text = format!("{value}");
        return if text.contains('.') {
            text
        } else {
            format!("{text}.0")
        };
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        Some(_) | None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_print_as_in_java() {
        for (value, text) in [
            (0.5, "0.5"),
            (2.0, "2.0"),
            (-5.0, "-5.0"),
            (1e20, "1.0E20"),
            (f64::MAX, "1.7976931348623157E308"),
        ] {
            assert_eq!(java_double(value), text);
        }
    }

    #[test]
    fn offset_resets() {
        for good in [
            "earliest",
            "LATEST",
            "by_duration:PT1H",
            "by_duration:P2DT3M1.5S",
        ] {
            assert!(is_offset_reset(good), "{good}");
        }
        for bad in [
            "",
            "sometimes",
            "by_duration:",
            "by_duration:P",
            "by_duration:PT",
            "by_duration:PT1.5H",
        ] {
            assert!(!is_offset_reset(bad), "{bad}");
        }
    }
}
