//! An answer as a tree, read from what `{:?}` prints of the message's structure.
//!
//! The generated message types have no other form that is the same for all of them. Only what they
//! print is understood.

/// Part of an answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Value {
    /// A list.
    List(Vec<Value>),
    /// A structure: its fields in order.
    Struct(Vec<(String, Value)>),
    /// A string.
    Text(String),
    /// A number, `true`, `false`, `None`, the hexadecimal digits of a UUID, or [`EMPTY`].
    Word(String),
}

/// What may be null, is not, and holds nothing.
pub const EMPTY: &str = "empty";

/// Reads what `{:?}` printed.
///
/// # Panics
///
/// Where it is not what a message prints: a mistake of this reader.
#[must_use]
pub fn parse(printed: &str) -> Value {
    let mut reader = Reader { rest: printed };
    let value = reader.value();
    assert!(reader.rest.is_empty(), "left over: {}", reader.rest);
    value
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn value(&mut self) -> Value {
        if self.eat("[") {
            return Value::List(self.items("]"));
        }
        if self.eat("b\"") || self.eat("\"") {
            return Value::Text(self.quoted());
        }
        let word = self.word();
        if self.eat(" { ") {
            return self.fields();
        }
        if self.eat("(") {
            let items = self.items(")");
            return match (word, <[Value; 1]>::try_from(items)) {
                ("Uuid", Ok([Value::List(bytes)])) => uuid(&bytes),
                ("Some", Ok([only])) if is_nothing(&only) => Value::Word(EMPTY.to_owned()),
                (_, Ok([only])) => only,
                (_, Err(several)) => Value::List(several),
            };
        }
        Value::Word(word.to_owned())
    }

    fn eat(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn word(&mut self) -> &'a str {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        assert!(end > 0, "a value begins: {}", self.rest);
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn items(&mut self, end: &str) -> Vec<Value> {
        let mut items = Vec::new();
        while !self.eat(end) {
            items.push(self.value());
            self.eat(", ");
        }
        items
    }

    fn fields(&mut self) -> Value {
        let mut fields = Vec::new();
        loop {
            let name = self.word().to_owned();
            assert!(self.eat(": "), "a field has a value: {}", self.rest);
            fields.push((name, self.value()));
            if self.eat(" }") {
                return Value::Struct(fields);
            }
            assert!(self.eat(", "), "fields are separated: {}", self.rest);
        }
    }

    /// The rest of a string, up to its closing quote; escapes stay as they are, but for quotes.
    fn quoted(&mut self) -> String {
        let mut text = String::new();
        let mut characters = self.rest.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return text;
                }
                '\\' => match characters.next() {
                    Some((_, quote @ ('"' | '\''))) => text.push(quote),
                    Some((_, other)) => text.extend(['\\', other]),
                    None => break,
                },
                other => text.push(other),
            }
        }
        panic!("a string ends: {}", self.rest);
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::List(items) => items.is_empty(),
        Value::Text(text) => text.is_empty(),
        Value::Struct(_) | Value::Word(_) => false,
    }
}

fn uuid(bytes: &[Value]) -> Value {
    let digits = bytes.iter().map(|byte| match byte {
        Value::Word(number) => format!("{:02x}", number.parse::<u8>().unwrap_or(0)),
        Value::List(_) | Value::Struct(_) | Value::Text(_) => String::new(),
    });
    Value::Word(digits.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_messages_print() {
        #[derive(Debug)]
        #[allow(dead_code, reason = "printed")]
        struct Uuid([u8; 2]);
        #[derive(Debug)]
        #[allow(dead_code, reason = "printed")]
        struct Message {
            name: Option<&'static str>,
            none: Option<i32>,
            blank: Option<&'static str>,
            id: Uuid,
            parts: Vec<i32>,
        }
        let message = Message {
            name: Some("a \"b\""),
            none: None,
            blank: Some(""),
            id: Uuid([1, 255]),
            parts: vec![-1, 2],
        };
        let word = |word: &str| Value::Word(word.to_owned());
        let expected = Value::Struct(vec![
            ("name".to_owned(), Value::Text("a \"b\"".to_owned())),
            ("none".to_owned(), word("None")),
            ("blank".to_owned(), word(EMPTY)),
            ("id".to_owned(), word("01ff")),
            ("parts".to_owned(), Value::List(vec![word("-1"), word("2")])),
        ]);
        assert_eq!(parse(&format!("{message:?}")), expected);
    }
}
