//! Records of `__consumer_offsets` as JSON: commits, and what is known of classic groups.
//!
//! Sources: `--offsets-decoder` of Apache Kafka 4.3.1's dump tool, and the message formatters of
//! its console consumer. Records of the newer groups (KIP-848, share and streams groups) are not
//! decoded here yet.

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

/// What a record tells of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Subject {
    /// An offset of a group.
    Offset,
    /// A group and its members.
    Group,
}

/// How the subscriptions and assignments of members are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Blobs {
    /// As bytes in base64.
    Encoded,
    /// As what they say, where the group is one of consumers.
    Decoded,
}

/// A record, its fields as JSON.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct GroupRecord {
    /// What it tells of.
    pub(crate) subject: Subject,
    /// The type of the key.
    kind: i16,
    key: String,
    /// Version and fields; `None` for a tombstone.
    value: Option<(i16, String)>,
}

impl GroupRecord {
    /// Reads a record; `None` where it is not known or damaged.
    pub(crate) fn decode(key: &[u8], value: Option<&Bytes>, blobs: Blobs) -> Option<Self> {
        let mut reader = Reader::new(key);
        let kind = reader.i16()?;
        let group = json!(reader.string(false)??);
        let (subject, key) = match kind {
            LEGACY_OFFSET | OFFSET => {
                let topic = json!(reader.string(false)??);
                let partition = reader.i32()?;
                let key =
                    format!("{{\"group\":{group},\"topic\":{topic},\"partition\":{partition}}}");
                (Subject::Offset, key)
            }
            GROUP => (Subject::Group, format!("{{\"group\":{group}}}")),
            _newer => return None,
        };
        let value = match value {
            None => None,
            Some(value) => {
                let mut reader = Reader::new(value);
                let version = reader.i16()?;
                let fields = match subject {
                    Subject::Offset => offset_value(&mut reader, version)?,
                    Subject::Group => group_value(&mut reader, version, blobs)?,
                };
                Some((version, fields))
            }
        };
        Some(Self {
            subject,
            kind,
            key,
            value,
        })
    }

    /// Key and value as Kafka's dump tool prints them.
    pub(crate) fn dumped(&self) -> (String, String) {
        let (kind, key) = (self.kind, &self.key);
        let value = match &self.value {
            None => "<DELETE>".to_owned(),
            Some((version, fields)) => {
                format!("{{\"version\":\"{version}\",\"data\":{fields}}}")
            }
        };
        (format!("{{\"type\":\"{kind}\",\"data\":{key}}}"), value)
    }

    /// The record as the formatters of Kafka's console consumer print it.
    pub(crate) fn formatted(&self) -> String {
        let (kind, key) = (self.kind, &self.key);
        let value = match &self.value {
            None => "null".to_owned(),
            Some((version, fields)) => format!("{{\"version\":{version},\"data\":{fields}}}"),
        };
        format!("{{\"key\":{{\"type\":{kind},\"data\":{key}}},\"value\":{value}}}")
    }
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

fn group_value(reader: &mut Reader<'_>, version: i16, blobs: Blobs) -> Option<String> {
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
    let blobs = match protocol_type.as_str() {
        "consumer" => blobs,
        _other => Blobs::Encoded,
    };
    let mut members = Vec::new();
    for _member in 0..reader.count(is_flexible)? {
        members.push(member(reader, version, blobs)?);
    }
    fields.push(format!("\"members\":[{}]", members.join(",")));
    Some(format!("{{{}}}", fields.join(",")))
}

fn member(reader: &mut Reader<'_>, version: i16, blobs: Blobs) -> Option<String> {
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
    let text = |blob: &[u8], decode: fn(&Bytes) -> Option<String>| {
        let decoded = match blobs {
            Blobs::Decoded => decode(&Bytes::copy_from_slice(blob)),
            Blobs::Encoded => None,
        };
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
        let decode = |key: &[u8], value: Option<Bytes>| {
            GroupRecord::decode(key, value.as_ref(), Blobs::Decoded)
        };
        let record = decode(key, Some(value.clone())).expect("a commit");
        let (shown_key, shown) = record.dumped();
        let expected =
            "{\"type\":\"1\",\"data\":{\"group\":\"g\",\"topic\":\"t\",\"partition\":2}}";
        assert_eq!(shown_key, expected);
        let expected = "{\"version\":\"3\",\"data\":{\"offset\":5,\"leaderEpoch\":1,\
                        \"metadata\":\"\",\"commitTimestamp\":9}}";
        assert_eq!(shown, expected);
        let expected = "{\"key\":{\"type\":1,\"data\":{\"group\":\"g\",\"topic\":\"t\",\
                        \"partition\":2}},\"value\":{\"version\":3,\"data\":{\"offset\":5,\
                        \"leaderEpoch\":1,\"metadata\":\"\",\"commitTimestamp\":9}}}";
        assert_eq!(record.formatted(), expected);
        let gone = decode(key, None).expect("a tombstone").formatted();
        assert!(gone.ends_with("},\"value\":null}"), "{gone}");
        for length in 0..key.len() {
            assert_eq!(decode(&key[..length], Some(value.clone())), None);
        }
        for length in 0..value.len() {
            assert_eq!(decode(key, Some(value.slice(..length))), None);
        }
    }
}
