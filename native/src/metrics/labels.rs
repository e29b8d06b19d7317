//! The labels of a sample. A value may be any text: groups, topics, clients and directories are
//! named by others.

use std::fmt::Write as _;

/// What a label says.
pub(super) trait Value {
    /// Writes it, without its quotes.
    fn write(&self, page: &mut String);
}

/// A text as a label's value. What would end the value or the line is escaped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Text<'a>(pub(super) &'a str);

impl Value for Text<'_> {
    fn write(&self, page: &mut String) {
        let mut rest = self.0;
        // By bytes, not by characters: a page has some 200,000 values.
        let is_special = |byte: u8| matches!(byte, b'\\' | b'"' | b'\n');
        while let Some(at) = rest.bytes().position(is_special) {
            let (plain, special) = rest.split_at(at);
            page.push_str(plain);
            page.push_str(match special.as_bytes()[0] {
                b'\\' => "\\\\",
                b'"' => "\\\"",
                _newline => "\\n",
            });
            rest = &special[1..];
        }
        page.push_str(rest);
    }
}

impl Value for i32 {
    fn write(&self, page: &mut String) {
        write!(page, "{self}").expect("a String takes any text");
    }
}

/// Some labels, in order.
pub(super) trait Labels {
    /// Writes each as `name="value"`, between commas and after one where `is_first` is false;
    /// answers whether there was none yet.
    fn write(&self, is_first: bool, page: &mut String) -> bool;
}

impl<const N: usize> Labels for [(); N] {
    fn write(&self, is_first: bool, _page: &mut String) -> bool {
        is_first
    }
}

impl<const N: usize, V: Value> Labels for [(&'static str, V); N] {
    fn write(&self, is_first: bool, page: &mut String) -> bool {
        for (place, (name, value)) in self.iter().enumerate() {
            let front = if is_first && place == 0 { "{" } else { "," };
            page.extend([front, name, "=\""]);
            value.write(page);
            page.push('"');
        }
        is_first && N == 0
    }
}

impl<A: Labels, B: Labels> Labels for (A, B) {
    fn write(&self, is_first: bool, page: &mut String) -> bool {
        let is_first = self.0.write(is_first, page);
        self.1.write(is_first, page)
    }
}

impl<L: Labels> Labels for &L {
    fn write(&self, is_first: bool, page: &mut String) -> bool {
        L::write(self, is_first, page)
    }
}

/// Writes labels in their braces; nothing where there are none.
pub(super) fn write(labels: &impl Labels, page: &mut String) {
    if !labels.write(true, page) {
        page.push('}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(labels: &impl Labels, expected: &str) {
        let mut page = String::new();
        write(labels, &mut page);
        assert_eq!(page, expected);
    }

    #[test]
    fn values_stay_within_their_quotes() {
        check(
            &[("name", Text("x\n# TYPE y\\\""))],
            r#"{name="x\n# TYPE y\\\""}"#,
        );
    }

    #[test]
    fn labels_are_written_one_after_the_other() {
        check(&[(); 0], "");
        check(&([(); 0], [("a", 1)]), r#"{a="1"}"#);
        check(
            &([("a", Text("x")), ("b", Text(""))], [("c", -1)]),
            r#"{a="x",b="",c="-1"}"#,
        );
    }
}
