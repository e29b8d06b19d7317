//! DeleteGroups: empty groups go with their offsets (K83).

use std::collections::BTreeSet;

use kafka_wire::delete_groups_response::DeletableGroupResult;
use kafka_wire::{DeleteGroupsRequest, DeleteGroupsResponse};

use super::group_writes::{GroupsReply, finish, park, reply_mut};
use super::{Handled, Requester};
use crate::error::ErrorCode;
use crate::node::Broker;
use crate::node::door::Outbox;
use crate::time::Now;

/// Deletes the groups; the answer leaves when all of it is written.
pub fn handle(
    broker: &mut Broker,
    now: Now,
    from: &Requester,
    request: &DeleteGroupsRequest,
    out: &mut Outbox,
) -> Handled {
    let mut seen = BTreeSet::new();
    let mut groups = request.groups_names.clone();
    groups.retain(|group| seen.insert(group.clone()));
    let mut response = DeleteGroupsResponse::default();
    response.results = groups
        .iter()
        .map(|group| {
            let mut result = DeletableGroupResult::default();
            result.group_id = group.clone();
            result.error_message = None;
            result
        })
        .collect();
    let id = park(broker, from, GroupsReply::DeleteGroups(response));
    for (group, at) in groups.iter().zip(0u32..) {
        if let Err(code) = broker.delete_group(now, group, (id, at), out) {
            refuse(broker, id, at, code);
        }
    }
    finish(broker, id, out)
}

fn refuse(broker: &mut Broker, id: crate::waiting::WaitId, at: u32, code: ErrorCode) {
    if let Some(GroupsReply::DeleteGroups(response)) = reply_mut(broker, id)
        && let Some(result) = response.results.get_mut(at as usize)
    {
        result.error_code = code.code();
    }
}
