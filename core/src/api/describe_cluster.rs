//! DescribeCluster: the cluster's id, its brokers and whom to ask for changes (KIP-700).
//!
//! A broker answers for brokers only; questions for controllers go to a controller's listener
//! (KIP-919). Checked against Apache Kafka 4.3.1.

use kafka_wire::describe_cluster_response::DescribeClusterBroker;
use kafka_wire::{DescribeClusterRequest, DescribeClusterResponse};
use kafka_wire_core::StrBytes;

use super::cluster_view::{CLUSTER_OPERATIONS, ClusterView, OPERATIONS_NOT_ASKED};
use crate::error::ErrorCode;
use crate::ids::NodeId;

/// The endpoints of brokers, by their number on the wire.
const BROKERS: i8 = 1;

/// The endpoints of controllers.
const CONTROLLERS: i8 = 2;

/// Answers a DescribeCluster request.
#[must_use]
pub fn answer(view: &ClusterView<'_>, request: &DescribeClusterRequest) -> DescribeClusterResponse {
    let mut response = DescribeClusterResponse::default();
    response.endpoint_type = BROKERS;
    response.controller_id = NodeId::NONE.0;
    response.cluster_authorized_operations = OPERATIONS_NOT_ASKED;
    if request.endpoint_type != BROKERS {
        let (code, message) = if request.endpoint_type == CONTROLLERS {
            let message = "The request was sent to an endpoint of type BROKER, but we wanted an \
                           endpoint of type CONTROLLER";
            (ErrorCode::MismatchedEndpointType, message.to_owned())
        } else {
            let message = format!("Unsupported endpoint type {}", request.endpoint_type);
            (ErrorCode::UnsupportedEndpointType, message)
        };
        response.error_code = code.code();
        response.error_message = Some(StrBytes::from(message));
        return response;
    }
    response.error_message = None;
    response.cluster_id = StrBytes::from(view.cluster_id);
    response.controller_id = view.controller().0;
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    response.brokers = view
        .registered()
        .filter(|(broker, _)| request.include_fenced_brokers || !broker.fenced)
        .map(|(broker, endpoint)| {
            let mut told = DescribeClusterBroker::default();
            told.broker_id = broker.id.0;
            told.host = StrBytes::from(&*endpoint.host);
            told.port = i32::from(endpoint.port);
            told.rack = broker.rack.as_deref().map(StrBytes::from);
            told.is_fenced = broker.fenced;
            told
        })
        .collect();
    response
}
