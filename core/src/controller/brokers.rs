//! Brokers register, are fenced and unfenced, and partitions get leaders by it.
//!
//! Heartbeats and sessions come with a second broker; what one broker needs at its start is here:
//! registration of a new incarnation, and the elections that follow. Kafka classes to compare:
//! `ClusterControlManager`, `ReplicationControlManager.generateLeaderAndIsrUpdates`.

use std::sync::Arc;

use super::elections::{Affected, elections};
use super::{Refusal, Scene, apply_all};
use crate::config::listeners::Listener;
use crate::error::ErrorCode;
use crate::ids::{BrokerEpoch, DirectoryId, NodeId, Offset, TopicId};
use crate::metadata::records::{
    BrokerRegistrationChangeRecord, EndpointData, FeatureData, MetadataRecord,
    PartitionChangeRecord, RegisterBrokerRecord, RegisterControllerRecord, UnregisterBrokerRecord,
};
use crate::metadata::{BrokerImage, Image};

/// A node that asks to be part of the cluster.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Registration {
    /// The node.
    pub node: NodeId,
    /// Chosen by the node at this start.
    pub incarnation_id: TopicId,
    /// Where clients and peers reach it: the advertised addresses, with real hosts and ports.
    pub endpoints: Vec<Listener>,
    /// What it supports.
    pub features: Vec<FeatureData>,
    /// Its rack.
    pub rack: Option<String>,
    /// Its data directories.
    pub log_dirs: Vec<DirectoryId>,
}

impl Registration {
    fn endpoint_data(&self) -> Vec<EndpointData> {
        let data = |listener: &Listener| EndpointData {
            name: Arc::from(listener.name.as_str()),
            host: Arc::from(listener.host.as_str()),
            port: listener.port,
            security_protocol: listener.protocol.wire_code(),
        };
        self.endpoints.iter().map(data).collect()
    }

    fn broker_record(&self, broker_epoch: BrokerEpoch) -> RegisterBrokerRecord {
        RegisterBrokerRecord {
            broker_id: self.node,
            is_migrating_zk_broker: false,
            incarnation_id: self.incarnation_id,
            broker_epoch,
            end_points: self.endpoint_data(),
            features: self.features.clone(),
            rack: self.rack.as_deref().map(Arc::from),
            fenced: true,
            in_controlled_shutdown: false,
            log_dirs: self.log_dirs.clone(),
            cordoned_log_dirs: None,
        }
    }

    /// The record of a controller that registers (KIP-919).
    #[must_use]
    pub fn controller_record(&self) -> RegisterControllerRecord {
        RegisterControllerRecord {
            controller_id: self.node,
            incarnation_id: self.incarnation_id,
            zk_migration_ready: false,
            end_points: self.endpoint_data(),
            features: self.features.clone(),
        }
    }
}

/// Registers a broker, fenced; its epoch is the offset of the record, `next_offset`.
///
/// What an earlier incarnation led is taken from it in the same records, so that no leader epoch
/// outlives the process that served it.
///
/// # Errors
/// DUPLICATE_BROKER_REGISTRATION where another incarnation is active and `is_alive` says that it is
/// in touch; UNSUPPORTED_VERSION where the broker lacks a finalized feature.
pub fn register(
    scene: &Scene<'_>,
    registration: &Registration,
    next_offset: Offset,
    is_alive: bool,
) -> Result<(BrokerEpoch, Vec<MetadataRecord>), Refusal> {
    check_features(scene.image, &registration.features)?;
    let previous = scene.image.broker(registration.node);
    if let Some(previous) = previous {
        let is_same = previous.incarnation_id == registration.incarnation_id;
        if !is_same && is_alive {
            let text = format!(
                "Another broker is registered with that broker id ({}).",
                previous.id
            );
            return Err(Refusal::new(ErrorCode::DuplicateBrokerRegistration, text));
        }
    }
    let epoch = BrokerEpoch(next_offset.0);
    let mut records = vec![registration.broker_record(epoch).into()];
    records.extend(elections(scene, registration.node, Affected::LedBy));
    Ok((epoch, records))
}

/// The records of a broker that starts where nobody else could lead meanwhile, in a cluster of one:
/// registered, unfenced at once, and leading what has no leader.
///
/// After an unclean stop (`is_clean` is false) every partition it leads gets a new leader epoch
/// too: what was not synced may be gone, and consumers must be able to tell (KIP-320).
#[must_use]
pub fn start_alone(
    scene: &Scene<'_>,
    registration: &Registration,
    next_offset: Offset,
    is_clean: bool,
) -> Vec<MetadataRecord> {
    let node = registration.node;
    let epoch = BrokerEpoch(next_offset.0);
    let mut records = vec![
        registration.broker_record(epoch).into(),
        change(node, epoch, -1),
    ];
    let mut after = scene.image.clone();
    apply_all(&mut after, &records);
    let scene = Scene {
        image: &after,
        ..*scene
    };
    if !is_clean {
        for topic in after.topics() {
            for (partition_id, partition) in topic.indexed() {
                if partition.leader == node {
                    let record = PartitionChangeRecord {
                        partition_id,
                        topic_id: topic.id,
                        leader: node,
                        ..PartitionChangeRecord::default()
                    };
                    records.push(record.into());
                }
            }
        }
    }
    records.extend(elections(&scene, node, Affected::Leaderless));
    records
}

/// Unfences a broker that caught up, and gives it the partitions that have no leader.
///
/// # Errors
/// BROKER_ID_NOT_REGISTERED or STALE_BROKER_EPOCH where it is not the broker that registered last.
pub fn unfence(
    scene: &Scene<'_>,
    node: NodeId,
    epoch: BrokerEpoch,
) -> Result<Vec<MetadataRecord>, Refusal> {
    let broker = registered(scene.image, node, epoch)?;
    if !broker.fenced {
        return Ok(Vec::new());
    }
    let mut records = vec![change(node, epoch, -1)];
    let mut after = scene.image.clone();
    apply_all(&mut after, &records);
    let scene = Scene {
        image: &after,
        ..*scene
    };
    records.extend(elections(&scene, node, Affected::Leaderless));
    Ok(records)
}

/// Fences a broker, and takes leadership from it.
///
/// # Errors
/// As [`unfence`].
pub fn fence(
    scene: &Scene<'_>,
    node: NodeId,
    epoch: BrokerEpoch,
) -> Result<Vec<MetadataRecord>, Refusal> {
    let broker = registered(scene.image, node, epoch)?;
    if broker.fenced {
        return Ok(Vec::new());
    }
    let mut records = vec![change(node, epoch, 1)];
    records.extend(elections(scene, node, Affected::LedBy));
    Ok(records)
}

/// Forgets a broker that is gone for good.
///
/// # Errors
/// BROKER_ID_NOT_REGISTERED where it is not known; INVALID_REQUEST where it is the one that decides
/// this, which would have no place left to lead anything.
pub fn unregister(scene: &Scene<'_>, node: NodeId) -> Result<Vec<MetadataRecord>, Refusal> {
    let Some(broker) = scene.image.broker(node) else {
        return Err(Refusal::new(
            ErrorCode::BrokerIdNotRegistered,
            format!("Broker ID {node} is not currently registered"),
        ));
    };
    if node == scene.node {
        let text = format!("Broker ID {node} is the one that is asked, and it is at work.");
        return Err(Refusal::new(ErrorCode::InvalidRequest, text));
    }
    let mut records = elections(scene, node, Affected::LedBy);
    let record = UnregisterBrokerRecord {
        broker_id: node,
        broker_epoch: broker.epoch,
    };
    records.push(record.into());
    Ok(records)
}

fn change(broker_id: NodeId, broker_epoch: BrokerEpoch, fenced: i8) -> MetadataRecord {
    let record = BrokerRegistrationChangeRecord {
        broker_id,
        broker_epoch,
        fenced,
        ..BrokerRegistrationChangeRecord::default()
    };
    record.into()
}

fn registered(image: &Image, node: NodeId, epoch: BrokerEpoch) -> Result<&BrokerImage, Refusal> {
    match image.broker(node) {
        None => Err(Refusal::bare(ErrorCode::BrokerIdNotRegistered)),
        Some(broker) if broker.epoch != epoch => Err(Refusal::bare(ErrorCode::StaleBrokerEpoch)),
        Some(broker) => Ok(broker),
    }
}

fn check_features(image: &Image, supported: &[FeatureData]) -> Result<(), Refusal> {
    for (name, level) in image.features() {
        let feature = supported.iter().find(|feature| feature.name == *name);
        let is_supported = feature.is_some_and(|feature| {
            (feature.min_supported_version..=feature.max_supported_version).contains(&level)
        });
        if !is_supported {
            let text = format!(
                "Unable to register because the broker does not support finalized version {level} \
                 of {name}."
            );
            return Err(Refusal::new(ErrorCode::UnsupportedVersion, text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::controller::features;
    use crate::controller::topics::{NewTopic, create_topics};
    use crate::ids::{LeaderEpoch, PartitionIndex};
    use crate::metadata::{Delta, PartitionImage, Replay};
    use crate::quorum;
    use crate::quota::throttle::Allowance;
    use crate::rng::Rng;

    fn registration(node: i32, incarnation: u8) -> Registration {
        Registration {
            node: NodeId(node),
            incarnation_id: TopicId([incarnation; 16]),
            features: features::supported(),
            log_dirs: vec![TopicId([9; 16])],
            ..Registration::default()
        }
    }

    /// Registers and unfences, as a start does.
    fn start(image: &mut Image, node: i32, incarnation: u8, offset: i64) {
        let settings = Settings::default();
        let asked = registration(node, incarnation);
        let before = image.clone();
        let scene = |image| Scene {
            image,
            settings: &settings,
            node: NodeId(1),
        };
        let registered = register(&scene(&before), &asked, Offset(offset), false);
        let (epoch, records) = registered.expect("nobody else");
        apply_all(image, &records);
        let between = image.clone();
        let records = unfence(&scene(&between), NodeId(node), epoch).expect("registered");
        apply_all(image, &records);
    }

    fn partition(image: &Image) -> PartitionImage {
        image.topic("t").expect("created").partitions[0].clone()
    }

    fn created(brokers: &[i32], factor: i16) -> Image {
        let mut image = Image::default();
        let mut replay = Replay::default();
        for record in quorum::format::bootstrap_records() {
            let applied = replay.apply_record(Offset::ZERO, record, &mut Delta::default());
            applied.expect("the first");
        }
        image.clone_from(replay.image());
        for (&broker, offset) in brokers.iter().zip(5..) {
            start(&mut image, broker, 1, offset);
        }
        let topic = NewTopic {
            name: "t".to_owned(),
            partitions: 1,
            replication_factor: factor,
            ..NewTopic::default()
        };
        let settings = Settings::default();
        let scene = Scene {
            image: &image,
            settings: &settings,
            node: NodeId(1),
        };
        let decision = create_topics(
            &scene,
            &mut Rng::new(1),
            &mut Allowance::unlimited(),
            &[topic],
        );
        assert!(decision.results[0].outcome.is_ok());
        apply_all(&mut image, &decision.records);
        image
    }

    #[test]
    fn a_restart_raises_the_leader_epoch_and_keeps_the_isr() {
        let mut image = created(&[1], 1);
        assert_eq!(partition(&image).leader_epoch, LeaderEpoch(0));
        start(&mut image, 1, 2, 50);
        let after = partition(&image);
        assert_eq!(after.leader, NodeId(1));
        assert_eq!(after.isr, [NodeId(1)]);
        assert_eq!(
            after.leader_epoch,
            LeaderEpoch(2),
            "taken away, and given back"
        );
        assert_eq!(after.leader_recovery_state, 0);
        let broker = image.broker(NodeId(1)).expect("registered");
        assert_eq!(broker.epoch, BrokerEpoch(50));
        assert!(!broker.fenced);
    }

    #[test]
    fn started_alone_it_leads_what_has_no_leader() {
        for (is_clean, elr, known) in [
            (true, true, true),
            (false, false, true),
            (true, false, false),
        ] {
            let mut image = created(&[1], 1);
            let topic_id = image.topic("t").expect("created").id;
            let gone = PartitionChangeRecord {
                partition_id: PartitionIndex(0),
                topic_id,
                isr: Some(Vec::new()),
                leader: NodeId::NONE,
                eligible_leader_replicas: elr.then(|| vec![NodeId(1)]),
                last_known_elr: known.then(|| vec![NodeId(1)]),
                ..PartitionChangeRecord::default()
            };
            apply_all(&mut image, &[gone.into()]);
            let settings = Settings::default();
            let scene = Scene {
                image: &image,
                settings: &settings,
                node: NodeId(1),
            };
            let records = start_alone(&scene, &registration(1, 9), Offset(70), is_clean);
            apply_all(&mut image, &records);
            let after = partition(&image);
            if elr || known {
                assert_eq!(after.leader, NodeId(1));
                assert_eq!(after.isr, [NodeId(1)]);
                assert_eq!(after.leader_recovery_state, i8::from(!elr));
                assert!(after.eligible_leader_replicas.is_empty());
                assert!(after.last_known_elr.is_empty());
            } else {
                assert_eq!(
                    after.leader,
                    NodeId::NONE,
                    "nobody is known to have everything"
                );
            }
        }
    }

    #[test]
    fn started_alone_after_a_crash_it_leads_in_new_epochs() {
        for (is_clean, expected) in [(true, LeaderEpoch(0)), (false, LeaderEpoch(1))] {
            let mut image = created(&[1], 1);
            let settings = Settings::default();
            let scene = Scene {
                image: &image,
                settings: &settings,
                node: NodeId(1),
            };
            let records = start_alone(&scene, &registration(1, 9), Offset(70), is_clean);
            apply_all(&mut image, &records);
            assert_eq!(partition(&image).leader_epoch, expected);
            assert!(image.broker(NodeId(1)).is_some_and(|broker| !broker.fenced));
        }
    }

    #[test]
    fn a_follower_in_sync_takes_over() {
        let mut image = created(&[1, 2], 2);
        let before = partition(&image);
        let other = before.replicas[1];
        let epoch = image.broker(before.leader).expect("registered").epoch;
        let settings = Settings::default();
        let scene = Scene {
            image: &image,
            settings: &settings,
            node: NodeId(1),
        };
        let records = fence(&scene, before.leader, epoch).expect("registered");
        apply_all(&mut image, &records);
        let after = partition(&image);
        assert_eq!(after.leader, other);
        assert_eq!(after.isr, [other]);
        assert_eq!(after.leader_epoch, LeaderEpoch(1));
    }

    #[test]
    fn strangers_and_old_incarnations_are_refused() {
        let image = created(&[1], 1);
        let settings = Settings::default();
        let scene = Scene {
            image: &image,
            settings: &settings,
            node: NodeId(1),
        };
        let code = |result: Result<Vec<MetadataRecord>, Refusal>| result.expect_err("refused").code;
        assert_eq!(
            code(unfence(&scene, NodeId(2), BrokerEpoch(5))),
            ErrorCode::BrokerIdNotRegistered
        );
        assert_eq!(
            code(unfence(&scene, NodeId(1), BrokerEpoch(4))),
            ErrorCode::StaleBrokerEpoch
        );
        let twin = register(&scene, &registration(1, 7), Offset(60), true);
        assert_eq!(
            twin.expect_err("another is alive").code,
            ErrorCode::DuplicateBrokerRegistration
        );
        let mut old = registration(1, 7);
        old.features.clear();
        let refused = register(&scene, &old, Offset(60), false).expect_err("too old");
        assert_eq!(refused.code, ErrorCode::UnsupportedVersion);
    }
}
