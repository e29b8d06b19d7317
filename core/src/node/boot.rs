//! From data directories to a node that serves.
//!
//! 1. Whose directories are these? New ones are formatted as `kafka-storage format --standalone`
//!    would.
//! 2. The metadata log is opened (and recovered), and replayed into an image.
//! 3. The node leads the quorum, and registers itself as a broker.
//! 4. The logs of its partitions are opened, so many at a time. Then it is ready.
//!
//! Everything is a job: turns bring the disk's answers. Interrupted at any step, the next boot
//! begins again with what the disk holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::boot_directories::{Directories, inspect};
use super::boot_logs::Logs;
use super::broker::{Broker, event};
use super::door::Outbox;
use super::groups::Groups;
use super::identity::Identity;
use super::producer_ids::ProducerIds;
use crate::config::listeners::Listener;
use crate::config::{BrokerConfig, Settings};
use crate::event::Severity;
use crate::fetch_session::FetchSessions;
use crate::group::GroupSettings;
use crate::ids::{BrokerEpoch, DirectoryId, DirectoryIndex, LeaderEpoch, LogId, Offset, TopicId};
use crate::limits::METADATA_BATCH_RECORDS_MAX;
use crate::log::{Log, LogCreation, LogFound, LogMemory, LogSettings, Opening};
use crate::metadata::replay::Replay;
use crate::partition::{PartitionTable, TopicConfig};
use crate::quorum::{Load, Loaded, METADATA_FOLDER, Quorum, Voter, format, state_file};
use crate::quota::throttle::Throttle;
use crate::rng::Rng;
use crate::storage::{DirectoryListing, DiskDone, DiskError, DiskOp, FailureScope, LogFile, Token};
use crate::time::Now;
use crate::waiting::Waiting;

/// What a node is told when it boots.
#[derive(Clone, Debug)]
pub struct BootOptions {
    /// The layers of the configuration.
    pub settings: Settings,
    /// The configuration.
    pub config: BrokerConfig,
    /// Where clients of each listener reach the node, with ports as they are bound.
    pub listeners: Vec<Listener>,
    /// What the data directories hold, in the order of `log.dirs`.
    pub directories: Vec<DirectoryListing>,
    /// Entropy for ids: not secret, but never the same twice in one cluster.
    pub seed: u64,
}

/// Why a node cannot boot: what is wrong, with what, and what to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BootError(pub String);

impl BootError {
    /// What a disk did not do, where, and what a person can do about it.
    fn of_disk(directories: &[String], scope: &FailureScope, error: &DiskError) -> Self {
        let place = match scope {
            FailureScope::Directory(index) => {
                format!("data directory {}", directories[usize::from(index.0)])
            }
            FailureScope::Append { .. } | FailureScope::Save(_) => {
                format!("data in {} cannot be written", directories.join(", "))
            }
        };
        let remedy = match error {
            DiskError::Full => "; make room there, and start again",
            DiskError::Io(_) => "",
        };
        Self(format!("{place}: {error}{remedy}"))
    }
}

impl std::fmt::Display for BootError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A boot in progress.
#[derive(Clone, Debug)]
pub struct Boot {
    settings: Arc<Settings>,
    config: Arc<BrokerConfig>,
    listeners: Vec<Listener>,
    pub(super) directories: Directories,
    rng: Rng,
    memory: LogMemory,
    next_log: LogId,
    /// The epoch in `quorum-state`.
    voted_epoch: LeaderEpoch,
    pub(super) stage: Stage,
}

#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is one of these in a process, for some milliseconds"
)]
pub(super) enum Stage {
    /// Directories are being formatted, and markers of clean stops removed: so many saves are to
    /// come, before anything else is written.
    Prepare(u32),
    /// The metadata log is being opened.
    OpenMetadata(Opening),
    /// Its vote file is being read.
    ReadVote(Log),
    /// It is being read back.
    Load(Log, Load),
    /// The node leads; its registration is to be committed.
    Register { broker: Broker, until: Offset },
    /// Logs are being opened.
    OpenLogs(Broker, Logs),
    /// Nothing is left to do, or nothing can be done.
    Over,
}

const VOTE_TOKEN: u32 = 2;

impl Boot {
    /// Begins to boot.
    ///
    /// # Errors
    /// [`BootError`] where the directories are not this node's, or make no sense.
    pub fn begin(now: Now, mut options: BootOptions, out: &mut Outbox) -> Result<Self, BootError> {
        let mut rng = Rng::new(options.seed);
        let directories = inspect(now, &mut options, &mut rng, out)?;
        let mut boot = Self {
            settings: Arc::new(options.settings),
            memory: LogMemory::new(options.config.tail_bytes),
            config: Arc::new(options.config),
            listeners: options.listeners,
            rng,
            next_log: LogId(0),
            voted_epoch: LeaderEpoch(0),
            stage: Stage::Over,
            directories,
        };
        let saves = u32::try_from(out.disk.len()).expect("a few per directory");
        if saves == 0 {
            boot.open_metadata(now, out);
        } else {
            boot.stage = Stage::Prepare(saves);
        }
        Ok(boot)
    }

    fn open_metadata(&mut self, now: Now, out: &mut Outbox) {
        let id = self.take_log_id();
        let settings = self.metadata_log_settings();
        match self.directories.folder(DirectoryIndex(0), METADATA_FOLDER) {
            Some(listing) => {
                let found = LogFound {
                    id,
                    directory: DirectoryIndex(0),
                    settings,
                    recovery_point: self
                        .directories
                        .recovery_point(DirectoryIndex(0), METADATA_FOLDER),
                    log_start_offset: self
                        .directories
                        .log_start_offset(DirectoryIndex(0), METADATA_FOLDER),
                    cleaned_to: None,
                    is_clean: self.directories.is_clean(DirectoryIndex(0)),
                };
                let opening = Opening::begin(now, found, &listing, &mut out.disk);
                self.on_opening(opening, out);
            }
            None => {
                let creation = LogCreation {
                    id,
                    directory: DirectoryIndex(0),
                    folder: METADATA_FOLDER.into(),
                    partition_metadata: crate::log::partition_metadata::to_text(TopicId::METADATA)
                        .into(),
                    settings,
                    start_offset: Offset::ZERO,
                };
                let log = Log::create(now, creation, &mut out.disk);
                out.disk.push(DiskOp::SaveLogFile {
                    log: id,
                    file: LogFile::Snapshot(Offset::ZERO, 0),
                    bytes: format::first_snapshot(now.wall, self.config.node_id, self.voter()),
                    token: Token::of_node(0),
                });
                self.lead(now, log, Replay::default(), out);
            }
        }
    }

    /// Takes in an answer of the disk.
    ///
    /// # Errors
    /// [`BootError`]: the metadata cannot be read; the node stays down.
    pub fn on_disk(&mut self, now: Now, done: DiskDone, out: &mut Outbox) -> Result<(), BootError> {
        if let DiskDone::Failed { scope, error } = &done {
            let directories = &self.config.log_dirs;
            return Err(BootError::of_disk(directories, scope, error));
        }
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Prepare(saves) => {
                assert!(
                    matches!(done, DiskDone::Saved { .. }),
                    "nothing but files of directories was asked for"
                );
                match saves - 1 {
                    0 => self.open_metadata(now, out),
                    left => self.stage = Stage::Prepare(left),
                }
            }
            Stage::OpenMetadata(mut opening) => {
                opening.on_done(&done, &mut out.disk);
                self.on_opening(opening, out);
            }
            Stage::ReadVote(log) => self.on_vote(log, done, out)?,
            Stage::Load(log, load) => self.on_load(now, (log, load), done, out)?,
            Stage::Register { mut broker, until } => {
                broker.on_disk(now, done, out);
                self.stage = Stage::Register { broker, until };
            }
            Stage::OpenLogs(broker, logs) => self.on_open_logs(now, (broker, logs), done, out),
            Stage::Over => {}
        }
        Ok(())
    }

    fn on_opening(&mut self, mut opening: Opening, out: &mut Outbox) {
        match opening.take_opened() {
            Some(opened) => {
                out.events.extend(opened.events);
                self.read_vote(opened.log, out);
            }
            None => self.stage = Stage::OpenMetadata(opening),
        }
    }

    fn read_vote(&mut self, log: Log, out: &mut Outbox) {
        out.disk.push(DiskOp::Read {
            log: log.id(),
            file: LogFile::QuorumState,
            position: 0,
            length: 4_096,
            token: Token::of_node(VOTE_TOKEN),
        });
        self.stage = Stage::ReadVote(log);
    }

    fn on_vote(&mut self, log: Log, done: DiskDone, out: &mut Outbox) -> Result<(), BootError> {
        let DiskDone::Read { token, result, .. } = done else {
            self.stage = Stage::ReadVote(log);
            return Ok(());
        };
        assert!(
            token == Token::of_node(VOTE_TOKEN),
            "only the vote is read at this stage"
        );
        let bytes = result.map_err(|error| BootError(error.to_string()))?;
        let epoch = state_file::epoch(&bytes);
        if epoch.is_none() && !bytes.is_empty() {
            let text = "is malformed: the epoch is taken from the log".to_owned();
            out.events
                .push(event(Severity::Warning, "quorum-state", text));
        }
        self.voted_epoch = epoch.unwrap_or(LeaderEpoch(0));
        self.begin_load(log, out);
        Ok(())
    }

    fn begin_load(&mut self, log: Log, out: &mut Outbox) {
        let load = Load::new(&log, self.directories.newest_snapshot());
        out.disk.push(load.read());
        self.stage = Stage::Load(log, load);
    }

    fn on_load(
        &mut self,
        now: Now,
        (log, load): (Log, Load),
        done: DiskDone,
        out: &mut Outbox,
    ) -> Result<(), BootError> {
        let DiskDone::Read { token, result, .. } = done else {
            self.stage = Stage::Load(log, load);
            return Ok(());
        };
        assert!(Load::is_for(token), "only the load reads at this stage");
        let (load, loaded) = load
            .on_read(&result)
            .map_err(|error| BootError(error.to_string()))?;
        match loaded {
            Loaded::Done(replay) => self.lead(now, log, replay, out),
            Loaded::Read(op) => {
                out.disk.push(op);
                self.stage = Stage::Load(log, load);
            }
        }
        Ok(())
    }

    /// Leads the quorum and writes the registration of this incarnation.
    fn lead(&mut self, now: Now, log: Log, replay: Replay, out: &mut Outbox) {
        let last_epoch = replay.last_epoch().max(self.voted_epoch);
        let voter = Voter {
            node: self.config.node_id,
            directory: self.voter(),
        };
        let is_new = log.log_end_offset() == Offset::ZERO;
        let rooms = (&mut self.memory, &mut out.disk);
        let quorum = Quorum::lead(now, &voter, last_epoch, log, rooms);
        let mut incarnation = [0; 16];
        self.rng.fill(&mut incarnation);
        let mut broker = self.broker(quorum, replay, TopicId(incarnation));
        let mut records = if is_new {
            format::bootstrap_records()
        } else {
            Vec::new()
        };
        let epoch_offset = broker.quorum.log_end_offset().0 + records.len() as i64;
        broker.identity.broker_epoch = BrokerEpoch(epoch_offset);
        records.extend(super::registration::records(
            &broker,
            self.directories.are_clean(),
        ));
        let batches = records.chunks(METADATA_BATCH_RECORDS_MAX);
        let mut proposed = batches.map(|batch| broker.propose_unanswered(now, batch.to_vec(), out));
        let last = proposed.try_fold(Offset::ZERO, |_, end_offset| end_offset);
        drop(proposed);
        match last {
            Ok(until) => self.stage = Stage::Register { broker, until },
            Err(code) => out.events.push(event(
                Severity::Error,
                METADATA_FOLDER,
                format!("the registration was refused with {code}; free space and start again"),
            )),
        }
    }

    fn broker(&mut self, quorum: Quorum, replay: Replay, incarnation: DirectoryId) -> Broker {
        let slots = usize::try_from(self.config.fetch_session_slots).unwrap_or(usize::MAX);
        let image = Arc::new(replay.image().clone());
        let mut broker = Broker {
            identity: Identity {
                node: self.config.node_id,
                cluster_id: self.directories.cluster_id.clone(),
                directories: self.directories.ids.clone(),
                incarnation,
                broker_epoch: BrokerEpoch(-1),
                listeners: self.listeners.clone(),
            },
            config: Arc::clone(&self.config),
            settings: Arc::clone(&self.settings),
            topic_defaults: TopicConfig::of(Arc::clone(&self.config.log_defaults)),
            demands: Arc::default(),
            controller_image: Arc::clone(&image),
            spaces: self.directories.spaces(),
            throttle: Throttle::new(self.config.quotas, &image),
            image,
            applied: quorum.high_watermark(),
            is_hosting: false,
            absent: BTreeSet::new(),
            replay,
            quorum,
            partitions: PartitionTable::default(),
            memory: std::mem::replace(&mut self.memory, LogMemory::new(0)),
            waiting: Waiting::default(),
            sessions: FetchSessions::new(slots, self.rng.child("fetch sessions", 0)),
            groups: Groups::new(Arc::new(GroupSettings::of(&self.config.groups))),
            producer_ids: ProducerIds::default(),
            lookups: BTreeMap::new(),
            searches: BTreeMap::new(),
            touched: BTreeSet::new(),
            rng: self.rng.child("broker", 0),
            next_log: self.next_log,
            housekeeping: super::housekeeping::Housekeeping::default(),
            compactions: super::compaction::Compactions::default(),
            moves: super::moves::Moves::default(),
        };
        broker.take_dynamic_configuration();
        let (start, now) = (&self.config.listeners, &broker.config.listeners);
        broker.identity.settle_listeners(start, now);
        broker
    }

    /// Ends a turn: the metadata goes on, and a node that is ready comes out.
    pub fn settle(&mut self, now: Now, out: &mut Outbox) -> Option<Broker> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Register { mut broker, until } => {
                broker.settle(now, out);
                if broker.applied >= until {
                    self.begin_open_logs(now, broker, out);
                    return self.settle(now, out);
                }
                self.stage = Stage::Register { broker, until };
                None
            }
            Stage::OpenLogs(mut broker, logs) => {
                broker.settle(now, out);
                if logs.is_done() {
                    broker.begin_housekeeping(now);
                    broker.begin_groups(now, out);
                    broker.resume_moves(now, out);
                    return Some(broker);
                }
                self.stage = Stage::OpenLogs(broker, logs);
                None
            }
            stage @ (Stage::Prepare(_)
            | Stage::OpenMetadata(_)
            | Stage::ReadVote(_)
            | Stage::Load(..)
            | Stage::Over) => {
                self.stage = stage;
                None
            }
        }
    }

    fn voter(&self) -> DirectoryId {
        self.directories.ids[0]
    }

    fn take_log_id(&mut self) -> LogId {
        let id = self.next_log;
        self.next_log = LogId(id.0 + 1);
        id
    }

    fn metadata_log_settings(&self) -> Arc<LogSettings> {
        let config = &self.config.metadata_log;
        Arc::new(LogSettings {
            delete: false,
            segment_bytes: u32::try_from(config.segment_bytes).unwrap_or(u32::MAX),
            segment_ms: config.segment_ms,
            ..LogSettings::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_fails_is_named_with_what_to_do() {
        let directories = ["/a".to_owned(), "/b".to_owned()];
        let told = |scope, error| BootError::of_disk(&directories, &scope, &error).0;
        assert_eq!(
            told(FailureScope::Save(Token::of_node(0)), DiskError::Full),
            "data in /a, /b cannot be written: no space left on the device; make room there, and \
             start again"
        );
        let gone = DiskError::Io("/b/t-0: gone".into());
        assert_eq!(
            told(FailureScope::Directory(DirectoryIndex(1)), gone),
            "data directory /b: /b/t-0: gone"
        );
    }
}
