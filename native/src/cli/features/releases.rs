//! Releases of Kafka as levels of features, and what features need.

use clap::{ArgMatches, Command};
use serde_json::{Map, Value, json};

use super::{METADATA, feature_option, levels};
use crate::cli::args::{option, text};
use crate::cli::console::{Console, joined};
use crate::cli::failure::Failure;

/// Level of the first name in [`METADATA_VERSIONS`].
const FIRST_LEVEL: i16 = 7;

/// Names of the levels of `metadata.version`, from level 7 on.
const METADATA_VERSIONS: [&str; 25] = [
    "3.3-IV3", "3.4-IV0", "3.5-IV0", "3.5-IV1", "3.5-IV2", "3.6-IV0", "3.6-IV1", "3.6-IV2",
    "3.7-IV0", "3.7-IV1", "3.7-IV2", "3.7-IV3", "3.7-IV4", "3.8-IV0", "3.9-IV0", "4.0-IV0",
    "4.0-IV1", "4.0-IV2", "4.0-IV3", "4.1-IV0", "4.1-IV1", "4.2-IV0", "4.2-IV1", "4.3-IV0",
    "4.4-IV0",
];

/// The level that Kafka 4.3.1 begins with.
const LATEST: &str = "4.3-IV0";

/// The other features: their highest level, and the metadata level from which they begin there.
const FEATURES: [(&str, i16, i16); 6] = [
    ("kraft.version", 1, 21),
    ("transaction.version", 2, 24),
    ("group.version", 1, 22),
    ("eligible.leader.replicas.version", 1, 26),
    ("share.version", 1, 28),
    ("streams.version", 1, 29),
];

/// A feature with the metadata level it cannot be without.
const NEEDS: [(&str, i16, i16); 1] = [("eligible.leader.replicas.version", 1, 23)];

pub(in crate::cli) fn mapping_command() -> Command {
    Command::new("version-mapping")
        .about("Show the features that a release begins with")
        .arg(
            option(
                "release-version",
                "RELEASE",
                "Such as 4.0 or 4.0-IV3 [4.3-IV0]",
            )
            .short('r'),
        )
}

pub(in crate::cli) fn dependencies_command() -> Command {
    Command::new("feature-dependencies")
        .about("Show what levels of features need")
        .arg(feature_option("NAME=LEVEL", "The feature; may be repeated").short('f'))
}

/// A level as Kafka's tool writes it: those of `metadata.version` by name.
pub(in crate::cli) fn level_text(feature: &str, level: i16) -> String {
    match name_of(level) {
        Some(name) if feature == METADATA => name.to_owned(),
        _no_name => level.to_string(),
    }
}

fn name_of(level: i16) -> Option<&'static str> {
    let index = usize::try_from(level.checked_sub(FIRST_LEVEL)?).ok()?;
    METADATA_VERSIONS.get(index).copied()
}

/// The metadata level of a release: a whole name, or a release, which is its last level.
pub(in crate::cli) fn metadata_level(release: &str) -> Result<i16, Failure> {
    let is_it = |name: &str| {
        name == release
            || name
                .split_once("-IV")
                .is_some_and(|(short, _)| short == release || is_patch_of(release, short))
    };
    let index = METADATA_VERSIONS.iter().rposition(|name| is_it(name));
    match index.and_then(|index| i16::try_from(index).ok()) {
        Some(index) => Ok(index + FIRST_LEVEL),
        None => Err(Failure::refused(format!(
            "Unknown metadata.version '{release}'. Supported metadata.version are: {}",
            joined(METADATA_VERSIONS, ", ")
        ))),
    }
}

/// Whether `4.0.1` is a release of `4.0`.
fn is_patch_of(release: &str, short: &str) -> bool {
    let patch = release.strip_prefix(short);
    let patch = patch.and_then(|rest| rest.strip_prefix('.'));
    patch.is_some_and(|patch| patch.parse::<u16>().is_ok())
}

/// Every feature at the level that a release begins with, `metadata.version` first.
pub(in crate::cli) fn release_levels(release: &str) -> Result<Vec<(String, i16)>, Failure> {
    let metadata = metadata_level(release)?;
    let mut all = vec![(METADATA.to_owned(), metadata)];
    all.extend(FEATURES.iter().map(|(name, highest, from)| {
        let level = if metadata >= *from { *highest } else { 0 };
        ((*name).to_owned(), level)
    }));
    Ok(all)
}

pub(in crate::cli) fn print_mapping(
    matches: &ArgMatches,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let release = text(matches, "release-version").unwrap_or(LATEST);
    let levels = release_levels(release)?;
    if matches.get_flag("json") {
        let levels: Map<String, Value> = levels
            .into_iter()
            .map(|(name, level)| (name, level.into()))
            .collect();
        return console.json(&json!({"release": release, "features": levels}));
    }
    for (name, level) in levels {
        match name == METADATA {
            true => console.line(format!("{name}={level} ({release})"))?,
            false => console.line(format!("{name}={level}"))?,
        }
    }
    Ok(())
}

/// The metadata level that one level of a feature needs; `None` where it needs nothing.
fn need(name: &str, level: i16) -> Result<Option<i16>, Failure> {
    let exists = match FEATURES.iter().find(|(known, ..)| *known == name) {
        Some((_, highest, _)) => (0..=*highest).contains(&level),
        None if name == METADATA => name_of(level).is_some(),
        None => return Err(Failure::refused(format!("Unknown feature: {name}"))),
    };
    if !exists {
        let words = match name {
            METADATA => format!("No MetadataVersion with feature level {level}"),
            other => format!("No feature:{other} with feature level {level}"),
        };
        return Err(Failure::refused(words));
    }
    let needed = NEEDS
        .iter()
        .find(|(feature, of, _)| *feature == name && *of == level);
    Ok(needed.map(|(.., metadata)| *metadata))
}

pub(in crate::cli) fn print_dependencies(
    matches: &ArgMatches,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let asked = levels(matches)?;
    if asked.is_empty() {
        return Err(Failure::usage("argument --feature is required"));
    }
    let mut shown = Vec::new();
    for (name, level) in asked {
        let needed = need(&name, level)?;
        if matches.get_flag("json") {
            let requires: Map<String, Value> = needed
                .map(|level| (METADATA.to_owned(), level.into()))
                .into_iter()
                .collect();
            shown.push(json!({"feature": name, "level": level, "requires": requires}));
            continue;
        }
        let written = match name.as_str() {
            METADATA => format!("{name}={level} ({})", level_text(&name, level)),
            _other => format!("{name}={level}"),
        };
        match needed {
            None => console.line(format!("{written} has no dependencies."))?,
            Some(metadata) => {
                console.line(format!("{written} requires:"))?;
                let release = level_text(METADATA, metadata);
                console.line(format!("    {METADATA}={metadata} ({release})"))?;
            }
        }
    }
    match matches.get_flag("json") {
        true => console.json(&Value::Array(shown)),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_have_levels() {
        assert_eq!(metadata_level("3.3-IV3").ok(), Some(7));
        assert_eq!(metadata_level("4.0").ok(), Some(25));
        assert_eq!(metadata_level("4.0.1").ok(), Some(25));
        assert_eq!(metadata_level("4.3").ok(), Some(30));
        for bad in ["3.2", "4", "4.0.x", "", "4.0-IV9"] {
            assert!(metadata_level(bad).is_err(), "{bad}");
        }
        assert_eq!(level_text(METADATA, 30), "4.3-IV0");
        assert_eq!(level_text(METADATA, 99), "99");
        assert_eq!(level_text("group.version", 1), "1");
    }
}
