//! Where a tool reads and writes, handed to it so that tests can look.
//!
//! No tool touches the process's own streams; `main` connects them here.

use std::fmt::Write as _;
use std::io::Write;

use crate::cli::failure::Failure;

/// The streams of one tool.
pub(crate) struct Console<'a> {
    /// The arguments as they were given, for the messages that repeat them.
    pub(crate) command_line: String,
    /// Standard output: results only. Buffered; flushed when the tool ends or waits.
    pub(crate) out: &'a mut dyn Write,
    /// Standard error: notices and failures.
    pub(crate) err: &'a mut dyn Write,
    /// Whether a person reads standard output: then JSON is indented.
    pub(crate) out_is_terminal: bool,
    /// Whether a person reads standard error: only then is there progress.
    pub(crate) err_is_terminal: bool,
    /// Whether results may be coloured: on a terminal, unless the person does not want it.
    pub(crate) colours: bool,
    /// Whether results are wanted as JSON: then nothing else goes to standard output.
    pub(crate) is_json: bool,
    /// Whether a person types standard input: only then is there a prompt.
    pub(crate) in_is_terminal: bool,
}

impl Console<'_> {
    /// Prints one line of a result.
    ///
    /// A sentence is no JSON: where that is wanted, it is told as a notice.
    pub(crate) fn line(&mut self, text: impl AsRef<str>) -> Result<(), Failure> {
        if self.is_json {
            self.notice(text);
            return Ok(());
        }
        self.document(text)
    }

    /// Prints one line that is a JSON document as it is, of the tools that always print those.
    pub(crate) fn document(&mut self, text: impl AsRef<str>) -> Result<(), Failure> {
        self.out.write_all(text.as_ref().as_bytes())?;
        self.out.write_all(b"\n")?;
        Ok(())
    }

    /// Tells the person something that is not part of the result.
    ///
    /// A standard error that is gone is no reason to fail.
    pub(crate) fn notice(&mut self, text: impl AsRef<str>) {
        let line = format!("{}\n", text.as_ref());
        let _gone = self.err.write_all(line.as_bytes());
    }

    /// Prints a JSON value, indented for a person, on one line for a program.
    pub(crate) fn json(&mut self, value: &serde_json::Value) -> Result<(), Failure> {
        let text = if self.out_is_terminal {
            format!("{value:#}")
        } else {
            value.to_string()
        };
        self.document(text)
    }

    /// Prints everything buffered; called before a wait.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush()?;
        Ok(())
    }
}

/// Whether the person wants colours: not with `NO_COLOR` (<https://no-color.org>), nor on a
/// terminal that has none.
pub(crate) fn wants_colours(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> bool {
    let refused = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
    let without = variable("TERM").is_some_and(|terminal| terminal == "dumb");
    !refused && !without
}

/// Joins the texts of `items` with `separator`.
pub(crate) fn joined<T: std::fmt::Display>(
    items: impl IntoIterator<Item = T>,
    separator: &str,
) -> String {
    let mut text = String::new();
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            text.push_str(separator);
        }
        write!(text, "{item}").expect("writing to a String cannot fail");
    }
    text
}

/// A console over memory, for tests.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// Runs `tool`; gives its result, its output and its notices.
    pub(crate) fn with_console(
        tool: impl FnOnce(&mut Console<'_>) -> Result<(), Failure>,
    ) -> (Result<(), Failure>, String, String) {
        let mut out = Vec::new();
        let mut err = Vec::new();
        let mut console = Console {
            command_line: String::new(),
            out: &mut out,
            err: &mut err,
            out_is_terminal: false,
            err_is_terminal: false,
            colours: false,
            is_json: false,
            in_is_terminal: false,
        };
        let result = tool(&mut console);
        let text = |bytes| String::from_utf8(bytes).expect("tools under test print UTF-8");
        (result, text(out), text(err))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_no_json() {
        let (result, out, err) = testing::with_console(|console| {
            console.is_json = true;
            console.line("WARNING: it took long.")?;
            console.json(&serde_json::json!({"records": 1}))
        });
        assert!(result.is_ok());
        assert_eq!(out, "{\"records\":1}\n");
        assert_eq!(err, "WARNING: it took long.\n");
    }

    #[test]
    fn colours_can_be_refused() {
        let wants =
            |name: &str, value: &str| wants_colours(|asked| (asked == name).then(|| value.into()));
        assert!(wants("TERM", "xterm"));
        assert!(wants("NO_COLOR", ""));
        assert!(!wants("NO_COLOR", "1"));
        assert!(!wants("TERM", "dumb"));
    }
}
