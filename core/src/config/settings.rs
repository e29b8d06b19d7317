//! A node's configuration in layers, and which layer a value comes from.
//!
//! The strongest first: dynamic for this broker, dynamic for all brokers, `server.properties`, the
//! default (KIP-226). The dynamic layers are what the metadata image says; this file stores no
//! record and validates no request. A dynamic value that does not parse is passed over, as Kafka
//! does, so that a bad record cannot stop a broker.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::definition::{Definition, Scope};
use super::properties::{Property, parse_override, parse_properties};
use super::table;
use super::value::{InvalidValue, Value};

/// Names and values that somebody set.
pub type Overrides = BTreeMap<Arc<str>, Arc<str>>;

/// Where a value comes from; the names and numbers are DescribeConfigs's.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[repr(i8)]
pub enum Source {
    /// Set for the topic.
    Topic = 1,
    /// Set for this broker at run time.
    DynamicBroker = 2,
    /// Set for all brokers at run time.
    DynamicDefaultBroker = 3,
    /// Set in `server.properties` or on the command line.
    StaticBroker = 4,
    /// Set by nobody.
    Default = 5,
    /// Set for the client metrics subscription.
    ClientMetrics = 7,
    /// Set for the group.
    Group = 8,
}

impl Source {
    /// The number on the wire.
    #[must_use]
    pub fn wire_code(self) -> i8 {
        self as i8
    }
}

/// A node's configuration: what its files say, and what the cluster says about it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Settings {
    static_broker: Arc<Overrides>,
    dynamic_default: Arc<Overrides>,
    dynamic_broker: Arc<Overrides>,
    /// Whether a value may be out of its bounds.
    has_no_bounds: bool,
}

/// A file or an argument that cannot be used; its text says what would be right.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigError(pub String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Settings {
    /// The settings of a `server.properties` text and of `key=value` arguments, which win.
    ///
    /// # Errors
    /// Every line and value that is wrong, each with what would be right.
    pub fn load(text: &str, arguments: &[String]) -> Result<Self, Vec<ConfigError>> {
        let mut errors = Vec::new();
        let mut values = Overrides::new();
        match parse_properties(text) {
            Ok(properties) => {
                for Property { key, value, .. } in properties {
                    values.insert(Arc::from(key), Arc::from(value));
                }
            }
            Err(error) => errors.push(ConfigError(error.to_string())),
        }
        for argument in arguments {
            match parse_override(argument) {
                Some((key, value)) => {
                    values.insert(Arc::from(key), Arc::from(value));
                }
                None => errors.push(ConfigError(format!(
                    "--override {argument}: not of the form key=value"
                ))),
            }
        }
        give_each_the_other_name(&mut values);
        let settings = Self::of(values);
        errors.extend(settings.static_errors());
        if errors.is_empty() {
            Ok(settings)
        } else {
            Err(errors)
        }
    }

    /// The settings of these static values, unchecked; for tests and embedders.
    #[must_use]
    pub fn of(static_broker: Overrides) -> Self {
        Self {
            static_broker: Arc::new(static_broker),
            ..Self::default()
        }
    }

    /// The settings of `server.properties` whose values may be out of their bounds: simulated
    /// worlds have segments far smaller than a person may ask for, and offsets that expire at once.
    #[must_use]
    pub fn without_bounds(static_broker: Overrides) -> Self {
        Self {
            has_no_bounds: true,
            ..Self::of(static_broker)
        }
    }

    /// The value that `text` means: within its bounds, unless these settings have none.
    ///
    /// # Errors
    /// Where it is of another type or out of bounds.
    pub fn parse(&self, definition: &Definition, text: &str) -> Result<Value, InvalidValue> {
        match self.has_no_bounds {
            true => definition.parse_kind(text),
            false => definition.parse(text),
        }
    }

    /// Names in `server.properties` that no table knows; they have no effect.
    pub fn unknown_names(&self) -> impl Iterator<Item = &str> {
        self.static_broker
            .keys()
            .map(AsRef::as_ref)
            .filter(|name| !is_known(name))
    }

    /// Whether an authorizer is told to let everyone in where no ACL says otherwise, in which no
    /// table of Kafka's broker has a part: the authorizer reads it.
    #[must_use]
    pub fn allows_everyone_without_acls(&self) -> bool {
        let said = self.static_broker.get(ALLOW_EVERYONE);
        said.is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    /// Replaces what the cluster says about all brokers and about this one.
    pub fn set_dynamic(&mut self, dynamic_default: Arc<Overrides>, dynamic_broker: Arc<Overrides>) {
        self.dynamic_default = dynamic_default;
        self.dynamic_broker = dynamic_broker;
    }

    /// The layers, the strongest first.
    pub(super) fn layers(&self) -> [(Source, &Overrides); 3] {
        [
            (Source::DynamicBroker, &self.dynamic_broker),
            (Source::DynamicDefaultBroker, &self.dynamic_default),
            (Source::StaticBroker, &self.static_broker),
        ]
    }

    /// Whether anybody set the configuration, dynamically or in `server.properties`.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        self.layers()
            .iter()
            .any(|(_, layer)| layer.contains_key(name))
    }

    /// The value of one name, without its synonyms; `None` where it is null.
    ///
    /// The name must be one of the broker's table.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<Value> {
        let definition = broker_definition(name);
        let set = self
            .layers()
            .into_iter()
            .filter_map(|(_, layer)| layer.get(name))
            .find_map(|text| self.parse(definition, text).ok());
        set.or_else(|| {
            let default = definition.default.text()?;
            Some(
                definition
                    .parse(default)
                    .expect("a test parses every default"),
            )
        })
    }

    /// The number; the default must not be null.
    #[must_use]
    pub fn integer(&self, name: &str) -> i64 {
        self.integer_if_any(name)
            .expect("asked for a number whose default is not null")
    }

    /// The number; `None` where it is null.
    #[must_use]
    pub fn integer_if_any(&self, name: &str) -> Option<i64> {
        let value = self.value(name)?;
        Some(
            value
                .integer()
                .expect("asked for a number by the name of one"),
        )
    }

    /// The number where it fits 32 bits by its type.
    #[must_use]
    pub fn int(&self, name: &str) -> i32 {
        i32::try_from(self.integer(name)).expect("of type INT or SHORT")
    }

    /// The number of a configuration of one listener, or else that of all of them.
    pub(super) fn number_of_listener(&self, name: &str) -> i64 {
        let base = super::rules::listener_base(name).expect("asked for one of a listener");
        let own = self.own_number_of_listener(name);
        own.unwrap_or_else(|| self.integer(base))
    }

    /// The number of a configuration of one listener, where it has one of its own.
    ///
    /// # Panics
    /// Where the name is not `listener.name.<listener>.` and the name of a number.
    #[must_use]
    pub fn own_number_of_listener(&self, name: &str) -> Option<i64> {
        let base = super::rules::listener_base(name).expect("asked for one of a listener");
        let definition = broker_definition(base);
        self.layers()
            .into_iter()
            .filter_map(|(_, layer)| layer.get(name))
            .find_map(|text| definition.parse(text).ok()?.integer())
    }

    /// Whether it is `true`.
    #[must_use]
    pub fn boolean(&self, name: &str) -> bool {
        self.value(name) == Some(Value::Boolean(true))
    }

    /// The decimal number in millionths, by its digits: no arithmetic on fractions. 0 where it is
    /// negative, `u64::MAX` where it is too large.
    #[must_use]
    pub fn millionths(&self, name: &str) -> u64 {
        let Some(Value::Double(value)) = self.value(name) else {
            unreachable!("{name} is no decimal number");
        };
        let digits = format!("{value:.6}").replace('.', "");
        if digits.starts_with('-') {
            0
        } else {
            digits.parse().unwrap_or(u64::MAX)
        }
    }

    /// The text; `None` where it is null.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.value(name).map(|value| value.to_string())
    }

    /// The words; none where it is null.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<String> {
        let value = self.value(name);
        value.map(Value::into_list).unwrap_or_default()
    }

    fn static_errors(&self) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        for (name, text) in self.static_broker.iter() {
            let Some(definition) = table::find(Scope::Broker, name) else {
                continue;
            };
            if let Err(error) = definition.parse(text) {
                let default = match definition.default.text() {
                    Some("") | None => "unset".to_owned(),
                    Some(default) => default.to_owned(),
                };
                let shown = if definition.is_sensitive() {
                    "(hidden)"
                } else {
                    text.as_ref()
                };
                errors.push(ConfigError(format!(
                    "{name}={shown}: {} (expected: {}; default: {default})",
                    error.reason,
                    definition.expectation()
                )));
            }
        }
        errors
    }
}

/// `node.id` and `broker.id` are one configuration by two names; either stands in for the other.
fn give_each_the_other_name(values: &mut Overrides) {
    for (given, other) in [("node.id", "broker.id"), ("broker.id", "node.id")] {
        if let (Some(value), false) = (values.get(given), values.contains_key(other)) {
            values.insert(Arc::from(other), Arc::clone(value));
        }
    }
}

fn broker_definition(name: &str) -> &'static Definition {
    match table::find(Scope::Broker, name) {
        Some(definition) => definition,
        None => unreachable!("{name} is in no table"),
    }
}

/// A configuration of Kafka's authorizer.
const ALLOW_EVERYONE: &str = "allow.everyone.if.no.acl.found";

/// Whether a name of `server.properties` means something: one of the table, or one of them for a
/// listener or a SASL mechanism (`listener.name.<listener>.[<mechanism>.]<name>`).
fn is_known(name: &str) -> bool {
    if table::find(Scope::Broker, name).is_some() {
        return true;
    }
    let Some(rest) = name.strip_prefix("listener.name.") else {
        return name == ALLOW_EVERYONE || name == "super.users";
    };
    rest.match_indices('.')
        .any(|(index, _)| table::find(Scope::Broker, &rest[index + 1..]).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overrides(pairs: &[(&str, &str)]) -> Arc<Overrides> {
        Arc::new(
            pairs
                .iter()
                .map(|(k, v)| (Arc::from(*k), Arc::from(*v)))
                .collect(),
        )
    }

    #[test]
    fn the_strongest_layer_wins_and_a_bad_one_is_passed_over() {
        let mut settings = Settings::load("num.partitions=3\n", &[]).expect("valid");
        assert_eq!(settings.int("num.partitions"), 3);
        settings.set_dynamic(
            overrides(&[("num.partitions", "5")]),
            overrides(&[("num.partitions", "many")]),
        );
        assert_eq!(settings.int("num.partitions"), 5);
        assert_eq!(settings.int("default.replication.factor"), 1);
        assert!(!settings.is_set("default.replication.factor"));
    }

    #[test]
    fn arguments_win_over_the_file() {
        let arguments = ["num.partitions=7".to_owned()];
        let settings = Settings::load("num.partitions=3", &arguments).expect("valid");
        assert_eq!(settings.int("num.partitions"), 7);
    }

    #[test]
    fn errors_name_key_value_and_what_would_be_right() {
        let text = "num.partitions=many\nlog.cleanup.policy=keep\nno.such=1\n";
        let errors = Settings::load(text, &["x".to_owned()]).expect_err("three are wrong");
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "--override x: not of the form key=value",
                "log.cleanup.policy=keep: String must be one of: compact, delete \
                 (expected: list of compact, delete; default: delete)",
                "num.partitions=many: Not a number of type INT \
                 (expected: int, at least 1; default: 1)",
            ]
        );
    }

    #[test]
    fn unknown_names_are_told_and_listener_ones_are_known() {
        let text = "no.such=1\nlistener.name.internal.ssl.client.auth=none\n\
                    listener.name.x.plain.sasl.jaas.config=y\n";
        let settings = Settings::load(text, &[]).expect("unknown names go on");
        assert_eq!(settings.unknown_names().collect::<Vec<_>>(), ["no.such"]);
    }
}
