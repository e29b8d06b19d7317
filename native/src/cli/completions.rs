//! `completions`: scripts that complete commands and their options in a shell.
//!
//! Made by `clap_complete` from the same tables that parse, for `ottla` and for Kafka's scripts
//! that `ottla links` makes.

use std::ffi::OsString;

use clap::Command;
use clap_complete::Shell;

use super::TOOLS;
use crate::cli::console::{Console, joined};
use crate::cli::failure::Failure;

const USAGE: &str = "\
Usage: ottla completions bash|zsh|fish
Examples:
  ottla completions bash > ~/.local/share/bash-completion/completions/ottla
  ottla completions zsh > ~/.zfunc/_ottla              (with ~/.zfunc in fpath, before compinit)
  ottla completions fish > ~/.config/fish/completions/ottla.fish";

/// Prints the script of a shell.
pub(super) fn run(args: &[OsString], console: &mut Console<'_>) -> Result<(), Failure> {
    let asked = match args {
        [shell] => shell.to_str(),
        _none_or_several => None,
    };
    let (shell, scripts) = match asked {
        Some("bash") => (Shell::Bash, scripts_of_bash()),
        Some("zsh") => (Shell::Zsh, scripts_of_zsh()),
        Some("fish") => (Shell::Fish, scripts_of_fish()),
        Some("--help" | "-h") => return console.line(USAGE),
        _other => return Err(Failure::refused(USAGE)),
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut whole(), "ottla", &mut script);
    console.out.write_all(&script)?;
    console.out.write_all(scripts.as_bytes())?;
    Ok(())
}

/// The whole program as one command.
fn whole() -> Command {
    let mut whole = Command::new("ottla").disable_help_subcommand(true);
    let tools = TOOLS.iter().flat_map(|tool| {
        let names = [Some(tool.name), tool.short].into_iter().flatten();
        names.map(|name| named((tool.command)().name(name), &format!("ottla {name}")))
    });
    whole = whole.subcommands(tools);
    let own = [
        ("serve", "Run a broker"),
        ("links", "Make links named as Kafka's scripts"),
        ("completions", "Print a completion script"),
        ("help", "Print what there is"),
        ("version", "Print the version"),
    ];
    let own = own.map(|(name, about)| Command::new(name).about(about));
    whole.subcommands(own)
}

/// A command and all below it with their whole names, which the generators look for.
fn named(command: Command, whole_name: &str) -> Command {
    let below: Vec<String> = command
        .get_subcommands()
        .map(|below| below.get_name().to_owned())
        .collect();
    let command = command.bin_name(whole_name.to_owned());
    below.into_iter().fold(command, |command, name| {
        let whole_name = format!("{whole_name} {name}");
        command.mut_subcommand(name, |below| named(below, &whole_name))
    })
}

/// Kafka's names for the tools, with and without the ending of a script.
fn script_names() -> String {
    let names = TOOLS.iter().map(|tool| {
        let name = tool.name;
        format!("kafka-{name}.sh kafka-{name}")
    });
    joined(names, " ")
}

/// Has Kafka's names complete as the tools do: the words are turned into those of `ottla`.
fn scripts_of_bash() -> String {
    const FUNCTION: &str = r#"
_ottla_script() {
    local tool=${COMP_WORDS[0]##*/}
    tool=${tool#kafka-}
    COMP_WORDS=(ottla "${tool%.sh}" "${COMP_WORDS[@]:1}")
    COMP_CWORD=$((COMP_CWORD + 1))
    _ottla ottla "$2" "$3"
}
complete -F _ottla_script -o nosort -o bashdefault -o default"#;
    format!("{FUNCTION} {}\n", script_names())
}

fn scripts_of_zsh() -> String {
    const FUNCTION: &str = r#"
_ottla_script() {
    local tool=${${words[1]:t}#kafka-}
    words=(ottla "${tool%.sh}" "${(@)words[2,-1]}")
    (( CURRENT++ ))
    _ottla
}
compdef _ottla_script"#;
    format!("{FUNCTION} {}\n", script_names())
}

fn scripts_of_fish() -> String {
    let lines = TOOLS.iter().map(|tool| {
        let name = tool.name;
        format!(
            "complete -c kafka-{name}.sh --wraps 'ottla {name}'\n\
             complete -c kafka-{name} --wraps 'ottla {name}'\n"
        )
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::console::testing::with_console;

    #[test]
    fn every_shell_gets_every_tool() {
        for shell in ["bash", "zsh", "fish"] {
            let (result, script, _err) = with_console(|console| run(&[shell.into()], console));
            assert!(result.is_ok());
            for tool in TOOLS {
                assert!(script.contains(tool.name), "{shell}: {}", tool.name);
            }
            assert!(script.contains("replication-factor"), "{shell}");
            assert!(script.contains("kafka-topics.sh"), "{shell}");
        }
        for bad in [&[][..], &["ksh".into()], &["bash".into(), "zsh".into()]] {
            let (result, ..) = with_console(|console| run(bad, console));
            assert!(matches!(result, Err(Failure::Refused(_))));
        }
    }
}
