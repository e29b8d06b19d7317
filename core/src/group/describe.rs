//! DescribeGroups and ListGroups: what there is (K82).
//!
//! A group is shown once a client was told of it or the log knows it, and as long as either holds.

use kafka_wire::ListGroupsRequest;
use kafka_wire::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_wire::list_groups_response::ListedGroup;
use kafka_wire_core::StrBytes;

use super::classic::{ClassicGroup, GroupState};
use super::{GroupId, Shard, WriteId};
use crate::error::ErrorCode;

/// The first version that says that a group is not known.
const KNOWS_GROUP_ID_NOT_FOUND: i16 = 6;

/// The type of these groups.
const CLASSIC: &str = "classic";

/// Which groups a ListGroups asks for.
#[derive(Clone, Debug, Default)]
pub struct GroupFilter {
    states: Vec<String>,
    types: Vec<String>,
}

impl GroupFilter {
    /// The filter of a request; letters' case does not matter, and names of no state and no type
    /// select nothing.
    #[must_use]
    pub fn of(request: &ListGroupsRequest) -> Self {
        let lower = |names: &[StrBytes]| names.iter().map(|name| name.to_lowercase()).collect();
        let states: Vec<String> = lower(&request.states_filter);
        Self {
            states: states.iter().map(|name| name.trim().to_owned()).collect(),
            types: lower(&request.types_filter),
        }
    }

    fn selects(&self, group: &ClassicGroup) -> bool {
        let state = group.state.name().to_lowercase();
        (self.states.is_empty() || self.states.contains(&state))
            && (self.types.is_empty() || self.types.iter().any(|name| name == CLASSIC))
    }
}

impl Shard {
    /// One group of a DescribeGroups.
    #[must_use]
    pub fn describe_group(&self, id: &GroupId, version: i16) -> DescribedGroup {
        let mut reply = DescribedGroup::default();
        reply.group_id = id.clone();
        if let Some(code) = self.refusal() {
            reply.error_code = code.code();
            return reply;
        }
        let Some(group) = self.shown(id) else {
            reply.group_state = StrBytes::from("Dead");
            if version >= KNOWS_GROUP_ID_NOT_FOUND {
                reply.error_code = ErrorCode::GroupIdNotFound.code();
                reply.error_message = Some(StrBytes::from(format!("Group {id} not found.")));
            }
            return reply;
        };
        let protocol = group.protocol.as_ref();
        let protocol = protocol.filter(|_| group.state == GroupState::Stable);
        reply.group_state = StrBytes::from(group.state.name());
        reply.protocol_type = group.protocol_type.clone().unwrap_or_default();
        reply.protocol_data = protocol.cloned().unwrap_or_default();
        for member in group.members() {
            let mut told = DescribedGroupMember::default();
            told.member_id = member.id.clone();
            told.group_instance_id = member.instance_id.clone();
            told.client_id = member.client_id.clone();
            told.client_host = member.client_host.clone();
            told.member_assignment = member.assignment.clone();
            if let Some(protocol) = protocol {
                told.member_metadata = member.metadata(protocol);
            }
            reply.members.push(told);
        }
        reply
    }

    /// The groups that pass the filter; none where the shard does not answer.
    pub fn list_groups(&self, filter: &GroupFilter) -> impl Iterator<Item = ListedGroup> {
        let dying = self.dying.iter().map(|((id, _), group)| (id, group));
        let dying = dying.filter(|(id, group)| {
            let shown = self.shown(id);
            shown.is_some_and(|shown| std::ptr::eq(shown, *group))
        });
        let living = self.groups.iter().filter(|(_, group)| group.is_known());
        living
            .chain(dying)
            .filter(|(_, group)| filter.selects(group))
            .map(|(id, group)| {
                let mut listed = ListedGroup::default();
                listed.group_id = id.clone();
                listed.protocol_type = group.protocol_type.clone().unwrap_or_default();
                listed.group_state = StrBytes::from(group.state.name());
                listed.group_type = StrBytes::from(CLASSIC);
                listed
            })
    }

    /// The group that is known under a name.
    fn shown(&self, id: &GroupId) -> Option<&ClassicGroup> {
        let group = self.groups.get(id).filter(|group| group.is_known());
        group.or_else(|| self.dying_shown(id))
    }

    /// Whether a deletion of a group of this name is in flight.
    pub(super) fn is_dying(&self, id: &GroupId) -> bool {
        let from = (id.clone(), WriteId(0));
        let to = (id.clone(), WriteId(u64::MAX));
        self.dying.range(from..=to).next().is_some()
    }

    fn dying_shown(&self, id: &GroupId) -> Option<&ClassicGroup> {
        let from = (id.clone(), WriteId(0));
        let to = (id.clone(), WriteId(u64::MAX));
        let mut dying = self.dying.range(from..=to).map(|(_, group)| group);
        dying.find(|group| group.is_recorded)
    }
}
