//! A batch as its topic wants it stored.
//!
//! Compressed records are opened only where the topic's configuration asks something of each
//! record, and stored as the producer sent them unless `compression.type` names another codec
//! (K39). That was done before the turn, as a rule ([`super::opening`]); here it is done where it
//! was not. Compare Kafka's `LogValidator`, which opens every batch.

use std::sync::Arc;

use super::append::AppendRefusal;
use super::opening::{Demand, TimeBounds};
use crate::limits::RECORD_ERRORS_MAX;
use crate::mutants::mutant;
use crate::time::Timestamp;
use crate::wire::batch::{BatchError, PreparedBatch};
use crate::wire::builder::BatchBuilder;
use crate::wire::records::Records;
use crate::wire::walk::RecordFacts;

/// What the records of a batch say, as far as the topic's configuration asks; `None` where it asks
/// nothing that the header does not tell.
///
/// # Errors
/// The records do not bear the header out.
pub(super) fn facts_for(
    demand: Demand,
    batch: &PreparedBatch,
) -> Result<Option<RecordFacts>, BatchError> {
    if demand.lacks_facts(batch) {
        return batch.deep_facts().map(Some);
    }
    Ok(batch.facts)
}

/// The batch in the topic's codec: as it is, where that is the producer's choice or the same.
///
/// # Errors
/// The records cannot be read.
pub(super) fn recompress(
    demand: Demand,
    batch: PreparedBatch,
) -> Result<PreparedBatch, BatchError> {
    let Some(wanted) = demand.other_codec(&batch) else {
        return Ok(batch);
    };
    if let Some(flaw) = batch.flaw {
        return Err(flaw);
    }
    let header = batch.header;
    let mut builder = BatchBuilder::new(wanted).producer(
        header.producer_id,
        header.producer_epoch,
        header.base_sequence,
    );
    if header.attributes.is_transactional() {
        builder = builder.transactional();
    }
    for record in Records::open(&batch.bytes)? {
        let record = record?;
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        builder.push_with_headers(record.timestamp, key, value, &record.headers);
    }
    let rebuilt = PreparedBatch::from_log(builder.build())?;
    Ok(PreparedBatch {
        facts: batch.facts,
        odd_times: batch.odd_times,
        ..rebuilt
    })
}

/// The records whose times are out of bounds, the first [`RECORD_ERRORS_MAX`] of them; none where
/// the batch cannot be opened.
pub(super) fn odd_times(batch: &PreparedBatch, bounds: &TimeBounds) -> Arc<[(i32, Timestamp)]> {
    let Ok(records) = Records::open(&batch.bytes) else {
        return Arc::default();
    };
    let records = (0..).zip(records.map_while(Result::ok));
    let times = records.map(|(index, record)| (index, record.timestamp));
    let odd = times.filter(|(_index, time)| !bounds.allow(*time));
    odd.take(RECORD_ERRORS_MAX).collect()
}

/// The lowest and the highest timestamp of a batch, as far as they are known.
pub(super) fn timestamps(batch: &PreparedBatch, facts: Option<&RecordFacts>) -> [Timestamp; 2] {
    match facts {
        Some(facts) if !mutant!(M53) => [facts.min_timestamp, facts.max_timestamp],
        Some(_) | None => [batch.header.base_timestamp, batch.header.max_timestamp],
    }
}

/// The refusal of a batch whose records are wrong.
pub(super) fn refusal(error: BatchError) -> AppendRefusal {
    AppendRefusal {
        code: error.code(),
        message: error.message().to_owned(),
        records: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CompressionType, LogConfig};
    use crate::ids::{ProducerEpoch, ProducerId, Sequence};
    use crate::wire::batch::Compression;

    fn batch(codec: Compression) -> PreparedBatch {
        let mut builder =
            BatchBuilder::new(codec).producer(ProducerId(7), ProducerEpoch(1), Sequence(40));
        for at in 0..100 {
            builder.push(Timestamp(1_000 + at), None, Some(b"the same value again"));
        }
        PreparedBatch::from_client(builder.build(), 9).expect("a valid batch")
    }

    fn stored_as(compression_type: CompressionType) -> Demand {
        Demand::of(&LogConfig {
            compression_type,
            ..LogConfig::default()
        })
    }

    #[test]
    fn the_producers_choice_is_stored_byte_for_byte() {
        for codec in Compression::ALL {
            let sent = batch(codec);
            let stored = recompress(stored_as(CompressionType::Producer), sent.clone());
            assert_eq!(stored, Ok(sent));
        }
    }

    #[test]
    fn another_codec_keeps_records_and_sequences() {
        let wanted = [
            CompressionType::Gzip(-1),
            CompressionType::Lz4(9),
            CompressionType::Snappy,
            CompressionType::Uncompressed,
            CompressionType::Zstd(3),
        ];
        for from in Compression::ALL {
            for to in wanted {
                let sent = batch(from);
                let stored = recompress(stored_as(to), sent.clone()).expect("readable");
                assert_eq!(stored.header.base_sequence, Sequence(40));
                assert_eq!(stored.header.records_count, 100);
                assert_eq!(stored.header.max_timestamp, Timestamp(1_099));
                let records = |batch: &PreparedBatch| -> Vec<_> {
                    let records = Records::open(&batch.bytes).expect("readable");
                    records.map(|record| record.expect("readable")).collect()
                };
                assert_eq!(records(&stored), records(&sent), "{from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn compressed_records_are_opened_only_where_the_topic_asks() {
        let sent = batch(Compression::Lz4);
        assert_eq!(
            facts_for(Demand::of(&LogConfig::default()), &sent),
            Ok(None)
        );
        let compacted = LogConfig {
            compact: true,
            ..LogConfig::default()
        };
        let facts = facts_for(Demand::of(&compacted), &sent).expect("readable");
        assert_eq!(facts.and_then(|facts| facts.first_without_key), Some(0));
    }
}
