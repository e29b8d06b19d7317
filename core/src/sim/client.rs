//! One simulated client: an actor, its connections, and what links them to the network.
//!
//! The client machine is the one the command line uses. Its effects become plans of the world. A
//! member of a group has a machine of its own in each of its lives, beside the client's.

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_wire_core::StrBytes;

use super::workload::{Actor, Stage};
use crate::client::connection::ConnectionOptions;
use crate::client::network::{ClientEffect, ClientInput, LinkId, Network, NetworkOptions};
use crate::ids::ConnectionId;
use crate::rng::Rng;
use crate::time::Instant;

/// The links of a life are numbered from this many bits on: those of the client's own machine are
/// of life 0.
const LIFE_BITS: u32 = 40;

/// The life that a link belongs to.
fn life_of(link: LinkId) -> u64 {
    link.0 >> LIFE_BITS
}

/// A client.
#[derive(Clone, Debug)]
pub struct SimulatedClient {
    network: Network,
    /// What it does.
    pub actor: Actor,
    rng: Rng,
    links: BTreeMap<LinkId, ConnectionId>,
    connections: BTreeMap<ConnectionId, LinkId>,
    /// Connections that came about after the life that wanted them.
    unwanted: Vec<ConnectionId>,
    /// When it is to be stepped, as last planned.
    pub step_planned_ns: Option<u64>,
    /// How often a node died.
    deaths: u64,
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
    /// A client of a cluster of `nodes`, of this client id, which speaks at most these versions.
    #[must_use]
    pub fn new(
        nodes: u32,
        (client_id, version_caps): (&'static str, BTreeMap<i16, i16>),
        actor: Actor,
        rng: Rng,
    ) -> Self {
        let ports = (0..nodes).map(port_of);
        let bootstrap = ports.map(|port| ("node".into(), port)).collect();
        let options = NetworkOptions {
            connection: ConnectionOptions {
                client_id: Some(StrBytes::from(client_id)),
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
            unwanted: Vec::new(),
            step_planned_ns: None,
            deaths: 0,
        }
    }

    /// A node died: some of what the actor finds is no fault then.
    pub fn on_node_died(&mut self) {
        self.deaths += 1;
    }

    /// A connection stands, or did not come about. One that nobody waits for any more is answered
    /// with `false`.
    pub fn on_connected(&mut self, now_ns: u64, link: LinkId, connection: Option<ConnectionId>) {
        let input = match connection {
            Some(connection) if !self.is_current(link) => {
                self.unwanted.push(connection);
                return;
            }
            Some(connection) => {
                self.links.insert(link, connection);
                self.connections.insert(connection, link);
                ClientInput::Connected { link }
            }
            None => ClientInput::Closed { link },
        };
        self.on_input(now_ns, link, input);
    }

    /// Bytes arrived; those of a connection it closed are nobody's.
    pub fn on_bytes(&mut self, now_ns: u64, connection: ConnectionId, bytes: Bytes) {
        if let Some(link) = self.connections.get(&connection) {
            let link = *link;
            self.on_input(now_ns, link, ClientInput::Received { link, bytes });
        }
    }

    /// A connection is gone.
    pub fn on_closed(&mut self, now_ns: u64, connection: ConnectionId) {
        if let Some(link) = self.connections.remove(&connection) {
            self.links.remove(&link);
            self.on_input(now_ns, link, ClientInput::Closed { link });
        }
    }

    /// Whether whoever wanted a link still runs.
    fn is_current(&self, link: LinkId) -> bool {
        let life = life_of(link);
        let member = self.actor.member();
        life == 0 || member.is_some_and(|member| member.is_running() && member.life() == life)
    }

    /// Gives an input to the machine whose link it is, under the number that it knows.
    fn on_input(&mut self, now_ns: u64, link: LinkId, input: ClientInput) {
        let now = Instant(now_ns);
        if life_of(link) == 0 {
            self.network.on_input(now, input);
        } else if self.is_current(link)
            && let Some(member) = self.actor.member_mut()
        {
            let link = LinkId(link.0 & ((1 << LIFE_BITS) - 1));
            let input = match input {
                ClientInput::Closed { .. } => ClientInput::Closed { link },
                ClientInput::Connected { .. } => ClientInput::Connected { link },
                ClientInput::Received { bytes, .. } => ClientInput::Received { link, bytes },
            };
            member.on_input(now, input);
        }
    }

    /// The effects of both machines, and the ends of connections whose life is over.
    fn wishes(&mut self, wishes: &mut Vec<ClientWish>) {
        let mut effects = Vec::new();
        self.network.take_effects(&mut effects);
        for effect in effects.drain(..) {
            wishes.extend(self.wish(effect));
        }
        if let Some(member) = self.actor.member_mut() {
            let life = member.life();
            member.take_effects(&mut effects);
            for mut effect in effects {
                let (ClientEffect::Close { link }
                | ClientEffect::Connect { link, .. }
                | ClientEffect::Send { link, .. }) = &mut effect;
                link.0 |= life << LIFE_BITS;
                wishes.extend(self.wish(effect));
            }
        }
        let links = self.links.keys().copied();
        let over: Vec<LinkId> = links.filter(|link| !self.is_current(*link)).collect();
        for link in over {
            wishes.extend(self.wish(ClientEffect::Close { link }));
        }
        wishes.extend(self.unwanted.drain(..).map(ClientWish::Close));
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
            deaths: self.deaths,
            complaints,
        };
        let mut actor_at = self.actor.step(&mut stage);
        // A call may be answered at once, as one without a response is.
        while let Some(answer) = stage.network.next_answer() {
            self.actor.on_answer(&mut stage, answer);
            actor_at = self.actor.step(&mut stage);
        }
        self.wishes(wishes);
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
