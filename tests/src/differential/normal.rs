//! An answer without what two right brokers may differ in, as text that a person can compare.
//!
//! | what | becomes |
//! |---|---|
//! | throttle times, unknown tagged fields, null, empty parts | nothing |
//! | what may be null, is not, and is empty | `empty` |
//! | messages and documentation for people | `...` where there is one |
//! | ids that a broker picks freely | `id1`, `cluster1`, in the order of their appearance |
//! | the broker's own node id; its host and port; times | `me`, `host`, `port`, `now` |
//! | the UUID that a member's id ends with | `member1`, in the order of their appearance |
//! | record batches | their size in bytes |
//! | names that begin with the script's prefix | `$` and the rest |
//! | the order of lists | sorted, but where it means something |

use std::collections::BTreeMap;

use super::value::{EMPTY, Value};

/// Fields left out.
const DROPPED: [&str; 2] = ["throttle_time_ms", "unknown_tagged_fields"];

/// Fields whose text is for people.
const PROSE: [&str; 3] = [
    "batch_index_error_message",
    "documentation",
    "error_message",
];

/// Fields that hold an id, and the kind of id.
const SYMBOLS: [(&str, &str); 8] = [
    ("cluster_id", "cluster"),
    ("finalized_features_epoch", "features"),
    ("leader_epoch", "epoch"),
    ("log_dir", "dir"),
    ("producer_id", "producer"),
    ("replica_directory_id", "id"),
    ("session_id", "session"),
    ("topic_id", "id"),
];

/// Fields that hold the number of a node, or numbers of nodes.
const NODES: [&str; 9] = [
    "broker_id",
    "controller_id",
    "eligible_leader_replicas",
    "isr_nodes",
    "leader_id",
    "node_id",
    "offline_replicas",
    "replica_id",
    "replica_nodes",
];

/// Fields that depend on the machine: a word for any positive value.
const MACHINE: [(&str, &str); 7] = [
    ("host", "host"),
    ("last_caught_up_timestamp", "now"),
    ("last_fetch_timestamp", "now"),
    ("partition_size", "size"),
    ("port", "port"),
    ("total_bytes", "size"),
    ("usable_bytes", "size"),
];

/// Lists whose order means something.
const ORDERED: [&str; 2] = ["replica_nodes", "synonyms"];

/// Values that say nothing.
const SILENT: [&str; 3] = ["None", "-2147483648", "00000000000000000000000000000000"];

/// Names for the ids of one script's answers.
#[derive(Debug)]
pub struct Normaliser {
    prefix: String,
    node: String,
    symbols: BTreeMap<(&'static str, String), usize>,
}

impl Normaliser {
    /// For a script whose names begin with `prefix`, at the broker `node`.
    #[must_use]
    pub fn new(prefix: &str, node: i32) -> Self {
        Self {
            prefix: prefix.to_owned(),
            node: node.to_string(),
            symbols: BTreeMap::new(),
        }
    }

    /// The text of an answer; parts named by `hidden` are left out.
    pub fn text(&mut self, answer: &Value, hidden: &[&str]) -> String {
        let sorted = self.sort("", answer, hidden);
        let mut out = String::new();
        self.write("", &sorted, 0, &mut out);
        out
    }

    /// Drops what says nothing and sorts lists by what is left, ids not yet named.
    fn sort(&self, field: &str, value: &Value, hidden: &[&str]) -> Value {
        match value {
            Value::List(items) => {
                let mut items: Vec<Value> = items
                    .iter()
                    .map(|item| self.sort(field, item, hidden))
                    .collect();
                if !ORDERED.contains(&field) {
                    items.sort_by_cached_key(|item| self.key(field, item));
                }
                Value::List(items)
            }
            Value::Struct(fields) => Value::Struct(
                fields
                    .iter()
                    .filter(|(name, value)| {
                        !DROPPED.contains(&name.as_str())
                            && !hidden.contains(&name.as_str())
                            && !is_empty(value)
                    })
                    .map(|(name, value)| (name.clone(), self.sort(name, value, hidden)))
                    .collect(),
            ),
            Value::Text(_) | Value::Word(_) => value.clone(),
        }
    }

    /// What a list is sorted by: names first, then everything else, free ids alike.
    fn key(&self, field: &str, item: &Value) -> (Vec<String>, String) {
        let mut anonymous = Self {
            prefix: self.prefix.clone(),
            node: self.node.clone(),
            symbols: BTreeMap::new(),
        };
        let names = match item {
            Value::Struct(fields) => fields
                .iter()
                .filter(|(name, _)| name == "name" || name.ends_with("_name"))
                .map(|(name, value)| anonymous.scalar(name, value))
                .collect(),
            Value::List(_) | Value::Text(_) | Value::Word(_) => Vec::new(),
        };
        let mut rest = String::new();
        for word in ["partition_index", "api_key"] {
            if let Value::Struct(fields) = item
                && let Some((_, Value::Word(number))) = fields.iter().find(|(name, _)| name == word)
            {
                rest.push_str(&format!("{number:0>6} "));
            }
        }
        anonymous.write(field, item, 0, &mut rest);
        (names, rest)
    }

    fn write(&mut self, field: &str, value: &Value, depth: usize, out: &mut String) {
        match value {
            Value::List(items) if has_structures(value) => {
                for item in items {
                    out.push('\n');
                    out.push_str(&"  ".repeat(depth + 1));
                    out.push_str("- ");
                    self.write(field, item, depth + 1, out);
                }
            }
            Value::List(items) => {
                let items: Vec<String> =
                    items.iter().map(|item| self.scalar(field, item)).collect();
                out.push_str(&format!("[{}]", items.join(", ")));
            }
            Value::Struct(fields) => {
                // What takes lines of its own comes last, or what follows would seem part of it.
                let (long, short): (Vec<_>, Vec<_>) =
                    fields.iter().partition(|(_, value)| has_structures(value));
                for (index, (name, value)) in short.into_iter().chain(long).enumerate() {
                    out.push_str(if index == 0 { "" } else { " " });
                    out.push_str(name);
                    out.push('=');
                    let is_inner = matches!(value, Value::Struct(_));
                    out.push_str(if is_inner { "{" } else { "" });
                    self.write(name, value, depth, out);
                    out.push_str(if is_inner { "}" } else { "" });
                }
            }
            Value::Text(_) | Value::Word(_) => {
                let scalar = self.scalar(field, value);
                out.push_str(&scalar);
            }
        }
    }

    fn scalar(&mut self, field: &str, value: &Value) -> String {
        let (text, is_text) = match value {
            Value::Text(text) => (text, true),
            Value::Word(word) => (word, false),
            Value::List(_) | Value::Struct(_) => return "...".to_owned(),
        };
        if !is_text && text == EMPTY {
            return text.clone();
        }
        if field == "records" {
            return format!("{} bytes", size_of_escaped(text));
        }
        if PROSE.contains(&field) {
            return "...".to_owned();
        }
        if let Some((_, word)) = MACHINE.iter().find(|(name, _)| *name == field)
            && !text.starts_with('-')
            && text != "0"
        {
            return (*word).to_owned();
        }
        if NODES.contains(&field) && *text == self.node {
            return "me".to_owned();
        }
        if let Some((_, kind)) = SYMBOLS.iter().find(|(name, _)| *name == field)
            && !text.starts_with('-')
            && text != "0"
        {
            return self.symbol(kind, text);
        }
        if !is_text {
            return text.clone();
        }
        if field == "resource_name" && *text == self.node {
            return "\"me\"".to_owned();
        }
        let shown = text.replace(&self.prefix, "$");
        if let Some((front, id)) = split_uuid(&shown) {
            let symbol = self.symbol("member", id);
            return format!("\"{front}{symbol}\"");
        }
        if shown.len() > 80 {
            return format!("\"{}...\" ({} bytes)", &shown[..40], shown.len());
        }
        format!("\"{shown}\"")
    }

    fn symbol(&mut self, kind: &'static str, id: &str) -> String {
        let count = self.symbols.keys().filter(|(k, _)| *k == kind).count();
        let key = (kind, id.to_owned());
        let number = *self.symbols.entry(key).or_insert(count + 1);
        format!("{kind}{number}")
    }
}

/// A text that ends with a UUID, as the ids of members do: what is before it, and the UUID.
fn split_uuid(text: &str) -> Option<(&str, &str)> {
    let (front, id) = text.split_at_checked(text.len().checked_sub(36)?)?;
    let groups: Vec<usize> = id.split('-').map(str::len).collect();
    let is_hexadecimal = id
        .bytes()
        .all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    (groups == [8, 4, 4, 4, 12] && is_hexadecimal).then_some((front, id))
}

/// How many bytes a text holds whose escapes are still in it.
fn size_of_escaped(text: &str) -> usize {
    let mut size = 0;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character == '\\' && characters.next() == Some('x') {
            characters.next();
            characters.next();
        }
        size += 1;
    }
    size
}

fn has_structures(value: &Value) -> bool {
    match value {
        Value::List(items) => items.iter().any(|item| matches!(item, Value::Struct(_))),
        Value::Struct(_) => true,
        Value::Text(_) | Value::Word(_) => false,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::List(items) => items.is_empty(),
        Value::Struct(fields) => fields.iter().all(|(name, value)| {
            let is_nothing = *value == Value::Word("-1".to_owned());
            is_nothing || is_empty(value) || DROPPED.contains(&name.as_str())
        }),
        Value::Text(text) => text.is_empty(),
        Value::Word(word) => SILENT.contains(&word.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::parse;
    use super::*;

    #[test]
    fn what_is_free_is_named_and_what_is_empty_is_gone() {
        let answer = parse(
            "R { throttle_time_ms: 0, cluster_id: Some(\"xyz\"), error_message: None, topics: [\
             T { name: Some(\"p-b\"), replica_nodes: [2, 7] }, \
             T { name: Some(\"p-a\"), replica_nodes: [7] }] }",
        );
        let mut normaliser = Normaliser::new("p-", 7);
        let expected = "cluster_id=cluster1 topics=\n  - name=\"$a\" replica_nodes=[me]\n  \
                        - name=\"$b\" replica_nodes=[2, me]";
        assert_eq!(normaliser.text(&answer, &[]), expected);
    }
}
