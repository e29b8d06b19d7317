//! A process that runs: its connections, and the way in and out.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::BytesMut;

use super::super::checkers::Violation;
use super::super::checkers::accounts::{self, Seen};
use super::super::checkers::door::DoorChecker;
use super::super::disk::SimulatedDisk;
use super::super::judges::Judges;
use super::TurnEffects;
use crate::connection::Connection;
use crate::ids::ConnectionId;
use crate::limits::REQUESTS_IN_FLIGHT_MAX;
use crate::node::Node;
use crate::node::door::Input;
use crate::partition::opening::Demands;
use crate::storage::Slice;
use crate::time::Now;
use crate::wire::request::{Piece, Request};

/// A process that runs.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub(super) node: Node,
    pub(super) connections: BTreeMap<ConnectionId, Connection>,
    pub(super) inbox: Vec<Input>,
    pub(super) door: DoorChecker,
    pub(super) is_stopping: bool,
    pub(super) turns: u64,
    /// What the last turn took, if that was measured.
    pub(super) last_turn_ns: Option<u64>,
    /// What topics were known to ask of batches, some turns ago.
    pub(super) demands: Arc<Demands>,
}

impl Running {
    /// R92: compares what the node accounts for with its bounds.
    pub(super) fn check_accounts(&self) -> Option<Violation> {
        let seen = Seen {
            connections: self.connections.len() as u64,
            pending: self.door.pending(),
        };
        let mut machines = self.connections.values();
        if let Some(full) = machines.find(|of| of.requests_in_flight() > REQUESTS_IN_FLIGHT_MAX) {
            let what = format!("{:?} has too many requests", full.id());
            return Some(Violation::new("R92", what));
        }
        accounts::check(&self.node.broker()?.survey(), seen)
    }

    /// Moves whole requests to the inbox; `false` where the connection ends by what it sent.
    pub(super) fn take_requests(
        &mut self,
        connection: ConnectionId,
        now: Now,
        judges: &mut Judges,
    ) -> bool {
        let Some(machine) = self.connections.get_mut(&connection) else {
            return false;
        };
        loop {
            match machine.next_request() {
                Ok(Some(mut received)) => {
                    received.head.work_ns = work_ns(received.head.frame_bytes);
                    self.door.on_request(
                        connection,
                        received.sequence,
                        &received.request,
                        now.instant,
                    );
                    let key = (connection, received.sequence);
                    judges.on_request(key, (&received.head, &received.request), now);
                    if let Request::Produce(input) = &mut received.request {
                        self.demands.open(input, now.wall);
                    }
                    self.inbox.push(Input::Request {
                        connection,
                        sequence: received.sequence,
                        head: received.head,
                        request: received.request,
                    });
                }
                Ok(None) => return true,
                Err(_malformed) => {
                    self.drop_connection(connection, judges);
                    return false;
                }
            }
        }
    }

    pub(super) fn drop_connection(&mut self, connection: ConnectionId, judges: &mut Judges) {
        if self.connections.remove(&connection).is_some() {
            self.door.on_disconnected(connection);
            judges.on_disconnected(connection);
            self.inbox.push(Input::Disconnected { connection });
        }
    }

    /// Collects what the connections have to say.
    pub(super) fn flush(
        &mut self,
        disk: &SimulatedDisk,
        judges: &mut Judges,
        effects: &mut TurnEffects,
    ) {
        let mut finished = Vec::new();
        for (connection, machine) in &mut self.connections {
            let mut pieces = Vec::new();
            let length = machine.take_output(&mut pieces);
            if length > 0 {
                let mut bytes = BytesMut::with_capacity(length);
                for piece in &pieces {
                    match piece {
                        Piece::Bytes(part) => bytes.extend_from_slice(part),
                        Piece::File {
                            log,
                            segment,
                            position,
                            length,
                        } => bytes.extend_from_slice(&disk.resolve(&Slice::File {
                            log: *log,
                            segment: *segment,
                            position: *position,
                            length: *length,
                        })),
                    }
                }
                assert_eq!(bytes.len(), length, "a connection counts what it gives out");
                machine.wrote(length);
                effects.outgoing.push((*connection, bytes.freeze()));
            }
            if machine.is_done() || machine.is_closed() {
                finished.push(*connection);
            }
        }
        for connection in finished {
            self.drop_connection(connection, judges);
            effects.closed.push(connection);
        }
    }
}

/// What a simulated driver is said to have done for a request: about what was measured with a real
/// one for requests of one record and for bulk.
fn work_ns(frame_bytes: u32) -> u64 {
    const REQUEST_NANOS: u64 = 10_000;
    const KIBIBYTE_NANOS: u64 = 600;
    REQUEST_NANOS + u64::from(frame_bytes / 1024) * KIBIBYTE_NANOS
}
