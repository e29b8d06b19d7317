//! The simulated network: connections, as TCP has them.
//!
//! Each connection is two pipes that keep order. There is none between connections: a client that
//! gives up on one and retries on another may be overtaken by its own old bytes (zombie flush, N3).
//! Bytes arrive in pieces cut anywhere. It plans arrivals; the world delivers them.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::ids::ConnectionId;
use crate::rng::Rng;

/// How the network behaves.
#[derive(Clone, Debug)]
pub struct NetworkOptions {
    /// Shortest and longest base latency of a connection, in nanoseconds.
    pub latency_ns: (u64, u64),
    /// Most that one piece is later than the base latency, in nanoseconds.
    pub jitter_ns: u64,
    /// One connection in this many is ten times as slow; 0 for none.
    pub slow_one_in: u64,
    /// How bytes are cut into pieces.
    pub chunking: Chunking,
}

impl Default for NetworkOptions {
    fn default() -> Self {
        Self {
            latency_ns: (50_000, 2_000_000),
            jitter_ns: 200_000,
            slow_one_in: 0,
            chunking: Chunking::Whole,
        }
    }
}

/// How bytes are cut into pieces.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Chunking {
    /// Now and then byte by byte, else anywhere.
    Anywhere,
    /// As written.
    Whole,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Direction {
    /// From the node to the client.
    ToClient,
    /// From the client to the node.
    ToNode,
}

/// What arrives at an end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Arrival {
    /// Bytes.
    Bytes(Bytes),
    /// The end of the connection; nothing comes after it.
    Closed,
}

/// An arrival to be planned: at this time, look at this pipe.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Planned {
    /// World time.
    pub time_ns: u64,
    /// The connection.
    pub connection: ConnectionId,
    /// The pipe.
    pub direction: Direction,
}

#[derive(Clone, Debug, Default)]
struct Pipe {
    in_flight: VecDeque<(u64, Arrival)>,
    last_arrival_ns: u64,
    /// Nothing more is accepted.
    shut: bool,
}

#[derive(Clone, Debug)]
struct Link {
    node: u32,
    latency_ns: u64,
    to_client: Pipe,
    to_node: Pipe,
    rng: Rng,
}

/// All connections of a world.
#[derive(Clone, Debug)]
pub struct Network {
    options: NetworkOptions,
    links: BTreeMap<ConnectionId, Link>,
    next_connection: u64,
    rng: Rng,
}

impl Network {
    /// A network without connections.
    #[must_use]
    pub fn new(options: NetworkOptions, rng: Rng) -> Self {
        Self {
            options,
            links: BTreeMap::new(),
            next_connection: 1,
            rng,
        }
    }

    /// Makes a connection to a node.
    pub fn connect(&mut self, node: u32) -> ConnectionId {
        let connection = ConnectionId(self.next_connection);
        self.next_connection += 1;
        let mut rng = self.rng.child("connection", connection.0);
        let (least, most) = self.options.latency_ns;
        let mut latency_ns = rng.between(least, most + 1);
        if self.options.slow_one_in > 0 && rng.chance(1, self.options.slow_one_in) {
            latency_ns *= 10;
        }
        let link = Link {
            node,
            latency_ns,
            to_client: Pipe::default(),
            to_node: Pipe::default(),
            rng,
        };
        self.links.insert(connection, link);
        connection
    }

    /// The node at the other end; `None` once the connection is gone.
    #[must_use]
    pub fn node_of(&self, connection: ConnectionId) -> Option<u32> {
        self.links.get(&connection).map(|link| link.node)
    }

    /// The connections to a node, oldest first.
    #[must_use]
    pub fn connections_of(&self, node: u32) -> Vec<ConnectionId> {
        self.links
            .iter()
            .filter(|(_, link)| link.node == node)
            .map(|(connection, _)| *connection)
            .collect()
    }

    /// Every connection, oldest first.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionId> {
        self.links.keys().copied().collect()
    }

    /// Sends bytes one way; what is sent on a closed connection is lost. Plans go to `planned`.
    pub fn send(
        &mut self,
        now_ns: u64,
        connection: ConnectionId,
        direction: Direction,
        bytes: Bytes,
        planned: &mut Vec<Planned>,
    ) {
        let chunking = self.options.chunking;
        let jitter_ns = self.options.jitter_ns;
        let Some(link) = self.links.get_mut(&connection) else {
            return;
        };
        let mut rest = bytes;
        while !rest.is_empty() {
            let length = piece_length(rest.len(), chunking, &mut link.rng);
            let piece = rest.split_to(length);
            let delay_ns = link.latency_ns + link.rng.below(jitter_ns + 1);
            let pipe = link.pipe(direction);
            if pipe.shut {
                return;
            }
            let time_ns = pipe.push(now_ns + delay_ns, Arrival::Bytes(piece));
            planned.push(Planned {
                time_ns,
                connection,
                direction,
            });
        }
    }

    /// Closes one way after what was sent: an orderly end.
    pub fn close(
        &mut self,
        now_ns: u64,
        connection: ConnectionId,
        direction: Direction,
        planned: &mut Vec<Planned>,
    ) {
        let Some(link) = self.links.get_mut(&connection) else {
            return;
        };
        let time_ns = now_ns + link.latency_ns;
        let pipe = link.pipe(direction);
        if pipe.shut {
            return;
        }
        let time_ns = pipe.push(time_ns, Arrival::Closed);
        pipe.shut = true;
        planned.push(Planned {
            time_ns,
            connection,
            direction,
        });
    }

    /// Breaks a connection: the client learns of it now, and of what it had sent a prefix still
    /// reaches the node, `late_ns` later than it would have (N2; N3 where that is long).
    pub fn reset(
        &mut self,
        now_ns: u64,
        connection: ConnectionId,
        late_ns: u64,
        planned: &mut Vec<Planned>,
    ) {
        let Some(link) = self.links.get_mut(&connection) else {
            return;
        };
        if !link.to_client.shut {
            link.to_client.in_flight.clear();
            link.to_client
                .in_flight
                .push_back((now_ns, Arrival::Closed));
            link.to_client.shut = true;
            planned.push(Planned {
                time_ns: now_ns,
                connection,
                direction: Direction::ToClient,
            });
        }
        if link.to_node.shut {
            return;
        }
        let sent = link.to_node.in_flight.len() as u64;
        let kept = link.rng.below(sent + 1);
        link.to_node.in_flight.truncate(kept as usize);
        for (time_ns, _) in &mut link.to_node.in_flight {
            *time_ns += late_ns;
            planned.push(Planned {
                time_ns: *time_ns,
                connection,
                direction: Direction::ToNode,
            });
        }
        let latency_ns = link.latency_ns;
        link.to_node.last_arrival_ns += late_ns;
        let time_ns = link
            .to_node
            .push(now_ns + latency_ns + late_ns, Arrival::Closed);
        link.to_node.shut = true;
        planned.push(Planned {
            time_ns,
            connection,
            direction: Direction::ToNode,
        });
    }

    /// The node's process died: what it had sent may still arrive, then the connection ends.
    pub fn node_died(&mut self, now_ns: u64, node: u32, planned: &mut Vec<Planned>) {
        for connection in self.connections_of(node) {
            let link = self.links.get_mut(&connection).expect("it was just listed");
            link.to_node.in_flight.clear();
            link.to_node.shut = true;
            let sent = link.to_client.in_flight.len() as u64;
            let kept = link.rng.below(sent + 1);
            if !link.to_client.shut {
                link.to_client.in_flight.truncate(kept as usize);
            }
            self.close(now_ns, connection, Direction::ToClient, planned);
        }
    }

    /// Holds back everything under way, and what is sent meanwhile, until `until_ns` (N5).
    pub fn clog(
        &mut self,
        connection: ConnectionId,
        direction: Direction,
        until_ns: u64,
        planned: &mut Vec<Planned>,
    ) {
        let Some(link) = self.links.get_mut(&connection) else {
            return;
        };
        let pipe = link.pipe(direction);
        pipe.last_arrival_ns = pipe.last_arrival_ns.max(until_ns);
        for (time_ns, _) in &mut pipe.in_flight {
            *time_ns = (*time_ns).max(until_ns);
            planned.push(Planned {
                time_ns: *time_ns,
                connection,
                direction,
            });
        }
    }

    /// Takes what has arrived by now, in order.
    pub fn arrivals(
        &mut self,
        now_ns: u64,
        connection: ConnectionId,
        direction: Direction,
    ) -> Vec<Arrival> {
        let Some(link) = self.links.get_mut(&connection) else {
            return Vec::new();
        };
        let pipe = link.pipe(direction);
        let mut arrived = Vec::new();
        while let Some((time_ns, _)) = pipe.in_flight.front()
            && *time_ns <= now_ns
        {
            arrived.extend(pipe.in_flight.pop_front().map(|(_, arrival)| arrival));
        }
        let over = |pipe: &Pipe| pipe.shut && pipe.in_flight.is_empty();
        if over(&link.to_client) && over(&link.to_node) {
            self.links.remove(&connection);
        }
        arrived
    }
}

impl Link {
    fn pipe(&mut self, direction: Direction) -> &mut Pipe {
        match direction {
            Direction::ToClient => &mut self.to_client,
            Direction::ToNode => &mut self.to_node,
        }
    }
}

impl Pipe {
    /// Puts something behind everything sent before; answers when it arrives.
    fn push(&mut self, time_ns: u64, arrival: Arrival) -> u64 {
        let time_ns = time_ns.max(self.last_arrival_ns);
        self.last_arrival_ns = time_ns;
        self.in_flight.push_back((time_ns, arrival));
        time_ns
    }
}

/// Length of the next piece of `rest` bytes.
fn piece_length(rest: usize, chunking: Chunking, rng: &mut Rng) -> usize {
    match chunking {
        Chunking::Whole => rest,
        Chunking::Anywhere => {
            let longest = match rng.below(8) {
                0 => 1,
                1 => 16,
                2 => 300,
                _most => u64::MAX,
            };
            let longest = longest.min(rest as u64);
            usize::try_from(rng.between(1, longest + 1)).expect("at most the bytes there are")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TO_NODE: Direction = Direction::ToNode;
    const TO_CLIENT: Direction = Direction::ToClient;

    fn network(seed: u64) -> (Network, ConnectionId) {
        let options = NetworkOptions {
            chunking: Chunking::Anywhere,
            ..NetworkOptions::default()
        };
        let mut network = Network::new(options, Rng::new(seed));
        let connection = network.connect(0);
        (network, connection)
    }

    /// Everything that arrives one way, in the order of the plans.
    fn drain(
        network: &mut Network,
        planned: &[Planned],
        connection: ConnectionId,
        direction: Direction,
    ) -> (Vec<u8>, bool) {
        let mut times: Vec<u64> = planned.iter().map(|plan| plan.time_ns).collect();
        times.sort_unstable();
        let (mut bytes, mut closed) = (Vec::new(), false);
        for time_ns in times {
            for arrival in network.arrivals(time_ns, connection, direction) {
                assert!(!closed, "nothing comes after the end");
                match arrival {
                    Arrival::Bytes(piece) => bytes.extend_from_slice(&piece),
                    Arrival::Closed => closed = true,
                }
            }
        }
        (bytes, closed)
    }

    #[test]
    fn bytes_arrive_in_order_in_pieces() {
        let sent: Vec<u8> = (0..=255).cycle().take(5000).collect();
        for seed in 0..20 {
            let (mut network, connection) = network(seed);
            let mut planned = Vec::new();
            for (now_ns, piece) in (0..).zip(sent.chunks(700)) {
                let bytes = Bytes::copy_from_slice(piece);
                network.send(now_ns, connection, TO_NODE, bytes, &mut planned);
            }
            network.close(10, connection, TO_NODE, &mut planned);
            let arrived = drain(&mut network, &planned, connection, TO_NODE);
            assert_eq!(arrived, (sent.clone(), true));
        }
    }

    #[test]
    fn a_reset_delivers_a_prefix_perhaps_late() {
        let sent = vec![9; 4000];
        let mut lengths = std::collections::BTreeSet::new();
        for seed in 0..40 {
            let (mut network, connection) = network(seed);
            let mut planned = Vec::new();
            let bytes = Bytes::from(sent.clone());
            network.send(0, connection, TO_NODE, bytes, &mut planned);
            let late_ns = 5_000_000_000;
            network.reset(1, connection, late_ns, &mut planned);
            let seen = network.arrivals(1, connection, TO_CLIENT);
            assert_eq!(seen, [Arrival::Closed]);
            assert!(network.arrivals(late_ns, connection, TO_NODE).is_empty());
            let (bytes, closed) = drain(&mut network, &planned, connection, TO_NODE);
            assert!(closed && bytes.len() <= sent.len());
            assert_eq!(network.node_of(connection), None);
            lengths.insert(bytes.len());
        }
        assert!(lengths.len() > 5, "prefixes vary: {lengths:?}");
    }

    #[test]
    fn a_dead_node_ends_its_connections() {
        let (mut network, connection) = network(3);
        let mut planned = Vec::new();
        network.send(
            0,
            connection,
            TO_NODE,
            Bytes::from_static(b"x"),
            &mut planned,
        );
        network.node_died(1, 0, &mut planned);
        assert!(network.arrivals(u64::MAX, connection, TO_NODE).is_empty());
        let (_, closed) = drain(&mut network, &planned, connection, TO_CLIENT);
        assert!(closed);
        assert!(network.connections().is_empty());
    }
}
