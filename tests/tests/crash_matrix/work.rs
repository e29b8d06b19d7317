//! What the process does while it lives: one step of a script each.

use bytes::Bytes;
use ottla_core::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};
use ottla_core::log::compaction::{Compaction, CompactionEnd, CompactionOptions};
use ottla_core::log::{LeaderBatch, checkpoint};
use ottla_core::rng::Rng;
use ottla_core::sim::checkers::durability::records_hash;
use ottla_core::storage::{DirectoryFile, DiskOp, Token};
use ottla_core::wire::batch::{Compression, PreparedBatch};
use ottla_core::wire::builder::BatchBuilder;

use crate::machine::{DIRECTORY, Machine, partition};
use crate::scripts::Step;

impl Machine {
    /// Begins a round of compaction, if there is something to clean and none is under way.
    pub(crate) fn compact(&mut self, rng: &mut Rng) {
        let now = self.now();
        let Some(log) = self.log.as_mut().filter(|_| self.round.is_none()) else {
            return;
        };
        let Some(found) = log.dirtiness(now, log.flushed()) else {
            return;
        };
        let options = CompactionOptions {
            key_map_bytes: rng.between(4, 40) * 24,
            load_millionths: 900_000,
            salt: 0,
        };
        self.round = Some(Compaction::begin(now, log, &found, options));
        self.go_on_with_round();
        self.submit();
    }

    /// The end of a turn.
    pub(crate) fn go_on_with_round(&mut self) {
        let (Some(round), Some(log)) = (&mut self.round, &mut self.log) else {
            return;
        };
        round.swap(log, &mut self.memory, &mut self.ops);
        self.ops.extend(round.take_op());
        let Some(end) = round.end() else {
            return;
        };
        let is_fine = !matches!(end, CompactionEnd::Uncleanable(_));
        // A map of four keys has no room for some batches.
        let is_small = format!("{end:?}").contains("do not fit");
        assert!(is_fine || is_small, "{end:?}");
        self.rounds += 1;
        self.round = None;
        let point = log.clean_point();
        self.submit();
        self.save_offset(DirectoryFile::CleanerOffsets, point);
    }

    pub(crate) fn append(&mut self, rng: &mut Rng) {
        let now = self.now();
        let mut builder = BatchBuilder::new(Compression::None);
        let is_idempotent = rng.chance(1, 2);
        if is_idempotent {
            let sequence = Sequence(self.sequence);
            builder = builder.producer(ProducerId(9), self.producer_epoch(), sequence);
        }
        let mut value = vec![0; usize::try_from(rng.between(1, 250)).expect("small")];
        rng.fill(&mut value);
        for _ in 0..rng.between(1, 5) {
            if self.settings.compact {
                let key = [u8::try_from(rng.below(6)).expect("small")];
                let value = rng.chance(3, 4).then_some(&value[..]);
                builder.push(now.wall, Some(&key), value);
            } else {
                builder.push(now.wall, None, Some(&value));
            }
        }
        let records = builder.records_count();
        let bytes = builder.build();
        let hash = records_hash(&bytes);
        let prepared = PreparedBatch::from_client(bytes, 9).expect("a good batch");
        let batch = LeaderBatch::new(&prepared);
        if batch.info().size_bytes > self.settings.segment_bytes {
            return;
        }
        if is_idempotent {
            self.sequence += records;
        }
        let epoch = LeaderEpoch(self.epoch);
        let memory = &mut self.memory;
        let log = self.log.as_mut().expect("a log is open");
        let appended = log
            .append_as_leader(now, &batch, epoch, memory, &mut self.ops)
            .expect("a good append");
        log.settle(now, &mut self.ops);
        let fact = (appended.base_offset, appended.end_offset, hash);
        self.written.push_back(fact);
        self.flushed.push_back(fact);
        self.submit();
    }

    /// A producer begins anew in each reign, because it cannot know what a crash left.
    pub(crate) fn producer_epoch(&self) -> ProducerEpoch {
        ProducerEpoch(i16::try_from(self.epoch).expect("few reigns"))
    }

    pub(crate) fn save(&mut self, file: DirectoryFile, bytes: Bytes) {
        self.next_token += 1;
        self.ops.push(DiskOp::SaveDirectoryFile {
            directory: DIRECTORY,
            file,
            bytes,
            token: Token(self.next_token),
        });
        self.submit();
    }

    pub(crate) fn save_offset(&mut self, file: DirectoryFile, offset: Offset) {
        let name = partition(self.folder);
        let text = checkpoint::offsets_to_text([(&name, offset)].into_iter());
        self.save(file, text.into());
    }

    pub(crate) fn delete_records(&mut self, rng: &mut Rng) {
        let now = self.now();
        let log = self.log.as_mut().expect("a log is open");
        let span = u64::try_from(log.written().0 - log.log_start_offset().0).expect("in order");
        let by = i64::try_from(rng.below(span + 1)).expect("small");
        let start = log.log_start_offset().plus(by);
        let (memory, ops) = (&mut self.memory, &mut self.ops);
        log.advance_log_start(start, memory, ops);
        log.retain(now, log.written(), memory, ops);
        self.submit();
        self.save_offset(DirectoryFile::LogStartOffsets, start);
    }

    pub(crate) fn close(&mut self) {
        let now = self.now();
        if let Some(mut round) = self.round.take() {
            round.abandon("the process stops", &mut self.ops);
        }
        let log = self.log.as_mut().expect("a log is open");
        log.close(now, &mut self.ops);
        self.submit();
    }

    /// What a node does once its logs are closed.
    pub(crate) fn mark_clean(&mut self) {
        let log = self.log.as_ref().expect("a log is open");
        assert!(log.is_closed(), "nothing is under way");
        let point = log.recovery_point();
        self.save_offset(DirectoryFile::RecoveryPoints, point);
        self.save(DirectoryFile::CleanShutdown, Bytes::from_static(b"{}"));
    }

    pub(crate) fn run(&mut self, step: Step, rng: &mut Rng) {
        match step {
            Step::Append => self.append(rng),
            Step::Checkpoint => {
                let point = self.log.as_ref().expect("a log is open").recovery_point();
                self.save_offset(DirectoryFile::RecoveryPoints, point);
            }
            Step::Close => {
                self.close();
                self.drain();
                self.mark_clean();
            }
            Step::Compact => self.compact(rng),
            Step::DeleteRecords => self.delete_records(rng),
            Step::Drain => self.drain(),
            Step::Elect => {
                self.epoch += 1;
                self.sequence = 0;
            }
        }
    }
}
