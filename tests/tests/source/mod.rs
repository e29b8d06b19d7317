//! Reading source text for the style rules: files, code without comments, functions, words.
//!
//! A reader of formatted text, not a parser: rustfmt's layout (a function ends at a brace under its
//! first column) is relied upon, and checked by its own step.

use std::fs;
use std::path::Path;

/// One file of the repository.
pub(crate) struct Source {
    /// Path from the root of the repository, with `/`.
    pub(crate) path: String,
    /// Content.
    pub(crate) text: String,
    code: String,
}

impl Source {
    /// Lines with their numbers, from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }

    /// Lines with their numbers, without comments and without the content of strings.
    pub(crate) fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.code.lines())
    }
}

/// Folders whose files are ours.
const ROOTS: &[&str] = &["core", "native", "tests", "web", "www", ".ci"];

/// Kinds of files that are read.
const KINDS: &[&str] = &["js", "mjs", "py", "rs", "sh", "ts"];

/// Every source file, in the order of its path.
pub(crate) fn sources() -> Vec<Source> {
    let mut all = Vec::new();
    for root in ROOTS {
        for path in files_below(root) {
            let kind = path.rsplit_once('.').map_or("", |(_, kind)| kind);
            if KINDS.contains(&kind) {
                let text = fs::read_to_string(repository().join(&path)).expect("sources are text");
                let code = code_only(&text);
                all.push(Source { path, text, code });
            }
        }
    }
    assert!(all.len() > 20, "the sources were not found");
    all
}

/// Every file below a folder of the repository, in order; build output and packages excepted.
pub(crate) fn files_below(folder: &str) -> Vec<String> {
    let mut files = Vec::new();
    let Ok(entries) = fs::read_dir(repository().join(folder)) else {
        return files;
    };
    for entry in entries {
        let entry = entry.expect("a listed entry can be read");
        let name = entry.file_name().into_string().expect("names are UTF-8");
        let path = format!("{folder}/{name}");
        if !entry.path().is_dir() {
            files.push(path);
        } else if !["target", "node_modules", "dist", "__pycache__"].contains(&name.as_str()) {
            files.extend(files_below(&path));
        }
    }
    files.sort();
    files
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the repository")
}

/// A function as rustfmt laid it out.
pub(crate) struct Function {
    /// Number of the line with `fn`, from 1.
    pub(crate) first_line: usize,
    /// Lines up to and with the closing brace.
    pub(crate) lines: usize,
}

/// The functions of a file that have a body of more than one line.
pub(crate) fn functions(text: &str) -> Vec<Function> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        if !begins_function(code) || code.ends_with('}') || code.ends_with(';') {
            continue;
        }
        let indent = &line[..line.len() - code.len()];
        let is_end = |line: &&str| {
            let rest = line.strip_prefix(indent);
            rest.is_some_and(|rest| rest == "}" || rest.ends_with(';') && !rest.starts_with(' '))
        };
        if let Some(length) = lines[start..].iter().position(is_end) {
            found.push(Function {
                first_line: start + 1,
                lines: length + 1,
            });
        }
    }
    found
}

fn begins_function(code: &str) -> bool {
    let mut code = code;
    if let Some(rest) = code.strip_prefix("pub(") {
        code = rest.split_once(") ").map_or("", |(_, rest)| rest);
    }
    for qualifier in ["pub ", "const ", "async ", "unsafe ", "extern \"C\" "] {
        code = code.strip_prefix(qualifier).unwrap_or(code);
    }
    code.starts_with("fn ")
}

/// The identifiers of a line of code.
pub(crate) fn identifiers(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| word.starts_with(|c: char| c.is_alphabetic() || c == '_'))
}

/// The words of an identifier, in lower case: `HighWatermark` and `high_watermark` have two.
pub(crate) fn words(identifier: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![String::new()];
    let mut was_lower = false;
    for c in identifier.chars() {
        if c == '_' || (c.is_uppercase() && was_lower) {
            words.push(String::new());
        }
        if c != '_' {
            let last = words.last_mut().expect("starts with one word");
            last.extend(c.to_lowercase());
        }
        was_lower = c.is_lowercase() || c.is_numeric();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The text with comments and the content of strings blanked, line for line.
pub(crate) fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match skipped(rest) {
            Some(length) => {
                code.extend(rest[..length].chars().filter(|c| *c == '\n'));
                length
            }
            None => {
                code.push(c);
                c.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    code
}

/// Length in bytes of the comment, string or character that begins here, if one does.
fn skipped(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(rest.find("*/").map_or(rest.len(), |end| end + 2));
    }
    if let Some(hashes) = rest.strip_prefix("r#").or_else(|| rest.strip_prefix("br#")) {
        let count = 1 + hashes.len() - hashes.trim_start_matches('#').len();
        let end = format!("\"{}", "#".repeat(count));
        let body = hashes.trim_start_matches('#').strip_prefix('"')?;
        let start = rest.len() - body.len();
        return Some(
            body.find(&end)
                .map_or(rest.len(), |at| start + at + end.len()),
        );
    }
    if let Some(body) = rest.strip_prefix('"') {
        return Some(1 + quoted(body, '"'));
    }
    let body = rest.strip_prefix('\'')?;
    let mut characters = body.chars();
    let first = characters.next()?;
    let is_character = first == '\\' || characters.next() == Some('\'');
    is_character.then(|| 1 + quoted(body, '\''))
}

/// Length in bytes up to and with the closing quote.
fn quoted(body: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        if c == quote && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    body.len()
}

#[test]
fn comments_and_strings_are_no_code() {
    let text = "let a = \"ctx // \\\" leo\"; // hw\nlet b = 'x'; /* tp */ let c: &'static str;\n";
    assert_eq!(
        code_only(text),
        "let a = ; \nlet b = ;  let c: &'static str;\n"
    );
    assert_eq!(code_only("r#\"a \" b\"# c '\\'' d"), " c  d");
}

#[test]
fn functions_are_measured_to_their_brace() {
    let text = "impl A {\n    pub(crate) fn b(\n        &self,\n    ) {\n        c();\n    }\n}\n";
    let found = functions(text);
    assert_eq!(
        (found.len(), found[0].first_line, found[0].lines),
        (1, 2, 5)
    );
    assert!(functions("fn a() {}\nfn b(&self);\n").is_empty());
}

#[test]
fn identifiers_split_into_words() {
    assert_eq!(words("HighWatermark"), ["high", "watermark"]);
    assert_eq!(words("LOG_END_OFFSET"), ["log", "end", "offset"]);
    assert_eq!(words("_tp2Ctx"), ["tp2", "ctx"]);
    assert_eq!(identifiers("a.b_c(1u8)").collect::<Vec<_>>(), ["a", "b_c"]);
}
