//! The rooms of a node that serves clients, under one roof.
//!
//! `Broker` owns the rooms and moves things between them; each decision is a room's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::{BrokerConfig, FlushPolicy, LogConfig, Settings};
use crate::controller::internal_topics::is_internal;
use crate::error::ErrorCode;
use crate::event::{Event, Severity};
use crate::fetch_session::FetchSessions;
use crate::ids::{DirectoryIndex, LogId, Offset, PartitionIndex, ProducerId, TopicId, TopicName};
use crate::log::{LogMemory, LogState, Lookup, TimestampSearch};
use crate::metadata::delta::Delta;
use crate::metadata::image::{ConfigResource, Image};
use crate::metadata::records::MetadataRecord;
use crate::metadata::replay::Replay;
use crate::node::compaction::Compactions;
use crate::node::door::Outbox;
use crate::node::groups::Groups;
use crate::node::housekeeping::Housekeeping;
use crate::node::identity::Identity;
use crate::node::lookups::{LookupFor, Lookups, PendingLookup, PendingSearch, Searches};
use crate::node::moves::Moves;
use crate::node::producer_ids::ProducerIds;
use crate::node::wait::{AdminWait, Wait};
use crate::partition::opening::Demands;
use crate::partition::{PartitionTable, TopicConfig, Wakeups};
use crate::quorum::Quorum;
use crate::quota::throttle::Throttle;
use crate::rng::Rng;
use crate::storage::DiskSpace;
use crate::time::{Instant, Now};
use crate::waiting::{ReplyTo, WaitId, Waiting};
use crate::wire::request::Reply;

/// The rooms, and what they share.
#[derive(Clone, Debug)]
pub struct Broker {
    /// Who this node is, and where clients reach it.
    pub identity: Identity,
    /// The broker's configuration.
    pub config: Arc<BrokerConfig>,
    /// The layers the configuration comes from, for DescribeConfigs.
    pub settings: Arc<Settings>,
    /// What topics without configurations of their own are configured as.
    pub topic_defaults: TopicConfig,
    /// What topics ask of the records inside batches: a driver keeps the newest.
    pub demands: Arc<Demands>,
    /// The metadata that is committed and applied here.
    pub image: Arc<Image>,
    /// The metadata with what is proposed and not committed: what the controller decides upon.
    pub controller_image: Arc<Image>,
    /// Applies committed records.
    pub replay: Replay,
    /// Everything below is applied.
    pub applied: Offset,
    /// Whether partitions are hosted: not before the boot has looked at the logs there are.
    pub is_hosting: bool,
    /// Replicas whose data directory was not there at the start: they are not hosted.
    pub absent: BTreeSet<(TopicId, PartitionIndex)>,
    /// The metadata log and its quorum.
    pub quorum: Quorum,
    /// The partitions hosted here.
    pub partitions: PartitionTable,
    /// What the logs share: the budget of the memory tail, loaded indexes.
    pub memory: LogMemory,
    /// Requests that wait.
    pub waiting: Waiting<Wait>,
    /// Fetch sessions.
    pub sessions: FetchSessions,
    /// Group coordinators.
    pub groups: Groups,
    /// Producer ids to hand out.
    pub producer_ids: ProducerIds,
    /// Reads of the disk that requests wait for.
    pub lookups: Lookups,
    /// Searches by time that requests wait for.
    pub searches: Searches,
    /// Logs that changed in this turn and are to be settled.
    pub touched: BTreeSet<LogId>,
    /// Topic ids, session ids: nothing secret.
    pub rng: Rng,
    /// The id the next log gets.
    pub next_log: LogId,
    /// What is done by the clock.
    pub housekeeping: Housekeeping,
    /// Rounds of compaction.
    pub compactions: Compactions,
    /// Replicas on their way to other directories.
    pub moves: Moves,
    /// The room on the disk of each data directory, as far as the driver told.
    pub spaces: BTreeMap<DirectoryIndex, DiskSpace>,
    /// Clients that did too much.
    pub throttle: Throttle,
}

impl Broker {
    /// Whether a replica here may be out of reach, because its data directory is.
    #[must_use]
    pub fn has_lost_replicas(&self) -> bool {
        let mut directories = (0u8..)
            .take(self.identity.directories.len())
            .map(DirectoryIndex);
        !self.absent.is_empty() || directories.any(|at| self.housekeeping.is_lost(at))
    }

    /// What is told of a partition of a topic that is not hosted here.
    #[must_use]
    pub fn missing(&self, topic: TopicId, index: PartitionIndex) -> ErrorCode {
        if self.absent.contains(&(topic, index)) {
            ErrorCode::KafkaStorageError
        } else {
            ErrorCode::UnknownTopicOrPartition
        }
    }

    /// Asks the disk for what a read lacks.
    pub fn begin_lookup(
        &mut self,
        log: LogId,
        lookup: Box<Lookup>,
        waiter: LookupFor,
        out: &mut Outbox,
    ) {
        out.disk.push(lookup.op().clone());
        let key = (log, lookup.token());
        let former = self.lookups.insert(key, PendingLookup { lookup, waiter });
        assert!(former.is_none(), "a log never uses a token twice");
    }

    /// Asks the disk for what a search by time lacks.
    pub fn begin_search(
        &mut self,
        log: LogId,
        search: Box<TimestampSearch>,
        waiter: (WaitId, (u32, u32)),
        out: &mut Outbox,
    ) {
        out.disk.push(search.op().clone());
        let key = (log, search.token());
        let former = self.searches.insert(key, PendingSearch { search, waiter });
        assert!(former.is_none(), "a log never uses a token twice");
    }

    /// Writes metadata records; `reply` answers the request once they are committed and applied
    /// here, `timed_out` if that has not happened by `deadline`.
    ///
    /// # Errors
    /// The error to answer instead: this node may not write metadata now.
    pub fn propose(
        &mut self,
        now: Now,
        records: Vec<MetadataRecord>,
        reply_to: ReplyTo,
        (reply, timed_out): (Reply, Reply),
        (deadline, out): (Instant, &mut Outbox),
    ) -> Result<(), ErrorCode> {
        let end_offset = self.propose_unanswered(now, records, out)?;
        self.await_metadata(end_offset, reply_to, (reply, timed_out), deadline);
        Ok(())
    }

    /// Answers a request once the metadata below `end_offset` is committed and applied here.
    pub fn await_metadata(
        &mut self,
        end_offset: Offset,
        reply_to: ReplyTo,
        (reply, timed_out): (Reply, Reply),
        deadline: Instant,
    ) {
        let wait = Wait::Admin(AdminWait {
            end_offset,
            reply,
            timed_out,
        });
        let id = self.waiting.park(reply_to, Some(deadline), wait);
        self.quorum.await_commit(end_offset, id);
    }

    /// Writes metadata records nobody waits for, as one batch; answers the end offset of the write.
    ///
    /// # Errors
    /// As [`Self::propose`].
    pub fn propose_unanswered(
        &mut self,
        now: Now,
        records: Vec<MetadataRecord>,
        out: &mut Outbox,
    ) -> Result<Offset, ErrorCode> {
        if self.quorum.log().state() != LogState::Usable {
            // Before the image is changed: it holds nothing that is not in the log.
            return Err(ErrorCode::KafkaStorageError);
        }
        let proposal = Quorum::prepare(now, records)?;
        let mut delta = Delta::default();
        let image = Arc::make_mut(&mut self.controller_image);
        let records = proposal.records().iter();
        for record in records.filter(|record| !is_transaction_mark(record)) {
            image
                .apply(record, &mut delta)
                .expect("the controller decided upon this very image");
        }
        self.quorum
            .propose(now, proposal, &mut self.memory, &mut out.disk)
    }

    /// Whether a producer id's block is reserved durably.
    #[must_use]
    pub fn is_reserved(&self, id: ProducerId) -> bool {
        id < self.image.next_producer_id()
    }

    /// An unused log id.
    pub fn take_log_id(&mut self) -> LogId {
        let id = self.next_log;
        self.next_log = LogId(id.0 + 1);
        id
    }

    /// A topic's configuration as its partitions act upon it. What coordinators write is always
    /// synced before it counts, whatever the policy for records is.
    #[must_use]
    pub fn topic_config(&self, topic: &TopicName) -> TopicConfig {
        let overrides = self.image.configs(&ConfigResource::topic(topic));
        if overrides.is_empty() && !is_internal(topic) {
            return self.topic_defaults.clone();
        }
        let mut config = LogConfig::shared(&self.settings, &overrides);
        if is_internal(topic) && config.flush_policy != FlushPolicy::Ack {
            Arc::make_mut(&mut config).flush_policy = FlushPolicy::Ack;
        }
        TopicConfig::of(config)
    }

    /// The id of the topic of this name.
    #[must_use]
    pub fn topic_id(&self, name: &str) -> Option<TopicId> {
        self.image.topic(name).map(|topic| topic.id)
    }

    /// Hands what this turn changed to the disk, moves watermarks, and wakes who waited.
    pub fn settle(&mut self, now: Now, out: &mut Outbox) {
        self.quorum.settle(now, &mut out.disk);
        self.apply_committed(now, out);
        let config = &self.config.metadata_log;
        self.quorum
            .maybe_snapshot(now, config, &self.replay, &mut out.disk);
        self.settle_touched(now, out);
        while let Some((log, ticket)) = self.memory.tail.next_victim() {
            if log == self.quorum.log_id() {
                self.quorum.log_mut().evict(ticket, &mut self.memory.tail);
            } else if let Some(partition) = self.partitions.get_mut(log) {
                let budget = &mut self.memory.tail;
                match self.moves.is_moving(log) {
                    true => partition.log_mut().evict_written(ticket, budget),
                    false => partition.log_mut().evict(ticket, budget),
                }
            } else {
                self.moves.evict(log, ticket, &mut self.memory);
            }
        }
        self.settle_moves(now, out);
        // Moves that ended hold nobody back any more.
        self.settle_touched(now, out);
        self.settle_compactions(now, out);
    }

    /// Hands what changed in logs to the disk, moves watermarks, and wakes who waited.
    fn settle_touched(&mut self, now: Now, out: &mut Outbox) {
        let mut fetches = BTreeSet::new();
        while let Some(log) = self.touched.pop_first() {
            let mut wakeups = Wakeups::default();
            if let Some(partition) = self.partitions.get_mut(log) {
                partition.log_mut().settle(now, &mut out.disk);
                partition.advance(&mut wakeups);
                let high_watermark = partition.high_watermark();
                let deadline = partition.log().next_deadline();
                self.housekeeping
                    .note_log(log, deadline.map(|(due, _)| due));
                self.on_group_log_committed(now, (log, high_watermark), out);
            }
            // A fetch is looked at once, however many of its partitions moved.
            fetches.extend(wakeups.fetches.drain(..));
            self.wake(now, wakeups, out);
        }
        for id in fetches {
            crate::api::fetch::on_news(self, now, id, out);
        }
    }

    /// Says, once, that a read met damage where no start had found any: it looks only at what may
    /// have been written last.
    pub fn tell_damage(&mut self, log: LogId, offset: Offset, out: &mut Outbox) {
        let Some(partition) = self.partitions.get_mut(log) else {
            return;
        };
        if partition.note_damage(offset) {
            let name = partition.topic_partition().to_string();
            let text = format!(
                "a read from offset {offset} met damage on disk although it was durable; it is \
                 answered with CORRUPT_MESSAGE, the rest is served. Restore the segment from a \
                 replica or a backup, or skip it"
            );
            out.events.push(event(Severity::Error, &name, text));
        }
    }

    /// Tells the requests that waited for a partition.
    pub fn wake(&mut self, now: Now, wakeups: Wakeups, out: &mut Outbox) {
        for part in wakeups.acknowledged {
            crate::api::produce::on_acknowledged(self, part, out);
        }
        for part in wakeups.failed {
            crate::api::produce::on_failed(self, part, out);
        }
        for id in wakeups.fetches {
            crate::api::fetch::on_news(self, now, id, out);
        }
    }
}

/// Whether a record only marks where a transaction of records begins or ends (KIP-868).
pub(super) fn is_transaction_mark(record: &MetadataRecord) -> bool {
    matches!(
        record,
        MetadataRecord::BeginTransaction(_)
            | MetadataRecord::EndTransaction(_)
            | MetadataRecord::AbortTransaction(_)
    )
}

/// An event of the node itself.
#[must_use]
pub fn event(severity: Severity, subject: &str, message: String) -> Event {
    Event {
        severity,
        room: "node",
        subject: subject.to_owned(),
        message,
    }
}
