//! `ottla help`, and `ottla links DIR`: the tools at a glance and under their scripts' names.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::TOOLS;
use crate::cli::console::Console;
use crate::cli::failure::Failure;

/// The broker's script, which is not among the tools.
const SERVER_SCRIPT: &str = "server-start";

const USAGE_OF_LINKS: &str = "\
Usage: ottla links DIR

DIR gets links for each of Kafka's scripts, such as kafka-topics.sh and kafka-topics; put it on
your PATH. Links that are there are replaced, files are not.

Examples:
  ottla links ~/.local/bin
  ottla links ./bin && PATH=$PWD/bin:$PATH kafka-topics.sh --list";

/// Prints what the binary can do.
pub(super) fn print(console: &mut Console<'_>) -> Result<(), Failure> {
    console.line("Ottla is a Kafka: a broker, and Kafka's tools, in one program.\n")?;
    console.line("Usage: ottla [COMMAND] [OPTIONS]\n")?;
    console.line("Commands:")?;
    let mut rows = vec![
        (
            "serve".to_owned(),
            "Run a broker (also without any command)".to_owned(),
        ),
        (
            "links DIR".to_owned(),
            "Make links named as Kafka's scripts, for PATH".to_owned(),
        ),
        (
            "completions SHELL".to_owned(),
            "Print a completion script for bash, zsh or fish".to_owned(),
        ),
        ("help".to_owned(), "Print this".to_owned()),
        ("version".to_owned(), "Print the version".to_owned()),
    ];
    for tool in TOOLS {
        let about = (tool.command)()
            .get_about()
            .map(ToString::to_string)
            .unwrap_or_default();
        let name = match tool.short {
            None => tool.name.to_owned(),
            Some(short) => format!("{}, {short}", tool.name),
        };
        rows.push((name, about));
    }
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, about) in rows {
        console.line(format!("  {name:<width$}  {about}"))?;
    }
    console.line("\nExamples:")?;
    console.line(
        "  ottla                          a broker on localhost:9092, data in ./ottla-data",
    )?;
    console.line("  ottla topics --create --topic orders")?;
    console.line("  echo hello | ottla produce orders")?;
    console.line("  ottla consume orders -f\n")?;
    console
        .line("Each command has its own --help. Called as kafka-topics.sh (or kafka-topics), it")?;
    console.line("is that tool.")
}

/// Makes a link for every script in a directory.
pub(super) fn make_links(args: &[OsString], console: &mut Console<'_>) -> Result<(), Failure> {
    let [directory] = args else {
        return Err(Failure::refused(USAGE_OF_LINKS));
    };
    match directory.to_str() {
        Some("--help" | "-h") => return console.line(USAGE_OF_LINKS),
        Some(option) if option.starts_with('-') => return Err(Failure::refused(USAGE_OF_LINKS)),
        Some(_) | None => {}
    }
    let directory = PathBuf::from(directory);
    let refused = |what: &str, error: std::io::Error| {
        Failure::refused(format!(
            "Cannot {what}: {error}. Name a directory you may write to."
        ))
    };
    let binary = std::env::current_exe().map_err(|error| refused("find this program", error))?;
    let making = format!("make the directory {}", directory.display());
    fs::create_dir_all(&directory).map_err(|error| refused(&making, error))?;
    let names = TOOLS.iter().map(|tool| tool.name).chain([SERVER_SCRIPT]);
    let scripts: Vec<String> = names
        .flat_map(|name| [format!("kafka-{name}.sh"), format!("kafka-{name}")])
        .collect();
    for script in &scripts {
        make_link(&binary, &directory.join(script))?;
    }
    console.line(format!(
        "Made {} links to {} in {}.",
        scripts.len(),
        binary.display(),
        directory.display()
    ))
}

/// Makes one link; replaces another link, and nothing else.
fn make_link(binary: &Path, link: &Path) -> Result<(), Failure> {
    let shown = link.display();
    if let Ok(existing) = fs::symlink_metadata(link) {
        if !existing.is_symlink() {
            return Err(Failure::refused(format!(
                "{shown} exists and is no link; it was left as it is. Name another directory."
            )));
        }
        fs::remove_file(link)
            .map_err(|error| Failure::refused(format!("Cannot replace {shown}: {error}.")))?;
    }
    std::os::unix::fs::symlink(binary, link)
        .map_err(|error| Failure::refused(format!("Cannot make {shown}: {error}.")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::console::testing::with_console;

    #[test]
    fn the_overview_names_every_tool() {
        let (result, out, _err) = with_console(print);
        assert!(result.is_ok());
        for tool in TOOLS {
            assert!(out.contains(tool.name), "{}", tool.name);
        }
    }

    #[test]
    fn links_replace_links_and_nothing_else() {
        let directory = std::env::temp_dir().join(format!("ottla-links-{}", std::process::id()));
        let args = [directory.clone().into_os_string()];
        for _again in 0..2 {
            let (result, out, _err) = with_console(|console| make_links(&args, console));
            assert!(result.is_ok(), "{result:?}");
            assert!(out.starts_with("Made "));
        }
        let is_link = |path: &Path| fs::symlink_metadata(path).is_ok_and(|it| it.is_symlink());
        for name in ["kafka-topics", "kafka-server-start.sh"] {
            assert!(is_link(&directory.join(name)), "{name}");
        }
        let script = directory.join("kafka-topics.sh");
        assert!(is_link(&script));
        fs::remove_file(&script).expect("it is ours");
        fs::write(&script, "precious").expect("the directory is ours");
        let (result, _out, _err) = with_console(|console| make_links(&args, console));
        assert!(matches!(result, Err(Failure::Refused(_))));
        assert_eq!(fs::read(&script).expect("it was left"), b"precious");
        fs::remove_dir_all(&directory).expect("the directory is ours");
    }

    #[test]
    fn help_is_no_directory() {
        let ask = |option: &str| {
            let (result, out, _err) =
                with_console(|console| make_links(&[OsString::from(option)], console));
            assert!(!Path::new(option).exists());
            (result.is_ok(), out)
        };
        let (is_well, out) = ask("--help");
        assert!(is_well && out.contains("Examples:"), "{out}");
        assert!(!ask("--hlp").0);
    }
}
