//! Shows records of `__consumer_offsets` as JSON: commits, and what is known of classic groups.
//!
//! Source: `--offsets-decoder` of Apache Kafka 4.3.1. Records of the newer groups (KIP-848, share
//! and streams groups) are not decoded here yet; they are shown as the bytes they are.

use bytes::Bytes;
use ottla_core::client::group::protocol::{Assignment, Subscription};
use ottla_core::ids::TopicId;
use serde_json::{Value, json};

/// Types of keys.
const LEGACY_OFFSET: i16 = 0;
const OFFSET: i16 = 1;
const GROUP: i16 = 2;

/// First version of values with compact lengths and tagged fields.
const FLEXIBLE_FROM: i16 = 4;

/// The number of the tag that names a topic's id.
const TAG_TOPIC_ID: u32 = 0;

/// The key and the value of a record as Kafka's tool shows them; `None` where they are not known.
pub(super) fn texts(key: &[u8], value: Option<&Bytes>) -> Option<(String, String)> {
    let mut reader = Reader::new(key);
    let kind = reader.i16()?;
    let group = json!(reader.string(false)??);
    let data = match kind {
        LEGACY_OFFSET | OFFSET => {
            let topic = json!(reader.string(false)??);
            let partition = reader.i32()?;
            format!("{{\"group\":{group},\"topic\":{topic},\"partition\":{partition}}}")
        }
        GROUP => format!("{{\"group\":{group}}}"),
        _newer => return None,
    };
    let key = format!("{{\"type\":\"{kind}\",\"data\":{data}}}");
    let Some(value) = value else {
        return Some((key, "<DELETE>".to_owned()));
    };
    let mut reader = Reader::new(value);
    let version = reader.i16()?;
    let data = match kind {
        LEGACY_OFFSET | OFFSET => offset_value(&mut reader, version)?,
        _group => group_value(&mut reader, version)?,
    };
    Some((
        key,
        format!("{{\"version\":\"{version}\",\"data\":{data}}}"),
    ))
}

fn offset_value(reader: &mut Reader<'_>, version: i16) -> Option<String> {
    let is_flexible = version >= FLEXIBLE_FROM;
    let mut fields = vec![format!("\"offset\":{}", reader.i64()?)];
    if version >= 3 {
        fields.push(format!("\"leaderEpoch\":{}", reader.i32()?));
    }
    fields.push(format!(
        "\"metadata\":{}",
        json!(reader.string(is_flexible)??)
    ));
    fields.push(format!("\"commitTimestamp\":{}", reader.i64()?));
    if version == 1 {
        fields.push(format!("\"expireTimestamp\":{}", reader.i64()?));
    }
    if is_flexible {
        for (tag, bytes) in reader.tags()? {
            if tag == TAG_TOPIC_ID {
                let id = TopicId(bytes.try_into().ok()?);
                fields.push(format!("\"topicId\":\"{id}\""));
            }
        }
    }
    Some(format!("{{{}}}", fields.join(",")))
}

fn group_value(reader: &mut Reader<'_>, version: i16) -> Option<String> {
    let is_flexible = version >= FLEXIBLE_FROM;
    let protocol_type = reader.string(is_flexible)??;
    let mut fields = vec![
        format!("\"protocolType\":{}", json!(protocol_type)),
        format!("\"generation\":{}", reader.i32()?),
        format!("\"protocol\":{}", json!(reader.string(is_flexible)?)),
        format!("\"leader\":{}", json!(reader.string(is_flexible)?)),
    ];
    if version >= 2 {
        fields.push(format!("\"currentStateTimestamp\":{}", reader.i64()?));
    }
    let mut members = Vec::new();
    for _member in 0..reader.count(is_flexible)? {
        members.push(member(reader, version, &protocol_type)?);
    }
    fields.push(format!("\"members\":[{}]", members.join(",")));
    Some(format!("{{{}}}", fields.join(",")))
}

fn member(reader: &mut Reader<'_>, version: i16, protocol_type: &str) -> Option<String> {
    let is_flexible = version >= FLEXIBLE_FROM;
    let mut fields = vec![format!(
        "\"memberId\":{}",
        json!(reader.string(is_flexible)??)
    )];
    if version >= 3 {
        fields.push(format!(
            "\"groupInstanceId\":{}",
            json!(reader.string(is_flexible)?)
        ));
    }
    fields.push(format!(
        "\"clientId\":{}",
        json!(reader.string(is_flexible)??)
    ));
    fields.push(format!(
        "\"clientHost\":{}",
        json!(reader.string(is_flexible)??)
    ));
    if version >= 1 {
        fields.push(format!("\"rebalanceTimeout\":{}", reader.i32()?));
    }
    fields.push(format!("\"sessionTimeout\":{}", reader.i32()?));
    let subscription = reader.bytes(is_flexible)?;
    let assignment = reader.bytes(is_flexible)?;
    let is_of_consumers = protocol_type == "consumer";
    let text = |blob: &[u8], decode: fn(&Bytes) -> Option<String>| {
        let decoded = decode(&Bytes::copy_from_slice(blob)).filter(|_text| is_of_consumers);
        decoded.unwrap_or_else(|| format!("\"{}\"", base64(blob)))
    };
    fields.push(format!(
        "\"subscription\":{}",
        text(subscription, subscription_text)
    ));
    fields.push(format!(
        "\"assignment\":{}",
        text(assignment, assignment_text)
    ));
    if is_flexible {
        reader.tags()?;
    }
    Some(format!("{{{}}}", fields.join(",")))
}

fn subscription_text(blob: &Bytes) -> Option<String> {
    let version = Reader::new(blob).i16()?;
    let subscription = Subscription::decode(blob).ok()?;
    let topics: Vec<Value> = subscription
        .topics
        .iter()
        .map(|topic| json!(**topic))
        .collect();
    let mut fields = vec![
        format!("\"topics\":{}", Value::Array(topics)),
        format!(
            "\"userData\":{}",
            user_data(subscription.user_data.as_ref())
        ),
    ];
    if version >= 1 {
        fields.push(format!(
            "\"ownedPartitions\":{}",
            partitions(&subscription.owned)
        ));
    }
    if version >= 2 {
        let generation = subscription
            .generation
            .map_or(-1, |generation| generation.0);
        fields.push(format!("\"generationId\":{generation}"));
    }
    if version >= 3 {
        fields.push(format!(
            "\"rackId\":{}",
            json!(subscription.rack.as_deref())
        ));
    }
    Some(format!("{{{}}}", fields.join(",")))
}

fn assignment_text(blob: &Bytes) -> Option<String> {
    let assignment = Assignment::decode(blob)
        .ok()
        .filter(|_assignment| !blob.is_empty())?;
    Some(format!(
        "{{\"assignedPartitions\":{},\"userData\":{}}}",
        partitions(&assignment.partitions),
        user_data(assignment.user_data.as_ref())
    ))
}

fn user_data(data: Option<&Bytes>) -> String {
    data.map_or("null".to_owned(), |data| format!("\"{}\"", base64(data)))
}

fn partitions<'a>(all: impl IntoIterator<Item = &'a ottla_core::ids::TopicPartition>) -> String {
    let mut topics: Vec<(&str, Vec<i32>)> = Vec::new();
    for partition in all {
        match topics.last_mut() {
            Some((topic, indexes)) if *topic == &*partition.topic => {
                indexes.push(partition.partition.0);
            }
            Some(_) | None => topics.push((&partition.topic, vec![partition.partition.0])),
        }
    }
    let topics = topics.iter();
    let topics: Vec<String> = topics
        .map(|(topic, indexes)| {
            format!(
                "{{\"topic\":{},\"partitions\":{}}}",
                json!(topic),
                json!(indexes)
            )
        })
        .collect();
    format!("[{}]", topics.join(","))
}

/// Bytes as Kafka's tool writes them in JSON.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let byte = |index: usize| u32::from(three.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let index = bits >> (18 - 6 * digit) & 63;
            let is_filler = digit > three.len();
            text.push(if is_filler {
                '='
            } else {
                char::from(DIGITS[index as usize])
            });
        }
    }
    text
}

/// Reads fields; `None` where the bytes end too early.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn i16(&mut self) -> Option<i16> {
        Some(i16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn i32(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn i64(&mut self) -> Option<i64> {
        Some(i64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }

    fn varint(&mut self) -> Option<u32> {
        let mut value = 0u32;
        for shift in (0..35).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u32::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A string; `Some(None)` is null.
    fn string(&mut self, is_flexible: bool) -> Option<Option<String>> {
        let length = if is_flexible {
            i64::from(self.varint()?) - 1
        } else {
            i64::from(self.i16()?)
        };
        if length < 0 {
            return Some(None);
        }
        let bytes = self.take(usize::try_from(length).ok()?)?;
        Some(Some(String::from_utf8_lossy(bytes).into_owned()))
    }

    fn count(&mut self, is_flexible: bool) -> Option<usize> {
        let count = if is_flexible {
            i64::from(self.varint()?) - 1
        } else {
            i64::from(self.i32()?)
        };
        usize::try_from(count.max(0)).ok()
    }

    fn bytes(&mut self, is_flexible: bool) -> Option<&'a [u8]> {
        let length = self.count(is_flexible)?;
        self.take(length)
    }

    fn tags(&mut self) -> Option<Vec<(u32, &'a [u8])>> {
        let mut tags = Vec::new();
        for _tag in 0..self.varint()? {
            let tag = self.varint()?;
            let length = usize::try_from(self.varint()?).ok()?;
            tags.push((tag, self.take(length)?));
        }
        Some(tags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_base64() {
        let check = |bytes: &[u8], text: &str| assert_eq!(base64(bytes), text);
        check(b"", "");
        check(b"f", "Zg==");
        check(b"fo", "Zm8=");
        check(b"foobar", "Zm9vYmFy");
        check(&[0xff; 4], "/////w==");
    }

    #[test]
    fn damaged_records_are_not_shown() {
        let key = b"\0\x01\0\x01g\0\x01t\0\0\0\x02";
        let value = Bytes::from_static(b"\0\x03\0\0\0\0\0\0\0\x05\0\0\0\x01\0\0\0\0\0\0\0\0\0\x09");
        let (shown_key, shown) = texts(key, Some(&value)).expect("a commit");
        let expected =
            "{\"type\":\"1\",\"data\":{\"group\":\"g\",\"topic\":\"t\",\"partition\":2}}";
        assert_eq!(shown_key, expected);
        let expected = "{\"version\":\"3\",\"data\":{\"offset\":5,\"leaderEpoch\":1,\
                        \"metadata\":\"\",\"commitTimestamp\":9}}";
        assert_eq!(shown, expected);
        for length in 0..key.len() {
            assert_eq!(texts(&key[..length], Some(&value)), None);
        }
        for length in 0..value.len() {
            assert_eq!(texts(key, Some(&value.slice(..length))), None);
        }
    }
}
