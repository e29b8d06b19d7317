//! Record batches for the scripts, right ones and wrong ones.

use bytes::{Bytes, BytesMut};
use ottla_core::time::Timestamp;
use ottla_core::wire::batch::Compression;
use ottla_core::wire::batch::crc32c;
use ottla_core::wire::builder::BatchBuilder;

/// Where the fields of a batch's header are.
pub(super) const EPOCH_AT: usize = 12;
pub(super) const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
pub(super) const ATTRIBUTES_AT: usize = 21;
pub(super) const LAST_DELTA_AT: usize = 23;
pub(super) const PRODUCER_AT: usize = 43;
pub(super) const COUNT_AT: usize = 57;

/// The first record's time: long ago, and the same in every run.
pub(super) const START_MS: i64 = 1_700_000_000_000;

/// A batch of `count` records, a millisecond apart.
pub(super) fn batch(count: i64) -> Bytes {
    compressed(count, Compression::None)
}

/// The same, compressed.
pub(super) fn compressed(count: i64, compression: Compression) -> Bytes {
    let mut builder = BatchBuilder::new(compression);
    for index in 0..count {
        let (key, value) = (format!("k{index}"), format!("v{index}"));
        let time = Timestamp(START_MS + index);
        builder.push(time, Some(key.as_bytes()), Some(value.as_bytes()));
    }
    builder.build()
}

/// A batch of records of one key or none, at times after [`START_MS`].
pub(super) fn at_times(times_ms: &[i64], key: Option<&[u8]>) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    for time in times_ms {
        builder.push(Timestamp(START_MS + time), key, Some(b"value"));
    }
    builder.build()
}

/// A batch with other bytes at a place, under a CRC that fits.
pub(super) fn patched(batch: &Bytes, at: usize, bytes: &[u8]) -> Bytes {
    let mut batch = BytesMut::from(&batch[..]);
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    let crc = crc32c(&batch[ATTRIBUTES_AT..]);
    batch[CRC_AT..ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
    batch.freeze()
}

/// A batch with a CRC that does not fit.
pub(super) fn with_wrong_crc(batch: &Bytes) -> Bytes {
    let mut batch = BytesMut::from(&batch[..]);
    batch[CRC_AT] ^= 1;
    batch.freeze()
}

/// A batch of a producer: its id, epoch and first sequence.
pub(super) fn sequenced(count: i64, id: i64, epoch: i16, sequence: i32) -> Bytes {
    let mut fields = id.to_be_bytes().to_vec();
    fields.extend(epoch.to_be_bytes());
    fields.extend(sequence.to_be_bytes());
    patched(&batch(count), PRODUCER_AT, &fields)
}
