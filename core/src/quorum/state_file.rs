//! `quorum-state`: the epoch a voter has seen, and whom it voted for or follows.
//!
//! A small JSON object of numbers and one id, as Kafka 4.3.1 writes it (`QuorumStateData`, version
//! 1). Only what Kafka and Ottla write is read.

use bytes::Bytes;

use crate::ids::{DirectoryId, LeaderEpoch, NodeId};

/// The file of a voter that leads.
#[must_use]
pub fn of_leader(node: NodeId, epoch: LeaderEpoch) -> Bytes {
    Bytes::from(format!(
        "{{\"leaderId\":{node},\"leaderEpoch\":{epoch},\"votedId\":-1,\
         \"votedDirectoryId\":\"{}\",\"data_version\":1}}",
        DirectoryId::ZERO
    ))
}

/// The epoch in the file; `None` where it is no such file.
#[must_use]
pub fn epoch(bytes: &[u8]) -> Option<LeaderEpoch> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (_, rest) = text.split_once("\"leaderEpoch\"")?;
    let rest = rest.trim_start().strip_prefix(':')?.trim_start();
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..end].parse().ok().map(LeaderEpoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_kafkas_file() {
        let written = of_leader(NodeId(1), LeaderEpoch(7));
        let kafkas = concat!(
            "{\"leaderId\":1,\"leaderEpoch\":7,\"votedId\":-1,",
            "\"votedDirectoryId\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"data_version\":1}"
        );
        assert_eq!(written, kafkas.as_bytes());
        assert_eq!(epoch(&written), Some(LeaderEpoch(7)));
        assert_eq!(epoch(b"{\"leaderEpoch\": 12 }"), Some(LeaderEpoch(12)));
        for damaged in [&b""[..], b"{}", b"{\"leaderEpoch\":x}", b"\xff"] {
            assert_eq!(epoch(damaged), None);
        }
    }
}
