//! A copy of a log is the log, whatever happened to that meanwhile.

use std::sync::Arc;

use bytes::Bytes;

use super::disk::MemoryDisk;
use super::rig::{Rig, info, timestamps};
use crate::ids::{DirectoryIndex, LogId, Offset};
use crate::log::moving::{CopyEnd, FutureLog, LogCopy};
use crate::log::{FlushPolicy, Log, LogSettings, ReadRequest};
use crate::rng::Rng;
use crate::storage::DiskOp;

/// A log that is copied, and the disk it is copied to.
struct Moving {
    rig: Rig,
    copy: LogCopy,
    target: MemoryDisk,
    out: Vec<DiskOp>,
}

impl Moving {
    fn new(settings: LogSettings, tail_bytes: u64) -> Self {
        Self {
            rig: Rig::new(settings, tail_bytes),
            copy: LogCopy::new(future(1)),
            target: MemoryDisk::default(),
            out: Vec::new(),
        }
    }

    /// Begins anew, as the node does where the current log ran ahead.
    fn begin_anew(&mut self) {
        self.copy.release(&mut self.rig.memory);
        let id = self.copy.future().id;
        self.copy = LogCopy::new(future(id.0 + 1));
        self.target = MemoryDisk::default();
        self.out.clear();
    }

    /// The copy's part of a turn; reads of the current log are answered at once, or later.
    fn turn(&mut self, bytes_max: u32) {
        let Rig {
            log, memory, now, ..
        } = &mut self.rig;
        self.copy.follow(log, memory, &mut self.out);
        if self.copy.is_idle() && self.copy.is_behind(log) {
            self.copy
                .advance(*now, (log, bytes_max), memory, &mut self.out);
        }
        self.copy.settle(*now, false, &mut self.out);
        while let Some((log, ticket)) = self.rig.memory.tail.next_victim() {
            if log == self.rig.log.id() {
                self.rig.log.evict(ticket, &mut self.rig.memory.tail);
            } else {
                self.copy.evict(ticket, &mut self.rig.memory);
            }
        }
        match self.copy.end() {
            Some(CopyEnd::Outrun) => self.begin_anew(),
            Some(CopyEnd::Failed(why)) => panic!("{why}"),
            None => {}
        }
    }

    /// Lets the target carry out so many operations, and answers a read.
    fn run_target(&mut self, operations: u64) {
        for op in std::mem::take(&mut self.out) {
            let DiskOp::Read { log, token, .. } = op else {
                self.target.queue.push_back(op);
                continue;
            };
            assert_eq!(log, self.rig.log.id(), "only the current log is read");
            assert!(self.copy.awaits(token));
            let bytes = Ok(self.rig.answer(&op));
            let Rig {
                log, memory, now, ..
            } = &mut self.rig;
            self.copy
                .on_read(*now, (log, &bytes), memory, &mut self.out);
        }
        for _ in 0..operations {
            if let Some(done) = self.target.step() {
                self.copy
                    .on_done(&done, &mut self.rig.memory, &mut self.out);
            }
        }
    }

    /// Copies until everything that is written is there.
    fn catch_up(&mut self) {
        while !self.copy.has_caught_up(&self.rig.log) {
            self.turn(700);
            self.run_target(3);
        }
    }

    /// Ends the move: the copy, its disk, and the log it was made of.
    fn switch(mut self, rng: &mut Rng) -> (Rig, Log) {
        self.catch_up();
        self.copy.settle(self.rig.now, true, &mut self.out);
        self.copy.take_over(&self.rig.log, &mut self.out);
        let taken_over = self.rig.log.written();
        self.copy.settle(self.rig.now, true, &mut self.out);
        while !self.copy.is_settled(taken_over) {
            self.run_target(1);
        }
        for number in 0..rng.below(4) {
            let times = timestamps(rng, 5_000);
            let producer = (9, 0, i32::try_from(number).unwrap());
            self.rig.append(&times[..1], Some(producer), 30).unwrap();
        }
        let Rig {
            log, memory, now, ..
        } = &mut self.rig;
        log.settle(*now, &mut Vec::new());
        self.copy.follow(log, memory, &mut self.out);
        let copy = self.copy.switch(*now, log, memory, &mut self.out);
        let copy = copy.expect("what is not written is in memory");
        self.target.queue.extend(self.out);
        let former = self.rig.log.clone();
        let rig = Rig {
            log: copy,
            disk: self.target,
            ..self.rig
        };
        (rig, former)
    }
}

fn future(number: u32) -> FutureLog {
    FutureLog {
        id: LogId(1_000 + number),
        directory: DirectoryIndex(1),
        folder: Arc::from("t-0.0123-future"),
        partition_metadata: Bytes::new(),
    }
}

/// Both know the same, and every batch is read as it was written.
fn check_same(rig: &mut Rig, former: &Log) {
    let log = &rig.log;
    assert_eq!(log.log_start_offset(), former.log_start_offset());
    assert_eq!(log.log_end_offset(), former.log_end_offset());
    assert_eq!(log.epochs().entries(), former.epochs().entries());
    let known = |log: &Log| -> Vec<_> {
        let producers = log.producers().iter();
        producers.map(|(id, of)| (id, of.clone())).collect()
    };
    assert_eq!(known(log), known(former));
    let (start, end) = (log.log_start_offset(), log.log_end_offset());
    let mut next = start;
    let mut found = Vec::new();
    while next < end {
        let request = ReadRequest {
            start_offset: next,
            bound: end,
            max_bytes: 5_000,
            at_least_one: true,
        };
        let (batches, _rest) = rig.read(request).expect("nothing is damaged");
        next = info(batches.last().expect("there is more")).end_offset();
        found.extend(batches);
    }
    let model = rig.model.iter();
    let expected: Vec<_> = model
        .filter(|batch| info(batch).end_offset() > start)
        .cloned()
        .collect();
    assert_eq!(found, expected);
}

fn one_move(seed: u64) {
    let mut rng = Rng::new(seed);
    let settings = LogSettings {
        segment_bytes: 1_500,
        index_interval_bytes: 200,
        flush_policy: match rng.below(2) {
            0 => FlushPolicy::Ack,
            _other => FlushPolicy::Os,
        },
        ..LogSettings::default()
    };
    let mut moving = Moving::new(settings, rng.between(500, 20_000));
    let mut sequences = [0; 3];
    for _ in 0..rng.between(10, 300) {
        match rng.below(10) {
            0..=3 => {
                let times = timestamps(&mut rng, 1_000);
                let at = usize::try_from(rng.below(3)).unwrap();
                let producer = (i64::try_from(at).unwrap(), 0, sequences[at]);
                sequences[at] += i32::try_from(times.len()).unwrap();
                let bytes = usize::try_from(rng.below(200)).unwrap();
                moving.rig.append(&times, Some(producer), bytes).unwrap();
                moving.rig.settle();
            }
            4..=5 => moving.rig.run_disk(rng.below(5)),
            6 if rng.chance(1, 6) => {
                let (log, memory) = (&mut moving.rig.log, &mut moving.rig.memory);
                let to = Offset(i64::try_from(rng.below(1 + log.flushed().0 as u64)).unwrap());
                let mut out = Vec::new();
                log.advance_log_start(to, memory, &mut out);
                log.retain(moving.rig.now, to, memory, &mut out);
                moving.rig.disk.queue.extend(out);
            }
            _most => {
                moving.turn(u32::try_from(rng.between(100, 2_000)).unwrap());
                moving.run_target(rng.below(6));
            }
        }
    }
    moving.rig.run_all();
    moving.turn(700);
    let (mut rig, former) = moving.switch(&mut rng);
    rig.run_all();
    check_same(&mut rig, &former);
    // Nothing is lost with the process or the power, once it is synced.
    assert_eq!(rig.log.flushed(), rig.log.log_end_offset());
    rig.save_checkpoints();
    rig.disk.cut_power(&mut rng);
    rig.restart(false);
    let restarted = rig.log.clone();
    assert_eq!(restarted.log_end_offset(), former.log_end_offset());
    let known = |log: &Log| -> Vec<_> {
        let producers = log.producers().iter();
        producers.map(|(id, of)| (id, of.last_sequence())).collect()
    };
    assert_eq!(known(&restarted), known(&former));
    check_same(&mut rig, &restarted);
}

#[test]
fn a_copy_is_the_log_whatever_happened_to_that_meanwhile() {
    for seed in 0..300 {
        one_move(seed);
    }
}
