//! The files of a data directory that hold an offset of each log: recovery points, high watermarks,
//! log start offsets, clean points.
//!
//! They name logs by topic and partition, so an entry of a deleted log must be off the record
//! before another log of its name is made: after a crash the new one would be taken for the old.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::broker::Broker;
use super::door::Outbox;
use super::wait::{SavedWait, Wait};
use crate::controller::internal_topics::CONSUMER_OFFSETS;
use crate::ids::{DirectoryIndex, Offset, PartitionIndex, TopicPartition};
use crate::log::Log;
use crate::log::checkpoint::offsets_to_text;
use crate::partition::{Partition, PartitionIdentity};
use crate::quorum::METADATA_FOLDER;
use crate::storage::{DirectoryFile, DiskOp, Token};
use crate::time::{Instant, Now};
use crate::waiting::{ReplyTo, WaitId};
use crate::wire::request::Reply;

/// Tokens of the node itself below this number have other meanings.
const FIRST_SAVE: u32 = 16;

/// What is known of the files.
#[derive(Clone, Debug, Default)]
pub(super) struct Checkpoints {
    /// How many saves had a token of their own.
    saves: u32,
    /// Who waits for saves.
    awaited: BTreeMap<Token, WaitId>,
    /// The content each file was last saved with; what has not changed is not written again.
    saved: BTreeMap<(DirectoryIndex, DirectoryFile), Bytes>,
    /// Logs that are gone and may still be on record.
    departed: BTreeSet<TopicPartition>,
    /// Those whose removal from the record is on its way to the disk: with which token, in how
    /// many files.
    departing: Option<(Token, u32, BTreeSet<TopicPartition>)>,
    /// Partitions whose names are still on record for other logs.
    postponed: Vec<PartitionIdentity>,
    /// Directories that are lost: nothing is saved there, nor any more answered.
    lost: BTreeSet<DirectoryIndex>,
}

impl Checkpoints {
    pub(super) fn take_token(&mut self) -> Token {
        self.saves = self.saves.wrapping_add(1) % (u32::MAX - FIRST_SAVE);
        Token::of_node(FIRST_SAVE + self.saves)
    }

    /// A log is gone; it is to be off the record soon.
    pub(super) fn on_departure(&mut self, name: TopicPartition) {
        self.departed.insert(name);
    }

    /// A directory is lost: what was to be saved there is not waited for.
    pub(super) fn on_directory_lost(&mut self, directory: DirectoryIndex) {
        self.lost.insert(directory);
        if let Some((_token, _saves, mut names)) = self.departing.take() {
            self.departed.append(&mut names);
        }
        // What went to the other directories with the same token is saved again.
        self.saved.clear();
    }

    /// Whether nothing can be written to a directory any more.
    pub(super) fn is_lost(&self, directory: DirectoryIndex) -> bool {
        self.lost.contains(&directory)
    }

    /// Whether a log that is gone is still to be taken off the record.
    pub(super) fn has_departures(&self) -> bool {
        !self.departed.is_empty()
    }

    /// Whether a log that is gone may still be on record under this name.
    fn is_on_record(&self, name: &TopicPartition) -> bool {
        let departing = self.departing.as_ref();
        self.departed.contains(name) || departing.is_some_and(|(.., names)| names.contains(name))
    }
}

impl Broker {
    /// Whether a new partition must wait because its name is still on record for another log; then
    /// it is kept, and made when it is not.
    pub(super) fn is_postponed(&mut self, identity: &PartitionIdentity) -> bool {
        let name = identity.name();
        let records = &mut self.housekeeping.records;
        let is_on_record = records.is_on_record(&name);
        if is_on_record {
            records.postponed.push(identity.clone());
        }
        is_on_record
    }

    /// Saves the checkpoints, and notes which logs are off the record then.
    pub(super) fn save_checkpoints_by_the_clock(&mut self, now: Now, out: &mut Outbox) {
        let token = self.housekeeping.records.take_token();
        let saves = self.save_checkpoints(token, out);
        let records = &mut self.housekeeping.records;
        if records.departed.is_empty() || records.departing.is_some() {
            return;
        }
        let names = std::mem::take(&mut records.departed);
        if saves > 0 {
            records.departing = Some((token, saves, names));
        } else {
            self.make_postponed(now, out);
        }
    }

    /// Saves recovery points, high watermarks, log start offsets and clean points, where they
    /// changed; answers how many files that are, each with `token`.
    pub(super) fn save_checkpoints(&mut self, token: Token, out: &mut Outbox) -> u32 {
        let mut saves = 0;
        for at in 0..self.identity.directories.len() {
            let directory = DirectoryIndex(u8::try_from(at).expect("log.dirs is bounded"));
            if self.housekeeping.records.is_lost(directory) {
                continue;
            }
            saves += self.save_changed_checkpoints(directory, token, out);
        }
        saves
    }

    /// Saves the checkpoints of a directory, changed or not; answers how many files that are.
    pub(super) fn save_checkpoints_of(
        &mut self,
        directory: DirectoryIndex,
        token: Token,
        out: &mut Outbox,
    ) -> u32 {
        let saved = &mut self.housekeeping.records.saved;
        saved.retain(|(of, _file), _bytes| *of != directory);
        self.save_changed_checkpoints(directory, token, out)
    }

    fn save_changed_checkpoints(
        &mut self,
        directory: DirectoryIndex,
        token: Token,
        out: &mut Outbox,
    ) -> u32 {
        let mut saves = 0;
        for (file, text) in self.checkpoints_of(directory) {
            let bytes = Bytes::from(text);
            let key = (directory, file);
            let saved = &mut self.housekeeping.records.saved;
            if saved.get(&key) == Some(&bytes) {
                continue;
            }
            saved.insert(key, bytes.clone());
            saves += 1;
            out.disk.push(DiskOp::SaveDirectoryFile {
                directory,
                file,
                bytes,
                token,
            });
        }
        saves
    }

    /// Saves the checkpoints; `reply` answers a request once they are on record, `timed_out` if
    /// they are not by `deadline`: a directory that is lost meanwhile says nothing more.
    pub fn save_checkpoints_then(
        &mut self,
        to: ReplyTo,
        (reply, timed_out): (Reply, Reply),
        deadline: Instant,
        out: &mut Outbox,
    ) {
        let token = self.housekeeping.records.take_token();
        let left = self.save_checkpoints(token, out);
        if left == 0 {
            out.reply(to, reply);
            return;
        }
        let wait = Wait::Saved(SavedWait {
            left,
            reply,
            timed_out,
        });
        let id = self.waiting.park(to, Some(deadline), wait);
        self.housekeeping.records.awaited.insert(token, id);
    }

    /// A request that waited for saves was answered, or its client is gone.
    pub(super) fn forget_awaited(&mut self, id: WaitId) {
        let awaited = &mut self.housekeeping.records.awaited;
        awaited.retain(|_token, waiting| *waiting != id);
    }

    /// A checkpoint is on record; or it is not, and the next one tries again.
    pub(super) fn on_checkpoint(
        &mut self,
        now: Now,
        (token, is_saved): (Token, bool),
        out: &mut Outbox,
    ) {
        if !is_saved {
            self.housekeeping.records.saved.clear();
        }
        self.on_departure_saved(now, (token, is_saved), out);
        let Some(&id) = self.housekeeping.records.awaited.get(&token) else {
            return;
        };
        if let Some(Wait::Saved(wait)) = self.waiting.get_mut(id)
            && is_saved
        {
            wait.left -= 1;
            if wait.left > 0 {
                return;
            }
        }
        self.housekeeping.records.awaited.remove(&token);
        if let Some((reply_to, Wait::Saved(wait))) = self.waiting.take(id) {
            let reply = if is_saved { wait.reply } else { wait.timed_out };
            out.reply(reply_to, reply);
        }
    }

    fn on_departure_saved(&mut self, now: Now, (token, is_saved): (Token, bool), out: &mut Outbox) {
        let records = &mut self.housekeeping.records;
        let Some((awaited, left, mut names)) = records.departing.take() else {
            return;
        };
        if awaited != token {
            records.departing = Some((awaited, left, names));
        } else if !is_saved {
            records.departed.append(&mut names);
        } else if left > 1 {
            records.departing = Some((awaited, left - 1, names));
        } else {
            self.make_postponed(now, out);
            if !self.housekeeping.records.departed.is_empty() {
                self.housekeeping.save_checkpoints_soon(now);
            }
        }
    }

    fn make_postponed(&mut self, now: Now, out: &mut Outbox) {
        for identity in std::mem::take(&mut self.housekeeping.records.postponed) {
            // It may have been deleted meanwhile.
            let (topic, index) = (identity.topic_id, identity.index);
            let Some(image) = self.image.topic_by_id(topic) else {
                continue;
            };
            let is_of_groups = *image.name == *CONSUMER_OFFSETS;
            self.create_partition(now, identity, out);
            if is_of_groups {
                self.maybe_host_groups(now, topic, index, out);
            }
        }
    }

    fn checkpoints_of(&self, directory: DirectoryIndex) -> [(DirectoryFile, String); 4] {
        let mut record = Record::default();
        for partition in self.partitions.iter() {
            if partition.identity().directory == directory {
                let start = partition.log().log_start_offset();
                record.add(partition, partition.log(), start);
            }
        }
        // A log that moves is on record in both directories from when the copy may come to count,
        // to when the former one cannot any more; with the start that was told to clients.
        let moving = self.moves.recorded(directory);
        for (current, log) in moving.chain(self.moves.leaving(directory)) {
            if let Some(partition) = self.partitions.get(current) {
                let start = partition.log().log_start_offset();
                record.add(partition, log, start.min(log.log_end_offset()));
            }
        }
        if directory == DirectoryIndex(0) {
            let (topic, _index) = METADATA_FOLDER
                .rsplit_once('-')
                .expect("it is a log's folder");
            let name = TopicPartition {
                topic: topic.into(),
                partition: PartitionIndex(0),
            };
            let metadata = self.quorum.log().recovery_point();
            record.recovery_points.push((name, metadata));
        }
        record.to_texts()
    }
}

/// What the files of a directory are to say.
#[derive(Debug, Default)]
struct Record {
    recovery_points: Vec<(TopicPartition, Offset)>,
    high_watermarks: Vec<(TopicPartition, Offset)>,
    log_start_offsets: Vec<(TopicPartition, Offset)>,
    cleaner_offsets: Vec<(TopicPartition, Offset)>,
}

impl Record {
    /// Adds a log of a partition that begins at `start`.
    fn add(&mut self, partition: &Partition, log: &Log, start: Offset) {
        let name = partition.topic_partition();
        self.recovery_points
            .push((name.clone(), log.recovery_point()));
        let high_watermark = partition.high_watermark().min(log.log_end_offset());
        self.high_watermarks.push((name.clone(), high_watermark));
        if log.clean_point() > start {
            self.cleaner_offsets.push((name.clone(), log.clean_point()));
        }
        // Kafka takes it off the record where a segment begins just there. Then a power cut may
        // bring back the segments that were removed before it, and deleted records with them.
        if start > Offset::ZERO {
            self.log_start_offsets.push((name, start));
        }
    }

    fn to_texts(&self) -> [(DirectoryFile, String); 4] {
        let text = |entries: &[(TopicPartition, Offset)]| {
            offsets_to_text(entries.iter().map(|(name, offset)| (name, *offset)))
        };
        [
            (DirectoryFile::RecoveryPoints, text(&self.recovery_points)),
            (DirectoryFile::HighWatermarks, text(&self.high_watermarks)),
            (
                DirectoryFile::LogStartOffsets,
                text(&self.log_start_offsets),
            ),
            (DirectoryFile::CleanerOffsets, text(&self.cleaner_offsets)),
        ]
    }
}
