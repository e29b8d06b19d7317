//! Which configuration values may stand together, and the rules that only some resources have.
//!
//! Single values are checked by their definitions. Kafka classes to compare: `LogConfig.validate`,
//! `GroupConfig.validate`, `ClientMetricsConfigs.validate`. Those of brokers are beside this file.

use super::Refusal;
use crate::config::definition::Scope;
use crate::config::value::{Value, parse_list};
use crate::config::{Overrides, Settings, table};
use crate::error::ErrorCode;

/// Checks all values of a topic together; each of them is valid by itself.
///
/// # Errors
/// Where two contradict each other, or one asks for what this broker does not do.
pub fn check_topic_set(settings: &Settings, values: &Overrides) -> Result<(), Refusal> {
    let refuse = |text: String| Err(Refusal::new(ErrorCode::InvalidConfig, text));
    let number = |name: &str| {
        let text = crate::config::topic::topic_value(settings, values, name);
        text.and_then(|text| text.parse::<i64>().ok()).unwrap_or(0)
    };
    let least = number("min.compaction.lag.ms");
    let most = number("max.compaction.lag.ms");
    if least > most {
        return refuse(format!(
            "conflict topic config setting min.compaction.lag.ms ({least}) > \
             max.compaction.lag.ms ({most})"
        ));
    }
    let is_tiered = values.get("remote.storage.enable");
    if is_tiered.is_some_and(|text| text.trim().eq_ignore_ascii_case("true")) {
        return refuse(
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured \
             with remote log storage."
                .to_owned(),
        );
    }
    Ok(())
}

/// Checks a group's values against the bounds that the broker sets for all groups.
///
/// # Errors
/// Where one is beyond its bound.
pub fn check_group_set(settings: &Settings, values: &Overrides) -> Result<(), Refusal> {
    for (name, text) in values {
        let Some((kind, rest)) = name.split_once('.') else {
            continue;
        };
        let Some(Ok(Value::Integer(number))) =
            table::find(Scope::Group, name).map(|definition| definition.parse(text))
        else {
            continue;
        };
        for (bound, word) in [("min", "greater"), ("max", "less")] {
            let broker_name = format!("group.{kind}.{bound}.{rest}");
            if table::find(Scope::Broker, &broker_name).is_none() {
                continue;
            }
            let limit = settings.integer(&broker_name);
            let is_within = if bound == "min" {
                number >= limit
            } else {
                number <= limit
            };
            if !is_within {
                return Err(Refusal::new(
                    ErrorCode::InvalidConfig,
                    format!("{name} must be {word} than or equal to {broker_name}"),
                ));
            }
        }
    }
    Ok(())
}

/// Checks the values of a client metrics subscription (KIP-714).
///
/// # Errors
/// Where a name is unknown, the interval out of bounds, or a pattern none.
pub fn check_client_metrics_set(values: &Overrides) -> Result<(), Refusal> {
    for (name, text) in values {
        match name.as_ref() {
            "interval.ms" => {
                let definition = table::find(Scope::ClientMetrics, name);
                let is_valid = definition.is_some_and(|definition| definition.parse(text).is_ok());
                if !is_valid {
                    let text = format!(
                        "Invalid value {text} for interval.ms, interval must be between 100 and \
                         3600000 (1 hour)"
                    );
                    return Err(Refusal::new(ErrorCode::InvalidRequest, text));
                }
            }
            "match" => {
                let patterns = parse_list(text);
                if let Some(pattern) = patterns.iter().find(|pattern| !is_match(pattern)) {
                    let text = format!("Illegal client matching pattern: {pattern}");
                    return Err(Refusal::new(ErrorCode::InvalidConfig, text));
                }
            }
            "metrics" => {}
            unknown => {
                let text = format!("Unknown client metrics configuration: {unknown}");
                return Err(Refusal::new(ErrorCode::InvalidRequest, text));
            }
        }
    }
    Ok(())
}

/// `name=pattern`, with one of the names a client can be matched by.
fn is_match(pattern: &str) -> bool {
    let Some((name, expression)) = pattern.split_once('=') else {
        return false;
    };
    let names = [
        "client_id",
        "client_instance_id",
        "client_software_name",
        "client_software_version",
        "client_source_address",
        "client_source_port",
    ];
    names.contains(&name.trim()) && !expression.trim().is_empty()
}
