//! The addresses a node listens on and the ones it tells others: `listeners`,
//! `advertised.listeners`, `listener.security.protocol.map`, `controller.listener.names`.
//!
//! Texts into values, and the rules between them; nothing is bound here. An empty host means every
//! address of the machine, and in an advertised listener the machine's own name: the driver puts
//! it in, the core knows no machine.

use std::fmt;

use super::settings::{ConfigError, Settings};

/// How a listener protects its connections; the numbers are those of registration records.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
#[repr(i16)]
pub enum SecurityProtocol {
    /// Neither encryption nor authentication.
    #[default]
    Plaintext = 0,
    /// TLS.
    Ssl = 1,
    /// SASL without encryption.
    SaslPlaintext = 2,
    /// SASL over TLS.
    SaslSsl = 3,
}

impl SecurityProtocol {
    /// Every protocol, by number.
    pub const ALL: [Self; 4] = [
        Self::Plaintext,
        Self::Ssl,
        Self::SaslPlaintext,
        Self::SaslSsl,
    ];

    /// The protocol's name in configurations.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }

    /// The number in records.
    #[must_use]
    pub fn wire_code(self) -> i16 {
        self as i16
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|protocol| protocol.name().eq_ignore_ascii_case(name))
    }
}

/// One address by its listener's name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listener {
    /// The listener's name, in capitals.
    pub name: String,
    /// Host name or address, without brackets; empty for every address of the machine.
    pub host: String,
    /// The port; 0 lets the system choose.
    pub port: u16,
    /// How its connections are protected.
    pub protocol: SecurityProtocol,
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "{}://[{}]:{}", self.name, self.host, self.port)
        } else {
            write!(f, "{}://{}:{}", self.name, self.host, self.port)
        }
    }
}

/// The addresses of a node.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Listeners {
    /// What the node binds; a [`crate::ids::ListenerId`] is an index into it.
    pub bound: Vec<Listener>,
    /// What it tells clients and peers; every name is one of `bound`.
    pub advertised: Vec<Listener>,
    /// Names of the listeners that serve the controller; may be empty.
    pub controller_names: Vec<String>,
    /// Name of the listener between brokers; empty where there is none.
    pub inter_broker_name: String,
}

impl Listeners {
    /// The listeners of these settings.
    ///
    /// # Errors
    /// Everything that is wrong with one of them or between them.
    pub fn of(settings: &Settings) -> Result<Self, Vec<ConfigError>> {
        let mut errors = Vec::new();
        let protocols = protocol_map(settings, &mut errors);
        let mut read = |key: &str| {
            let mut listeners = Vec::new();
            for text in settings.list(key) {
                match parse_listener(key, &text, &protocols) {
                    Ok(listener) => listeners.push(listener),
                    Err(error) => errors.push(error),
                }
            }
            listeners
        };
        let bound = read("listeners");
        let mut advertised = read("advertised.listeners");
        if !settings.is_set("advertised.listeners") {
            advertised.clone_from(&bound);
        }
        let mut names = settings.list("controller.listener.names");
        names.retain(|name| !name.is_empty());
        let listeners = Self {
            inter_broker_name: inter_broker_name(settings, &bound, &names),
            bound,
            advertised,
            controller_names: names,
        };
        listeners.check(settings, &mut errors);
        if errors.is_empty() {
            Ok(listeners)
        } else {
            Err(errors)
        }
    }

    /// The advertised address of a listener, for those who came in by it.
    #[must_use]
    pub fn advertised_by_name(&self, name: &str) -> Option<&Listener> {
        self.advertised
            .iter()
            .find(|listener| listener.name == name)
    }

    /// Whether the listener serves the controller's requests.
    #[must_use]
    pub fn is_controller(&self, name: &str) -> bool {
        self.controller_names.iter().any(|other| other == name)
    }

    fn check(&self, settings: &Settings, errors: &mut Vec<ConfigError>) {
        let mut error = |text: String| errors.push(ConfigError(text));
        if self.bound.is_empty() {
            error("listeners: names no address; write for example PLAINTEXT://:9092".to_owned());
        }
        for (index, listener) in self.bound.iter().enumerate() {
            let earlier = &self.bound[..index];
            if earlier.iter().any(|other| other.name == listener.name) {
                error(format!(
                    "listeners: the name {} is given twice",
                    listener.name
                ));
            }
            let is_same = |other: &&Listener| {
                other.port == listener.port && other.port != 0 && other.host == listener.host
            };
            if let Some(other) = earlier.iter().find(is_same) {
                error(format!(
                    "listeners: {other} and {listener} have the same port"
                ));
            }
        }
        for listener in &self.advertised {
            if !self.bound.iter().any(|other| other.name == listener.name) {
                error(format!(
                    "advertised.listeners: {} is none of listeners",
                    listener.name
                ));
            }
            if matches!(listener.host.as_str(), "0.0.0.0" | "::") && !listener_is_default(settings)
            {
                error(format!(
                    "advertised.listeners: no client can connect to {listener}; write a name or \
                     an address that others reach"
                ));
            }
        }
        self.check_inter_broker(settings, &mut error);
        let roles = settings.list("process.roles");
        let is_controller_only = roles == ["controller"];
        for name in &self.controller_names {
            if roles.iter().any(|role| role == "controller")
                && !self.bound.iter().any(|other| &other.name == name)
            {
                error(format!(
                    "controller.listener.names: {name} is none of listeners"
                ));
            }
        }
        if is_controller_only && self.controller_names.is_empty() {
            error("controller.listener.names: a controller needs one".to_owned());
        }
        let serves_clients = |listener: &&Listener| !self.is_controller(&listener.name);
        if !is_controller_only && !self.bound.iter().any(|listener| serves_clients(&listener)) {
            error("listeners: every one serves the controller, none serves clients".to_owned());
        }
    }

    /// Brokers have one way to each other, which is a listener that others reach.
    fn check_inter_broker(&self, settings: &Settings, error: &mut impl FnMut(String)) {
        let (by_name, by_protocol) = (
            "inter.broker.listener.name",
            "security.inter.broker.protocol",
        );
        let key = match (settings.is_set(by_name), settings.is_set(by_protocol)) {
            (true, true) => {
                error(format!(
                    "{by_protocol}: only one of it and {by_name} may be set"
                ));
                return;
            }
            (true, false) => by_name,
            (false, true) => by_protocol,
            (false, false) => return,
        };
        let name = settings.text(key).unwrap_or_default().to_ascii_uppercase();
        if name.is_empty() {
            return;
        }
        if self.advertised_by_name(&name).is_none() {
            error(format!(
                "{key}={name}: is none of advertised.listeners; name one of them"
            ));
        } else if self.is_controller(&name) {
            error(format!(
                "{key}={name}: serves the controller; name a listener that serves brokers"
            ));
        }
    }
}

/// Whether advertised addresses are those bound, where `0.0.0.0` stands for the machine's name.
fn listener_is_default(settings: &Settings) -> bool {
    !settings.is_set("advertised.listeners")
}

fn inter_broker_name(settings: &Settings, bound: &[Listener], controllers: &[String]) -> String {
    if let Some(name) = settings
        .text("inter.broker.listener.name")
        .filter(|name| !name.is_empty())
    {
        return name.to_ascii_uppercase();
    }
    let protocol = settings
        .text("security.inter.broker.protocol")
        .unwrap_or_default();
    let candidates = || {
        bound
            .iter()
            .filter(|listener| !controllers.contains(&listener.name))
    };
    candidates()
        .find(|listener| listener.name == protocol)
        .or_else(|| candidates().next())
        .map(|listener| listener.name.clone())
        .unwrap_or_default()
}

type ProtocolMap = Vec<(String, SecurityProtocol)>;

/// Protocols by listener. Where no map is written, and no listener wants TLS or SASL, those of the
/// controller are in plain text, as in Kafka's `effectiveListenerSecurityProtocolMap` (4.3.1).
fn protocol_map(settings: &Settings, errors: &mut Vec<ConfigError>) -> ProtocolMap {
    let key = "listener.security.protocol.map";
    let text = settings.text(key).unwrap_or_default();
    let mut map = ProtocolMap::new();
    for pair in super::value::parse_list(&text) {
        let parsed = pair.split_once(':').and_then(|(name, protocol)| {
            Some((
                name.trim().to_ascii_uppercase(),
                SecurityProtocol::parse(protocol.trim())?,
            ))
        });
        match parsed {
            Some(entry) => map.push(entry),
            None => errors.push(ConfigError(format!(
                "{key}: {pair} is not NAME:PROTOCOL with one of PLAINTEXT, SSL, SASL_PLAINTEXT, \
                 SASL_SSL"
            ))),
        }
    }
    if settings.is_set(key) {
        return map;
    }
    let controllers = settings.list("controller.listener.names");
    let listeners = settings.list("listeners");
    let mut bound = listeners.iter().filter_map(|text| text.split_once("://"));
    let mut names = controllers.iter().map(String::as_str);
    let is_protected = |name: &str| {
        let protocol = SecurityProtocol::parse(name);
        protocol.is_some_and(|protocol| protocol != SecurityProtocol::Plaintext)
    };
    if !names.any(is_protected) && !bound.any(|(name, _)| is_protected(name)) {
        let plain = controllers.iter().filter(|name| !name.is_empty());
        map.extend(plain.map(|name| (name.to_ascii_uppercase(), SecurityProtocol::Plaintext)));
    }
    map
}

fn parse_listener(key: &str, text: &str, protocols: &ProtocolMap) -> Result<Listener, ConfigError> {
    let malformed = || {
        ConfigError(format!(
            "{key}: {text} is not NAME://host:port (an IPv6 address goes in brackets)"
        ))
    };
    let (name, address) = text.split_once("://").ok_or_else(malformed)?;
    let (host, port) = address.rsplit_once(':').ok_or_else(malformed)?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').ok_or_else(malformed)?,
        None if host.contains(':') => return Err(malformed()),
        None => host,
    };
    let port: u16 = port.parse().map_err(|_| malformed())?;
    let name = name.to_ascii_uppercase();
    if name.is_empty() {
        return Err(malformed());
    }
    let protocol = protocols.iter().find(|(known, _)| *known == name);
    let Some(&(_, protocol)) = protocol else {
        return Err(ConfigError(format!(
            "{key}: listener {name} has no security protocol; add {name}:PLAINTEXT, or another \
             one, to listener.security.protocol.map"
        )));
    };
    Ok(Listener {
        name,
        host: host.to_owned(),
        port,
        protocol,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Listeners, Vec<ConfigError>> {
        Listeners::of(&Settings::load(text, &[]).expect("values of the right types"))
    }

    #[test]
    fn nothing_said_is_one_plaintext_listener_on_loopback() {
        let listeners = load("").expect("valid");
        assert_eq!(listeners.bound.len(), 1);
        assert_eq!(listeners.bound[0].to_string(), "PLAINTEXT://127.0.0.1:9092");
        assert_eq!(listeners.advertised, listeners.bound);
        assert_eq!(listeners.inter_broker_name, "PLAINTEXT");
        assert!(listeners.controller_names.is_empty());
    }

    #[test]
    fn a_kafka_configuration_works_as_it_is() {
        let listeners = load(
            "listeners=PLAINTEXT://:9092,CONTROLLER://[::1]:9093\n\
             advertised.listeners=PLAINTEXT://broker.example:9092\n\
             controller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n",
        )
        .expect("valid");
        assert_eq!(listeners.bound[1].host, "::1");
        assert_eq!(listeners.bound[1].to_string(), "CONTROLLER://[::1]:9093");
        assert!(listeners.is_controller("CONTROLLER"));
        let advertised = listeners
            .advertised_by_name("PLAINTEXT")
            .expect("advertised");
        assert_eq!(advertised.host, "broker.example");
    }

    #[test]
    fn a_controller_without_a_map_is_in_plain_text() {
        let listeners = load(
            "listeners=PLAINTEXT://:9092,CONTROLLER://:9093\ncontroller.listener.names=CONTROLLER",
        );
        let listeners = listeners.expect("Kafka takes it");
        assert_eq!(listeners.bound[1].protocol, SecurityProtocol::Plaintext);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            (
                "listeners=SSL://:1,CONTROLLER://:2\ncontroller.listener.names=CONTROLLER",
                "CONTROLLER has no security protocol",
            ),
            (
                "listeners=PLAINTEXT://:1,C://:2\ncontroller.listener.names=C\n\
                 listener.security.protocol.map=PLAINTEXT:PLAINTEXT",
                "C has no security protocol",
            ),
            ("listeners=nonsense", "is not NAME://host:port"),
            ("listeners=PLAINTEXT://a:99999", "is not NAME://host:port"),
            ("listeners=INSIDE://a:1", "INSIDE has no security protocol"),
            ("listeners=PLAINTEXT://a:1,SSL://a:1", "have the same port"),
            ("listeners=", "names no address"),
            ("advertised.listeners=SSL://a:1", "is none of listeners"),
            (
                "advertised.listeners=PLAINTEXT://0.0.0.0:1",
                "no client can connect",
            ),
            ("listener.security.protocol.map=A:B", "is not NAME:PROTOCOL"),
            ("controller.listener.names=C", "C is none of listeners"),
            ("process.roles=controller", "a controller needs one"),
            (
                "inter.broker.listener.name=NOSUCH",
                "is none of advertised.listeners",
            ),
            ("security.inter.broker.protocol=SSL", "is none of adv"),
            (
                "security.inter.broker.protocol=PLAINTEXT\ninter.broker.listener.name=PLAINTEXT",
                "only one of it and inter.broker.listener.name",
            ),
            (
                "listeners=A://:1,B://:2\nlistener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT\n\
                 controller.listener.names=B\ninter.broker.listener.name=B",
                "serves the controller",
            ),
        ];
        for (text, expected) in cases {
            let errors = load(text).expect_err(text);
            let found = errors.iter().any(|error| error.0.contains(expected));
            assert!(found, "{text}: {errors:?}");
        }
    }
}
