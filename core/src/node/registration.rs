//! What a broker says of itself when it starts.

use std::sync::Arc;

use super::broker::Broker;
use crate::metadata::records::{
    BrokerRegistrationChangeRecord, EndpointData, FeatureData, MetadataRecord,
    PartitionChangeRecord, RegisterBrokerRecord,
};
use crate::quorum::format::METADATA_VERSION;

/// `BrokerRegistrationChangeRecord.fenced`: the broker is unfenced.
const UNFENCE: i8 = -1;

/// Registers this incarnation and unfences it. After an unclean stop, every partition it leads gets
/// a new leader epoch too: what was not synced may be gone, and consumers must be able to tell
/// (KIP-320).
pub(super) fn records(broker: &Broker, is_clean: bool) -> Vec<MetadataRecord> {
    let identity = &broker.identity;
    let end_points = identity
        .listeners
        .iter()
        .map(|listener| EndpointData {
            name: listener.name.as_str().into(),
            host: listener.host.as_str().into(),
            port: listener.port,
            security_protocol: listener.protocol.wire_code(),
        })
        .collect();
    let mut records = vec![
        MetadataRecord::RegisterBroker(RegisterBrokerRecord {
            broker_id: identity.node,
            incarnation_id: identity.incarnation,
            broker_epoch: identity.broker_epoch,
            end_points,
            features: supported_features(),
            rack: broker.config.rack.as_deref().map(Arc::from),
            fenced: true,
            log_dirs: identity.directories.clone(),
            ..RegisterBrokerRecord::default()
        }),
        MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChangeRecord {
            broker_id: identity.node,
            broker_epoch: identity.broker_epoch,
            fenced: UNFENCE,
            ..BrokerRegistrationChangeRecord::default()
        }),
    ];
    if !is_clean {
        for topic in broker.image.topics() {
            for (index, partition) in topic.indexed() {
                if partition.leader == identity.node {
                    records.push(MetadataRecord::PartitionChange(PartitionChangeRecord {
                        partition_id: index,
                        topic_id: topic.id,
                        leader: identity.node,
                        ..PartitionChangeRecord::default()
                    }));
                }
            }
        }
    }
    records
}

fn supported_features() -> Vec<FeatureData> {
    [
        ("kraft.version", 0, 1),
        ("metadata.version", METADATA_VERSION, METADATA_VERSION),
    ]
    .into_iter()
    .map(|(name, min, max)| FeatureData {
        name: name.into(),
        min_supported_version: min,
        max_supported_version: max,
    })
    .collect()
}
