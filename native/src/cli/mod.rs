//! The command line: Kafka's tools under their own names, flags and output.
//!
//! Each tool is found by a subcommand (`ottla topics`), or by the name the binary is called with
//! (`kafka-topics.sh`, `kafka-topics`, from any directory). Tools are plain blocking programs over
//! the sans-I/O client: they start in milliseconds and have no runtime. The broker itself
//! (`ottla serve`, `kafka-server-start.sh`) is not here.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

/// Runs one tool, named without `kafka-` and `.sh`, with the arguments after its name.
///
/// The exit status is Kafka's: 0 when it did what was asked, 1 otherwise.
pub(crate) fn main(tool: &str, _args: Vec<OsString>) -> ExitCode {
    eprintln!("ottla: there is no tool '{tool}'; `ottla help` lists them.");
    ExitCode::FAILURE
}

/// The tool that a program name stands for: `/opt/bin/kafka-topics.sh` is `topics`.
///
/// `None` for `ottla` itself and every other name that is not one of Kafka's scripts.
pub(crate) fn tool_called_as(program: &OsStr) -> Option<String> {
    let name = Path::new(program).file_name()?.to_str()?;
    let name = name.strip_prefix("kafka-")?;
    Some(name.strip_suffix(".sh").unwrap_or(name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_found_by_the_name_of_its_script() {
        let called_as = |program: &str| tool_called_as(OsStr::new(program));
        assert_eq!(
            called_as("/opt/kafka/bin/kafka-topics.sh").as_deref(),
            Some("topics")
        );
        assert_eq!(
            called_as("kafka-console-producer").as_deref(),
            Some("console-producer")
        );
        assert_eq!(called_as("./target/release/ottla"), None);
        assert_eq!(called_as(""), None);
    }
}
