//! What a broker says of itself when it starts.

use super::broker::Broker;
use crate::controller::brokers::{Registration, start_alone};
use crate::controller::{Scene, features};
use crate::ids::Offset;
use crate::metadata::records::MetadataRecord;

/// Registers this incarnation, unfences it, and gives it what it has to lead.
pub(super) fn records(broker: &Broker, is_clean: bool) -> Vec<MetadataRecord> {
    let identity = &broker.identity;
    let registration = Registration {
        node: identity.node,
        incarnation_id: identity.incarnation,
        endpoints: identity.registered(&broker.config.listeners),
        features: features::supported(),
        rack: broker.config.rack.clone(),
        log_dirs: identity.directories.clone(),
    };
    let scene = Scene {
        image: &broker.controller_image,
        settings: &broker.settings,
        node: identity.node,
    };
    let next_offset = Offset(identity.broker_epoch.0);
    start_alone(&scene, &registration, next_offset, is_clean)
}
