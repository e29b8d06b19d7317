//! What passes between clients and nodes: connections, bytes, and the steps of clients.

use super::{Event, World};
use crate::client::network::LinkId;
use crate::ids::ConnectionId;
use crate::sim::checkers::Violation;
use crate::sim::client::{ClientWish, FIRST_PORT};
use crate::sim::network::{Arrival, Direction};
use crate::sim::node::SimulatedNode;
use crate::sim::trace::{TraceKind, hash_of};

/// Latency of a refused or accepted connection attempt, at least.
const CONNECT_NS_MIN: u64 = 10_000;

impl World {
    pub(super) fn arrive(&mut self, connection: ConnectionId, direction: Direction) {
        let now_ns = self.now_ns();
        let Some(node) = self.network.node_of(connection) else {
            return;
        };
        let client = self.owners[&connection];
        for arrival in self.network.arrivals(now_ns, connection, direction) {
            match (direction, arrival) {
                (Direction::ToClient, Arrival::Bytes(bytes)) => {
                    self.clients[client as usize].on_bytes(now_ns, connection, bytes);
                }
                (Direction::ToClient, Arrival::Closed) => {
                    self.clients[client as usize].on_closed(now_ns, connection);
                    self.end(connection, Direction::ToNode);
                }
                (Direction::ToNode, Arrival::Bytes(bytes)) => {
                    let length = bytes.len() as u64;
                    self.note(
                        node,
                        TraceKind::Delivery,
                        connection.0,
                        length,
                        hash_of(&bytes),
                    );
                    let at = &mut self.nodes[node as usize];
                    if !at.on_bytes(now_ns, connection, &bytes) {
                        self.end(connection, Direction::ToClient);
                    }
                }
                (Direction::ToNode, Arrival::Closed) => {
                    self.nodes[node as usize].on_closed(connection);
                    self.end(connection, Direction::ToClient);
                }
            }
        }
        match direction {
            Direction::ToClient => self.step(client),
            Direction::ToNode => self.plan_turn(node),
        }
    }

    pub(super) fn end(&mut self, connection: ConnectionId, direction: Direction) {
        let mut planned = Vec::new();
        let now_ns = self.now_ns();
        self.network
            .close(now_ns, connection, direction, &mut planned);
        self.plan_arrivals(&planned);
    }

    pub(super) fn connect(&mut self, client: u32, link: LinkId, port: u16) {
        let now_ns = self.now_ns();
        let node = u32::from(port.wrapping_sub(FIRST_PORT));
        let is_ready = self
            .nodes
            .get(node as usize)
            .is_some_and(SimulatedNode::is_ready);
        let connection = is_ready.then(|| self.network.connect(node));
        if let Some(connection) = connection {
            self.owners.insert(connection, client);
            self.nodes[node as usize].on_connected(connection, client);
            self.note(
                node,
                TraceKind::Connection,
                connection.0,
                u64::from(client),
                0,
            );
            self.plan_turn(node);
        }
        self.clients[client as usize].on_connected(now_ns, link, connection);
        self.step(client);
    }

    pub(super) fn step(&mut self, client: u32) {
        let now_ns = self.now_ns();
        let mut wishes = Vec::new();
        let mut complaints = Vec::new();
        let at = &mut self.clients[client as usize];
        if at.step_planned_ns.is_some_and(|planned| planned <= now_ns) {
            at.step_planned_ns = None;
        }
        let next_ns = at.step(now_ns, &mut wishes, &mut complaints);
        if let Some(next_ns) = next_ns
            && at.step_planned_ns.is_none_or(|planned| next_ns < planned)
        {
            at.step_planned_ns = Some(next_ns);
            self.schedule.at(next_ns, Event::Step(client));
        }
        for what in complaints {
            self.violations
                .push(Violation::new("client", format!("client {client}: {what}")));
        }
        let mut planned = Vec::new();
        for wish in wishes {
            match wish {
                ClientWish::Close(connection) => {
                    self.network
                        .close(now_ns, connection, Direction::ToNode, &mut planned);
                }
                ClientWish::Connect(link, port) => {
                    let most_ns = self.options.latency_us_max * 1_000;
                    let delay_ns = CONNECT_NS_MIN + self.rng.below(most_ns + 1);
                    self.schedule
                        .after(delay_ns, Event::Connect(client, link, port));
                }
                ClientWish::Send(connection, bytes) => {
                    let length = bytes.len() as u64;
                    self.note(
                        client,
                        TraceKind::Client,
                        connection.0,
                        length,
                        hash_of(&bytes),
                    );
                    let direction = Direction::ToNode;
                    self.network
                        .send(now_ns, connection, direction, bytes, &mut planned);
                }
            }
        }
        self.plan_arrivals(&planned);
    }
}
