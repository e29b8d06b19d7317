//! How a consumed record is printed: Kafka's formatters, JSON, and lines for a person.

use std::io::Write;

use ottla_core::wire::batch::TimestampType;
use serde_json::{Value, json};

use super::record::{Consumed, Deserializer, append_optional};
use crate::cli::failure::Failure;
use crate::cli::group_records::{Blobs, GroupRecord, Subject};
use crate::cli::properties::Properties;
use crate::cli::time::utc_text;

/// A way to print records.
#[derive(Clone, Debug)]
pub(super) enum Formatter {
    /// Kafka's `DefaultMessageFormatter`.
    Default(Box<DefaultFormatter>),
    /// One JSON object on a line.
    Json,
    /// Kafka's `GroupMetadataMessageFormatter` and `OffsetsMessageFormatter`: what the records of
    /// `__consumer_offsets` say of one subject. Nothing for others, and nothing between two.
    Groups(Subject),
    /// Kafka's `NoOpMessageFormatter`: nothing.
    Nothing,
    /// Time, position, key, value and headers, for a person; with colour or without.
    Person {
        /// Whether a terminal shows it.
        colour: bool,
    },
}

impl Formatter {
    /// Kafka's formatter of this class, with its properties.
    pub(super) fn parse(class: Option<&str>, properties: &Properties) -> Result<Self, Failure> {
        let class = class.unwrap_or("DefaultMessageFormatter");
        match class.rsplit('.').next().unwrap_or(class) {
            "DefaultMessageFormatter" | "LoggingMessageFormatter" => {
                Ok(Self::Default(Box::new(DefaultFormatter::new(properties)?)))
            }
            "GroupMetadataMessageFormatter" => Ok(Self::Groups(Subject::Group)),
            "NoOpMessageFormatter" => Ok(Self::Nothing),
            "OffsetsMessageFormatter" => Ok(Self::Groups(Subject::Offset)),
            _unknown => Err(Failure::refused(format!(
                "There is no formatter {class} here: DefaultMessageFormatter, \
                 GroupMetadataMessageFormatter, LoggingMessageFormatter, NoOpMessageFormatter and \
                 OffsetsMessageFormatter are."
            ))),
        }
    }

    /// Prints one record; nothing of it where it is refused.
    pub(super) fn print(&self, consumed: &Consumed, out: &mut dyn Write) -> Result<(), Failure> {
        let mut line = Vec::new();
        match self {
            Self::Default(formatter) => formatter.append(consumed, &mut line)?,
            Self::Json => {
                line.extend_from_slice(to_json(consumed).to_string().as_bytes());
                line.push(b'\n');
            }
            Self::Groups(subject) => append_group(consumed, *subject, &mut line),
            Self::Nothing => {}
            Self::Person { colour } => append_for_person(consumed, *colour, &mut line),
        }
        out.write_all(&line)?;
        Ok(())
    }
}

fn append_group(consumed: &Consumed, subject: Subject, line: &mut Vec<u8>) {
    let record = &consumed.record;
    let key = record.key.as_deref().unwrap_or_default();
    let decoded = GroupRecord::decode(key, record.value.as_ref(), Blobs::Encoded);
    if let Some(decoded) = decoded.filter(|decoded| decoded.subject == subject) {
        line.extend_from_slice(decoded.formatted().as_bytes());
    }
}

/// Kafka's `DefaultMessageFormatter`, with its properties.
#[derive(Clone, Debug)]
pub(super) struct DefaultFormatter {
    print_timestamp: bool,
    print_partition: bool,
    print_offset: bool,
    print_delivery: bool,
    print_epoch: bool,
    print_headers: bool,
    print_key: bool,
    print_value: bool,
    key_separator: String,
    line_separator: String,
    headers_separator: String,
    null_literal: String,
    key: Deserializer,
    value: Deserializer,
    headers: Deserializer,
}

impl DefaultFormatter {
    fn new(properties: &Properties) -> Result<Self, Failure> {
        let flag = |name: &str, default: bool| match properties.get(name) {
            Some(value) => value.trim().eq_ignore_ascii_case("true"),
            None => default,
        };
        let text = |name: &str, default: &str| match properties.get(name) {
            Some(value) => value.clone(),
            None => default.to_owned(),
        };
        let deserializer = |name: &str| match properties.get(name) {
            Some(class) => Deserializer::parse(class),
            None => Ok(Deserializer::default()),
        };
        Ok(Self {
            print_timestamp: flag("print.timestamp", false),
            print_partition: flag("print.partition", false),
            print_offset: flag("print.offset", false),
            print_delivery: flag("print.delivery", false),
            print_epoch: flag("print.epoch", false),
            print_headers: flag("print.headers", false),
            print_key: flag("print.key", false),
            print_value: flag("print.value", true),
            key_separator: text("key.separator", "\t"),
            line_separator: text("line.separator", "\n"),
            headers_separator: text("headers.separator", ","),
            null_literal: text("null.literal", "null"),
            key: deserializer("key.deserializer")?,
            value: deserializer("value.deserializer")?,
            headers: deserializer("headers.deserializer")?,
        })
    }

    fn append(&self, consumed: &Consumed, line: &mut Vec<u8>) -> Result<(), Failure> {
        let record = &consumed.record;
        let mut first = true;
        let mut separate = |line: &mut Vec<u8>| {
            if !first {
                line.extend_from_slice(self.key_separator.as_bytes());
            }
            first = false;
        };
        if self.print_timestamp {
            separate(line);
            line.extend_from_slice(timestamp_text(consumed).as_bytes());
        }
        // A consumer that is not of a share group knows no delivery count, and of a record's epoch
        // its console has never heard.
        let facts = [
            (
                self.print_partition,
                format!("Partition:{}", consumed.partition),
            ),
            (self.print_offset, format!("Offset:{}", record.offset)),
            (self.print_delivery, "Delivery:NOT_PRESENT".to_owned()),
            (self.print_epoch, "Epoch:NOT_PRESENT".to_owned()),
        ];
        for (_, text) in facts.iter().filter(|(wanted, _)| *wanted) {
            separate(line);
            line.extend_from_slice(text.as_bytes());
        }
        if self.print_headers {
            separate(line);
            self.append_headers(consumed, line)?;
        }
        if self.print_key {
            separate(line);
            append_optional(self.key, record.key.as_ref(), &self.null_literal, line)?;
        }
        if self.print_value {
            separate(line);
            append_optional(self.value, record.value.as_ref(), &self.null_literal, line)?;
        }
        line.extend_from_slice(self.line_separator.as_bytes());
        Ok(())
    }

    fn append_headers(&self, consumed: &Consumed, line: &mut Vec<u8>) -> Result<(), Failure> {
        let headers = &consumed.record.headers;
        if headers.is_empty() {
            line.extend_from_slice(b"NO_HEADERS");
        }
        for (i, header) in headers.iter().enumerate() {
            if i > 0 {
                line.extend_from_slice(self.headers_separator.as_bytes());
            }
            line.extend_from_slice(&header.key);
            line.push(b':');
            append_optional(
                self.headers,
                header.value.as_ref(),
                &self.null_literal,
                line,
            )?;
        }
        Ok(())
    }
}

fn timestamp_text(consumed: &Consumed) -> String {
    let timestamp = consumed.record.timestamp.0;
    match consumed.timestamp_type {
        _ if timestamp < 0 => "NO_TIMESTAMP".to_owned(),
        TimestampType::CreateTime => format!("CreateTime:{timestamp}"),
        TimestampType::LogAppendTime => format!("LogAppendTime:{timestamp}"),
    }
}

/// A record as JSON. Bytes that are not UTF-8 are told in hexadecimal under another name.
fn to_json(consumed: &Consumed) -> Value {
    let record = &consumed.record;
    let mut object = serde_json::Map::new();
    object.insert("topic".to_owned(), json!(&*consumed.topic));
    object.insert("partition".to_owned(), json!(consumed.partition));
    object.insert("offset".to_owned(), json!(record.offset.0));
    object.insert("timestamp".to_owned(), json!(record.timestamp.0));
    let kind = match consumed.timestamp_type {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    };
    object.insert("timestampType".to_owned(), json!(kind));
    let headers = record.headers.iter().map(|header| {
        let mut shown = serde_json::Map::new();
        insert_bytes(&mut shown, "key", Some(&header.key));
        insert_bytes(&mut shown, "value", header.value.as_deref());
        Value::Object(shown)
    });
    object.insert("headers".to_owned(), headers.collect());
    insert_bytes(&mut object, "key", record.key.as_deref());
    insert_bytes(&mut object, "value", record.value.as_deref());
    Value::Object(object)
}

/// Adds bytes to an object: as a string where they are text, in hexadecimal otherwise.
pub(crate) fn insert_bytes(
    object: &mut serde_json::Map<String, Value>,
    name: &str,
    bytes: Option<&[u8]>,
) {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => object.insert(name.to_owned(), Value::Null),
        Some((_, Ok(text))) => object.insert(name.to_owned(), json!(text)),
        Some((bytes, Err(_not_text))) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            object.insert(format!("{name}Hex"), json!(digits))
        }
    };
}

/// Appends a line such as `2026-11-22T21:04:48.123Z orders-0@17 key value (header=value)`.
fn append_for_person(consumed: &Consumed, colour: bool, line: &mut Vec<u8>) {
    const DIM: &str = "\x1b[2m";
    const KEY: &str = "\x1b[36m";
    const PLAIN: &str = "\x1b[0m";
    let mut part = |style: &str, text: &[u8]| {
        if !line.is_empty() {
            line.push(b' ');
        }
        if colour && !style.is_empty() {
            line.extend_from_slice(style.as_bytes());
        }
        line.extend_from_slice(text);
        if colour && !style.is_empty() {
            line.extend_from_slice(PLAIN.as_bytes());
        }
    };
    let record = &consumed.record;
    part(DIM, utc_text(record.timestamp.0).as_bytes());
    let position = format!(
        "{}-{}@{}",
        consumed.topic, consumed.partition, record.offset
    );
    part(DIM, position.as_bytes());
    if let Some(key) = &record.key {
        part(KEY, key);
    }
    match &record.value {
        Some(value) => part("", value),
        None => part(DIM, b"null"),
    }
    if !record.headers.is_empty() {
        let mut headers = vec![b'('];
        for (i, header) in record.headers.iter().enumerate() {
            if i > 0 {
                headers.extend_from_slice(b", ");
            }
            headers.extend_from_slice(&header.key);
            headers.push(b'=');
            headers.extend_from_slice(header.value.as_deref().unwrap_or(b"null"));
        }
        headers.push(b')');
        part(DIM, &headers);
    }
    line.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use ottla_core::ids::Offset;
    use ottla_core::time::Timestamp;
    use ottla_core::wire::records::{Record, RecordHeader};

    fn sample() -> Consumed {
        let header = |key: &'static str, value: Option<&'static str>| RecordHeader {
            key: Bytes::from_static(key.as_bytes()),
            value: value.map(|value| Bytes::from_static(value.as_bytes())),
        };
        Consumed {
            topic: "orders".into(),
            partition: 3,
            timestamp_type: TimestampType::CreateTime,
            record: Record {
                offset: Offset(17),
                timestamp: Timestamp(1_795_379_728_014),
                key: Some(Bytes::from_static(b"k")),
                value: None,
                headers: vec![header("h1", Some("a")), header("h2", None)],
            },
        }
    }

    fn printed(formatter: &Formatter, consumed: &Consumed) -> String {
        let mut out = Vec::new();
        formatter
            .print(consumed, &mut out)
            .expect("memory takes it");
        String::from_utf8(out).expect("the sample is text")
    }

    fn default(properties: &[(&str, &str)]) -> Formatter {
        let owned = properties
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Formatter::parse(None, &owned.collect()).expect("good properties")
    }

    #[test]
    fn the_default_prints_as_kafkas_does() {
        assert_eq!(printed(&default(&[]), &sample()), "null\n");
        let all = [
            ("print.timestamp", "true"),
            ("print.partition", "true"),
            ("print.offset", "true"),
            ("print.headers", "true"),
            ("print.key", "true"),
        ];
        assert_eq!(
            printed(&default(&all), &sample()),
            "CreateTime:1795379728014\tPartition:3\tOffset:17\th1:a,h2:null\tk\tnull\n"
        );
        let separated = [
            ("print.key", "true"),
            ("print.headers", "true"),
            ("key.separator", "|"),
            ("line.separator", ";"),
            ("headers.separator", "+"),
            ("null.literal", "NIL"),
        ];
        assert_eq!(
            printed(&default(&separated), &sample()),
            "h1:a+h2:NIL|k|NIL;"
        );
        let mut bare = sample();
        bare.record.headers.clear();
        bare.record.timestamp = Timestamp::NONE;
        let few = [
            ("print.timestamp", "true"),
            ("print.headers", "TRUE"),
            ("print.value", "no"),
        ];
        assert_eq!(printed(&default(&few), &bare), "NO_TIMESTAMP\tNO_HEADERS\n");
    }

    #[test]
    fn other_formatters_are_known_by_their_classes() {
        let parse = |class: &str| Formatter::parse(Some(class), &Properties::new());
        let nothing = parse("org.apache.kafka.tools.consumer.NoOpMessageFormatter");
        assert_eq!(printed(&nothing.expect("it is Kafka's"), &sample()), "");
        assert!(parse("bogus").is_err());
        let mut group = sample();
        group.record.key = Some(Bytes::from_static(b"\0\x02\0\x01g"));
        let groups = parse("org.apache.kafka.tools.consumer.GroupMetadataMessageFormatter");
        let groups = groups.expect("it is Kafka's");
        let told = "{\"key\":{\"type\":2,\"data\":{\"group\":\"g\"}},\"value\":null}";
        assert_eq!(printed(&groups, &group), told);
        assert_eq!(printed(&groups, &sample()), "");
        let offsets = parse("OffsetsMessageFormatter").expect("it is Kafka's");
        assert_eq!(printed(&offsets, &group), "");
    }

    #[test]
    fn people_and_programs_see_everything() {
        let person = Formatter::Person { colour: false };
        assert_eq!(
            printed(&person, &sample()),
            "2026-11-22T20:35:28.014Z orders-3@17 k null (h1=a, h2=null)\n"
        );
        let mut binary = sample();
        binary.record.value = Some(Bytes::from_static(&[0xff, 0]));
        let json: Value = printed(&Formatter::Json, &binary)
            .parse()
            .expect("it is JSON");
        assert_eq!(json["valueHex"], "ff00");
        assert_eq!(json["headers"][0], json!({"key": "h1", "value": "a"}));
        assert_eq!(json["offset"], 17);
        let coloured = printed(&Formatter::Person { colour: true }, &sample());
        assert!(coloured.contains("\x1b[36mk\x1b[0m"));
    }
}
