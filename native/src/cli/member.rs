//! A member of a group over real sockets: what the tools that consume with a group share.
//!
//! The group is the sans-I/O machine's; this reads its options out of Kafka's consumer properties,
//! carries its effects out, and turns an interrupt into leaving in order.

use std::sync::Arc;
use std::time::Duration;

use kafka_wire_core::StrBytes;
use ottla_core::client::consumer::{Consumed, Isolation, StartAt};
use ottla_core::client::group::assignor::Assignor;
use ottla_core::client::group::{
    Commit, CommitId, GroupConsumer, GroupEvent, GroupOptions, TopicMatcher,
};
use ottla_core::client::network::{ClientEffect, NetworkOptions};
use ottla_core::ids::{TopicName, TopicPartition};
use ottla_core::time::{Instant, Timestamp};
use regex_lite::Regex;

use crate::cli::driver;
use crate::cli::failure::Failure;
use crate::cli::interrupt::{self, Interrupt};
use crate::cli::properties::{Properties, number};
use crate::cli::sockets::{Event, Sockets};
use crate::cli::time::now_ms;

/// How long a member may take to leave.
const CLOSE_LIMIT: Duration = Duration::from_secs(30);

/// Topics by a regular expression.
#[derive(Debug)]
pub(crate) struct Matching(pub(crate) Regex);

impl TopicMatcher for Matching {
    fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

/// The options of a member, from consumer properties.
///
/// `client_id` and `reset` are for where the properties do not say.
pub(crate) fn options(
    bootstrap: &str,
    properties: &Properties,
    group: &str,
    client_id: &str,
    reset: StartAt,
) -> Result<GroupOptions, Failure> {
    driver::refuse_security(properties)?;
    let text = |name: &str| properties.get(name).map(String::as_str);
    let mut addresses = Vec::new();
    for address in driver::addresses(bootstrap)? {
        let (host, port) = address.rsplit_once(':').expect("addresses were checked");
        let port = port.parse().expect("addresses were checked");
        addresses.push((Arc::from(host.trim_matches(['[', ']'])), port));
    }
    let mut network = NetworkOptions::new(addresses);
    network.connection.client_id = Some(StrBytes::from(text("client.id").unwrap_or(client_id)));
    let millis = |name: &str, default: Duration| -> Result<Duration, Failure> {
        let default = u64::try_from(default.as_millis()).unwrap_or(u64::MAX);
        Ok(Duration::from_millis(number(properties, name, default)?))
    };
    network.request_timeout = millis("request.timeout.ms", network.request_timeout)?;
    let connect = "socket.connection.setup.timeout.ms";
    network.connect_timeout = millis(connect, network.connect_timeout)?;
    let mut options = GroupOptions::new(network, group);
    options.heartbeat_interval = millis("heartbeat.interval.ms", options.heartbeat_interval)?;
    options.session_timeout = millis("session.timeout.ms", options.session_timeout)?;
    options.max_poll_interval = millis("max.poll.interval.ms", options.max_poll_interval)?;
    options.metadata_age_max = millis("metadata.max.age.ms", options.metadata_age_max)?;
    options.call_timeout = millis("default.api.timeout.ms", options.call_timeout)?;
    options.instance_id = text("group.instance.id").map(Arc::from);
    options.rack = text("client.rack")
        .filter(|rack| !rack.is_empty())
        .map(Arc::from);
    options.creates_topics = text("allow.auto.create.topics") != Some("false");
    options.excludes_internal_topics = text("exclude.internal.topics") != Some("false");
    let interval = millis("auto.commit.interval.ms", Duration::from_secs(5))?;
    options.auto_commit = (text("enable.auto.commit") != Some("false")).then_some(interval);
    if let Some(names) = text("partition.assignment.strategy") {
        options.assignors = assignors(names)?;
    }
    fetching(&mut options, properties, reset)?;
    Ok(options)
}

/// Fails where no broker can be reached: a member would try for ever.
pub(crate) fn reach(bootstrap: &str, properties: &Properties) -> Result<(), Failure> {
    let mut cluster = driver::Cluster::new(bootstrap, properties, "ottla")?;
    cluster.brokers()?;
    Ok(())
}

/// What concerns fetching.
fn fetching(
    options: &mut GroupOptions,
    properties: &Properties,
    reset: StartAt,
) -> Result<(), Failure> {
    let text = |name: &str| properties.get(name).map(String::as_str);
    let consumer = &mut options.consumer;
    consumer.max_bytes = number(properties, "fetch.max.bytes", consumer.max_bytes)?;
    consumer.min_bytes = number(properties, "fetch.min.bytes", consumer.min_bytes)?;
    let of_partition = "max.partition.fetch.bytes";
    consumer.partition_max_bytes = number(properties, of_partition, consumer.partition_max_bytes)?;
    let wait = u64::try_from(consumer.max_wait.as_millis()).unwrap_or(u64::MAX);
    consumer.max_wait = Duration::from_millis(number(properties, "fetch.max.wait.ms", wait)?);
    consumer.checks_crcs = text("check.crcs") != Some("false");
    consumer.isolation = match text("isolation.level").unwrap_or("read_uncommitted") {
        "read_uncommitted" => Isolation::Uncommitted,
        "read_committed" => Isolation::Committed,
        other => {
            return Err(Failure::refused(format!(
                "Invalid value {other} for configuration isolation.level: String must be one of: \
                 read_committed, read_uncommitted"
            )));
        }
    };
    consumer.reset = match text("auto.offset.reset") {
        None => Some(reset),
        Some("earliest") => Some(StartAt::Earliest),
        Some("latest") => Some(StartAt::Latest),
        Some("none") => None,
        Some(other) => Some(by_duration(other)?),
    };
    Ok(())
}

/// `by_duration:PT1H` (KIP-1106), as of now.
fn by_duration(given: &str) -> Result<StartAt, Failure> {
    let Some(duration) = given.strip_prefix("by_duration:") else {
        return Err(Failure::refused(format!(
            "Invalid value {given} for configuration auto.offset.reset: Invalid value `{given}` \
             for configuration auto.offset.reset. The value must be either 'earliest', 'latest', \
             'none' or of the format 'by_duration:<PnDTnHnMn.nS>'."
        )));
    };
    let ago = crate::cli::when::duration_ms(duration)?;
    Ok(StartAt::Time(Timestamp(now_ms().saturating_sub(ago))))
}

/// Strategies by their names or by Kafka's classes.
pub(crate) fn assignors(names: &str) -> Result<Vec<Assignor>, Failure> {
    let mut assignors = Vec::new();
    for name in names
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        let found = Assignor::parse(name).ok_or_else(|| {
            Failure::refused(format!(
                "There is no assignment strategy {name} here: only range, roundrobin, sticky and \
                 cooperative-sticky, or Kafka's classes of those."
            ))
        })?;
        assignors.push(found);
    }
    if assignors.is_empty() {
        return Err(Failure::refused(
            "partition.assignment.strategy names no strategy.",
        ));
    }
    Ok(assignors)
}

/// What the tool's own threads have to say.
#[derive(Clone, Copy, Debug)]
enum Told {
    /// Somebody asked the tool to end.
    Stop,
    /// There is something to look at.
    Wake,
}

/// A member at work.
pub(crate) struct Member {
    pub(crate) group: GroupConsumer,
    sockets: Sockets<Told>,
    effects: Vec<ClientEffect>,
    is_stopped: bool,
}

impl Member {
    /// A member to be; subscribe it.
    pub(crate) fn new(options: GroupOptions) -> Result<Self, Failure> {
        let sockets = Sockets::new(options.consumer.network.connect_timeout);
        let sender = sockets.sender();
        interrupt::on_signal(move |Interrupt| {
            // A tool that has ended needs no telling.
            let _ended = sender.send(Event::Tool(Told::Stop));
        })?;
        Ok(Self {
            group: GroupConsumer::new(options),
            sockets,
            effects: Vec::new(),
            is_stopped: false,
        })
    }

    /// Wants topics by name.
    pub(crate) fn subscribe(&mut self, topics: impl IntoIterator<Item = TopicName>) {
        let now = self.now();
        self.group.subscribe(now, topics);
    }

    /// Wants topics by a regular expression.
    pub(crate) fn subscribe_matching(&mut self, topics: Regex) {
        let now = self.now();
        self.group
            .subscribe_matching(now, Arc::new(Matching(topics)));
    }

    pub(crate) fn now(&self) -> Instant {
        self.sockets.now().instant
    }

    /// Whether somebody asked the tool to end.
    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// The next records, of those that are here.
    pub(crate) fn next_records(&mut self) -> Option<Consumed> {
        let now = self.now();
        self.group.next_records(now)
    }

    /// Reads a partition from there on.
    pub(crate) fn seek(&mut self, partition: &TopicPartition, start: StartAt) {
        let now = self.now();
        self.group.seek(now, partition, start);
    }

    /// Says that the tool is alive though it takes no records.
    pub(crate) fn poll(&mut self) {
        let now = self.now();
        self.group.poll(now);
    }

    /// What ends the wait of [`Self::step`], from any thread.
    pub(crate) fn waker(&self) -> impl Fn() + Send + 'static {
        let sender = self.sockets.sender();
        move || {
            // A tool that has ended needs no telling.
            let _ended = sender.send(Event::Tool(Told::Wake));
        }
    }

    /// Begins a commit; an event tells how it ends.
    pub(crate) fn commit(
        &mut self,
        offsets: std::collections::BTreeMap<TopicPartition, Commit>,
    ) -> CommitId {
        let now = self.now();
        self.group.commit(now, offsets)
    }

    /// Waits until something happens, or until then.
    pub(crate) fn step(&mut self, until: Option<Instant>) {
        self.group.take_effects(&mut self.effects);
        self.sockets.perform(&mut self.effects);
        let deadline = [self.group.next_deadline(), until]
            .into_iter()
            .flatten()
            .min();
        let event = self.sockets.wait(deadline);
        let now = self.now();
        match event {
            Some(Event::Client(input)) => self.group.on_input(now, input),
            Some(Event::Tool(Told::Stop)) => self.is_stopped = true,
            Some(Event::Tool(Told::Wake)) => self.group.on_time(now),
            Some(Event::Opened(..)) => unreachable!("the sockets keep what was opened"),
            None => self.group.on_time(now),
        }
    }

    /// Leaves in order, telling what happens meanwhile.
    pub(crate) fn close(
        &mut self,
        mut tell: impl FnMut(GroupEvent) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let now = self.now();
        let limit = now.after(CLOSE_LIMIT);
        self.group.close(now);
        self.group.on_time(now);
        while !self.group.is_closed() && self.now() < limit {
            while let Some(event) = self.group.next_event() {
                tell(event)?;
            }
            self.step(Some(limit));
        }
        while let Some(event) = self.group.next_event() {
            tell(event)?;
        }
        self.group.take_effects(&mut self.effects);
        self.sockets.perform(&mut self.effects);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<GroupOptions, String> {
        let pairs = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let properties: Properties = pairs.collect();
        let read = options("a:1,[::1]:2", &properties, "g", "me", StartAt::Latest);
        read.map_err(|failure| failure.to_string())
    }

    #[test]
    fn properties_are_the_java_consumers() {
        let defaults = read(&[]).expect("good");
        assert_eq!(
            defaults.assignors,
            [Assignor::Range, Assignor::CooperativeSticky]
        );
        assert_eq!(defaults.auto_commit, Some(Duration::from_secs(5)));
        assert_eq!(defaults.consumer.network.bootstrap[1], ("::1".into(), 2));
        let class = "org.apache.kafka.clients.consumer.StickyAssignor";
        let given = read(&[
            ("partition.assignment.strategy", class),
            ("enable.auto.commit", "false"),
            ("auto.offset.reset", "none"),
            ("session.timeout.ms", "6000"),
            ("group.instance.id", "i"),
        ]);
        let given = given.expect("good");
        assert_eq!(given.assignors, [Assignor::Sticky]);
        assert_eq!((given.auto_commit, given.consumer.reset), (None, None));
        assert_eq!(given.session_timeout, Duration::from_secs(6));
        assert_eq!(given.instance_id.as_deref(), Some("i"));
        for bad in [
            ("auto.offset.reset", "bogus"),
            ("partition.assignment.strategy", "lottery"),
            ("session.timeout.ms", "x"),
            ("isolation.level", "none"),
            ("security.protocol", "SSL"),
        ] {
            assert!(read(&[bad]).is_err(), "{bad:?}");
        }
    }
}
