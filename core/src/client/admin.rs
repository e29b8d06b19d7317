//! A client for administration: typed calls to any node, to the controller, to a partition's
//! leader or to a node by id.
//!
//! It finds out where nodes are before it calls one. It retries nothing that may have been carried
//! out; a person, or a tool, reads the answer and decides.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::client::cluster::{Cluster, Directory};
use crate::client::message::{Call, ClientRequest};
use crate::client::network::{
    Answer, CallError, CallId, ClientEffect, ClientInput, Network, NetworkOptions, Target,
};
use crate::ids::{NodeId, TopicPartition};
use crate::time::Instant;

/// Whom an administrative call goes to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AdminTarget {
    /// Any node.
    Any,
    /// The node that takes controller requests.
    Controller,
    /// The leader of a partition.
    Leader(TopicPartition),
    /// This node.
    Node(NodeId),
}

/// A call that waits until its node is known.
#[derive(Clone, Debug)]
struct Job {
    call: CallId,
    target: AdminTarget,
    request: ClientRequest,
    deadline: Instant,
}

/// The machine; see the module.
#[derive(Clone, Debug)]
pub struct Admin {
    network: Network,
    directory: Directory,
    timeout: Duration,
    next_call: u64,
    waiting: Vec<Job>,
    /// Calls under way, by the network's id.
    called: BTreeMap<CallId, CallId>,
    answers: VecDeque<Answer>,
}

impl Admin {
    /// A client that has connected to nobody yet.
    #[must_use]
    pub fn new(options: NetworkOptions) -> Self {
        Self {
            timeout: options.request_timeout,
            network: Network::new(options),
            directory: Directory::new(false),
            next_call: 0,
            waiting: Vec::new(),
            called: BTreeMap::new(),
            answers: VecDeque::new(),
        }
    }

    /// Calls; the answer comes by [`Self::next_answer`], typed by [`Call::from_response`].
    pub fn call<C: Call>(&mut self, now: Instant, target: AdminTarget, request: C) -> CallId {
        let call = CallId(self.next_call);
        self.next_call += 1;
        if let AdminTarget::Leader(partition) = &target {
            self.directory.want(now, &partition.topic);
        }
        self.waiting.push(Job {
            call,
            target,
            request: request.into_request(),
            deadline: now.after(self.timeout),
        });
        self.on_time(now);
        call
    }

    /// What is known of the cluster; the nodes once any call to one was answered.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.directory.cluster
    }

    /// Takes an input of the driver.
    pub fn on_input(&mut self, now: Instant, input: ClientInput) {
        self.network.on_input(now, input);
        self.on_time(now);
    }

    /// Lets time pass.
    pub fn on_time(&mut self, now: Instant) {
        self.network.on_time(now);
        self.dispatch(now);
        self.directory.on_time(now, &mut self.network);
        while let Some(answer) = self.network.next_answer() {
            if self.directory.on_answer(now, &answer, &mut self.network) {
                self.dispatch(now);
            } else if let Some(call) = self.called.remove(&answer.call) {
                self.answers.push_back(Answer { call, ..answer });
            }
        }
    }

    /// Sends the calls whose nodes are known, and gives up those that waited too long.
    fn dispatch(&mut self, now: Instant) {
        for job in std::mem::take(&mut self.waiting) {
            let cluster = &self.directory.cluster;
            let node = match &job.target {
                AdminTarget::Any => Some(Target::Any),
                AdminTarget::Controller => Some(cluster.controller)
                    .filter(|node| cluster.nodes.contains_key(node))
                    .map(Target::Node),
                AdminTarget::Leader(partition) => cluster.leader(partition).map(Target::Node),
                AdminTarget::Node(node) => Some(*node)
                    .filter(|node| cluster.nodes.contains_key(node))
                    .map(Target::Node),
            };
            match node {
                Some(target) => {
                    let call = self.network.call(now, target, job.request);
                    self.called.insert(call, job.call);
                }
                None if job.deadline <= now => self.answers.push_back(Answer {
                    call: job.call,
                    result: Err(CallError::TimedOut { was_sent: false }),
                }),
                None => {
                    self.directory.refresh(now);
                    self.waiting.push(job);
                }
            }
        }
    }

    /// When [`Self::on_time`] would do something.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let jobs = self.waiting.iter().map(|job| job.deadline);
        let others = [self.network.next_deadline(), self.directory.next_deadline()];
        jobs.chain(others.into_iter().flatten()).min()
    }

    /// The next answer.
    pub fn next_answer(&mut self) -> Option<Answer> {
        self.answers.pop_front()
    }

    /// Moves the effects to the end of `effects`.
    pub fn take_effects(&mut self, effects: &mut Vec<ClientEffect>) {
        self.network.take_effects(effects);
    }

    /// Closes every connection.
    pub fn close(&mut self) {
        self.network.close();
    }
}
