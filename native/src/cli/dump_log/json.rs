//! What the files of a log hold as JSON: an object a line, each with its file and its kind.
//!
//! Ottla's own; Kafka's tool has none. Keys and values that are text are strings, others
//! hexadecimal (`keyHex`), as `ottla consume --json` prints them.

use ottla_core::metadata::records::MetadataRecord;
use ottla_core::wire::batch::BatchHeader;
use ottla_core::wire::records::Record;
use serde_json::{Map, Value, json};

use super::Show;
use super::batches::{control_text, last_sequence, sequence_of, timestamp_name};
use super::reader::PlacedBatch;
use crate::cli::console::Console;
use crate::cli::consume::insert_bytes;
use crate::cli::failure::Failure;
use crate::cli::group_records::{Blobs, GroupRecord};

/// Prints a thing that a file holds: a line of Kafka's tool, or an object with `file` and `kind`.
pub(super) fn tell(
    console: &mut Console<'_>,
    (file, kind): (&str, &str),
    line: impl FnOnce() -> String,
    fields: impl FnOnce() -> Value,
) -> Result<(), Failure> {
    if !console.is_json {
        return console.line(line());
    }
    let mut object = Map::new();
    object.insert("file".to_owned(), json!(file));
    object.insert("kind".to_owned(), json!(kind));
    let Value::Object(fields) = fields() else {
        unreachable!("every caller gives an object");
    };
    object.extend(fields);
    console.document(Value::Object(object).to_string())
}

/// The fields of a batch.
pub(super) fn batch(batch: &PlacedBatch) -> Value {
    let header = &batch.header;
    let attributes = header.attributes;
    let codec = attributes
        .compression()
        .map_or("unknown", |codec| codec.name());
    let horizon = attributes
        .has_delete_horizon()
        .then_some(header.base_timestamp.0);
    json!({
        "baseOffset": header.base_offset.0,
        "lastOffset": header.last_offset().0,
        "count": header.records_count,
        "baseSequence": header.base_sequence.0,
        "lastSequence": last_sequence(header),
        "producerId": header.producer_id.0,
        "producerEpoch": header.producer_epoch.0,
        "partitionLeaderEpoch": header.leader_epoch.0,
        "isTransactional": attributes.is_transactional(),
        "isControl": attributes.is_control(),
        "deleteHorizonMs": horizon,
        "position": batch.position,
        "timestampType": timestamp_name(header),
        "maxTimestamp": header.max_timestamp.0,
        "size": batch.bytes.len(),
        "magic": header.magic,
        "compression": codec,
        "crc": header.crc,
        "isValid": batch.is_valid(),
    })
}

/// The fields of a record; keys and values where they are to be shown.
pub(super) fn record(header: &BatchHeader, record: &Record, show: Show) -> Value {
    let is_control = header.attributes.is_control();
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    put("offset", json!(record.offset.0));
    if !show.contents_only {
        put("timestamp", json!(record.timestamp.0));
        let size = |field: &Option<bytes::Bytes>| field.as_ref().map(bytes::Bytes::len);
        put("keySize", json!(size(&record.key)));
        put("valueSize", json!(size(&record.value)));
        put("sequence", json!(sequence_of(header, record)));
        let headers = record.headers.iter().map(|header| {
            let mut shown = Map::new();
            insert_bytes(&mut shown, "key", Some(&header.key));
            insert_bytes(&mut shown, "value", header.value.as_deref());
            Value::Object(shown)
        });
        put("headers", headers.collect());
    }
    if is_control {
        put("control", control(&control_text(record)));
    } else if show.contents {
        contents(&mut object, record, show);
    }
    Value::Object(object)
}

fn contents(object: &mut Map<String, Value>, record: &Record, show: Show) {
    if show.offsets
        && let Some(key) = &record.key
        && let Some(decoded) = GroupRecord::decode(key, record.value.as_ref(), Blobs::Decoded)
    {
        let (key, value) = decoded.dumped();
        object.insert("key".to_owned(), parsed(&key).unwrap_or_default());
        object.insert("value".to_owned(), parsed(&value).unwrap_or_default());
        return;
    }
    insert_bytes(object, "key", record.key.as_deref());
    let decoded = match &record.value {
        Some(value) if show.metadata => MetadataRecord::decode(value).ok(),
        Some(_) | None => None,
    };
    match decoded {
        Some((decoded, version)) => {
            let value = parsed(&decoded.to_json(version)).unwrap_or_default();
            object.insert("value".to_owned(), value);
        }
        None => insert_bytes(object, "value", record.value.as_deref()),
    }
}

/// What a control record says: its type and its fields, or the words of Kafka's tool.
fn control(text: &str) -> Value {
    let parts = text.split_once(' ');
    match parts.and_then(|(kind, fields)| Some((kind, parsed(fields)?))) {
        Some((kind, fields)) => json!({"type": kind.trim_end_matches(':'), "data": fields}),
        None => json!(text),
    }
}

/// JSON that another part of this build wrote; `None` where it is none, as a tombstone's word.
fn parsed(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}
