//! Rules between the configurations of a broker, and between what it has and what it is to get.
//!
//! Single values are checked by their definitions. Kafka classes to compare, of 4.3.1:
//! `KafkaConfig.validateValues`, and the `validateReconfiguration` of `DynamicThreadPool`,
//! `LogCleaner`, `SocketServer`, `DynamicLogConfig` and `DynamicMetricsReporters`.

use super::broker_parts::ip_overrides;
use super::definition::{Kind, Scope};
use super::listeners::{Listener, Listeners, SecurityProtocol};
use super::settings::{Overrides, Settings};
use super::topic::topic_value;
use super::{table, value};

/// Least memory for the keys of one thread that compacts, in bytes.
const DEDUPE_BYTES_MIN: i64 = 1024 * 1024;

/// Pools of threads that may at most double or halve in one step. Ottla has none of these pools
/// but follows the rule, because the values are kept and a Kafka may be started on them.
const THREAD_POOLS: [&str; 9] = [
    "background.threads",
    "num.io.threads",
    "num.network.threads",
    "num.recovery.threads.per.data.dir",
    "num.replica.fetchers",
    "remote.log.manager.copier.thread.pool.size",
    "remote.log.manager.expiration.thread.pool.size",
    "remote.log.manager.follower.thread.pool.size",
    "remote.log.reader.threads",
];

/// Classes that a Kafka of 4.3.1 has without any plug-in, where a configuration names a class.
const CLASSES: [&str; 2] = [
    "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder",
    "org.apache.kafka.common.security.ssl.DefaultSslEngineFactory",
];

/// The one metrics reporter that Kafka brings along.
const REPORTER: &str = "org.apache.kafka.common.metrics.JmxReporter";

/// The name without `listener.name.<listener>.`, where it has that form.
#[must_use]
pub fn listener_base(name: &str) -> Option<&str> {
    let rest = name.strip_prefix("listener.name.")?;
    rest.split_once('.').map(|(_, base)| base)
}

/// Every rule between values that these settings break, in words, with the values.
#[must_use]
pub fn broken_rules_with_values(settings: &Settings) -> Vec<String> {
    let told = broken_rules(settings);
    told.into_iter()
        .map(|text| with_values(settings, text))
        .collect()
}

/// The rule, and the values in `server.properties` of the names that are in it.
fn with_values(settings: &Settings, text: String) -> String {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '.';
    let mut named: Vec<&str> = Vec::new();
    for word in text.split(|c| !is_of_name(c)) {
        let word = word.trim_end_matches('.');
        let (base, units) = word
            .strip_suffix(".ms")
            .map_or((word, &[][..]), |base| (base, &["minutes", "hours"][..]));
        let in_units = units.iter().map(|unit| format!("{base}.{unit}"));
        for name in std::iter::once(word.to_owned()).chain(in_units) {
            if let Some(definition) = table::find(Scope::Broker, &name)
                && settings.is_set(definition.name)
                && !named.contains(&definition.name)
            {
                named.push(definition.name);
            }
        }
    }
    let values: Vec<String> = named
        .into_iter()
        .map(|name| format!("{name}={}", settings.text(name).unwrap_or_default()))
        .collect();
    if values.is_empty() {
        return text;
    }
    format!("{}: {}", values.join(", "), text)
}

/// Every rule between values that these settings break, in Kafka's words.
#[must_use]
pub fn broken_rules(settings: &Settings) -> Vec<String> {
    let mut broken = Vec::new();
    check_times(settings, &mut broken);
    check_compaction(settings, &mut broken);
    check_connections(settings, &mut broken);
    check_groups(settings, &mut broken);
    check_cordoned(settings, &mut broken);
    check_followers(settings, &mut broken);
    broken
}

/// Checks the change of a running broker from what it has to what it would have; `named` are the
/// values that the change names.
///
/// # Errors
/// The first rule that it breaks, in words. What was broken before is no reason.
pub fn check_change(present: &Settings, new: &Settings, named: &Overrides) -> Result<(), String> {
    check_listeners(present, new)?;
    let known = broken_rules(present);
    if let Some(text) = broken_rules(new)
        .into_iter()
        .find(|text| !known.contains(text))
    {
        return Err(text);
    }
    check_reporters(present, new)?;
    check_threads(present, new, named)?;
    check_connection_limits(present, new, named)?;
    let known = local_retention(present);
    match local_retention(new) {
        Some(text) if known.as_ref() != Some(&text) => Err(text),
        Some(_) | None => Ok(()),
    }
}

/// A topic's configuration as the broker's make it; `None` where it is no number.
fn topic_number(settings: &Settings, name: &str) -> Option<i64> {
    topic_value(settings, &Overrides::new(), name)?.parse().ok()
}

fn check_times(settings: &Settings, broken: &mut Vec<String>) {
    if topic_number(settings, "retention.ms") == Some(0) {
        let text = "log.retention.ms must be unlimited (-1) or, greater than or equal to 1";
        broken.push(text.to_owned());
    }
    if topic_number(settings, "segment.ms").is_some_and(|time| time < 1) {
        broken.push("log.roll.ms must be greater than or equal to 1".to_owned());
    }
    if topic_number(settings, "segment.jitter.ms").is_some_and(|time| time < 0) {
        broken.push("log.roll.jitter.ms must be greater than or equal to 0".to_owned());
    }
}

fn check_compaction(settings: &Settings, broken: &mut Vec<String>) {
    let threads = settings.integer("log.cleaner.threads");
    let size = settings.integer("log.cleaner.dedupe.buffer.size");
    if threads < 1 {
        broken.push("log.cleaner.threads must be at least 1".to_owned());
    } else if size / threads <= DEDUPE_BYTES_MIN {
        let text = "log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.";
        broken.push(text.to_owned());
    }
}

fn check_connections(settings: &Settings, broken: &mut Vec<String>) {
    let key = "max.connections.per.ip.overrides";
    let overrides = settings.text(key).unwrap_or_default();
    if let Err(wrong) = ip_overrides(&overrides) {
        broken.push(format!("{key}: {wrong} is not host:count"));
    }
    if settings.int("max.connections.per.ip") == 0 && overrides.is_empty() {
        broken.push(format!(
            "max.connections.per.ip can be set to zero only if {key} property is set."
        ));
    }
}

fn check_groups(settings: &Settings, broken: &mut Vec<String>) {
    for kind in ["consumer", "share", "streams"] {
        let name = |bound: &str| format!("group.{kind}.{bound}assignment.interval.ms");
        let interval = settings.integer(&name(""));
        for (bound, word) in [("min.", "greater"), ("max.", "less")] {
            let limit = settings.integer(&name(bound));
            let is_within = if bound == "min." {
                interval >= limit
            } else {
                interval <= limit
            };
            if !is_within {
                let (name, bound) = (name(""), name(bound));
                broken.push(format!("{name} must be {word} than or equal to {bound}"));
            }
        }
    }
}

fn check_followers(settings: &Settings, broken: &mut Vec<String>) {
    let wait = settings.integer("replica.fetch.wait.max.ms");
    if wait > settings.integer("replica.lag.time.max.ms") {
        let text = "replica.fetch.wait.max.ms should always be less than or equal to \
                    replica.lag.time.max.ms to prevent frequent changes in ISR";
        broken.push(text.to_owned());
    }
}

fn check_cordoned(settings: &Settings, broken: &mut Vec<String>) {
    let dirs = match settings.list("log.dirs") {
        dirs if dirs.is_empty() => settings.list("log.dir"),
        dirs => dirs,
    };
    let mut missing = settings.list("cordoned.log.dirs");
    missing.retain(|dir| dir != "*" && !dirs.contains(dir));
    missing.dedup();
    if !missing.is_empty() {
        broken.push(format!(
            "All entries in cordoned.log.dirs must be present in log.dirs or log.dir. Missing \
             entries : {}",
            missing.join(", ")
        ));
    }
}

/// Whether a configuration names a class that is not there: a plug-in cannot be loaded here. `name`
/// may be that of one listener's configuration.
///
/// # Errors
/// Where it is not there, in words.
pub fn check_class(name: &str, text: &str) -> Result<(), String> {
    let base = listener_base(name).unwrap_or(name);
    let is_class =
        table::find(Scope::Broker, base).is_some_and(|definition| definition.kind == Kind::Class);
    if is_class && !CLASSES.contains(&text.trim()) {
        return Err(format!(
            "Invalid value {text} for configuration {base}: Class {text} could not be found."
        ));
    }
    Ok(())
}

/// Listeners may come and go while the broker runs, but none that is advertised may go, and none
/// changes its protocol. Kafka's `DynamicListenerConfig.validateReconfiguration` (4.3.1).
fn check_listeners(present: &Settings, new: &Settings) -> Result<(), String> {
    let Ok(bound) = Listeners::of(present) else {
        return Ok(());
    };
    let wanted = match Listeners::of(new) {
        Ok(wanted) if wanted == bound => return Ok(()),
        Ok(wanted) => wanted,
        Err(errors) => {
            let first = errors.first().expect("there is no error without a text");
            return Err(first.to_string());
        }
    };
    for listener in &wanted.bound {
        let is_changed =
            |old: &Listener| old.name == listener.name && old.protocol != listener.protocol;
        if bound.bound.iter().any(is_changed) {
            return Err(format!(
                "Security protocol cannot be updated for existing listener ListenerName({})",
                listener.name
            ));
        }
        if listener.protocol != SecurityProtocol::Plaintext {
            return Err(format!(
                "listeners: {listener}: {} is not served yet; use PLAINTEXT",
                listener.protocol.name()
            ));
        }
    }
    let is_wanted = |name: &str| wanted.bound.iter().any(|listener| listener.name == name);
    let mut advertised = bound.advertised.iter();
    let gone = advertised
        .find(|listener| !bound.is_controller(&listener.name) && !is_wanted(&listener.name));
    match gone {
        Some(listener) => Err(format!(
            "listeners: {} is advertised, and cannot be removed while the broker runs",
            listener.name
        )),
        None => Ok(()),
    }
}

fn check_reporters(present: &Settings, new: &Settings) -> Result<(), String> {
    let name = "metric.reporters";
    let words = new.list(name);
    let wrong = words
        .iter()
        .find(|word| *word != REPORTER && !word.is_empty());
    match wrong {
        Some(wrong) if present.list(name) != words => Err(format!(
            "{name}: the class {wrong} could not be found; Java classes are not loaded here"
        )),
        Some(_) | None => Ok(()),
    }
}

fn check_threads(present: &Settings, new: &Settings, named: &Overrides) -> Result<(), String> {
    for name in THREAD_POOLS {
        check_pool(name, present.integer(name), new.integer(name))?;
    }
    for (name, text) in named {
        if listener_base(name) == Some("num.network.threads")
            && let Some(threads) = base_number(name, text)
        {
            let before = present.number_of_listener(name);
            check_pool("num.network.threads", before, threads)?;
        }
    }
    let name = "log.cleaner.threads";
    let (before, after) = (present.integer(name), new.integer(name));
    let broken = if after < before / 2 {
        "reduced to less than half"
    } else if after > before.saturating_mul(2) {
        "increased to more than double"
    } else {
        return Ok(());
    };
    Err(format!(
        "Log cleaner threads cannot be {broken} the current value {before}"
    ))
}

fn check_pool(name: &str, before: i64, after: i64) -> Result<(), String> {
    let broken = if after < before / 2 {
        "be at least half"
    } else if after > before.saturating_mul(2) {
        "not be greater than double"
    } else {
        return Ok(());
    };
    Err(format!(
        "Dynamic thread count update validation failed for {name}={after}, value should {broken} \
         the current value {before}"
    ))
}

/// The number that a configuration of a listener has by this text; `None` where it is none.
fn base_number(name: &str, text: &str) -> Option<i64> {
    let definition = table::find(Scope::Broker, listener_base(name)?)?;
    definition
        .parse(text)
        .ok()
        .as_ref()
        .and_then(value::Value::integer)
}

/// Limits of connections may be any number when the broker starts, but none of them is set to 0
/// while it runs.
fn check_connection_limits(
    present: &Settings,
    new: &Settings,
    named: &Overrides,
) -> Result<(), String> {
    for base in ["max.connection.creation.rate", "max.connections"] {
        let limit = new.integer(base);
        let is_new = limit != present.integer(base);
        let of_listeners = named
            .iter()
            .filter(|(name, _)| listener_base(name) == Some(base))
            .filter_map(|(name, text)| base_number(name, text));
        let limits = is_new.then_some(limit).into_iter().chain(of_listeners);
        if let Some(wrong) = limits.into_iter().find(|&limit| limit <= 0) {
            return Err(format!("Invalid {base} {wrong}"));
        }
    }
    Ok(())
}

/// What is wrong between the retention of local segments and that of all.
fn local_retention(settings: &Settings) -> Option<String> {
    for unit in ["ms", "bytes"] {
        let all = topic_number(settings, &format!("retention.{unit}"))?;
        let (name, of_all) = (
            format!("log.local.retention.{unit}"),
            format!("log.retention.{unit}"),
        );
        let local = settings.integer(&name);
        if all == -1 || local == -2 {
            continue;
        }
        let reason = if local == -1 {
            format!("Value must not be -1 as {of_all} value is set as {all}.")
        } else if local > all {
            format!("Value must not be more than {of_all} property value: {all}")
        } else {
            continue;
        };
        return Some(format!(
            "Invalid value {local} for configuration {name}: {reason}"
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_rule_is_told_with_the_values_that_break_it() {
        let check = |text: &str, told: &[&str]| {
            let settings = Settings::load(text, &[]).expect("values of the right types");
            assert_eq!(broken_rules_with_values(&settings), told, "{text}");
        };
        check("", &[]);
        check(
            "log.retention.hours=0",
            &[
                "log.retention.hours=0: log.retention.ms must be unlimited (-1) or, greater than \
               or equal to 1",
            ],
        );
        check(
            "log.cleaner.threads=0\nlog.roll.ms=0",
            &[
                "log.roll.ms=0: log.roll.ms must be greater than or equal to 1",
                "log.cleaner.threads=0: log.cleaner.threads must be at least 1",
            ],
        );
        check(
            "replica.lag.time.max.ms=1",
            &[
                "replica.lag.time.max.ms=1: replica.fetch.wait.max.ms should always be less than \
               or equal to replica.lag.time.max.ms to prevent frequent changes in ISR",
            ],
        );
    }
}
