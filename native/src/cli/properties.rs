//! Properties: `key=value` arguments, and files in Java's format.
//!
//! Source: `java.util.Properties`, as far as Kafka's `--command-config` files use it: comments,
//! `=`, `:` or blanks between key and value, continued lines, escapes. Included files and
//! `\uXXXX` beyond the basic plane are not.

use std::collections::BTreeMap;

use crate::cli::failure::Failure;

/// Properties by key; a later one replaces an earlier one.
pub(crate) type Properties = BTreeMap<String, String>;

/// Reads a properties file.
pub(crate) fn read_file(path: &str) -> Result<Properties, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(parse(&text)),
        Err(error) => Err(Failure::refused(format!(
            "Cannot read the properties file {path}: {error}. Name a readable file, or leave it \
             out."
        ))),
    }
}

/// A property that is a whole number.
pub(crate) fn number<N: std::str::FromStr>(
    properties: &Properties,
    name: &str,
    default: N,
) -> Result<N, Failure> {
    match properties.get(name) {
        None => Ok(default),
        Some(text) => text.trim().parse().map_err(|_not_a_number| {
            Failure::refused(format!(
                "Invalid value {text} for configuration {name}: Not a number"
            ))
        }),
    }
}

/// Reads `key=value` arguments. `key` alone is `key` without a value, as Kafka takes it.
pub(crate) fn from_args<'a>(args: impl IntoIterator<Item = &'a String>) -> Properties {
    let pairs = args.into_iter().map(|arg| match arg.split_once('=') {
        Some((key, value)) => (key.to_owned(), value.to_owned()),
        None => (arg.clone(), String::new()),
    });
    pairs.collect()
}

/// Reads the text of a properties file.
pub(crate) fn parse(text: &str) -> Properties {
    let mut properties = Properties::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut logical = line.trim_start().to_owned();
        if logical.is_empty() || logical.starts_with(['#', '!']) {
            continue;
        }
        while ends_continued(&logical) {
            logical.pop();
            match lines.next() {
                Some(next) => logical.push_str(next.trim_start()),
                None => break,
            }
        }
        let (key, value) = split(&logical);
        properties.insert(unescape(key), unescape(value));
    }
    properties
}

/// Whether a line goes on in the next: it ends in an odd number of backslashes.
fn ends_continued(line: &str) -> bool {
    line.bytes().rev().take_while(|&b| b == b'\\').count() % 2 == 1
}

/// Cuts a line at its first separator that is not escaped.
fn split(line: &str) -> (&str, &str) {
    let bytes = line.as_bytes();
    let mut end = 0;
    while end < bytes.len() && !matches!(bytes[end], b'=' | b':' | b' ' | b'\t') {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    let end = end.min(bytes.len());
    let rest = line[end..].trim_start();
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (&line[..end], rest.trim_start())
}

/// Replaces Java's escapes by what they stand for.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        match characters.next() {
            Some('t') => plain.push('\t'),
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('f') => plain.push('\u{c}'),
            Some('u') => {
                let digits: String = characters.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok();
                plain.push(
                    code.and_then(char::from_u32)
                        .unwrap_or(char::REPLACEMENT_CHARACTER),
                );
            }
            Some(other) => plain.push(other),
            None => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_java_reads_it() {
        let text =
            "# comment\n! too\n\na=1\n b : 2\nc 3\nd=x\\\n   y\ne=\\t\\u0041\\\\\nf\ng\\:h=i\na=9";
        let properties = parse(text);
        let expected = [
            ("a", "9"),
            ("b", "2"),
            ("c", "3"),
            ("d", "xy"),
            ("e", "\tA\\"),
            ("f", ""),
            ("g:h", "i"),
        ];
        let expected: Properties = expected
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        assert_eq!(properties, expected);
    }

    #[test]
    fn damaged_escapes_are_survived() {
        for text in [
            "\\",
            "a\\",
            "a=\\u12",
            "a=\\ud800",
            "=",
            ":",
            "\\é=1",
            "é\\",
        ] {
            let _properties = parse(text);
        }
    }
}
