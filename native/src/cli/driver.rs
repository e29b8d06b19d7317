//! A cluster as a tool sees it: whom to ask, over blocking connections kept open.
//!
//! Chooses the broker for a request and retries the first connection; the requests themselves, and
//! what their answers mean, belong to the tools.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kafka_wire::{KafkaRequest, MetadataRequest, MetadataResponse};
use ottla_core::client::message::Call;

use crate::cli::failure::{CallError, Failure};
use crate::cli::link::Link;
use crate::cli::properties::Properties;

/// How long a first connection is tried before a tool gives up. Kafka's tools try for a minute;
/// two seconds are enough for a broker that is just starting, and short for a person who mistyped.
const FIRST_CONNECTION_TIMEOUT_MS: u64 = 2_000;

/// Pause between two attempts of a first connection (Kafka's `reconnect.backoff.ms` is 50).
const FIRST_CONNECTION_PAUSE_MS: u64 = 50;

/// Default of `request.timeout.ms` (Kafka's).
const REQUEST_TIMEOUT_MS: u64 = 30_000;

/// Default of `socket.connection.setup.timeout.ms` (Kafka's).
const CONNECTION_SETUP_TIMEOUT_MS: u64 = 10_000;

/// A cluster, reached through any of its bootstrap addresses.
#[derive(Debug)]
pub(crate) struct Cluster {
    bootstrap: Vec<String>,
    client_id: String,
    connection_timeout: Duration,
    request_timeout: Duration,
    first_timeout: Duration,
    /// The broker asked where any will do.
    any: Option<Link>,
    /// The brokers' addresses, as the cluster last told them.
    nodes: BTreeMap<i32, String>,
    /// Open connections to named brokers.
    links: BTreeMap<i32, Link>,
}

impl Cluster {
    /// A cluster at these `bootstrap.servers` with these client properties; connects when asked.
    pub(crate) fn new(
        bootstrap: &str,
        properties: &Properties,
        client_id: &str,
    ) -> Result<Self, Failure> {
        let number = |name: &str, default: u64| match properties.get(name) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_not_a_number| {
                Failure::refused(format!(
                    "Invalid value {text} for configuration {name}: Not a number of type LONG"
                ))
            }),
        };
        refuse_security(properties)?;
        let millis = |name, default| number(name, default).map(Duration::from_millis);
        Ok(Self {
            bootstrap: addresses(bootstrap)?,
            client_id: properties
                .get("client.id")
                .map_or(client_id, String::as_str)
                .to_owned(),
            connection_timeout: millis(
                "socket.connection.setup.timeout.ms",
                CONNECTION_SETUP_TIMEOUT_MS,
            )?,
            request_timeout: millis("request.timeout.ms", REQUEST_TIMEOUT_MS)?,
            first_timeout: millis("default.api.timeout.ms", FIRST_CONNECTION_TIMEOUT_MS)?,
            any: None,
            nodes: BTreeMap::new(),
            links: BTreeMap::new(),
        })
    }

    /// How long one request may take, as brokers are told it.
    pub(crate) fn request_timeout_ms(&self) -> i32 {
        i32::try_from(self.request_timeout.as_millis()).unwrap_or(i32::MAX)
    }

    /// Asks whichever broker answers first.
    pub(crate) fn call<R: Call + KafkaRequest>(
        &mut self,
        request: R,
    ) -> Result<R::Response, CallError> {
        self.any()?.call(request)
    }

    /// A connection to whichever broker answers first.
    pub(crate) fn any(&mut self) -> Result<&mut Link, CallError> {
        if self.any.is_none() {
            self.any = Some(self.first_connection()?);
        }
        Ok(self.any.as_mut().expect("it was just set"))
    }

    /// Asks one broker by its number.
    pub(crate) fn call_node<R: Call + KafkaRequest>(
        &mut self,
        node_id: i32,
        request: R,
    ) -> Result<R::Response, CallError> {
        self.node(node_id)?.call(request)
    }

    /// A connection to one broker by its number.
    pub(crate) fn node(&mut self, node_id: i32) -> Result<&mut Link, CallError> {
        if !self.links.contains_key(&node_id) {
            if !self.nodes.contains_key(&node_id) {
                self.brokers()?;
            }
            let address = self
                .nodes
                .get(&node_id)
                .ok_or(CallError::UnknownNode { node_id })?
                .clone();
            let link = self.connect(&address)?;
            self.links.insert(node_id, link);
        }
        Ok(self.links.get_mut(&node_id).expect("it was just inserted"))
    }

    /// Drops what is known of a broker whose connection broke; the next call connects anew.
    pub(crate) fn forget(&mut self, node_id: i32) {
        self.links.remove(&node_id);
        self.nodes.remove(&node_id);
        self.any = None;
    }

    /// Asks for metadata; remembers where the brokers are.
    pub(crate) fn metadata(
        &mut self,
        request: MetadataRequest,
    ) -> Result<MetadataResponse, CallError> {
        let answer = self.call(request)?;
        self.nodes = answer
            .brokers
            .iter()
            .map(|broker| (broker.node_id, address_of(&broker.host, broker.port)))
            .collect();
        Ok(answer)
    }

    /// The brokers of the cluster, without any topic.
    pub(crate) fn brokers(&mut self) -> Result<MetadataResponse, CallError> {
        let mut request = MetadataRequest::default();
        request.topics = Some(Vec::new());
        self.metadata(request)
    }

    fn first_connection(&self) -> Result<Link, CallError> {
        let give_up = Instant::now() + self.first_timeout;
        loop {
            let mut last = None;
            for address in &self.bootstrap {
                match self.connect(address) {
                    Ok(link) => return Ok(link),
                    Err(error) => last = Some(error),
                }
            }
            let last = last.expect("there is at least one bootstrap address");
            let CallError::Unreachable { error, .. } = last else {
                return Err(last);
            };
            if Instant::now() >= give_up {
                return Err(CallError::Unreachable {
                    addresses: self.bootstrap.join(","),
                    error,
                });
            }
            std::thread::sleep(Duration::from_millis(FIRST_CONNECTION_PAUSE_MS));
        }
    }

    fn connect(&self, address: &str) -> Result<Link, CallError> {
        Link::connect(
            address,
            &self.client_id,
            self.connection_timeout,
            self.request_timeout,
        )
    }
}

/// `host:port`, with the brackets an IPv6 address needs.
pub(crate) fn address_of(host: &str, port: i32) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// Splits `bootstrap.servers`; a name of a security protocol in front is passed over.
pub(crate) fn addresses(bootstrap: &str) -> Result<Vec<String>, CallError> {
    let mut addresses = Vec::new();
    for given in bootstrap
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let bad = || CallError::BadAddress {
            given: given.to_owned(),
        };
        let address = given
            .split_once("://")
            .map_or(given, |(_protocol, rest)| rest);
        let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
        let _port: u16 = port.parse().map_err(|_not_a_port| bad())?;
        if host.is_empty() {
            return Err(bad());
        }
        addresses.push(address.to_owned());
    }
    if addresses.is_empty() {
        return Err(CallError::BadAddress {
            given: bootstrap.to_owned(),
        });
    }
    Ok(addresses)
}

/// A client that was told to encrypt or to authenticate must not go on in the clear.
pub(crate) fn refuse_security(properties: &Properties) -> Result<(), Failure> {
    match properties.get("security.protocol").map(String::as_str) {
        None | Some("PLAINTEXT") => Ok(()),
        Some(protocol) => Err(Failure::refused(format!(
            "security.protocol={protocol} is not supported by these tools yet: only PLAINTEXT is. \
             Point them at a PLAINTEXT listener."
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bootstrap_addresses_are_checked() {
        let check = |given: &str, expected: &[&str]| {
            assert_eq!(addresses(given).expect("good addresses"), expected);
        };
        check("localhost:9092", &["localhost:9092"]);
        check("a:1, b:2,", &["a:1", "b:2"]);
        check("PLAINTEXT://[::1]:9092", &["[::1]:9092"]);
        for bad in ["", ",", "nonsense", "a:xx", ":9092", "a:99999"] {
            assert!(addresses(bad).is_err(), "{bad}");
        }
        assert_eq!(address_of("::1", 9092), "[::1]:9092");
    }

    #[test]
    fn security_is_never_silently_left_out() {
        let with = |protocol: &str| {
            let properties = [("security.protocol".to_owned(), protocol.to_owned())].into();
            Cluster::new("a:1", &properties, "test").is_ok()
        };
        assert!(with("PLAINTEXT"));
        assert!(!with("SASL_SSL"));
    }
}
