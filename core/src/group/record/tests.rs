//! Bytes that Kafka wrote, and bytes of old versions.

use super::*;

/// Bytes from a log of Apache Kafka 4.3.1, in hexadecimal.
fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits: Vec<char> = hexadecimal.chars().filter(|c| !c.is_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| {
            let text: String = pair.iter().collect();
            u8::from_str_radix(&text, 16).expect("hexadecimal")
        })
        .collect()
}

/// Reads what Kafka wrote, expects `record`, and expects our own bytes to be the same.
fn check(key: &str, value: &str, record: &Record) {
    let (key, value) = (bytes(key), bytes(value));
    assert_eq!(Record::decode(&key, Some(&value)).as_ref(), Ok(record));
    match record {
        Record::Group(group, Some(metadata)) => {
            assert_eq!(RecordKey::Group(group.clone()).encode(), key);
            assert_eq!(metadata.encode(), value);
        }
        Record::Offset(group, offset_key, Some(commit)) => {
            let written = RecordKey::Offset(group.clone(), offset_key.clone());
            assert_eq!(written.encode(), key);
            assert_eq!(commit.encode(), value);
        }
        Record::Group(_, None) | Record::Offset(_, _, None) | Record::Other(_) => {
            panic!("{record:?} is no record with a value")
        }
    }
    for length in 0..value.len() {
        let cut = Record::decode(&key, Some(&value[..length]));
        assert!(cut.is_err(), "cut to {length} bytes");
    }
}

fn group(value: GroupMetadata) -> Record {
    Record::Group("grp".into(), Some(value))
}

const GROUP: &str = "0002 0003 677270";

#[test]
fn a_group_that_is_new() {
    let value = "0003 0000 00000000 ffff ffff 000001a21b9fc82b 00000000";
    check(
        GROUP,
        value,
        &group(GroupMetadata {
            protocol_type: "".into(),
            generation: 0,
            protocol: None,
            leader: None,
            current_state_timestamp: Timestamp(1_795_759_786_027),
            members: Vec::new(),
        }),
    );
}

#[test]
fn a_group_with_a_member() {
    let member_id =
        "636c692d32343765376334332d643930372d343230652d626131372d336634343938303136316363";
    let value = format!(
        "0003 0008 636f6e73756d6572 00000001 0005 72616e6765 0028 {member_id} \
         000001a21b9fcd04 00000001 \
         0028 {member_id} ffff 0003 636c69 000a 2f3132372e302e302e31 000493e0 0000afc8 \
         0000000d 0000 00000001 0001 74 00000000 \
         00000021 0000 00000001 0001 74 00000004 00000000 00000001 00000002 00000003 00000000"
    );
    let id = StrBytes::from("cli-247e7c43-d907-420e-ba17-3f44980161cc");
    check(
        GROUP,
        &value,
        &group(GroupMetadata {
            protocol_type: "consumer".into(),
            generation: 1,
            protocol: Some("range".into()),
            leader: Some(id.clone()),
            current_state_timestamp: Timestamp(1_795_759_787_268),
            members: vec![MemberMetadata {
                member_id: id,
                group_instance_id: None,
                client_id: "cli".into(),
                client_host: "/127.0.0.1".into(),
                rebalance_timeout_ms: 300_000,
                session_timeout_ms: 45_000,
                subscription: bytes("0000 00000001 0001 74 00000000").into(),
                assignment: bytes(
                    "0000 00000001 0001 74 00000004 \
                     00000000 00000001 00000002 00000003 00000000",
                )
                .into(),
            }],
        }),
    );
}

const OFFSET: &str = "0001 0003 677270 0001 74 00000000";

fn offset(commit: OffsetCommit) -> Record {
    let topic = Arc::from("t");
    let partition = PartitionIndex(0);
    Record::Offset("grp".into(), OffsetKey { topic, partition }, Some(commit))
}

#[test]
fn an_offset() {
    let value = "0004 0000000000000001 00000003 07 6dc3a974c3a9 000001a21b9fcebd \
                 01 00 10 b0c7a4b0f0724ead89969137bad16e75";
    check(
        OFFSET,
        value,
        &offset(OffsetCommit {
            offset: Offset(1),
            leader_epoch: LeaderEpoch(3),
            metadata: "mété".into(),
            commit_timestamp: Timestamp(1_795_759_787_709),
            expire_timestamp: Timestamp::NONE,
            topic_id: TopicId::parse("sMeksPByTq2JlpE3utFudQ").expect("an id"),
        }),
    );
}

#[test]
fn an_offset_with_a_time_of_its_own() {
    let value = "0001 0000000000000007 0001 6d 0000000000000064 00000000000000c8";
    check(
        OFFSET,
        value,
        &offset(OffsetCommit {
            offset: Offset(7),
            leader_epoch: LeaderEpoch::NONE,
            metadata: "m".into(),
            commit_timestamp: Timestamp(100),
            expire_timestamp: Timestamp(200),
            topic_id: TopicId::ZERO,
        }),
    );
}

#[test]
fn older_versions_of_an_offset() {
    let expected = OffsetCommit {
        offset: Offset(7),
        leader_epoch: LeaderEpoch::NONE,
        metadata: "m".into(),
        commit_timestamp: Timestamp(100),
        expire_timestamp: Timestamp::NONE,
        topic_id: TopicId::ZERO,
    };
    let with_epoch = OffsetCommit {
        leader_epoch: LeaderEpoch(9),
        ..expected.clone()
    };
    for (value, expected) in [
        ("0000 0000000000000007 0001 6d 0000000000000064", &expected),
        ("0002 0000000000000007 0001 6d 0000000000000064", &expected),
        (
            "0003 0000000000000007 00000009 0001 6d 0000000000000064",
            &with_epoch,
        ),
        // A tag this program does not know is passed over.
        (
            "0004 0000000000000007 00000009 02 6d 0000000000000064 01 05 01 ff",
            &with_epoch,
        ),
    ] {
        assert_eq!(
            OffsetCommit::decode(&bytes(value)).as_ref(),
            Ok(expected),
            "{value}"
        );
    }
    assert!(OffsetCommit::decode(&bytes("0005")).is_err());
    assert!(OffsetCommit::decode(&bytes("ffff")).is_err());
}

#[test]
fn older_versions_of_a_group() {
    let members = "00000001 0001 61 0001 62 0001 63";
    for (version, value) in [
        (
            0,
            format!("0000 0000 00000001 ffff ffff {members} 00000005 00000000 00000000"),
        ),
        (
            1,
            format!(
                "0001 0000 00000001 ffff ffff {members} 00000009 00000005 \
                 00000000 00000000"
            ),
        ),
        (
            2,
            format!(
                "0002 0000 00000001 ffff ffff 0000000000000064 {members} 00000009 00000005 \
                 00000000 00000000"
            ),
        ),
        (
            4,
            "0004 01 00000001 00 00 0000000000000064 02 02 61 00 02 62 02 63 00000009 00000005 \
             01 01 00 00"
                .to_owned(),
        ),
    ] {
        let metadata = GroupMetadata::decode(&bytes(&value)).expect("a version of old");
        let member = &metadata.members[0];
        assert_eq!(member.member_id.as_str(), "a");
        assert_eq!(member.client_host.as_str(), "c");
        assert_eq!(member.session_timeout_ms, 5);
        assert_eq!(
            member.rebalance_timeout_ms,
            if version == 0 { -1 } else { 9 }
        );
        let stamp = if version < 2 { -1 } else { 100 };
        assert_eq!(metadata.current_state_timestamp, Timestamp(stamp));
    }
}

#[test]
fn keys_of_other_kinds_are_told_apart_and_tombstones_have_no_value() {
    assert_eq!(
        Record::decode(&bytes("0003 0003 677270"), None),
        Ok(Record::Other(3))
    );
    assert_eq!(
        Record::decode(&bytes(GROUP), None),
        Ok(Record::Group("grp".into(), None))
    );
    assert!(Record::decode(&bytes("00"), None).is_err());
    assert!(Record::decode(&bytes("0002 0004 677270"), None).is_err());
    assert!(Record::decode(&bytes("0002 0003 67727000"), None).is_err());
    assert!(Record::decode(&bytes("0002 0001 ff"), None).is_err());
}

#[test]
fn a_count_of_members_allocates_nothing() {
    let value = "0003 0000 00000000 ffff ffff 0000000000000000 7fffffff";
    assert!(GroupMetadata::decode(&bytes(value)).is_err());
}
