//! ListGroups: every group that this broker coordinates.

use kafka_wire::{ListGroupsRequest, ListGroupsResponse};

use crate::error::ErrorCode;
use crate::group::GroupFilter;
use crate::node::Broker;
use crate::wire::request::Reply;

/// Answers the groups that pass the request's filters; an error while some may be missing.
pub fn handle(broker: &Broker, request: &ListGroupsRequest) -> Reply {
    let mut response = ListGroupsResponse::default();
    let loading = ErrorCode::CoordinatorLoadInProgress;
    let mut refusals = broker.groups.shards().filter_map(|shard| shard.refusal());
    if refusals.any(|code| code == loading) {
        response.error_code = loading.code();
        return Reply::ListGroups(response);
    }
    let filter = GroupFilter::of(request);
    let active = broker.groups.shards().filter(|shard| shard.is_active());
    response.groups = active
        .flat_map(|shard| shard.list_groups(&filter))
        .collect();
    Reply::ListGroups(response)
}
