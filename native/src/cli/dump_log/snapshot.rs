//! Shows `.snapshot` files (the state of producers) and `.txnindex` files (aborted transactions).

use ottla_core::wire::batch::crc32c;
use serde_json::{Value, json};

use super::{json, read_small};
use crate::cli::console::Console;
use crate::cli::failure::Failure;

/// Version of producer snapshots (Kafka has written no other since 0.11).
const SNAPSHOT_VERSION: i16 = 1;

/// Version, CRC and count in front of the entries.
const SNAPSHOT_HEADER_BYTES: usize = 10;

/// First byte that a snapshot's CRC covers.
const SNAPSHOT_CRC_COVERS_FROM: usize = 6;

/// Bytes of a producer: id, epoch, last sequence, last offset, offset delta, timestamp,
/// coordinator epoch, first offset of its open transaction.
const PRODUCER_BYTES: usize = 8 + 2 + 4 + 8 + 4 + 8 + 4 + 8;

/// Bytes of an aborted transaction: version, producer id, first offset, last offset, last stable
/// offset.
const ABORTED_BYTES: usize = 2 + 4 * 8;

/// Shows the producers of a snapshot.
pub(super) fn dump_producers(file: &str, console: &mut Console<'_>) -> Result<(), Failure> {
    let bytes = read_small(file)?;
    let corrupt = |what: &str| {
        Failure::refused(format!(
            "{file} is corrupt: {what}. Delete it; the broker makes it anew from the log."
        ))
    };
    if bytes.len() < SNAPSHOT_HEADER_BYTES {
        return Err(corrupt("it is too short"));
    }
    let mut fields = Fields(&bytes);
    if fields.i16() != SNAPSHOT_VERSION {
        return Err(corrupt("its version is not 1"));
    }
    if fields.i32().cast_unsigned() != crc32c(&bytes[SNAPSHOT_CRC_COVERS_FROM..]) {
        return Err(corrupt("its CRC is not that of its bytes"));
    }
    let count = usize::try_from(fields.i32()).unwrap_or(usize::MAX);
    if count != fields.0.len() / PRODUCER_BYTES {
        return Err(corrupt("it does not have the entries it claims"));
    }
    for entry in fields.0.chunks_exact(PRODUCER_BYTES) {
        let producer = Producer::read(entry);
        let (told, fields) = (|| producer.line(), || producer.json());
        json::tell(console, (file, "producer"), told, fields)?;
    }
    Ok(())
}

/// One entry of a snapshot.
struct Producer {
    producer_id: i64,
    producer_epoch: i16,
    last_sequence: i32,
    /// Below 0 where it has only ended transactions, and remembers no batch.
    last_offset: i64,
    offset_delta: i32,
    timestamp_ms: i64,
    coordinator_epoch: i32,
    /// First offset of its open transaction.
    transaction: Option<i64>,
}

impl Producer {
    /// Reads an entry of [`PRODUCER_BYTES`].
    fn read(entry: &[u8]) -> Self {
        let mut fields = Fields(entry);
        // In the order of the file.
        Self {
            producer_id: fields.i64(),
            producer_epoch: fields.i16(),
            last_sequence: fields.i32(),
            last_offset: fields.i64(),
            offset_delta: fields.i32(),
            timestamp_ms: fields.i64(),
            coordinator_epoch: fields.i32(),
            transaction: Some(fields.i64()).filter(|first| *first >= 0),
        }
    }

    fn line(&self) -> String {
        let transaction = match self.transaction {
            None => "OptionalLong.empty".to_owned(),
            Some(first) => format!("OptionalLong[{first}]"),
        };
        let mut line = format!(
            "producerId: {} producerEpoch: {} coordinatorEpoch: {} currentTxnFirstOffset: \
             {transaction} lastTimestamp: {}",
            self.producer_id, self.producer_epoch, self.coordinator_epoch, self.timestamp_ms
        );
        if self.last_offset >= 0 {
            line.push_str(&format!(
                " firstSequence: {} lastSequence: {} lastOffset: {} offsetDelta: {} timestamp: {}",
                first_sequence(self.last_sequence, self.offset_delta),
                self.last_sequence,
                self.last_offset,
                self.offset_delta,
                self.timestamp_ms
            ));
        }
        line
    }

    fn json(&self) -> Value {
        let batch = (self.last_offset >= 0).then(|| {
            json!({
                "firstSequence": first_sequence(self.last_sequence, self.offset_delta),
                "lastSequence": self.last_sequence,
                "lastOffset": self.last_offset,
                "offsetDelta": self.offset_delta,
            })
        });
        json!({
            "producerId": self.producer_id,
            "producerEpoch": self.producer_epoch,
            "coordinatorEpoch": self.coordinator_epoch,
            "currentTxnFirstOffset": self.transaction,
            "lastTimestamp": self.timestamp_ms,
            "lastBatch": batch,
        })
    }
}

/// The sequence `delta` before another; below 0 it wraps to `i32::MAX`.
fn first_sequence(last: i32, delta: i32) -> i64 {
    let (last, delta) = (i64::from(last), i64::from(delta));
    if last >= delta {
        last - delta
    } else {
        i64::from(i32::MAX) - (delta - last) + 1
    }
}

/// Shows the aborted transactions of a segment.
pub(super) fn dump_aborted_transactions(
    file: &str,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let bytes = read_small(file)?;
    let entries = bytes.chunks_exact(ABORTED_BYTES);
    let is_cut = !entries.remainder().is_empty();
    for entry in entries {
        let mut fields = Fields(entry);
        let version = fields.i16();
        let [producer, first, last, stable] = std::array::from_fn(|_field| fields.i64());
        let told = || {
            format!(
                "version: {version} producerId: {producer} firstOffset: {first} lastOffset: \
                 {last} lastStableOffset: {stable}"
            )
        };
        let fields = || {
            json!({
                "producerId": producer,
                "firstOffset": first,
                "lastOffset": last,
                "lastStableOffset": stable,
            })
        };
        json::tell(console, (file, "abortedTransaction"), told, fields)?;
    }
    if is_cut {
        return Err(Failure::refused(format!(
            "{file} is corrupt: its last entry is cut short."
        )));
    }
    Ok(())
}

/// Big-endian fields, read one after another from bytes that are known to have them.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.0.split_first_chunk().expect("the length was checked");
        self.0 = rest;
        *field
    }

    fn i16(&mut self) -> i16 {
        i16::from_be_bytes(self.take())
    }

    fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.take())
    }

    fn i64(&mut self) -> i64 {
        i64::from_be_bytes(self.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(last_sequence: i32, last_offset: i64, transaction: i64) -> Vec<u8> {
        let mut bytes = 7i64.to_be_bytes().to_vec();
        bytes.extend_from_slice(&2i16.to_be_bytes());
        bytes.extend_from_slice(&last_sequence.to_be_bytes());
        bytes.extend_from_slice(&last_offset.to_be_bytes());
        bytes.extend_from_slice(&1i32.to_be_bytes());
        bytes.extend_from_slice(&99i64.to_be_bytes());
        bytes.extend_from_slice(&(-1i32).to_be_bytes());
        bytes.extend_from_slice(&transaction.to_be_bytes());
        bytes
    }

    #[test]
    fn producers_are_shown_as_kafka_shows_them() {
        let line = Producer::read(&entry(1, 5, -1)).line();
        let head = "producerId: 7 producerEpoch: 2 coordinatorEpoch: -1 currentTxnFirstOffset: ";
        let tail = "firstSequence: 0 lastSequence: 1 lastOffset: 5 offsetDelta: 1 timestamp: 99";
        assert_eq!(
            line,
            format!("{head}OptionalLong.empty lastTimestamp: 99 {tail}")
        );
        let line = Producer::read(&entry(-1, -1, 3)).line();
        assert_eq!(line, format!("{head}OptionalLong[3] lastTimestamp: 99"));
        assert_eq!(first_sequence(0, 1), i64::from(i32::MAX));
    }
}
