//! Shows the batches and records of `.log` and `.checkpoint` files.

use std::fmt::Write as _;
use std::path::Path;

use bytes::Bytes;
use ottla_core::metadata::control::ControlRecord;
use ottla_core::metadata::records::MetadataRecord;
use ottla_core::wire::batch::{BatchHeader, MAGIC, TimestampType};
use ottla_core::wire::records::{Record, Records};
use serde_json::json;

use super::reader::{BatchFile, PlacedBatch};
use super::{Show, json, offset_in_name};
use crate::cli::console::{Console, joined};
use crate::cli::failure::Failure;
use crate::cli::group_records::{Blobs, GroupRecord};
use crate::cli::progress::Progress;

/// The snapshot a node is formatted with.
const BOOTSTRAP: &str = "bootstrap.checkpoint";

/// Types of transaction markers, in the second half of their keys.
const MARKER_ABORT: i16 = 0;
const MARKER_COMMIT: i16 = 1;

/// Shows a file of batches.
pub(super) fn dump(file: &str, show: Show, console: &mut Console<'_>) -> Result<(), Failure> {
    let heading = heading(file)?;
    if !console.is_json {
        console.line(heading)?;
    }
    let mut batches = BatchFile::open(file, show.bytes_max)?;
    let mut gaps = Vec::new();
    let mut last_offset = None;
    let mut progress = Progress::new(console, !console.out_is_terminal);
    while let Some(batch) = batches.next_batch()? {
        if batch.header.magic != MAGIC {
            return Err(Failure::refused(format!(
                "{file} holds a batch of format {} at position {}, which this tool does not read: \
                 only format 2 (Kafka 0.11 and later).",
                batch.header.magic, batch.position
            )));
        }
        let told = || batch_line(&batch);
        json::tell(console, (file, "batch"), told, || json::batch(&batch))?;
        let base_offset = batch.header.base_offset.0;
        if let Some(last) = last_offset.filter(|last| last + 1 != base_offset) {
            gaps.push((last, base_offset));
        }
        last_offset = Some(batch.header.last_offset().0);
        if show.records {
            records(file, &batch, show, console)?;
        }
        progress.show(console, || {
            format!("{file}: {} bytes left", batches.remaining())
        });
    }
    progress.end(console);
    if show.bytes_max.is_none() && batches.remaining() > 0 {
        let bytes = batches.remaining();
        let told = || {
            format!(
                "Found {bytes} invalid bytes at the end of {}",
                name_of(file)
            )
        };
        let fields = || json!({"bytes": bytes});
        json::tell(console, (file, "invalid"), told, fields)?;
    }
    if !gaps.is_empty() {
        console.notice(format!("Non-consecutive offsets in {file}"));
        for (last, next) in gaps {
            console.notice(format!("  {last} is followed by {next}"));
        }
    }
    Ok(())
}

fn name_of(file: &str) -> &str {
    Path::new(file)
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or(file)
}

/// The second line: where the file begins, or which snapshot it is.
fn heading(file: &str) -> Result<String, Failure> {
    let name = name_of(file);
    if name == BOOTSTRAP {
        return Ok("KRaft bootstrap snapshot".to_owned());
    }
    let offset = offset_in_name(file)?;
    let Some(stem) = name.strip_suffix(".checkpoint") else {
        return Ok(format!("Log starting offset: {offset}"));
    };
    let epoch = stem
        .split_once('-')
        .and_then(|(_, epoch)| epoch.parse::<i32>().ok());
    let epoch = epoch.ok_or_else(|| {
        Failure::refused(format!(
            "{file} is not named as a snapshot is: an end offset, a dash, an epoch."
        ))
    })?;
    Ok(format!("Snapshot end offset: {offset}, epoch: {epoch}"))
}

fn batch_line(batch: &PlacedBatch) -> String {
    let header = &batch.header;
    let attributes = header.attributes;
    let codec = attributes
        .compression()
        .map_or("unknown", |codec| codec.name());
    // With this bit the base timestamp is not one, but when tombstones may go (KIP-534).
    let delete_horizon = match attributes.has_delete_horizon() {
        true => format!("OptionalLong[{}]", header.base_timestamp),
        false => "OptionalLong.empty".to_owned(),
    };
    format!(
        "baseOffset: {} lastOffset: {} count: {} baseSequence: {} lastSequence: {} producerId: {} \
         producerEpoch: {} partitionLeaderEpoch: {} isTransactional: {} isControl: {} \
         deleteHorizonMs: {delete_horizon} position: {} {}: {} size: {} magic: {} compresscodec: \
         {codec} crc: {} isvalid: {}",
        header.base_offset,
        header.last_offset(),
        header.records_count,
        header.base_sequence,
        last_sequence(header),
        header.producer_id,
        header.producer_epoch,
        header.leader_epoch,
        attributes.is_transactional(),
        attributes.is_control(),
        batch.position,
        timestamp_name(header),
        header.max_timestamp,
        batch.bytes.len(),
        header.magic,
        header.crc,
        batch.is_valid(),
    )
}

pub(super) fn last_sequence(header: &BatchHeader) -> i32 {
    if header.base_sequence.0 < 0 {
        -1
    } else {
        header.last_sequence().0
    }
}

pub(super) fn timestamp_name(header: &BatchHeader) -> &'static str {
    match header.attributes.timestamp_type() {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    }
}

fn records(
    file: &str,
    batch: &PlacedBatch,
    show: Show,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let unreadable = |error: ottla_core::wire::batch::BatchError| {
        Failure::refused(format!(
            "The records of the batch at position {} cannot be read: {}.",
            batch.position,
            error.message()
        ))
    };
    for record in Records::open(&batch.bytes).map_err(unreadable)? {
        let record = record.map_err(unreadable)?;
        let header = &batch.header;
        let told = || record_line(header, &record, show);
        let fields = || json::record(header, &record, show);
        json::tell(console, (file, "record"), told, fields)?;
    }
    Ok(())
}

fn record_line(header: &BatchHeader, record: &Record, show: Show) -> String {
    let is_control = header.attributes.is_control();
    if show.contents_only && is_control {
        return String::new();
    }
    let mut parts = Vec::new();
    if !show.contents_only {
        parts.push(metadata_of(header, record));
        if is_control {
            parts.push(control_text(record));
        }
    }
    let decoded = match &record.key {
        Some(key) if show.offsets && !is_control => {
            GroupRecord::decode(key, record.value.as_ref(), Blobs::Decoded)
        }
        Some(_) | None => None,
    };
    if let Some(decoded) = decoded {
        let (key, value) = decoded.dumped();
        parts.push(format!("key: {key} payload: {value}"));
    } else if show.contents && !is_control {
        if let Some(key) = &record.key {
            parts.push(format!("key: {}", String::from_utf8_lossy(key)));
        }
        if let Some(value) = &record.value {
            parts.push(format!("payload: {}", payload(value, show)));
        }
    }
    format!("| {}", parts.join(" "))
}

fn metadata_of(header: &BatchHeader, record: &Record) -> String {
    let size = |field: &Option<Bytes>| match field {
        Some(bytes) => bytes.len().to_string(),
        None => "-1".to_owned(),
    };
    let sequence = sequence_of(header, record);
    let keys = record
        .headers
        .iter()
        .map(|header| String::from_utf8_lossy(&header.key));
    format!(
        "offset: {} {}: {} keySize: {} valueSize: {} sequence: {sequence} headerKeys: [{}]",
        record.offset,
        timestamp_name(header),
        record.timestamp,
        size(&record.key),
        size(&record.value),
        joined(keys, ",")
    )
}

/// The sequence of a record; -1 where it has none.
pub(super) fn sequence_of(header: &BatchHeader, record: &Record) -> i32 {
    match header.base_sequence.0 {
        base if base < 0 => -1,
        _ => {
            let delta = i32::try_from(record.offset.0 - header.base_offset.0).unwrap_or(0);
            header.base_sequence.plus(delta.max(0)).0
        }
    }
}

/// What a control record says.
pub(super) fn control_text(record: &Record) -> String {
    let key = record.key.as_deref().unwrap_or(&[]);
    let value = record.value.as_deref().unwrap_or(&[]);
    if let Ok(control) = ControlRecord::decode(key, value) {
        return control.to_json();
    }
    let kind = key
        .get(2..4)
        .map(|kind| i16::from_be_bytes([kind[0], kind[1]]));
    let name = match kind {
        Some(MARKER_ABORT) => "ABORT",
        Some(MARKER_COMMIT) => "COMMIT",
        Some(kind) => return format!("controlType: UNKNOWN({kind})"),
        None => return "controlType: UNKNOWN".to_owned(),
    };
    let mut text = format!("endTxnMarker: {name}");
    if let Some(epoch) = value.get(2..6) {
        let epoch = i32::from_be_bytes([epoch[0], epoch[1], epoch[2], epoch[3]]);
        write!(text, " coordinatorEpoch: {epoch}").expect("writing to a String cannot fail");
    }
    text
}

fn payload(value: &Bytes, show: Show) -> String {
    if !show.metadata {
        return String::from_utf8_lossy(value).into_owned();
    }
    match MetadataRecord::decode(value) {
        Ok((record, version)) => record.to_json(version),
        Err(error) => format!("not a record of the metadata log: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_core::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};
    use ottla_core::time::Timestamp;
    use ottla_core::wire::batch::Compression;
    use ottla_core::wire::builder::BatchBuilder;

    fn placed(bytes: Bytes) -> PlacedBatch {
        let header = BatchHeader::parse(&bytes).expect("a whole batch");
        PlacedBatch {
            position: 85,
            header,
            bytes,
        }
    }

    #[test]
    fn a_batch_and_its_records_are_shown_as_kafka_shows_them() {
        let mut builder = BatchBuilder::new(Compression::None)
            .at(Offset(2), LeaderEpoch(0))
            .producer(ProducerId(20), ProducerEpoch(0), Sequence(0));
        builder.push(Timestamp(1_795_382_925_223), Some(b"k1"), Some(b"v1"));
        builder.push(Timestamp(1_795_382_925_223), Some(b"k2"), None);
        let batch = placed(builder.build());
        let line = batch_line(&batch);
        let expected = "baseOffset: 2 lastOffset: 3 count: 2 baseSequence: 0 lastSequence: 1 \
                        producerId: 20 producerEpoch: 0 partitionLeaderEpoch: 0 isTransactional: \
                        false isControl: false deleteHorizonMs: OptionalLong.empty position: 85 \
                        CreateTime: 1795382925223 size: 81 magic: 2 compresscodec: none crc: ";
        assert!(line.starts_with(expected), "{line}");
        assert!(line.ends_with(" isvalid: true"));
        let show = Show {
            records: true,
            contents: true,
            ..Show::default()
        };
        let lines: Vec<String> = Records::open(&batch.bytes)
            .expect("a good batch")
            .map(|record| record_line(&batch.header, &record.expect("a good record"), show))
            .collect();
        let expected = [
            "| offset: 2 CreateTime: 1795382925223 keySize: 2 valueSize: 2 sequence: 0 \
             headerKeys: [] key: k1 payload: v1",
            "| offset: 3 CreateTime: 1795382925223 keySize: 2 valueSize: -1 sequence: 1 \
             headerKeys: [] key: k2",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn headings_come_from_names() {
        let check = |file: &str, text: &str| {
            assert_eq!(heading(file).expect("a good name"), text);
        };
        check("a/00000000000000000042.log", "Log starting offset: 42");
        let snapshot = "00000000000000007328-0000000001.checkpoint";
        check(snapshot, "Snapshot end offset: 7328, epoch: 1");
        check("/x/bootstrap.checkpoint", "KRaft bootstrap snapshot");
        assert!(heading("nosuch.log").is_err());
    }

    #[test]
    fn markers_name_what_they_end() {
        let record = Record {
            key: Some(Bytes::from_static(&[0, 0, 0, 1])),
            value: Some(Bytes::from_static(&[0, 0, 0, 0, 0, 7])),
            ..Record::default()
        };
        assert_eq!(
            control_text(&record),
            "endTxnMarker: COMMIT coordinatorEpoch: 7"
        );
        assert_eq!(control_text(&Record::default()), "controlType: UNKNOWN");
    }
}
