//! One simulated client: an actor, its connections, and what links them to the network.
//!
//! The client machine is the one the command line uses. Its effects become plans of the world.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::workload::{Actor, Stage};
use crate::client::connection::ConnectionOptions;
use crate::client::network::{ClientEffect, ClientInput, LinkId, Network, NetworkOptions};
use crate::ids::ConnectionId;
use crate::rng::Rng;
use crate::time::Instant;

/// A client.
#[derive(Clone, Debug)]
pub struct SimulatedClient {
    network: Network,
    /// What it does.
    pub actor: Actor,
    rng: Rng,
    links: BTreeMap<LinkId, ConnectionId>,
    connections: BTreeMap<ConnectionId, LinkId>,
    /// When it is to be stepped, as last planned.
    pub step_planned_ns: Option<u64>,
}

/// What a client asks of the world.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ClientWish {
    /// Close a connection.
    Close(ConnectionId),
    /// Connect to the node at this port.
    Connect(LinkId, u16),
    /// Send bytes.
    Send(ConnectionId, Bytes),
}

/// The port of the first node; the others follow.
pub const FIRST_PORT: u16 = 9092;

impl SimulatedClient {
    /// A client of a cluster of `nodes`, which speaks at most these versions.
    #[must_use]
    pub fn new(nodes: u32, version_caps: BTreeMap<i16, i16>, actor: Actor, rng: Rng) -> Self {
        let ports = (0..nodes).map(port_of);
        let bootstrap = ports.map(|port| ("node".into(), port)).collect();
        let options = NetworkOptions {
            connection: ConnectionOptions {
                version_caps,
                ..ConnectionOptions::default()
            },
            ..NetworkOptions::new(bootstrap)
        };
        Self {
            network: Network::new(options),
            actor,
            rng,
            links: BTreeMap::new(),
            connections: BTreeMap::new(),
            step_planned_ns: None,
        }
    }

    /// A connection stands, or did not come about. One that nobody waits for any more is answered
    /// with `false`.
    pub fn on_connected(&mut self, now_ns: u64, link: LinkId, connection: Option<ConnectionId>) {
        let input = match connection {
            Some(connection) => {
                self.links.insert(link, connection);
                self.connections.insert(connection, link);
                ClientInput::Connected { link }
            }
            None => ClientInput::Closed { link },
        };
        self.network.on_input(Instant(now_ns), input);
    }

    /// Bytes arrived; those of a connection it closed are nobody's.
    pub fn on_bytes(&mut self, now_ns: u64, connection: ConnectionId, bytes: Bytes) {
        if let Some(link) = self.connections.get(&connection) {
            let input = ClientInput::Received { link: *link, bytes };
            self.network.on_input(Instant(now_ns), input);
        }
    }

    /// A connection is gone.
    pub fn on_closed(&mut self, now_ns: u64, connection: ConnectionId) {
        if let Some(link) = self.connections.remove(&connection) {
            self.links.remove(&link);
            let input = ClientInput::Closed { link };
            self.network.on_input(Instant(now_ns), input);
        }
    }

    /// Lets the actor go on. What it wants of the world goes to `wishes`; answers when it is to be
    /// stepped again.
    pub fn step(
        &mut self,
        now_ns: u64,
        wishes: &mut Vec<ClientWish>,
        complaints: &mut Vec<String>,
    ) -> Option<u64> {
        let now = Instant(now_ns);
        self.network.on_time(now);
        let mut stage = Stage {
            now,
            network: &mut self.network,
            rng: &mut self.rng,
            complaints,
        };
        let mut actor_at = self.actor.step(&mut stage);
        // A call may be answered at once, as one without a response is.
        while let Some(answer) = stage.network.next_answer() {
            self.actor.on_answer(&mut stage, answer);
            actor_at = self.actor.step(&mut stage);
        }
        let mut effects = Vec::new();
        self.network.take_effects(&mut effects);
        for effect in effects {
            wishes.extend(self.wish(effect));
        }
        let network_at = self.network.next_deadline();
        let next = [actor_at, network_at].into_iter().flatten().min()?;
        Some(next.0.max(now_ns + 1))
    }

    fn wish(&mut self, effect: ClientEffect) -> Option<ClientWish> {
        match effect {
            ClientEffect::Close { link } => {
                let connection = self.links.remove(&link)?;
                self.connections.remove(&connection);
                Some(ClientWish::Close(connection))
            }
            ClientEffect::Connect { link, port, .. } => Some(ClientWish::Connect(link, port)),
            ClientEffect::Send { link, bytes } => {
                let connection = self.links.get(&link)?;
                Some(ClientWish::Send(*connection, bytes))
            }
        }
    }
}

/// The port a node listens on.
#[must_use]
pub fn port_of(node: u32) -> u16 {
    FIRST_PORT + u16::try_from(node).expect("a world has few nodes")
}
