//! The batches that a producer makes: each record is unique and says whose it is.

use bytes::Bytes;

use super::super::{Stage, is_compacted};
use super::{Producer, WALL_BEGINS_MS};
use crate::ids::Sequence;
use crate::sim::checkers::log_image::BOUNDED;
use crate::time::Timestamp;
use crate::wire::batch::Compression;
use crate::wire::builder::BatchBuilder;

impl Producer {
    pub(super) fn build(
        &mut self,
        stage: &mut Stage<'_>,
        sequence: i32,
        topic: &str,
    ) -> (Bytes, i32) {
        let is_compacted = is_compacted(topic);
        // No LZ4: its encoder hashes eight bytes on a 64-bit machine and four on a 32-bit one, so
        // the same batch would have other bytes in WebAssembly.
        let codec = match stage.rng.below(12) {
            0 => Compression::Gzip,
            1 => Compression::Snappy,
            2 => Compression::Zstd,
            _most => Compression::None,
        };
        let mut builder = BatchBuilder::new(codec);
        if let Some((id, epoch)) = self.identity {
            builder = builder.producer(id, epoch, Sequence(sequence));
        }
        let passed_ms = i64::try_from(stage.now.0 / 1_000_000).expect("a world is short");
        // Some batches have records whose times are about as far off as they may be.
        let is_odd = topic.contains(BOUNDED) && stage.rng.chance(1, 12);
        for _ in 0..stage.rng.between(1, self.options.batch_records_max + 1) {
            let early_ms = i64::try_from(stage.rng.below(20)).expect("small");
            let off_ms = if is_odd { self.odd_ms(stage) } else { 0 };
            let timestamp = Timestamp(WALL_BEGINS_MS + passed_ms - early_ms + off_ms);
            let key = format!("{}-{}", self.options.name, self.counter);
            self.counter += 1;
            let mut value = key.clone().into_bytes();
            let length = stage.rng.below(self.options.value_bytes_max + 1);
            let filler = stage.rng.next_u64().to_le_bytes();
            value.extend(filler.iter().cycle().take(length as usize));
            if is_compacted {
                let key = format!("key {}", stage.rng.below(self.options.compacted_keys));
                let value = stage.rng.chance(4, 5).then_some(&value[..]);
                builder.push(timestamp, Some(key.as_bytes()), value);
                continue;
            }
            let key = stage.rng.chance(3, 4).then_some(key.as_bytes());
            builder.push(timestamp, key, Some(&value));
        }
        let records = builder.records_count();
        (builder.build(), records)
    }

    /// How far off a record of an odd batch is: not at all, or about as far as it may be.
    fn odd_ms(&self, stage: &mut Stage<'_>) -> i64 {
        let (before_ms, after_ms) = self.options.timestamp_bounds_ms;
        let bound = |bound_ms| i64::try_from(bound_ms).expect("some minutes");
        let around_ms = i64::try_from(stage.rng.below(400)).expect("small") - 200;
        match stage.rng.below(8) {
            0 => around_ms + bound(after_ms),
            1 => around_ms - bound(before_ms),
            _most => 0,
        }
    }
}
