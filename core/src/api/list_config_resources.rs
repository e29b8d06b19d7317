//! ListConfigResources: what may have configurations, by kind (KIP-1142).
//!
//! Version 0 was ListClientMetricsResources and lists those only.

use kafka_wire::list_config_resources_response::ConfigResource;
use kafka_wire::{ListConfigResourcesRequest, ListConfigResourcesResponse};
use kafka_wire_core::StrBytes;

use super::describe_configs::BROKER_LOGGER;
use crate::error::ErrorCode;
use crate::metadata::image::{Image, ResourceKind};

/// Answers a ListConfigResources request of `version`.
#[must_use]
pub fn answer(
    image: &Image,
    version: i16,
    request: &ListConfigResourcesRequest,
) -> ListConfigResourcesResponse {
    let all = [
        ResourceKind::Topic as i8,
        ResourceKind::Broker as i8,
        BROKER_LOGGER,
        ResourceKind::ClientMetrics as i8,
        ResourceKind::Group as i8,
    ];
    let mut response = ListConfigResourcesResponse::default();
    let kinds: &[i8] = if version == 0 {
        &[ResourceKind::ClientMetrics as i8]
    } else if request.resource_types.is_empty() {
        &all
    } else {
        &request.resource_types
    };
    if kinds.iter().any(|kind| !all.contains(kind)) {
        response.error_code = ErrorCode::UnsupportedVersion.code();
        return response;
    }
    for kind in all.into_iter().filter(|kind| kinds.contains(kind)) {
        response
            .config_resources
            .extend(names(image, kind).map(|name| {
                let mut resource = ConfigResource::default();
                resource.resource_type = kind;
                resource.resource_name = StrBytes::from(name);
                resource
            }));
    }
    response
}

fn names(image: &Image, kind: i8) -> Box<dyn Iterator<Item = String> + '_> {
    let brokers = || image.brokers().map(|broker| broker.id.to_string());
    match ResourceKind::from_code(kind) {
        Some(ResourceKind::Topic) => Box::new(image.topics().map(|topic| topic.name.to_string())),
        Some(ResourceKind::Broker) | None => Box::new(brokers()),
        Some(kind @ (ResourceKind::ClientMetrics | ResourceKind::Group)) => Box::new(
            image
                .configured(kind)
                .map(|resource| resource.name.to_string()),
        ),
    }
}
