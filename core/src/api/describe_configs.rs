//! DescribeConfigs: what is configured, where it comes from and what it hides (K116).
//!
//! The table of configurations makes the material; here it is selected and written. Checked
//! against Apache Kafka 4.3.1. Ottla's loggers are not configurations, so a broker has none.

use std::sync::Arc;

use kafka_wire::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use kafka_wire::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResponse, DescribeConfigsResult,
    DescribeConfigsSynonym,
};
use kafka_wire_core::StrBytes;

use crate::config::Settings;
use crate::config::describe::{
    Entry, describe_broker, describe_broker_defaults, describe_client_metrics, describe_group,
    describe_topic,
};
use crate::controller::names::invalid_name;
use crate::error::ErrorCode;
use crate::ids::NodeId;
use crate::limits::CONFIGS_DESCRIBED_MAX;
use crate::metadata::image::{ConfigResource, Image, ResourceKind};

/// The number of a broker's loggers among the kinds of resource.
pub(super) const BROKER_LOGGER: i8 = 8;

/// What Kafka says of a request it has no better words for.
pub(super) const MALFORMED: &str = "This most likely occurs because of a request being malformed \
     by the client library or the message was sent to an incompatible broker. See the broker logs \
     for more details.";

/// What is said of resources for which an answer has no room left.
const TOO_MANY: &str = "Too many configurations are asked for at once; ask for fewer resources.";

/// Why a resource is not described.
pub(super) type Refusal = (ErrorCode, String);

/// Answers a DescribeConfigs request.
#[must_use]
pub fn answer(
    image: &Image,
    settings: &Settings,
    node: NodeId,
    request: &DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let mut response = DescribeConfigsResponse::default();
    let mut room = CONFIGS_DESCRIBED_MAX;
    for resource in &request.resources {
        let mut result = DescribeConfigsResult::default();
        result.resource_type = resource.resource_type;
        result.resource_name = resource.resource_name.clone();
        let described = if room == 0 {
            Err((ErrorCode::InvalidRequest, TOO_MANY.to_owned()))
        } else {
            entries(image, settings, node, resource)
        };
        match described {
            Ok(entries) => {
                // Looked at is as good as told: a request must not cost much for nothing.
                room = room.saturating_sub(entries.len());
                result.configs = entries
                    .into_iter()
                    .filter(|entry| is_asked(resource, entry))
                    .map(|entry| written(entry, request))
                    .collect();
            }
            Err((code, message)) => {
                result.error_code = code.code();
                result.error_message = Some(StrBytes::from(message));
            }
        }
        response.results.push(result);
    }
    assert_eq!(
        response.results.len(),
        request.resources.len(),
        "each is answered"
    );
    response
}

fn is_asked(resource: &DescribeConfigsResource, entry: &Entry) -> bool {
    let keys = resource.configuration_keys.as_deref().unwrap_or_default();
    keys.is_empty() || keys.iter().any(|key| key.as_str() == entry.name)
}

fn entries(
    image: &Image,
    settings: &Settings,
    node: NodeId,
    resource: &DescribeConfigsResource,
) -> Result<Vec<Entry>, Refusal> {
    let name = resource.resource_name.as_str();
    if resource.resource_type == BROKER_LOGGER {
        check_logger(node, name)?;
        return Ok(Vec::new());
    }
    let invalid = |message: &str| Err((ErrorCode::InvalidRequest, message.to_owned()));
    let Some(kind) = ResourceKind::from_code(resource.resource_type) else {
        return invalid(MALFORMED);
    };
    let own = image.configs(&ConfigResource {
        kind,
        name: Arc::from(name),
    });
    match kind {
        ResourceKind::Topic => {
            if let Some(message) = invalid_name(name) {
                return Err((ErrorCode::InvalidTopicException, message));
            }
            if image.topic(name).is_none() {
                return Err((ErrorCode::UnknownTopicOrPartition, String::new()));
            }
            Ok(describe_topic(settings, &own))
        }
        ResourceKind::Broker if name.is_empty() => Ok(describe_broker_defaults(settings)),
        ResourceKind::Broker => {
            check_broker(node, name)?;
            Ok(describe_broker(settings))
        }
        ResourceKind::ClientMetrics if name.is_empty() => {
            invalid("Client metrics subscription name must not be empty")
        }
        ResourceKind::ClientMetrics => Ok(describe_client_metrics(&own)),
        ResourceKind::Group if name.is_empty() => invalid("Group name must not be empty"),
        ResourceKind::Group => Ok(describe_group(settings, &own)),
    }
}

fn check_broker(node: NodeId, name: &str) -> Result<(), Refusal> {
    let message = match name.parse::<i32>() {
        Ok(number) if number == node.0 => return Ok(()),
        Ok(number) => {
            format!("Unexpected broker id, expected {node} or empty string, but received {number}")
        }
        Err(_) => format!("Broker id must be an integer, but it is: {name}"),
    };
    Err((ErrorCode::InvalidRequest, message))
}

fn check_logger(node: NodeId, name: &str) -> Result<(), Refusal> {
    let message = match name.parse::<i32>() {
        Ok(number) if number == node.0 => return Ok(()),
        Ok(number) => format!("Unexpected broker id, expected {node} but received {number}"),
        Err(_) if name.is_empty() => "Broker id must not be empty".to_owned(),
        Err(_) => format!("Broker id must be an integer, but it is: {name}"),
    };
    Err((ErrorCode::InvalidRequest, message))
}

fn written(entry: Entry, request: &DescribeConfigsRequest) -> DescribeConfigsResourceResult {
    let mut told = DescribeConfigsResourceResult::default();
    told.name = StrBytes::from(entry.name);
    told.value = entry.value.map(StrBytes::from);
    told.read_only = entry.read_only;
    told.config_source = entry.source.wire_code();
    told.is_sensitive = entry.sensitive;
    told.config_type = entry
        .definition
        .map_or(0, |definition| definition.kind.wire_code());
    told.documentation = None;
    if request.include_documentation {
        told.documentation = entry
            .definition
            .filter(|definition| definition.name == told.name.as_str())
            .map(|definition| StrBytes::from(definition.doc));
    }
    if request.include_synonyms {
        told.synonyms = entry
            .synonyms
            .into_iter()
            .map(|synonym| {
                let mut told = DescribeConfigsSynonym::default();
                told.name = StrBytes::from(synonym.name);
                told.value = synonym.value.map(StrBytes::from);
                told.source = synonym.source.wire_code();
                told
            })
            .collect();
    }
    told
}
