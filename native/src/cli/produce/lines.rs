//! Lines of text to records: Kafka's `LineMessageReader`.
//!
//! A line is `headers, delimiter, key, separator, value`, of which headers and key are there only
//! where they are asked for. The line's end is not part of it.

use bytes::Bytes;
use ottla_core::wire::records::RecordHeader;

use crate::cli::failure::Failure;
use crate::cli::properties::Properties;

/// A record's content, as a line has it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Content {
    pub(super) key: Option<Bytes>,
    pub(super) value: Option<Bytes>,
    pub(super) headers: Vec<RecordHeader>,
}

/// How lines are taken apart.
#[derive(Clone, Debug)]
pub(super) struct LineReader {
    parse_key: bool,
    parse_headers: bool,
    ignore_error: bool,
    key_separator: String,
    headers_delimiter: String,
    headers_separator: String,
    headers_key_separator: String,
    null_marker: Option<String>,
    lines_read: u64,
}

impl LineReader {
    /// A reader with these properties.
    pub(super) fn new(properties: &Properties) -> Result<Self, Failure> {
        let flag = |name: &str| {
            properties
                .get(name)
                .is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
        };
        let text = |name: &str, default: &str| match properties.get(name) {
            Some(value) => value.clone(),
            None => default.to_owned(),
        };
        let reader = Self {
            parse_key: flag("parse.key"),
            parse_headers: flag("parse.headers"),
            ignore_error: flag("ignore.error"),
            key_separator: text("key.separator", "\t"),
            headers_delimiter: text("headers.delimiter", "\t"),
            headers_separator: text("headers.separator", ","),
            headers_key_separator: text("headers.key.separator", ":"),
            null_marker: properties.get("null.marker").cloned(),
            lines_read: 0,
        };
        reader.check()?;
        Ok(reader)
    }

    /// Separators that are the same, or empty, would make lines ambiguous.
    fn check(&self) -> Result<(), Failure> {
        let separators = [
            ("headers.delimiter", &self.headers_delimiter),
            ("headers.separator", &self.headers_separator),
            ("headers.key.separator", &self.headers_key_separator),
            ("key.separator", &self.key_separator),
        ];
        if let Some((name, _)) = separators
            .iter()
            .find(|(_, separator)| separator.is_empty())
        {
            return Err(Failure::refused(format!("{name} may not be empty")));
        }
        let pairs = [(0, 1), (0, 2), (1, 2)];
        for (a, b) in pairs.into_iter().filter(|_| self.parse_headers) {
            if separators[a].1 == separators[b].1 {
                return Err(Failure::refused(format!(
                    "{} and {} may not be equal",
                    separators[a].0, separators[b].0
                )));
            }
        }
        let nulls = separators
            .iter()
            .map(|(name, separator)| (name, *separator));
        for (name, separator) in nulls {
            if self.null_marker.as_ref() == Some(separator) {
                return Err(Failure::refused(format!(
                    "null.marker and {name} may not be equal"
                )));
            }
        }
        Ok(())
    }

    /// Takes one line apart, without its end.
    pub(super) fn read(&mut self, line: &[u8]) -> Result<Content, Failure> {
        self.lines_read += 1;
        let mut content = Content::default();
        let mut rest = line;
        if self.parse_headers
            && let Some(parts) =
                self.cut(rest, &self.headers_delimiter, "headers delimiter", line)?
        {
            rest = parts.after;
            if !self.is_null(parts.before) {
                content.headers = self.headers(parts.before)?;
            }
        }
        if self.parse_key
            && let Some(parts) = self.cut(rest, &self.key_separator, "key separator", line)?
        {
            rest = parts.after;
            content.key = self.field(parts.before);
        }
        content.value = self.field(rest);
        Ok(content)
    }

    /// Cuts at the first separator; `None` where there is none and that is to be ignored.
    fn cut<'a>(
        &self,
        text: &'a [u8],
        separator: &str,
        name: &str,
        line: &[u8],
    ) -> Result<Option<Parts<'a>>, Failure> {
        match cut(text, separator.as_bytes()) {
            Some(parts) => Ok(Some(parts)),
            None if self.ignore_error => Ok(None),
            None => Err(Failure::refused(format!(
                "No {name} found on line number {}: '{}'",
                self.lines_read,
                String::from_utf8_lossy(line)
            ))),
        }
    }

    fn headers(&self, text: &[u8]) -> Result<Vec<RecordHeader>, Failure> {
        let mut headers = Vec::new();
        let mut rest = Some(text);
        while let Some(pairs) = rest {
            let (pair, after) = match cut(pairs, self.headers_separator.as_bytes()) {
                Some(parts) => (parts.before, Some(parts.after)),
                None => (pairs, None),
            };
            rest = after;
            let (key, value) = match cut(pair, self.headers_key_separator.as_bytes()) {
                Some(parts) => (parts.before, self.field(parts.after)),
                None if self.ignore_error => (pair, None),
                None => {
                    return Err(Failure::refused(format!(
                        "No header key separator found in pair '{}' on line number {}",
                        String::from_utf8_lossy(pair),
                        self.lines_read
                    )));
                }
            };
            if self.is_null(key) {
                let marker = self.null_marker.as_deref().unwrap_or("");
                return Err(Failure::refused(format!(
                    "Header keys should not be equal to the null marker '{marker}' as they can't \
                     be null"
                )));
            }
            headers.push(RecordHeader {
                key: Bytes::copy_from_slice(key),
                value,
            });
        }
        Ok(headers)
    }

    fn field(&self, text: &[u8]) -> Option<Bytes> {
        (!self.is_null(text)).then(|| Bytes::copy_from_slice(text))
    }

    fn is_null(&self, text: &[u8]) -> bool {
        self.null_marker
            .as_ref()
            .is_some_and(|marker| marker.as_bytes() == text)
    }
}

/// A text around a separator.
struct Parts<'a> {
    before: &'a [u8],
    after: &'a [u8],
}

/// Cuts at the first occurrence of `separator`, which is not empty.
fn cut<'a>(text: &'a [u8], separator: &[u8]) -> Option<Parts<'a>> {
    let at = text
        .windows(separator.len())
        .position(|window| window == separator)?;
    Some(Parts {
        before: &text[..at],
        after: &text[at + separator.len()..],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(properties: &[(&str, &str)]) -> LineReader {
        let owned = properties
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        LineReader::new(&owned.collect()).expect("good properties")
    }

    fn text(field: Option<&Bytes>) -> Option<&str> {
        field.map(|bytes| std::str::from_utf8(bytes).expect("the samples are text"))
    }

    #[test]
    fn a_line_is_a_value_unless_more_is_asked_for() {
        let content = reader(&[]).read(b"a\tb").expect("any line is a value");
        assert_eq!(
            (text(content.key.as_ref()), text(content.value.as_ref())),
            (None, Some("a\tb"))
        );
        let mut keyed = reader(&[("parse.key", "TRUE"), ("key.separator", "::")]);
        let content = keyed.read(b"k::v::w").expect("it has a separator");
        assert_eq!(text(content.key.as_ref()), Some("k"));
        assert_eq!(text(content.value.as_ref()), Some("v::w"));
        let refused = keyed.read(b"nokey").expect_err("no separator").to_string();
        assert_eq!(refused, "No key separator found on line number 2: 'nokey'");
    }

    #[test]
    fn headers_come_first_and_fields_may_be_null() {
        let all = [
            ("parse.key", "true"),
            ("parse.headers", "true"),
            ("null.marker", "NULL"),
        ];
        let mut reader = reader(&all);
        let content = reader.read(b"h1:a,h2:NULL\tk\tNULL").expect("a good line");
        assert_eq!(content.headers.len(), 2);
        assert_eq!(&content.headers[0].key[..], b"h1");
        assert_eq!(content.headers[1].value, None);
        assert_eq!(
            (text(content.key.as_ref()), content.value),
            (Some("k"), None)
        );
        let content = reader.read(b"NULL\tNULL\tv").expect("a good line");
        assert_eq!((content.headers.len(), content.key), (0, None));
        let check = |reader: &mut LineReader, line: &[u8], words: &str| {
            assert_eq!(
                reader.read(line).expect_err("a bad line").to_string(),
                words
            );
        };
        check(
            &mut reader,
            b"bad",
            "No headers delimiter found on line number 3: 'bad'",
        );
        check(
            &mut reader,
            b"h\tk\tv",
            "No header key separator found in pair 'h' on line number 4",
        );
    }

    #[test]
    fn ambiguous_separators_are_refused() {
        let refused = |properties: &[(&str, &str)]| {
            let owned = properties
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            LineReader::new(&owned.collect()).is_err()
        };
        assert!(refused(&[("key.separator", "")]));
        assert!(refused(&[("null.marker", "\t")]));
        assert!(refused(&[
            ("parse.headers", "true"),
            ("headers.separator", ":")
        ]));
    }
}
