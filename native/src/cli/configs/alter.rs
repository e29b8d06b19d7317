//! `configs --alter`.

use clap::ArgMatches;

use super::Kind;
use crate::cli::admin::{self, Changes};
use crate::cli::args::{given, text};
use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;
use crate::cli::properties;

/// The changes asked for.
pub(super) fn changes(matches: &ArgMatches) -> Result<Changes, Failure> {
    let ways = ["add-config", "add-config-file", "delete-config"];
    if !ways.iter().any(|way| given(matches, way)) {
        return Err(Failure::usage(
            "At least one of --add-config, --add-config-file, or --delete-config must be \
             specified with --alter",
        ));
    }
    if given(matches, "add-config") && given(matches, "add-config-file") {
        return Err(Failure::usage(
            "Only one of --add-config or --add-config-file must be specified",
        ));
    }
    let mut changes = Changes::new();
    if let Some(list) = text(matches, "add-config") {
        changes.extend(additions(list)?);
    }
    if let Some(path) = text(matches, "add-config-file") {
        let added = properties::read_file(path)?;
        changes.extend(added.into_iter().map(|(key, value)| (key, Some(value))));
    }
    if let Some(list) = text(matches, "delete-config") {
        let keys = list.split(',').map(str::trim).filter(|key| !key.is_empty());
        changes.extend(keys.map(|key| (key.to_owned(), None)));
    }
    Ok(changes)
}

/// Reads `key=value,key=[value,value]`; brackets keep commas together. Of a key that comes twice
/// the last value counts.
fn additions(list: &str) -> Result<Changes, Failure> {
    let malformed = || {
        Failure::usage(
            "requirement failed: Invalid entity config: all configs to be added must be in the \
             format \"key=val\" or  \"key=[val1,val2]\" to group values which contain commas.",
        )
    };
    let mut parts = vec![String::new()];
    let mut in_brackets = false;
    for character in list.chars() {
        match character {
            '[' => in_brackets = true,
            ']' => in_brackets = false,
            ',' if !in_brackets => {
                parts.push(String::new());
                continue;
            }
            _other => {}
        }
        parts
            .last_mut()
            .expect("there is always a last part")
            .push(character);
    }
    let mut changes = Changes::new();
    for part in parts.iter().filter(|part| !part.trim().is_empty()) {
        let (key, value) = part.split_once('=').ok_or_else(malformed)?;
        let value = value.trim();
        let value = match value
            .strip_prefix('[')
            .and_then(|value| value.strip_suffix(']'))
        {
            Some(grouped) => grouped,
            None => value,
        };
        let key = key.trim();
        changes.retain(|(earlier, _value)| earlier != key);
        changes.push((key.to_owned(), Some(value.to_owned())));
    }
    Ok(changes)
}

/// Makes the changes to one entity; the empty name is the default of all brokers.
pub(super) fn alter(
    cluster: &mut Cluster,
    kind: &Kind,
    resource_type: i8,
    name: &str,
    changes: Changes,
) -> Result<String, Failure> {
    admin::alter_configs(cluster, resource_type, name, changes)?;
    Ok(completed(kind, name))
}

/// What Kafka's tool says when it is done.
pub(super) fn completed(kind: &Kind, name: &str) -> String {
    match name {
        "" => format!(
            "Completed updating default config for {} in the cluster.",
            kind.plural
        ),
        name => format!(
            "Completed updating config for {} {name}.",
            kind.plural.trim_end_matches('s')
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_keep_commas_together() {
        let changes = additions("retention.ms=1000, cleanup.policy=[compact,delete],a=b=c,e=");
        let expected = [
            ("retention.ms", "1000"),
            ("cleanup.policy", "compact,delete"),
            ("a", "b=c"),
            ("e", ""),
        ];
        let expected: Changes = expected
            .iter()
            .map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned())))
            .collect();
        assert_eq!(changes.expect("all are good"), expected);
        assert!(additions("retention.ms").is_err());
        let last = vec![("a".to_owned(), Some("2".to_owned()))];
        assert_eq!(additions("a=1,a=2").expect("both are good"), last);
    }
}
