//! What a script sees: a connection, names of its own, and notes of what was answered.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use kafka_wire::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_wire::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_wire::metadata_request::MetadataRequestTopic;
use kafka_wire::{CreateTopicsRequest, ListOffsetsRequest, MetadataRequest, RequestResponsePair};
use kafka_wire_core::{StrBytes, Uuid};

use super::cases::Case;
use super::normal::Normaliser;
use super::peer::{Outcome, Peer};
use super::value;

/// Longest wait for a change to show; every look at it is a round trip to the broker.
const LIMIT: Duration = Duration::from_secs(15);

/// Version of CreateTopics and of Metadata used to prepare.
const PREPARE_VERSIONS: (i16, i16) = (5, 12);

/// Version of ListOffsets used to prepare.
const LIST_OFFSETS_VERSION: i16 = 1;

/// Why a script ended before its end.
pub type Stopped = String;

/// A script's view of a broker.
#[derive(Debug)]
pub struct Session {
    peer: Peer,
    /// A connection beside the first, for what is answered when the first goes on.
    other: Peer,
    prefix: String,
    version: i16,
    /// The broker's node id.
    pub node: i32,
    normaliser: Normaliser,
    notes: Vec<(String, String)>,
    syncs: u32,
}

impl Session {
    /// Opens a session for one script at one version.
    ///
    /// # Errors
    ///
    /// The broker cannot be reached.
    pub fn open(address: &str, case: &Case, version: i16) -> Result<Self, Stopped> {
        let mut peer = Peer::new(address);
        let metadata = match peer.ask(PREPARE_VERSIONS.1, &MetadataRequest::default())? {
            Outcome::Answered(metadata) => metadata,
            Outcome::Closed | Outcome::Unsayable => return Err("Metadata was refused".to_owned()),
        };
        let node = metadata.brokers.first().map_or(-1, |broker| broker.node_id);
        let unique = std::process::id();
        let script = case.name.replace(['/', ' '], "-");
        let prefix = format!("{script}-v{version}-{unique}-");
        Ok(Self {
            peer,
            other: Peer::new(address),
            normaliser: Normaliser::new(&prefix, node),
            prefix,
            version,
            node,
            notes: Vec::new(),
            syncs: 0,
        })
    }

    /// The version under test.
    #[must_use]
    pub fn version(&self) -> i16 {
        self.version
    }

    /// A name that no other script uses.
    #[must_use]
    pub fn name(&self, short: &str) -> StrBytes {
        StrBytes::from(format!("{}{short}", self.prefix))
    }

    /// Sends a request at the version under test and notes the answer.
    ///
    /// # Errors
    ///
    /// No answer, or one that cannot be decoded.
    pub fn ask<R>(&mut self, label: &str, request: &R) -> Result<(), Stopped>
    where
        R: RequestResponsePair,
        R::Response: Debug,
    {
        self.ask_hiding(label, request, &[])
    }

    /// The same; fields that depend on what else the broker holds are left out of the note.
    ///
    /// # Errors
    ///
    /// As [`Self::ask`].
    pub fn ask_hiding<R>(
        &mut self,
        label: &str,
        request: &R,
        hidden: &[&str],
    ) -> Result<(), Stopped>
    where
        R: RequestResponsePair,
        R::Response: Debug,
    {
        self.ask_at(label, self.version, request, hidden)
    }

    /// The same at a version of its own: what else the cluster says.
    ///
    /// # Errors
    ///
    /// As [`Self::ask`].
    pub fn ask_at<R>(
        &mut self,
        label: &str,
        version: i16,
        request: &R,
        hidden: &[&str],
    ) -> Result<(), Stopped>
    where
        R: RequestResponsePair,
        R::Response: Debug,
    {
        match self.peer.ask(version, request)? {
            Outcome::Answered(response) => self.note(label, &response, hidden),
            Outcome::Closed => self.notes.push((label.to_owned(), "closed".to_owned())),
            Outcome::Unsayable => {}
        }
        Ok(())
    }

    /// The same as [`Self::ask`], for a script that goes on with what was answered.
    ///
    /// # Errors
    ///
    /// As [`Self::ask`], or the connection was closed.
    pub fn ask_and_take<R>(&mut self, label: &str, request: &R) -> Result<R::Response, Stopped>
    where
        R: RequestResponsePair,
        R::Response: Debug,
    {
        let response = self.quiet(self.version, request)?;
        self.note(label, &response, &[]);
        Ok(response)
    }

    /// Notes an answer; fields that depend on what else the broker holds are left out.
    pub fn note(&mut self, label: &str, response: &impl Debug, hidden: &[&str]) {
        let tree = value::parse(&format!("{response:?}"));
        let text = self.normaliser.text(&tree, hidden);
        self.notes.push((label.to_owned(), text));
    }

    /// Sends a request whose answer is not noted.
    ///
    /// # Errors
    ///
    /// It was not answered.
    pub fn quiet<R: RequestResponsePair>(
        &mut self,
        version: i16,
        request: &R,
    ) -> Result<R::Response, Stopped> {
        match self.peer.ask(version, request)? {
            Outcome::Answered(response) => Ok(response),
            Outcome::Closed => Err("closed while preparing".to_owned()),
            Outcome::Unsayable => Err("a preparation that its version cannot say".to_owned()),
        }
    }

    /// Sends a request on the second connection: one that the broker parks. Says whether the
    /// version can say it.
    ///
    /// # Errors
    ///
    /// The request was not taken.
    pub fn park<R: RequestResponsePair>(
        &mut self,
        version: i16,
        request: &R,
    ) -> Result<bool, Stopped> {
        match self.other.send(version, request)? {
            Outcome::Answered(()) => Ok(true),
            Outcome::Closed => Err("closed before it was parked".to_owned()),
            Outcome::Unsayable => Ok(false),
        }
    }

    /// The answer to what was parked.
    ///
    /// # Errors
    ///
    /// It was not answered.
    pub fn parked<R: RequestResponsePair>(&mut self, version: i16) -> Result<R::Response, Stopped> {
        match self.other.receive::<R>(version)? {
            Outcome::Answered(response) => Ok(response),
            Outcome::Closed | Outcome::Unsayable => Err("closed while parked".to_owned()),
        }
    }

    /// Creates a topic and waits until it has leaders; answers its name and id.
    ///
    /// # Errors
    ///
    /// It was not created, or did not show in time.
    pub fn topic(
        &mut self,
        short: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Result<(StrBytes, Uuid), Stopped> {
        let name = self.name(short);
        let mut topic = CreatableTopic::default();
        topic.name = name.clone();
        topic.num_partitions = partitions;
        topic.replication_factor = 1;
        topic.configs = configs
            .iter()
            .map(|(name, value)| {
                let mut config = CreatableTopicConfig::default();
                config.name = StrBytes::from(*name);
                config.value = Some(StrBytes::from(*value));
                config
            })
            .collect();
        let mut request = CreateTopicsRequest::default();
        request.topics = vec![topic];
        request.timeout_ms = 8_000;
        let created = self.quiet(PREPARE_VERSIONS.0, &request)?;
        match created.topics.first() {
            Some(result) if result.error_code == 0 => {}
            other => return Err(format!("a topic for the script was not created: {other:?}")),
        }
        self.wait_for_topic(&name, Some(partitions))
    }

    /// Waits until a topic shows with its leaders; answers its name and id.
    ///
    /// # Errors
    ///
    /// It did not show in time.
    pub fn wait_for_topic(
        &mut self,
        name: &StrBytes,
        partitions: Option<i32>,
    ) -> Result<(StrBytes, Uuid), Stopped> {
        let deadline = Instant::now() + LIMIT;
        let mut wanted = MetadataRequestTopic::default();
        wanted.name = Some(name.clone());
        let mut request = MetadataRequest::default();
        request.topics = Some(vec![wanted]);
        request.allow_auto_topic_creation = false;
        while Instant::now() < deadline {
            let answer = self.quiet(PREPARE_VERSIONS.1, &request)?;
            let topic = answer.topics.first().ok_or("no topic in Metadata")?;
            let led = topic.partitions.iter().filter(|p| p.leader_id >= 0).count();
            let is_whole = partitions.is_none_or(|n| usize::try_from(n) == Ok(led));
            if topic.error_code == 0 && led > 0 && is_whole {
                self.wait_for_leaders(name, led)?;
                return Ok((name.clone(), topic.topic_id));
            }
        }
        Err(format!("{name} did not show"))
    }

    /// Asks until the answer is yes.
    ///
    /// # Errors
    ///
    /// It was not in time; or what the question says.
    pub fn until(
        &mut self,
        what: &str,
        mut question: impl FnMut(&mut Self) -> Result<bool, Stopped>,
    ) -> Result<(), Stopped> {
        let deadline = Instant::now() + LIMIT;
        while Instant::now() < deadline {
            if question(self)? {
                return Ok(());
            }
        }
        Err(format!("there was not {what} in time"))
    }

    /// Waits until the first `count` partitions of a topic answer as their leaders.
    fn wait_for_leaders(&mut self, name: &StrBytes, count: usize) -> Result<(), Stopped> {
        let mut topic = ListOffsetsTopic::default();
        topic.name = name.clone();
        topic.partitions = (0..)
            .take(count)
            .map(|index| {
                let mut partition = ListOffsetsPartition::default();
                partition.partition_index = index;
                partition.timestamp = -1;
                partition
            })
            .collect();
        let mut request = ListOffsetsRequest::default();
        request.replica_id = -1;
        request.topics = vec![topic];
        let deadline = Instant::now() + LIMIT;
        while Instant::now() < deadline {
            let answer = self.quiet(LIST_OFFSETS_VERSION, &request)?;
            let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
            if partitions.all(|partition| partition.error_code == 0) {
                return Ok(());
            }
        }
        Err(format!("{name} is not led"))
    }

    /// Waits until the broker serves every change made so far: changes have one order, so a new
    /// topic that shows proves it.
    ///
    /// # Errors
    ///
    /// It did not show in time.
    pub fn sync(&mut self) -> Result<(), Stopped> {
        for _ in 0..2 {
            self.syncs += 1;
            self.topic(&format!("sync{}", self.syncs), 1, &[])?;
        }
        Ok(())
    }

    /// What was noted.
    #[must_use]
    pub fn into_notes(self) -> Vec<(String, String)> {
        self.notes
    }
}
