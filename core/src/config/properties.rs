//! The syntax of `server.properties`: Java's, as `java.util.Properties` reads it.
//!
//! Comments (`#`, `!`), keys ended by `=`, `:` or white space, lines continued by a backslash, and
//! the escapes `\t \n \r \f \uXXXX`. What the keys mean is not this file's business. Unlike Java it
//! keeps the order of the file and says on which line something is wrong.

use std::fmt;

/// One `key=value` of a properties file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Property {
    /// The key, unescaped.
    pub key: String,
    /// The value, unescaped; white space at its end is kept, as in Java.
    pub value: String,
    /// The line it begins on, from 1.
    pub line: usize,
}

/// A line that no properties file may have.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SyntaxError {
    /// The line, from 1.
    pub line: usize,
    /// The escape that is not one.
    pub escape: String,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}: {} is no escape; \\u wants four hexadecimal digits",
            self.line, self.escape
        )
    }
}

/// The properties of a file's text, in its order; of a key given twice, both.
///
/// # Errors
/// Where a `\u` escape is malformed: the one thing Java refuses, too.
pub fn parse_properties(text: &str) -> Result<Vec<Property>, SyntaxError> {
    let mut properties = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, first)) = lines.next() {
        let first = first.trim_start_matches(is_blank);
        if first.is_empty() || first.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = first.to_owned();
        while ends_in_continuation(&logical) {
            logical.pop();
            match lines.next() {
                Some((_, next)) => logical.push_str(next.trim_start_matches(is_blank)),
                None => break,
            }
        }
        properties.push(parse_line(&logical, index + 1)?);
    }
    Ok(properties)
}

/// A property given as one argument: `key=value`, without escapes.
///
/// `None` where there is no `=` or no key.
#[must_use]
pub fn parse_override(argument: &str) -> Option<(String, String)> {
    let (key, value) = argument.split_once('=')?;
    let key = key.trim();
    (!key.is_empty()).then(|| (key.to_owned(), value.to_owned()))
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\u{c}')
}

/// Whether the line ends in an odd number of backslashes.
fn ends_in_continuation(line: &str) -> bool {
    line.bytes().rev().take_while(|&byte| byte == b'\\').count() % 2 == 1
}

fn parse_line(line: &str, number: usize) -> Result<Property, SyntaxError> {
    let mut escaped = false;
    let mut end = line.len();
    for (position, character) in line.char_indices() {
        if escaped {
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if matches!(character, '=' | ':') || is_blank(character) {
            end = position;
            break;
        }
    }
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start_matches(is_blank);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    Ok(Property {
        key: unescape(key, number)?,
        value: unescape(rest.trim_start_matches(is_blank), number)?,
        line: number,
    })
}

fn unescape(text: &str, line: usize) -> Result<String, SyntaxError> {
    let mut result = String::with_capacity(text.len());
    let mut units = Vec::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            flush_units(&mut units, &mut result);
            result.push(character);
            continue;
        }
        match characters.next() {
            Some('u') => {
                let digits: String = characters.by_ref().take(4).collect();
                let is_unit = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_hexdigit());
                match u16::from_str_radix(&digits, 16) {
                    Ok(unit) if is_unit => units.push(unit),
                    Ok(_) | Err(_) => {
                        let escape = format!("\\u{digits}");
                        return Err(SyntaxError { line, escape });
                    }
                }
                continue;
            }
            Some(other) => {
                flush_units(&mut units, &mut result);
                result.push(match other {
                    't' => '\t',
                    'n' => '\n',
                    'r' => '\r',
                    'f' => '\u{c}',
                    plain => plain,
                });
            }
            None => {}
        }
    }
    flush_units(&mut units, &mut result);
    Ok(result)
}

/// Two escapes may make one character (UTF-16 surrogates), so they are gathered first.
fn flush_units(units: &mut Vec<u16>, result: &mut String) {
    result.push_str(&String::from_utf16_lossy(units));
    units.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let parsed = parse_properties(text).expect("well-formed");
        let pairs: Vec<(&str, &str)> = parsed
            .iter()
            .map(|property| (property.key.as_str(), property.value.as_str()))
            .collect();
        assert_eq!(pairs, expected, "{text:?}");
    }

    #[test]
    fn as_java_reads_them() {
        check("a=b\nc : d\ne f\n", &[("a", "b"), ("c", "d"), ("e", "f")]);
        check("# no\n ! no\n\n   a=b", &[("a", "b")]);
        check("a=b\\\n   c,\\\n d", &[("a", "bc,d")]);
        check("a\\=b\\:c=x", &[("a=b:c", "x")]);
        check("path=C:\\\\temp\\tx", &[("path", "C:\\temp\tx")]);
        check("a = b  ", &[("a", "b  ")]);
        check("a=\\u00e4\\ud83d\\ude00", &[("a", "\u{e4}\u{1f600}")]);
        check("alone", &[("alone", "")]);
        check("a=#b", &[("a", "#b")]);
        check("a=b\\", &[("a", "b")]);
        check("a=b\r\nc=d\r\n", &[("a", "b"), ("c", "d")]);
    }

    #[test]
    fn a_broken_escape_names_its_line() {
        let error = parse_properties("a=b\nc=\\u12x4").expect_err("not hexadecimal");
        assert_eq!(error.line, 2);
        assert!(error.to_string().contains("\\u12x4"));
    }

    #[test]
    fn overrides() {
        let pair = parse_override("a.b=c=d").expect("a pair");
        assert_eq!(pair, ("a.b".to_owned(), "c=d".to_owned()));
        assert_eq!(parse_override("=x"), None);
        assert_eq!(parse_override("x"), None);
    }
}
