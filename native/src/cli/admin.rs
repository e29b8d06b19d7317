//! Questions several tools ask a cluster, and the words for its refusals.
//!
//! Typed answers only; how they are printed belongs to the tools.

use kafka_wire::describe_configs_request::DescribeConfigsResource;
use kafka_wire::describe_configs_response::DescribeConfigsResult;
use kafka_wire::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_wire::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_wire::metadata_response::MetadataResponseTopic;
use kafka_wire::{
    DescribeConfigsRequest, IncrementalAlterConfigsRequest, ListConfigResourcesRequest,
    ListOffsetsRequest, MetadataRequest,
};
use kafka_wire_core::StrBytes;
use ottla_core::error::ErrorCode;
use regex_lite::Regex;
use std::collections::BTreeMap;

use crate::cli::driver::Cluster;
use crate::cli::failure::Failure;
use crate::cli::kafka_order::{HASH_MAP_CAPACITY, hash_map_order, string_hash};

/// `ConfigResource.Type` numbers on the wire.
pub(crate) mod resource {
    /// A topic.
    pub(crate) const TOPIC: i8 = 2;
    /// A broker; the empty name is every broker's default.
    pub(crate) const BROKER: i8 = 4;
    /// The log levels of a broker.
    pub(crate) const BROKER_LOGGER: i8 = 8;
    /// A metrics subscription (KIP-714).
    pub(crate) const CLIENT_METRICS: i8 = 16;
    /// A group.
    pub(crate) const GROUP: i8 = 32;
}

/// The names of what has settings of a kind, in the order of Kafka's tools.
pub(crate) fn config_resources(
    cluster: &mut Cluster,
    resource_type: i8,
) -> Result<Vec<String>, Failure> {
    let mut request = ListConfigResourcesRequest::default();
    request.resource_types = vec![resource_type];
    let answer = cluster.call(request)?;
    check(answer.error_code, None)?;
    let mut names: Vec<String> = answer
        .config_resources
        .iter()
        .map(|named| named.resource_name.to_string())
        .collect();
    hash_map_order(&mut names, HASH_MAP_CAPACITY, |name| string_hash(name));
    Ok(names)
}

/// The error in a reply, in the broker's words where it gave any; `Ok` for none.
pub(crate) fn check(code: i16, message: Option<&StrBytes>) -> Result<(), Failure> {
    if code == ErrorCode::None.code() {
        return Ok(());
    }
    Err(Failure::Refused(words(code, message)))
}

/// What a tool prints for an error: the broker's words, or else what the code means.
pub(crate) fn words(code: i16, message: Option<&StrBytes>) -> String {
    if let Some(message) = message.filter(|message| !message.is_empty()) {
        return message.to_string();
    }
    match ErrorCode::from_code(code) {
        Some(ErrorCode::UnknownTopicOrPartition) => {
            "This server does not host this topic-partition.".to_owned()
        }
        Some(ErrorCode::OffsetOutOfRange) => {
            "The requested offset is not within the range of offsets maintained by the server."
                .to_owned()
        }
        Some(ErrorCode::LogDirNotFound) => {
            "The user-specified log directory is not found in the broker config.".to_owned()
        }
        Some(ErrorCode::NonEmptyGroup) => "The group is not empty.".to_owned(),
        Some(ErrorCode::GroupIdNotFound) => "The group id does not exist.".to_owned(),
        Some(ErrorCode::InvalidGroupId) => "The group id is invalid.".to_owned(),
        Some(ErrorCode::GroupSubscribedToTopic) => {
            "Deleting offsets of a topic is forbidden while the consumer group is actively \
             subscribed to it."
                .to_owned()
        }
        Some(error) => format!("The broker answered {error}."),
        None => format!("The broker answered error {code}, which this tool does not know."),
    }
}

/// Kafka's name of an error's Java class, which its tools print before the words.
pub(crate) fn exception_name(code: i16) -> String {
    let name = ErrorCode::from_code(code).map_or("UNKNOWN_SERVER_ERROR", ErrorCode::name);
    if code == ErrorCode::NonEmptyGroup.code() {
        // The one that is not named after its code.
        return "org.apache.kafka.common.errors.GroupNotEmptyException".to_owned();
    }
    let mut class = String::from("org.apache.kafka.common.errors.");
    for word in name.split('_') {
        class.push_str(&word[..1]);
        class.push_str(&word[1..].to_ascii_lowercase());
    }
    if !class.ends_with("Exception") {
        class.push_str("Exception");
    }
    class
}

/// Every topic of the cluster, by name.
pub(crate) fn all_topics(cluster: &mut Cluster) -> Result<Vec<MetadataResponseTopic>, Failure> {
    let mut request = MetadataRequest::default();
    request.topics = None;
    let mut topics = cluster.metadata(request)?.topics;
    topics.retain(|topic| topic.name.is_some());
    topics.sort_by(|a, b| name_of(a).cmp(name_of(b)));
    Ok(topics)
}

/// A topic's name; empty where the broker told none.
pub(crate) fn name_of(topic: &MetadataResponseTopic) -> &str {
    topic.name.as_ref().map_or("", StrBytes::as_str)
}

/// A filter of topic names: a list of regular expressions, separated by commas, of which one must
/// match the whole name. Kafka's `IncludeList`.
pub(crate) fn topic_filter(pattern: &str) -> Result<Regex, Failure> {
    let trimmed = pattern.trim().trim_matches(['"', '\'']);
    let alternatives = trimmed.replace(',', "|").replace(' ', "");
    Regex::new(&format!("^(?:{alternatives})$")).map_err(|error| {
        Failure::refused(match only_in_java(&alternatives) {
            Some(what) => format!(
                "{pattern}: {what} of Java's regular expressions are not supported here; write the \
                 pattern without them, or name the topics."
            ),
            None => format!("{pattern} is an invalid regex: {error}"),
        })
    })
}

/// What Java's regular expressions have and those here do not: it would make a match take a time
/// that nothing bounds.
fn only_in_java(pattern: &str) -> Option<&'static str> {
    let has = |parts: &[&str]| parts.iter().any(|part| pattern.contains(part));
    let backslash = pattern.split('\\').skip(1);
    if has(&["(?=", "(?!", "(?<=", "(?<!"]) {
        Some("looks ahead and behind")
    } else if has(&["(?>"]) {
        Some("atomic groups")
    } else if has(&["*+", "++", "?+", "}+"]) {
        Some("possessive quantifiers")
    } else if backslash
        .into_iter()
        .any(|rest| rest.starts_with(|first: char| ('1'..='9').contains(&first)))
    {
        Some("back references")
    } else {
        None
    }
}

/// Asks for configurations; one result per resource, in the order asked.
pub(crate) fn describe_configs(
    cluster: &mut Cluster,
    resources: &[(i8, &str)],
) -> Result<Vec<DescribeConfigsResult>, Failure> {
    let mut request = DescribeConfigsRequest::default();
    request.include_synonyms = true;
    for &(resource_type, name) in resources {
        let mut resource = DescribeConfigsResource::default();
        resource.resource_type = resource_type;
        resource.resource_name = StrBytes::from(name);
        resource.configuration_keys = None;
        request.resources.push(resource);
    }
    // The settings of a broker are known to that broker alone.
    let node_id = match resources {
        [(resource::BROKER | resource::BROKER_LOGGER, name)] => name.parse().ok(),
        _several => None,
    };
    let answer = match node_id {
        Some(node_id) => cluster.call_node(node_id, request)?,
        None => cluster.call(request)?,
    };
    if answer.results.len() != resources.len() {
        return Err(Failure::refused(
            "The broker answered for other configurations than asked.",
        ));
    }
    Ok(answer.results)
}

/// `AlterConfigOp` numbers on the wire.
const OPERATION_SET: i8 = 0;
const OPERATION_DELETE: i8 = 1;

/// Settings to change: a value to set, or `None` to set back to default.
pub(crate) type Changes = Vec<(String, Option<String>)>;

/// Changes settings of one resource; the empty name is the default of all brokers.
pub(crate) fn alter_configs(
    cluster: &mut Cluster,
    resource_type: i8,
    name: &str,
    changes: Changes,
) -> Result<(), Failure> {
    match alter_configs_or(cluster, resource_type, name, changes)? {
        None => Ok(()),
        Some((_code, words)) => Err(Failure::Refused(words)),
    }
}

/// As [`alter_configs`]; gives the code and the words of a refusal.
pub(crate) fn alter_configs_or(
    cluster: &mut Cluster,
    resource_type: i8,
    name: &str,
    changes: Changes,
) -> Result<Option<(i16, String)>, Failure> {
    let mut altered = AlterConfigsResource::default();
    altered.resource_type = resource_type;
    altered.resource_name = StrBytes::from(name);
    for (key, value) in changes {
        let mut config = AlterableConfig::default();
        config.name = StrBytes::from(key);
        config.config_operation = match value {
            Some(_) => OPERATION_SET,
            None => OPERATION_DELETE,
        };
        config.value = value.map(StrBytes::from);
        altered.configs.push(config);
    }
    let mut request = IncrementalAlterConfigsRequest::default();
    request.resources.push(altered);
    // A broker checks changes to itself.
    let of_one_broker = matches!(resource_type, resource::BROKER | resource::BROKER_LOGGER);
    let answer = match name.parse() {
        Ok(node_id) if of_one_broker => cluster.call_node(node_id, request)?,
        _any_broker => cluster.call(request)?,
    };
    let refused = answer
        .responses
        .iter()
        .find(|result| result.error_code != ErrorCode::None.code());
    Ok(refused.map(|result| {
        let words = words(result.error_code, result.error_message.as_ref());
        (result.error_code, words)
    }))
}

/// A partition by name, with the offset asked for or the error instead.
pub(crate) type OffsetAnswer = ((String, i32), Result<i64, i16>);

/// Asks a leader for offsets of its partitions at one time; `-1` where there is none.
///
/// `isolation_level` is the protocol's: 0 uncommitted, 1 committed.
pub(crate) fn list_offsets(
    cluster: &mut Cluster,
    leader: i32,
    partitions: &[(String, i32)],
    time: i64,
    isolation_level: i8,
) -> Result<Vec<OffsetAnswer>, Failure> {
    let mut request = ListOffsetsRequest::default();
    request.replica_id = -1;
    let version = cluster
        .node(leader)?
        .version_of::<ListOffsetsRequest>()
        .unwrap_or(0);
    if version >= 2 {
        request.isolation_level = isolation_level;
    }
    if version >= 10 {
        request.timeout_ms = cluster.request_timeout_ms();
    }
    let mut topics: BTreeMap<&str, Vec<ListOffsetsPartition>> = BTreeMap::new();
    for (topic, index) in partitions {
        let mut partition = ListOffsetsPartition::default();
        partition.partition_index = *index;
        partition.current_leader_epoch = -1;
        partition.timestamp = time;
        topics.entry(topic).or_default().push(partition);
    }
    for (name, partitions) in topics {
        let mut topic = ListOffsetsTopic::default();
        topic.name = StrBytes::from(name);
        topic.partitions = partitions;
        request.topics.push(topic);
    }
    let mut answers = Vec::new();
    for topic in cluster.call_node(leader, request)?.topics {
        for partition in topic.partitions {
            let named = (topic.name.to_string(), partition.partition_index);
            let failed = partition.error_code != ErrorCode::None.code();
            let answer = if failed {
                Err(partition.error_code)
            } else {
                Ok(partition.offset)
            };
            answers.push((named, answer));
        }
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_matches_whole_names() {
        let matches = |pattern: &str, name: &str| {
            topic_filter(pattern)
                .expect("a good pattern")
                .is_match(name)
        };
        assert!(matches("a|my.*", "my.topic"));
        assert!(matches("a,b", "b"));
        assert!(!matches("a", "aa"));
        assert!(!matches("a|b", "xb"));
        assert!(topic_filter("(").is_err());
        let refused = |pattern: &str| topic_filter(pattern).map_err(|failure| failure.to_string());
        let java = "(?!__).*";
        let said = refused(java).expect_err("only Java has it");
        let expected = "(?!__).*: looks ahead and behind of Java's regular expressions";
        assert!(said.starts_with(expected), "{said}");
        let said = refused("(a)\\1").expect_err("only Java has it");
        assert!(said.contains("back references"), "{said}");
    }

    #[test]
    fn errors_have_kafkas_class_names() {
        let name = exception_name(ErrorCode::OffsetOutOfRange.code());
        assert_eq!(
            name,
            "org.apache.kafka.common.errors.OffsetOutOfRangeException"
        );
        let name = exception_name(ErrorCode::InvalidTopicException.code());
        assert_eq!(name, "org.apache.kafka.common.errors.InvalidTopicException");
    }
}
