//! A member that joins, as tests describe it.

use bytes::Bytes;

use super::super::MemberId;

/// What a client brings to a JoinGroup.
#[derive(Clone, Debug)]
pub(super) struct Joiner {
    pub(super) client: &'static str,
    pub(super) member_id: MemberId,
    pub(super) instance: Option<&'static str>,
    pub(super) version: i16,
    pub(super) protocols: Vec<(&'static str, Bytes)>,
    pub(super) rebalance_timeout_ms: i32,
}

/// A consumer that subscribes to topic `t`.
pub(super) fn joiner(client: &'static str) -> Joiner {
    Joiner {
        client,
        member_id: MemberId::default(),
        instance: None,
        version: 9,
        protocols: vec![("range", subscription(&["t"]))],
        rebalance_timeout_ms: 60_000,
    }
}

impl Joiner {
    pub(super) fn with_id(mut self, member_id: &MemberId) -> Self {
        self.member_id = member_id.clone();
        self
    }

    pub(super) fn of_instance(mut self, instance: &'static str) -> Self {
        self.instance = Some(instance);
        self
    }

    pub(super) fn version(mut self, version: i16) -> Self {
        self.version = version;
        self
    }

    pub(super) fn protocols(mut self, names: &[&'static str]) -> Self {
        let metadata = |name: &&'static str| (*name, subscription(&["t"]));
        self.protocols = names.iter().map(metadata).collect();
        self
    }

    pub(super) fn topics(mut self, topics: &[&str]) -> Self {
        self.protocols = vec![("range", subscription(topics))];
        self
    }
}

/// The metadata of a consumer.
pub(super) fn subscription(topics: &[&str]) -> Bytes {
    let mut bytes = vec![0, 0];
    let count = i32::try_from(topics.len()).expect("few");
    bytes.extend_from_slice(&count.to_be_bytes());
    for topic in topics {
        let length = i16::try_from(topic.len()).expect("short");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(topic.as_bytes());
    }
    bytes.extend_from_slice(&(-1i32).to_be_bytes());
    Bytes::from(bytes)
}
