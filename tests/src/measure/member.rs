//! A member of a classic group, blocking, with nothing but the protocol: for measuring.

use std::io;

use bytes::Bytes;
use kafka_wire::join_group_request::JoinGroupRequestProtocol;
use kafka_wire::sync_group_request::SyncGroupRequestAssignment;
use kafka_wire::{
    FindCoordinatorRequest, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupRequest, SyncGroupRequest,
};
use kafka_wire_core::StrBytes;

use crate::wire_client::WireClient;

const FIND_COORDINATOR: i16 = 3;
const JOIN: i16 = 5;
const SYNC: i16 = 3;
const HEARTBEAT: i16 = 3;
const LEAVE: i16 = 2;

const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
const COORDINATOR_NOT_AVAILABLE: i16 = 15;
pub(super) const ILLEGAL_GENERATION: i16 = 22;
pub(super) const REBALANCE_IN_PROGRESS: i16 = 27;
const MEMBER_ID_REQUIRED: i16 = 79;

/// One member on a connection of its own.
pub(super) struct Member {
    pub(super) client: WireClient,
    pub(super) group: StrBytes,
    pub(super) id: StrBytes,
    pub(super) generation: i32,
}

impl Member {
    /// Connects, and asks who coordinates until somebody does.
    pub(super) fn connect(address: &str, group: &str) -> io::Result<Self> {
        let mut client = WireClient::connect(address)?;
        let mut request = FindCoordinatorRequest::default();
        request.key = StrBytes::from(group);
        loop {
            let answer = client.call(FIND_COORDINATOR, &request)?;
            match answer.error_code {
                0 => break,
                COORDINATOR_LOAD_IN_PROGRESS | COORDINATOR_NOT_AVAILABLE => {}
                code => return Err(refused("FindCoordinator", code)),
            }
        }
        Ok(Self {
            client,
            group: StrBytes::from(group),
            id: StrBytes::from(""),
            generation: -1,
        })
    }

    /// Joins, with the id that the first answer gives; waits until the generation begins.
    pub(super) fn join(&mut self) -> io::Result<JoinGroupResponse> {
        let mut protocol = JoinGroupRequestProtocol::default();
        protocol.name = StrBytes::from("range");
        protocol.metadata = Bytes::from_static(&[0; 16]);
        let mut request = JoinGroupRequest::default();
        request.group_id = self.group.clone();
        request.session_timeout_ms = 30_000;
        request.rebalance_timeout_ms = 60_000;
        request.protocol_type = StrBytes::from("consumer");
        request.protocols = vec![protocol];
        loop {
            request.member_id = self.id.clone();
            let answer = self.client.call(JOIN, &request)?;
            match answer.error_code {
                0 => {
                    self.id = answer.member_id.clone();
                    self.generation = answer.generation_id;
                    return Ok(answer);
                }
                MEMBER_ID_REQUIRED => self.id = answer.member_id,
                COORDINATOR_LOAD_IN_PROGRESS | COORDINATOR_NOT_AVAILABLE => {}
                code => return Err(refused("JoinGroup", code)),
            }
        }
    }

    /// Asks for the assignment; the leader gives everyone one. Answers the error code.
    pub(super) fn sync(&mut self, joined: &JoinGroupResponse) -> io::Result<i16> {
        let mut request = SyncGroupRequest::default();
        request.group_id = self.group.clone();
        request.generation_id = self.generation;
        request.member_id = self.id.clone();
        if joined.leader == self.id {
            request.assignments = joined
                .members
                .iter()
                .map(|member| {
                    let mut assignment = SyncGroupRequestAssignment::default();
                    assignment.member_id = member.member_id.clone();
                    assignment.assignment = Bytes::from_static(&[0; 16]);
                    assignment
                })
                .collect();
        }
        Ok(self.client.call(SYNC, &request)?.error_code)
    }

    /// Joins and syncs until both succeed in one generation.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        loop {
            let joined = self.join()?;
            match self.sync(&joined)? {
                0 => return Ok(()),
                ILLEGAL_GENERATION | REBALANCE_IN_PROGRESS => {}
                code => return Err(refused("SyncGroup", code)),
            }
        }
    }

    /// One heartbeat; answers the error code.
    pub(super) fn heartbeat(&mut self) -> io::Result<i16> {
        self.send_heartbeat()?;
        self.receive_heartbeat()
    }

    pub(super) fn send_heartbeat(&mut self) -> io::Result<()> {
        let mut request = HeartbeatRequest::default();
        request.group_id = self.group.clone();
        request.generation_id = self.generation;
        request.member_id = self.id.clone();
        self.client.send(HEARTBEAT, &request)
    }

    /// The answer to the oldest heartbeat that has none: its error code.
    pub(super) fn receive_heartbeat(&mut self) -> io::Result<i16> {
        let answer = self.client.receive::<HeartbeatRequest>(HEARTBEAT)?;
        Ok(answer.error_code)
    }

    /// Leaves.
    pub(super) fn leave(&mut self) -> io::Result<()> {
        let mut request = LeaveGroupRequest::default();
        request.group_id = self.group.clone();
        request.member_id = self.id.clone();
        match self.client.call(LEAVE, &request)?.error_code {
            0 => Ok(()),
            code => Err(refused("LeaveGroup", code)),
        }
    }
}

pub(super) fn refused(request: &str, code: i16) -> io::Error {
    io::Error::other(format!("{request} was refused with error code {code}"))
}
