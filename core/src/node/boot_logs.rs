//! The last stage of a boot: the logs of this node's partitions, opened so many at a time.
//!
//! Which folder is whose log was decided by `boot_directories`; here each becomes a partition that
//! is led, and where a partition has no folder, its log is made.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::boot::{Boot, Stage};
use super::boot_directories::remove_folder;
use super::broker::{Broker, event};
use super::door::Outbox;
use crate::event::Severity;
use crate::ids::{DirectoryId, DirectoryIndex, LogId};
use crate::limits::LOGS_OPENING_MAX;
use crate::log::{LogFound, Opening};
use crate::partition::{Partition, PartitionIdentity};
use crate::storage::{DiskDone, FolderListing};
use crate::time::Now;

/// Logs on their way to being partitions.
#[derive(Clone, Debug, Default)]
pub(super) struct Logs {
    queue: VecDeque<(PartitionIdentity, LogFound, FolderListing)>,
    opening: BTreeMap<LogId, (PartitionIdentity, Opening)>,
    /// Logs whose folders are to get the names of their partitions.
    arriving: BTreeSet<LogId>,
}

impl Boot {
    /// Finds the logs of all partitions here, and begins to open them.
    pub(super) fn begin_open_logs(&mut self, now: Now, mut broker: Broker, out: &mut Outbox) {
        let hosted = broker.hosted_partitions();
        broker.is_hosting = true;
        broker.learn_demands();
        let mut logs = Logs::default();
        let mut missing = Vec::new();
        let mut absent = Vec::new();
        for (topic, topic_id, index) in hosted {
            let name = format!("{topic}-{index}");
            let log = broker.take_log_id();
            let mut identity = PartitionIdentity {
                log,
                topic,
                topic_id,
                index,
                directory: DirectoryIndex(0),
            };
            match self.find_log(&mut broker, &identity, out) {
                Some((directory, listing)) => {
                    identity.directory = directory;
                    let found = LogFound {
                        id: log,
                        directory,
                        settings: broker.topic_config(&identity.topic).log,
                        recovery_point: self.directories.recovery_point(directory, &name),
                        log_start_offset: self.directories.log_start_offset(directory, &name),
                        cleaned_to: self.directories.cleaned_to(directory, &name),
                        is_clean: self.directories.is_clean(directory),
                    };
                    if listing.name != name && self.directories.folder(directory, &name).is_none() {
                        logs.arriving.insert(log);
                    }
                    logs.queue.push_back((identity, found, listing));
                }
                None if broker.is_in_absent_directory(&identity) => {
                    broker.absent.insert((topic_id, index));
                    absent.push(name);
                }
                None => missing.push(identity),
            }
        }
        tell_absent(&absent, out);
        let found = logs.queue.iter().map(|(found, ..)| found.name()).collect();
        for name in self.directories.names_on_record_beside(&found) {
            broker.housekeeping.records.on_departure(name.clone());
        }
        self.directories.dispose_of_strays(&mut broker, out);
        // Strays are out of the way: a new log may have the name of one.
        for mut identity in missing {
            identity.directory = broker.directory_for_new_log();
            broker.create_partition(now, identity, out);
        }
        logs.open_more(now, &mut broker, out);
        self.stage = Stage::OpenLogs(broker, logs);
    }

    /// The folder that counts as a partition's log (`log::moving` has the table): the one of its
    /// name, or the future one where the metadata says that the replica is there. A move that was
    /// under way otherwise begins anew.
    fn find_log(
        &mut self,
        broker: &mut Broker,
        identity: &PartitionIdentity,
        out: &mut Outbox,
    ) -> Option<(DirectoryIndex, FolderListing)> {
        let name = format!("{}-{}", identity.topic, identity.index);
        let assigned = broker.directory_assigned_to(identity);
        let mut log = self
            .directories
            .take_log(&name, identity.topic_id, assigned);
        for (directory, folder) in self.directories.take_futures(&name, identity.topic_id) {
            let id = self.directories.ids[usize::from(directory.0)];
            match &log {
                Some((current, _listing)) => {
                    if *current != directory {
                        broker.resume_move(identity.log, directory);
                    }
                    remove_folder(broker, directory, &folder.name, out);
                }
                None if assigned == Some(id) => log = Some((directory, folder)),
                None => self.directories.put_back(directory, folder),
            }
        }
        log
    }

    /// Takes an answer of the disk while logs are opened.
    pub(super) fn on_open_logs(
        &mut self,
        now: Now,
        (mut broker, mut logs): (Broker, Logs),
        done: DiskDone,
        out: &mut Outbox,
    ) {
        let job = done.log().and_then(|log| logs.opening.remove(&log));
        match job {
            Some((identity, mut job)) => {
                job.on_done(&done, &mut out.disk);
                logs.keep_or_host(identity, job, &mut broker, out);
            }
            None => broker.on_disk(now, done, out),
        }
        logs.open_more(now, &mut broker, out);
        self.stage = Stage::OpenLogs(broker, logs);
    }
}

impl Broker {
    /// The directory of a replica of this node, as the metadata has it.
    fn directory_assigned_to(&self, identity: &PartitionIdentity) -> Option<DirectoryId> {
        let topic = self.image.topic_by_id(identity.topic_id)?;
        topic.directory_of(identity.index, self.identity.node)
    }

    /// Whether a replica of this node is in a directory that is not there: the metadata names one
    /// that is none of the node's own.
    ///
    /// Its log is not made anew, which would be empty, and in the way when the directory is there
    /// again. Kafka 4.3.1 has no leader for it then.
    fn is_in_absent_directory(&self, identity: &PartitionIdentity) -> bool {
        let assigned = self.directory_assigned_to(identity);
        assigned.is_some_and(|id| !is_reserved(id) && !self.identity.directories.contains(&id))
    }
}

/// Whether an id says something else than a directory: unassigned, lost, migrating
/// (`DirectoryId.reserved` of Kafka 4.3.1).
fn is_reserved(id: DirectoryId) -> bool {
    const RESERVED: u8 = 100;
    let (front, last) = (&id.0[..15], id.0[15]);
    front.iter().all(|&byte| byte == 0) && last < RESERVED
}

/// Says that partitions stay offline, and what can be done about it.
fn tell_absent(names: &[String], out: &mut Outbox) {
    let Some(first) = names.first() else {
        return;
    };
    out.events.push(event(
        Severity::Error,
        first,
        format!(
            "the data directory of {} replicas, this one first, is none of log.dirs now: they are \
             offline; start again with that directory, or delete their topics",
            names.len()
        ),
    ));
}

impl Logs {
    /// Whether every log is open.
    pub(super) fn is_done(&self) -> bool {
        self.queue.is_empty() && self.opening.is_empty()
    }

    /// Opens logs that wait, as long as not too many are being opened.
    fn open_more(&mut self, now: Now, broker: &mut Broker, out: &mut Outbox) {
        while self.opening.len() < LOGS_OPENING_MAX {
            let Some((identity, found, listing)) = self.queue.pop_front() else {
                return;
            };
            let mut job = Opening::begin(now, found, &listing, &mut out.disk);
            if self.arriving.contains(&identity.log) {
                let name = format!("{}-{}", identity.topic, identity.index);
                job.rename(name.into(), &mut out.disk);
            }
            self.keep_or_host(identity, job, broker, out);
        }
    }

    /// Goes on with a job that waits for the disk; where it has ended, hosts the partition.
    fn keep_or_host(
        &mut self,
        identity: PartitionIdentity,
        mut job: Opening,
        broker: &mut Broker,
        out: &mut Outbox,
    ) {
        let Some(opened) = job.take_opened() else {
            self.opening.insert(identity.log, (identity, job));
            return;
        };
        out.events.extend(opened.events);
        let epoch = broker.leader_epoch_of(identity.topic_id, identity.index);
        let config = broker.topic_config(&identity.topic).whole;
        let partition = Partition::lead(identity, config, opened.log, epoch);
        broker.note_directory(partition.identity().log);
        broker.partitions.insert(partition);
    }
}
