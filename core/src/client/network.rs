//! A client's connections to the nodes of a cluster: calls in, answers out, never blocking.
//!
//! Machines above (admin, producer, consumer) call nodes; this one opens connections when they are
//! needed, agrees on versions, pipelines, notices what takes too long, and waits longer after each
//! failure to connect. A driver carries out [`ClientEffect`]s and brings [`ClientInput`]s. It
//! retries no call: whether a request may be sent twice is its caller's decision.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

pub use crate::client::call::{
    Answer, CallError, CallId, ClientEffect, ClientInput, LinkId, NetworkOptions, Target,
};

use crate::client::connection::ClientConnection;
use crate::client::message::{ClientRequest, ClientResponse};
use crate::ids::NodeId;
use crate::time::Instant;

/// The other end of a link.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Peer {
    Bootstrap(u32),
    Node(NodeId),
}

/// A call that has not been answered.
#[derive(Clone, Debug)]
struct Pending {
    call: CallId,
    deadline: Instant,
}

/// How far a link is.
#[derive(Clone, Debug)]
enum LinkState {
    /// Waits before it tries again.
    BackingOff { until: Instant },
    /// Asked for.
    Connecting { deadline: Instant },
    /// Stands; the versions must be agreed in time.
    Open { ready_by: Instant },
}

/// One connection, or the wish for one.
#[derive(Clone, Debug)]
struct Link {
    id: LinkId,
    peer: Peer,
    state: LinkState,
    connection: ClientConnection,
    /// Calls that wait for the link.
    queued: VecDeque<(Pending, ClientRequest)>,
    /// Calls that wait for their response, in order.
    sent: VecDeque<Pending>,
}

/// Failures to connect, by peer.
#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    until: Instant,
}

/// The machine; see the module.
#[derive(Clone, Debug)]
pub struct Network {
    options: NetworkOptions,
    nodes: BTreeMap<NodeId, (Arc<str>, u16)>,
    links: BTreeMap<Peer, Link>,
    peers: BTreeMap<LinkId, Peer>,
    failures: BTreeMap<Peer, Failures>,
    next_link: u64,
    next_call: u64,
    next_bootstrap: u32,
    effects: Vec<ClientEffect>,
    answers: VecDeque<Answer>,
}

impl Network {
    /// A network that has connected to nobody yet.
    #[must_use]
    pub fn new(options: NetworkOptions) -> Self {
        assert!(!options.bootstrap.is_empty(), "somebody to ask");
        Self {
            options,
            nodes: BTreeMap::new(),
            links: BTreeMap::new(),
            peers: BTreeMap::new(),
            failures: BTreeMap::new(),
            next_link: 0,
            next_call: 0,
            next_bootstrap: 0,
            effects: Vec::new(),
            answers: VecDeque::new(),
        }
    }

    /// Learns where the nodes are; links to nodes that moved or left are closed.
    pub fn set_nodes(&mut self, nodes: BTreeMap<NodeId, (Arc<str>, u16)>) {
        let moved: Vec<Peer> = self
            .links
            .keys()
            .copied()
            .filter(|peer| match peer {
                Peer::Bootstrap(_) => false,
                Peer::Node(node) => nodes.get(node) != self.nodes.get(node),
            })
            .collect();
        self.nodes = nodes;
        for peer in moved {
            self.drop_link(peer, true);
        }
    }

    /// Calls a node; the answer comes by [`Self::next_answer`].
    pub fn call(&mut self, now: Instant, target: Target, request: ClientRequest) -> CallId {
        let timeout = self.options.request_timeout;
        self.call_within(now, target, request, timeout)
    }

    /// Calls a node that may take this long, beyond what the request itself waits for.
    pub fn call_within(
        &mut self,
        now: Instant,
        target: Target,
        request: ClientRequest,
        timeout: Duration,
    ) -> CallId {
        let call = CallId(self.next_call);
        self.next_call += 1;
        let peer = match target {
            Target::Any => self.reachable_peer(now),
            Target::Node(node) if self.nodes.contains_key(&node) => Peer::Node(node),
            Target::Node(_unknown) => {
                self.answer(call, Err(CallError::UnknownNode));
                return call;
            }
        };
        self.ensure_link(now, peer);
        let link = self.links.get_mut(&peer).expect("just ensured");
        let pending = Pending {
            call,
            deadline: now.after(timeout),
        };
        link.queued.push_back((pending, request));
        self.pump(peer);
        call
    }

    /// A peer that can be asked anything: one that is open, else the next bootstrap server.
    fn reachable_peer(&mut self, now: Instant) -> Peer {
        let open = self.links.values().find(|link| {
            matches!(link.state, LinkState::Open { .. }) && link.connection.is_ready()
        });
        if let Some(link) = open {
            return link.peer;
        }
        let count = u32::try_from(self.options.bootstrap.len()).expect("a short list");
        for _attempt in 0..count {
            let peer = Peer::Bootstrap(self.next_bootstrap % count);
            self.next_bootstrap = (self.next_bootstrap + 1) % count;
            if self
                .failures
                .get(&peer)
                .is_none_or(|failed| failed.until <= now)
            {
                return peer;
            }
        }
        Peer::Bootstrap(self.next_bootstrap % count)
    }

    fn ensure_link(&mut self, now: Instant, peer: Peer) {
        if self.links.contains_key(&peer) {
            return;
        }
        let id = LinkId(self.next_link);
        self.next_link += 1;
        let until = self.failures.get(&peer).map_or(now, |failed| failed.until);
        let link = Link {
            id,
            peer,
            state: LinkState::BackingOff { until },
            connection: ClientConnection::new(self.options.connection.clone()),
            queued: VecDeque::new(),
            sent: VecDeque::new(),
        };
        self.links.insert(peer, link);
        self.peers.insert(id, peer);
        if until <= now {
            self.connect(now, peer);
        }
    }

    fn connect(&mut self, now: Instant, peer: Peer) {
        let (host, port) = match peer {
            Peer::Bootstrap(index) => self.options.bootstrap[index as usize].clone(),
            Peer::Node(node) => self.nodes.get(&node).expect("links follow nodes").clone(),
        };
        let deadline = now.after(self.options.connect_timeout);
        let link = self.links.get_mut(&peer).expect("the caller has it");
        link.state = LinkState::Connecting { deadline };
        self.effects.push(ClientEffect::Connect {
            link: link.id,
            host,
            port,
        });
    }

    /// Takes an input of the driver; one about a link that is gone is ignored.
    pub fn on_input(&mut self, now: Instant, input: ClientInput) {
        match input {
            ClientInput::Closed { link } => {
                if let Some(peer) = self.peers.get(&link).copied() {
                    self.fail_peer(now, peer);
                    self.drop_link(peer, false);
                }
            }
            ClientInput::Connected { link } => {
                if let Some(peer) = self.peers.get(&link).copied() {
                    let ready_by = now.after(self.options.connect_timeout);
                    let link = self.links.get_mut(&peer).expect("peers follow links");
                    link.state = LinkState::Open { ready_by };
                    link.connection.start();
                    self.pump(peer);
                }
            }
            ClientInput::Received { link, bytes } => {
                if let Some(peer) = self.peers.get(&link).copied() {
                    self.on_bytes(now, peer, &bytes);
                }
            }
        }
    }

    fn on_bytes(&mut self, now: Instant, peer: Peer, bytes: &[u8]) {
        let link = self.links.get_mut(&peer).expect("peers follow links");
        link.connection.receive(bytes);
        loop {
            let link = self.links.get_mut(&peer).expect("peers follow links");
            match link.connection.next_response() {
                Ok(Some(answered)) => {
                    let pending = link.sent.pop_front().expect("answers follow what was sent");
                    self.failures.remove(&peer);
                    self.answer(pending.call, Ok(answered.response));
                }
                Ok(None) => break,
                Err(error) => {
                    // The first in line is told what happened; the rest lost their connection.
                    let first = link.sent.pop_front();
                    let first = first.or_else(|| Some(link.queued.pop_front()?.0));
                    if let Some(pending) = first {
                        self.answer(pending.call, Err(CallError::Client(error)));
                    }
                    self.fail_peer(now, peer);
                    self.drop_link(peer, true);
                    return;
                }
            }
        }
        self.pump(peer);
    }

    /// Sends what waits for a link, if it is ready.
    fn pump(&mut self, peer: Peer) {
        let link = self.links.get_mut(&peer).expect("the caller has it");
        if !matches!(link.state, LinkState::Open { .. }) {
            return;
        }
        let mut refused = Vec::new();
        if link.connection.is_ready() {
            while let Some((pending, request)) = link.queued.pop_front() {
                match link.connection.send(&request) {
                    Ok(_sent) if request.expects_response() => link.sent.push_back(pending),
                    Ok(_sent) => {
                        // Nothing will come: the answer to acks=0 is that it was sent.
                        let nothing =
                            ClientResponse::Produce(kafka_wire::ProduceResponse::default());
                        refused.push((pending.call, Ok(nothing)));
                    }
                    Err(error) => refused.push((pending.call, Err(CallError::Client(error)))),
                }
            }
        }
        let id = link.id;
        let bytes = link.connection.take_output();
        if !bytes.is_empty() {
            self.effects.push(ClientEffect::Send { link: id, bytes });
        }
        for (call, result) in refused {
            self.answer(call, result);
        }
    }

    /// Notes that a peer failed, so that the next connection waits.
    fn fail_peer(&mut self, now: Instant, peer: Peer) {
        let count = self.failures.get(&peer).map_or(0, |failed| failed.count);
        let factor = 1u32 << count.min(10);
        let wait = (self.options.backoff * factor).min(self.options.backoff_max);
        let failures = Failures {
            count: count + 1,
            until: now.after(wait),
        };
        self.failures.insert(peer, failures);
    }

    /// Forgets a link; its calls are answered as disconnected.
    fn drop_link(&mut self, peer: Peer, tell_driver: bool) {
        let Some(link) = self.links.remove(&peer) else {
            return;
        };
        self.peers.remove(&link.id);
        if tell_driver && !matches!(link.state, LinkState::BackingOff { .. }) {
            self.effects.push(ClientEffect::Close { link: link.id });
        }
        for pending in link.sent {
            let lost = CallError::Disconnected { was_sent: true };
            self.answer(pending.call, Err(lost));
        }
        for (pending, _request) in link.queued {
            let lost = CallError::Disconnected { was_sent: false };
            self.answer(pending.call, Err(lost));
        }
    }

    fn answer(&mut self, call: CallId, result: Result<ClientResponse, CallError>) {
        self.answers.push_back(Answer { call, result });
    }

    /// Connects after waits, and gives up what took too long.
    pub fn on_time(&mut self, now: Instant) {
        let peers: Vec<Peer> = self.links.keys().copied().collect();
        for peer in peers {
            let link = self.links.get_mut(&peer).expect("listed just now");
            // A late response means a stuck connection: nothing after it can be answered either.
            let is_stuck = link.sent.iter().any(|pending| pending.deadline <= now);
            let is_late = match link.state {
                LinkState::BackingOff { .. } => false,
                LinkState::Connecting { deadline } => deadline <= now,
                LinkState::Open { ready_by } => ready_by <= now && !link.connection.is_ready(),
            };
            let mut late = Vec::new();
            link.sent.retain(|pending| {
                let keep = pending.deadline > now;
                if !keep {
                    late.push((pending.call, true));
                }
                keep
            });
            link.queued.retain(|(pending, _request)| {
                let keep = pending.deadline > now;
                if !keep {
                    late.push((pending.call, false));
                }
                keep
            });
            let is_due = matches!(link.state, LinkState::BackingOff { until } if until <= now);
            for (call, was_sent) in late {
                self.answer(call, Err(CallError::TimedOut { was_sent }));
            }
            if is_stuck || is_late {
                self.fail_peer(now, peer);
                self.drop_link(peer, true);
            } else if is_due {
                self.connect(now, peer);
            }
        }
    }

    /// When [`Self::on_time`] would do something.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let mut earliest: Option<Instant> = None;
        let mut note = |at: Instant| {
            earliest = Some(earliest.map_or(at, |before| before.min(at)));
        };
        for link in self.links.values() {
            match link.state {
                LinkState::BackingOff { until } => note(until),
                LinkState::Connecting { deadline } => note(deadline),
                LinkState::Open { ready_by } if !link.connection.is_ready() => note(ready_by),
                LinkState::Open { .. } => {}
            }
            link.sent.iter().for_each(|pending| note(pending.deadline));
            for (pending, _request) in &link.queued {
                note(pending.deadline);
            }
        }
        earliest
    }

    /// The next answer, in the order they came about.
    pub fn next_answer(&mut self) -> Option<Answer> {
        self.answers.pop_front()
    }

    /// Moves the effects to the end of `effects`.
    pub fn take_effects(&mut self, effects: &mut Vec<ClientEffect>) {
        effects.append(&mut self.effects);
    }

    /// The version spoken of an API with a node that is connected.
    #[must_use]
    pub fn version_of(&self, node: NodeId, api_key: i16) -> Option<i16> {
        let link = self.links.get(&Peer::Node(node))?;
        link.connection.version_of(api_key)
    }

    /// Closes every connection; calls that wait are answered as disconnected.
    pub fn close(&mut self) {
        let peers: Vec<Peer> = self.links.keys().copied().collect();
        for peer in peers {
            self.drop_link(peer, true);
        }
    }
}
