//! A client's side of fetch sessions (KIP-227): which partitions a Fetch must name.
//!
//! With a session, the broker remembers the partitions and a Fetch names only what changed. Without
//! one, every Fetch names all. Compare Kafka's `FetchSessionHandler`.

use std::collections::BTreeMap;

use kafka_wire::FetchRequest;
use kafka_wire::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_wire_core::StrBytes;

use crate::ids::{LeaderEpoch, Offset, PartitionIndex, TopicId, TopicPartition};

/// What a Fetch asks of one partition.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Wanted {
    pub(super) topic_id: TopicId,
    pub(super) offset: Offset,
    pub(super) leader_epoch: LeaderEpoch,
    pub(super) max_bytes: i32,
}

/// The session with one node.
#[derive(Clone, Debug, Default)]
pub(super) struct Session {
    id: i32,
    epoch: i32,
    /// What the broker remembers.
    known: BTreeMap<TopicPartition, Wanted>,
}

const SESSIONLESS_EPOCH: i32 = -1;

impl Session {
    /// Fills a request for these partitions; `uses_sessions` is false for clients without them.
    pub(super) fn fill(
        &mut self,
        request: &mut FetchRequest,
        wanted: &BTreeMap<TopicPartition, Wanted>,
        uses_sessions: bool,
    ) {
        request.session_id = self.id;
        request.session_epoch = if uses_sessions {
            self.epoch
        } else {
            SESSIONLESS_EPOCH
        };
        let is_incremental = uses_sessions && self.epoch > 0;
        for (partition, now) in wanted {
            let before = self.known.get(partition);
            if !is_incremental || before != Some(now) {
                add_wanted(request, partition, now);
            }
        }
        if is_incremental {
            for (partition, before) in &self.known {
                let now = wanted.get(partition);
                if now.is_none_or(|now| now.topic_id != before.topic_id) {
                    add_forgotten(request, partition, before.topic_id);
                }
            }
        }
        if uses_sessions {
            self.known.clone_from(wanted);
        }
    }

    /// Takes the answer's session in.
    pub(super) fn on_response(&mut self, session_id: i32, uses_sessions: bool) {
        if !uses_sessions {
            return;
        }
        if session_id == 0 {
            // The broker keeps none for us: the next Fetch names all again.
            *self = Self::default();
            return;
        }
        self.id = session_id;
        self.epoch = if self.epoch == i32::MAX {
            1
        } else {
            self.epoch + 1
        };
    }

    /// The session is of no use any more: begin another, closing this one.
    pub(super) fn reset(&mut self) {
        self.epoch = 0;
        self.known.clear();
    }

    /// The session is unknown to the broker: begin another.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

fn add_wanted(request: &mut FetchRequest, partition: &TopicPartition, wanted: &Wanted) {
    let mut data = FetchPartition::default();
    data.partition = partition.partition.0;
    data.current_leader_epoch = wanted.leader_epoch.0;
    data.fetch_offset = wanted.offset.0;
    data.partition_max_bytes = wanted.max_bytes;
    let topics = &mut request.topics;
    match topics.last_mut() {
        Some(topic) if *topic.topic == *partition.topic => topic.partitions.push(data),
        Some(_) | None => {
            let mut topic = FetchTopic::default();
            topic.topic = StrBytes::from(&*partition.topic);
            topic.topic_id = wanted.topic_id.into();
            topic.partitions.push(data);
            topics.push(topic);
        }
    }
}

fn add_forgotten(request: &mut FetchRequest, partition: &TopicPartition, id: TopicId) {
    let PartitionIndex(index) = partition.partition;
    let forgotten = &mut request.forgotten_topics_data;
    match forgotten.last_mut() {
        Some(topic) if *topic.topic == *partition.topic => topic.partitions.push(index),
        Some(_) | None => {
            let mut topic = ForgottenTopic::default();
            topic.topic = StrBytes::from(&*partition.topic);
            topic.topic_id = id.into();
            topic.partitions.push(index);
            forgotten.push(topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(index: i32) -> TopicPartition {
        TopicPartition {
            topic: "t".into(),
            partition: PartitionIndex(index),
        }
    }

    fn wanted(offset: i64) -> Wanted {
        Wanted {
            topic_id: TopicId([1; 16]),
            offset: Offset(offset),
            leader_epoch: LeaderEpoch(0),
            max_bytes: 1,
        }
    }

    fn fetch(session: &mut Session, all: &BTreeMap<TopicPartition, Wanted>) -> FetchRequest {
        let mut request = FetchRequest::default();
        session.fill(&mut request, all, true);
        request
    }

    #[test]
    fn a_session_names_what_changed() {
        let mut session = Session::default();
        let mut all = BTreeMap::from([(partition(0), wanted(0)), (partition(1), wanted(0))]);
        let first = fetch(&mut session, &all);
        assert_eq!((first.session_id, first.session_epoch), (0, 0));
        assert_eq!(first.topics[0].partitions.len(), 2);
        session.on_response(77, true);
        all.insert(partition(1), wanted(5));
        all.remove(&partition(0));
        let second = fetch(&mut session, &all);
        assert_eq!((second.session_id, second.session_epoch), (77, 1));
        assert_eq!(second.topics[0].partitions[0].fetch_offset, 5);
        assert_eq!(second.forgotten_topics_data[0].partitions, [0]);
        session.on_response(77, true);
        let third = fetch(&mut session, &all);
        assert_eq!(third.session_epoch, 2);
        assert!(third.topics.is_empty());
        session.forget();
        let fourth = fetch(&mut session, &all);
        assert_eq!((fourth.session_id, fourth.session_epoch), (0, 0));
        assert_eq!(fourth.topics.len(), 1);
    }

    #[test]
    fn without_sessions_every_fetch_names_all() {
        let mut session = Session::default();
        let all = BTreeMap::from([(partition(0), wanted(0))]);
        for _round in 0..2 {
            let mut request = FetchRequest::default();
            session.fill(&mut request, &all, false);
            assert_eq!((request.session_id, request.session_epoch), (0, -1));
            assert_eq!(request.topics.len(), 1);
            session.on_response(9, false);
        }
    }
}
