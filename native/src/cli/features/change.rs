//! `features upgrade`, `downgrade` and `disable`.

use clap::{ArgMatches, Command};
use kafka_wire::UpdateFeaturesRequest;
use kafka_wire::update_features_request::FeatureUpdateKey;
use kafka_wire_core::StrBytes;
use ottla_core::error::ErrorCode;
use serde_json::{Value, json};

use super::{METADATA, feature_option, levels, releases};
use crate::cli::admin;
use crate::cli::args::{flag, option, text, texts};
use crate::cli::console::Console;
use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;

/// `FeatureUpdate.UpgradeType` numbers on the wire.
const UPGRADE: i8 = 1;
const SAFE_DOWNGRADE: i8 = 2;
const UNSAFE_DOWNGRADE: i8 = 3;

/// The options of one way to change features.
pub(super) fn command(name: &'static str, about: &'static str) -> Command {
    let command = Command::new(name).about(about);
    let command = match name {
        "disable" => command.arg(feature_option("NAME", "The feature; may be repeated")),
        _levels => command
            .arg(feature_option(
                "NAME=LEVEL",
                "The feature and its level; may be repeated",
            ))
            .arg(option(
                "release-version",
                "RELEASE",
                "Set all features to what this release begins with",
            ))
            .arg(option("metadata", "RELEASE", "As --feature metadata.version=...").hide(true)),
    };
    let command = match name {
        "upgrade" => command,
        _lower => command.arg(flag("unsafe", "Even if metadata is lost with it")),
    };
    command.arg(flag("dry-run", "Only ask whether it could be done"))
}

/// Changes features as asked; `way` is the subcommand.
pub(super) fn run(
    way: &str,
    matches: &ArgMatches,
    cluster: &mut Cluster,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let mut wanted = match way {
        "disable" => disabled(matches)?,
        _levels => wanted(way, matches, console)?,
    };
    wanted.sort();
    let is_unsafe = way != "upgrade" && matches.get_flag("unsafe");
    let dry_run = matches.get_flag("dry-run");
    let upgrade_type = match (way, is_unsafe) {
        ("upgrade", _) => UPGRADE,
        (_lower, false) => SAFE_DOWNGRADE,
        (_lower, true) => UNSAFE_DOWNGRADE,
    };
    let results = update(cluster, &wanted, upgrade_type, dry_run)?;
    let failed = results.iter().filter(|result| result.is_some()).count();
    if matches.get_flag("json") {
        let shown = wanted.iter().zip(&results).map(|((name, level), error)| {
            json!({"feature": name, "level": level, "done": error.is_none(), "error": error})
        });
        console.json(&json!({"dryRun": dry_run, "results": shown.collect::<Vec<Value>>()}))?;
    } else {
        for ((name, level), error) in wanted.iter().zip(&results) {
            console.line(sentence(way, dry_run, name, *level, error.as_deref()))?;
        }
    }
    match failed {
        0 => Ok(()),
        failed => Err(Failure::refused(format!(
            "{failed} out of {} operation(s) failed.",
            results.len()
        ))),
    }
}

/// What Kafka's tool says of one feature.
fn sentence(way: &str, dry_run: bool, name: &str, level: i16, error: Option<&str>) -> String {
    let to = match way {
        "disable" => String::new(),
        _levels => format!(" to {level}"),
    };
    let done = match way {
        "upgrade" => "upgraded",
        "downgrade" => "downgraded",
        _disable => "disabled",
    };
    match (error, dry_run) {
        (None, false) => format!("{name} was {done}{to}."),
        (None, true) => format!("{name} can be {done}{to}."),
        (Some(error), false) => format!("Could not {way} {name}{to}. {error}"),
        (Some(error), true) => format!("Can not {way} {name}{to}. {error}"),
    }
}

fn disabled(matches: &ArgMatches) -> Result<Vec<(String, i16)>, Failure> {
    let mut names: Vec<(String, i16)> = Vec::new();
    for name in texts(matches, "feature") {
        if names.iter().any(|(known, _)| known == name) {
            return Err(Failure::refused(format!(
                "Feature {name} was specified more than once."
            )));
        }
        names.push((name.clone(), 0));
    }
    if names.is_empty() {
        return Err(Failure::refused(
            "You must specify at least one feature to disable",
        ));
    }
    Ok(names)
}

/// The features and levels asked for.
fn wanted(
    way: &str,
    matches: &ArgMatches,
    console: &mut Console<'_>,
) -> Result<Vec<(String, i16)>, Failure> {
    let metadata = text(matches, "metadata");
    if metadata.is_some() {
        console.line(" `metadata` flag is deprecated and may be removed in a future release.")?;
    }
    if let Some(release) = text(matches, "release-version") {
        if metadata.is_some() || !texts(matches, "feature").is_empty() {
            return Err(Failure::refused(
                "Can not specify `release-version` with other feature flags.",
            ));
        }
        return releases::release_levels(release);
    }
    let mut wanted = levels(matches)?;
    if let Some(release) = metadata {
        if wanted.iter().any(|(name, _)| name == METADATA) {
            return Err(Failure::refused(format!(
                "Feature {METADATA} was specified more than once."
            )));
        }
        wanted.push((METADATA.to_owned(), releases::metadata_level(release)?));
    }
    if wanted.is_empty() {
        return Err(Failure::refused(format!(
            "You must specify at least one feature to {way}"
        )));
    }
    Ok(wanted)
}

/// Asks for the levels; one error, or none, for each.
fn update(
    cluster: &mut Cluster,
    wanted: &[(String, i16)],
    upgrade_type: i8,
    dry_run: bool,
) -> Result<Vec<Option<String>>, Failure> {
    let mut request = UpdateFeaturesRequest::default();
    request.timeout_ms = cluster.request_timeout_ms();
    let version = cluster
        .any()?
        .version_of::<UpdateFeaturesRequest>()
        .unwrap_or(0);
    if version == 0 && (dry_run || upgrade_type == UNSAFE_DOWNGRADE) {
        return Err(Failure::refused("The broker is too old to be asked this."));
    }
    request.validate_only = dry_run;
    for (name, level) in wanted {
        let mut update = FeatureUpdateKey::default();
        update.feature = StrBytes::from(name.as_str());
        update.max_version_level = *level;
        if version == 0 {
            update.allow_downgrade = upgrade_type != UPGRADE;
        } else {
            update.upgrade_type = upgrade_type;
        }
        request.feature_updates.push(update);
    }
    let answer = cluster.call(request)?;
    let words =
        |code: i16, message| (code != ErrorCode::None.code()).then(|| admin::words(code, message));
    let all = words(answer.error_code, answer.error_message.as_ref());
    let results = wanted.iter().map(|(name, _)| {
        let own = answer
            .results
            .iter()
            .find(|result| result.feature.as_str() == name);
        let own = own.and_then(|own| words(own.error_code, own.error_message.as_ref()));
        own.or_else(|| all.clone())
    });
    Ok(results.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_kafkas() {
        let check = |way, dry_run, error, words: &str| {
            assert_eq!(sentence(way, dry_run, "f", 2, error), words);
        };
        check("upgrade", false, None, "f was upgraded to 2.");
        check("downgrade", true, None, "f can be downgraded to 2.");
        check("disable", false, None, "f was disabled.");
        check(
            "upgrade",
            false,
            Some("No."),
            "Could not upgrade f to 2. No.",
        );
        check("disable", true, Some("No."), "Can not disable f. No.");
    }
}
