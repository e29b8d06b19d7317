//! DescribeGroups: groups with their members (K82).

use kafka_wire::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_wire::{DescribeGroupsRequest, DescribeGroupsResponse};
use kafka_wire_core::StrBytes;

use super::Requester;
use super::cluster_view::{GROUP_OPERATIONS, OPERATIONS_NOT_ASKED};
use crate::error::ErrorCode;
use crate::limits::MEMBERS_DESCRIBED_BYTES_MAX;
use crate::node::Broker;
use crate::wire::request::Reply;

/// Answers one description for each name, in their order.
pub fn handle(broker: &Broker, from: &Requester, request: &DescribeGroupsRequest) -> Reply {
    let mut response = DescribeGroupsResponse::default();
    let mut left = MEMBERS_DESCRIBED_BYTES_MAX;
    for group in &request.groups {
        let mut told = match left {
            0 => refusal(group, ErrorCode::InvalidRequest),
            _some => {
                let shard = broker.groups.shard_of(group);
                shard.describe_group(group, from.version())
            }
        };
        left = left.saturating_sub(told.members.iter().map(size_of_member).sum());
        let is_known = told.error_code == ErrorCode::None.code();
        told.authorized_operations = if request.include_authorized_operations && is_known {
            GROUP_OPERATIONS
        } else {
            OPERATIONS_NOT_ASKED
        };
        response.groups.push(told);
    }
    Reply::DescribeGroups(response)
}

/// About what telling a member costs.
fn size_of_member(member: &DescribedGroupMember) -> usize {
    size_of::<DescribedGroupMember>()
        + member.member_metadata.len()
        + member.member_assignment.len()
}

fn refusal(group: &StrBytes, code: ErrorCode) -> DescribedGroup {
    let mut told = DescribedGroup::default();
    told.group_id = group.clone();
    told.error_code = code.code();
    told
}
