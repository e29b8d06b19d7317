//! How fast one core compacts: a log in memory, one round over it, no disk.
//!
//! `cargo run --release -p ottla-tests --bin compaction-bench [MIB [VALUE_BYTES [KEYS]]]`. The time
//! is of the round alone: reading its input twice, checksums, keys, and building what stays.

#![allow(clippy::print_stdout, reason = "a command's answer")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use bytes::{Bytes, BytesMut};
use ottla_core::ids::{DirectoryIndex, LeaderEpoch, LogId, Offset};
use ottla_core::log::compaction::{Compaction, CompactionEnd, CompactionOptions};
use ottla_core::log::{LeaderBatch, Log, LogCreation, LogMemory, LogSettings};
use ottla_core::rng::Rng;
use ottla_core::storage::{DiskDone, DiskOp, LogFile};
use ottla_core::time::{Instant, Now, Timestamp};
use ottla_core::wire::batch::{Compression, PreparedBatch};
use ottla_core::wire::builder::BatchBuilder;

/// Bytes of a batch, about: what clients send by default.
const BATCH_BYTES: usize = 16 * 1024;

/// `log.cleaner.dedupe.buffer.size` by default.
const KEY_MAP_BYTES: u64 = 128 * 1024 * 1024;

/// A log and its segments.
struct Bench {
    log: Log,
    memory: LogMemory,
    growing: BTreeMap<Offset, BytesMut>,
    files: BTreeMap<Offset, Bytes>,
    written_bytes: u64,
}

fn now() -> Now {
    Now {
        instant: Instant(1),
        wall: Timestamp(1_000_000),
    }
}

impl Bench {
    fn new() -> Self {
        let creation = LogCreation {
            id: LogId(0),
            directory: DirectoryIndex(0),
            folder: "t-0".into(),
            partition_metadata: Bytes::new(),
            settings: Arc::new(LogSettings {
                compact: true,
                segment_bytes: 64 * 1024 * 1024,
                ..LogSettings::default()
            }),
            start_offset: Offset::ZERO,
        };
        let mut ops = Vec::new();
        let mut bench = Self {
            log: Log::create(now(), creation, &mut ops),
            memory: LogMemory::new(0),
            growing: BTreeMap::new(),
            files: BTreeMap::new(),
            written_bytes: 0,
        };
        bench.store(ops);
        bench
    }

    fn append(&mut self, batch: Bytes) {
        let prepared = PreparedBatch::from_client(batch, 9).expect("a good batch");
        let batch = LeaderBatch::new(&prepared);
        let mut ops = Vec::new();
        let memory = &mut self.memory;
        self.log
            .append_as_leader(now(), &batch, LeaderEpoch(0), memory, &mut ops)
            .expect("there is room");
        self.log.settle(now(), &mut ops);
        self.store(ops);
        while let Some((_log, ticket)) = self.memory.tail.next_victim() {
            self.log.evict(ticket, &mut self.memory.tail);
        }
    }

    fn store(&mut self, ops: Vec<DiskOp>) {
        for op in ops {
            if let DiskOp::Append {
                generation,
                segment,
                end_offset,
                batches,
                ..
            } = op
            {
                let file = self.growing.entry(segment).or_default();
                for batch in &batches {
                    file.extend_from_slice(&batch.stamp);
                    file.extend_from_slice(&batch.body);
                }
                self.log
                    .on_appended(generation, end_offset, &mut self.memory);
            } else if let DiskOp::Sync {
                generation,
                end_offset,
                ..
            } = op
            {
                self.log.on_synced(generation, end_offset, &mut self.memory);
            }
        }
    }

    fn answer(&mut self, op: DiskOp) -> DiskDone {
        if let DiskOp::Read {
            log,
            file,
            position,
            length,
            token,
        } = op
        {
            let bytes = if let LogFile::Log(base) = file {
                let start = position as usize;
                self.files[&base].slice(start..start + length as usize)
            } else {
                // No index is on this disk.
                Bytes::new()
            };
            return DiskDone::Read {
                log,
                token,
                result: Ok(bytes),
            };
        }
        if let DiskOp::Work { work, token, .. } = op {
            let result = work.run();
            return DiskDone::Worked { token, result };
        }
        if let DiskOp::WriteCleaned { bytes, .. } = &op {
            self.written_bytes += bytes.len() as u64;
        }
        let (DiskOp::WriteCleaned { token, .. }
        | DiskOp::SyncCleaned { token, .. }
        | DiskOp::ReplaceSegments { token, .. }) = op
        else {
            panic!("{op:?} is not of a round")
        };
        DiskDone::Saved { token }
    }

    /// One round; answers the bytes of its input.
    fn compact(&mut self) -> u64 {
        let stable = self.log.flushed();
        let found = self.log.dirtiness(now(), stable).expect("it is dirty");
        let options = CompactionOptions {
            key_map_bytes: KEY_MAP_BYTES,
            load_millionths: 900_000,
            salt: 1,
        };
        let mut round = Compaction::begin(now(), &mut self.log, &found, options);
        let mut largest_map = 0;
        while round.end().is_none() {
            let mut out: Vec<DiskOp> = round.take_op().into_iter().collect();
            round.swap(&mut self.log, &mut self.memory, &mut out);
            largest_map = largest_map.max(round.key_map_bytes());
            for op in out {
                if matches!(op, DiskOp::RemoveFile { .. }) {
                    continue;
                }
                let done = self.answer(op);
                let mut more = Vec::new();
                round.on_done(&mut self.log, done, &mut more);
                assert!(more.is_empty(), "nothing is given up");
            }
        }
        println!("key map: {} MiB", largest_map >> 20);
        match round.end() {
            Some(CompactionEnd::Done(done)) => {
                println!("{} bytes became {}", done.before_bytes, done.after_bytes);
                done.before_bytes
            }
            end => panic!("{end:?}"),
        }
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u64| {
        let argument = arguments.next();
        argument.map_or(default, |text| text.parse().expect("a number"))
    };
    let (mib, value_bytes, keys) = (number(512), number(200), number(200_000));
    let mut rng = Rng::new(1);
    let mut bench = Bench::new();
    let mut appended = 0;
    while appended < mib << 20 {
        let mut builder = BatchBuilder::new(Compression::None);
        while builder.size_bytes() < BATCH_BYTES {
            let key = format!("account-{:012}", rng.below(keys));
            let mut value = vec![0; usize::try_from(value_bytes).expect("small")];
            rng.fill(&mut value);
            builder.push(Timestamp(1_000), Some(key.as_bytes()), Some(&value));
        }
        let batch = builder.build();
        appended += batch.len() as u64;
        bench.append(batch);
    }
    let growing = std::mem::take(&mut bench.growing);
    bench.files = growing
        .into_iter()
        .map(|(base, bytes)| (base, bytes.freeze()))
        .collect();
    let (began, before) = (Clock::now(), processor_time());
    let bytes = bench.compact();
    let (elapsed, after) = (began.elapsed(), processor_time());
    println!("{bytes} bytes of records of {value_bytes} bytes:");
    tell("on the clock", bytes, elapsed);
    if let (Some(before), Some(after)) = (before, after) {
        tell("of processor", bytes, after.saturating_sub(before));
    }
}

fn tell(what: &str, bytes: u64, took: Duration) {
    let rate = u128::from(bytes) / took.as_micros().max(1);
    println!("{} ms {what}: {rate} MB/s", took.as_millis());
}

/// What this thread has had of a processor, where the system tells: others may want it too.
fn processor_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}
