//! Records applied to an image, one at a time.
//!
//! What each record type means, as Kafka's image deltas and its controller's replay have it
//! (`TopicsDelta`, `ClusterDelta`, `ConfigurationsDelta` and the others).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::delta::Delta;
use super::image::{
    BrokerImage, ConfigResource, Image, ImageError, PartitionImage, QuotaEntity, ResourceKind,
    TopicImage,
};
use super::records::{
    BrokerRegistrationChangeRecord, ClientQuotaRecord, ConfigRecord, MetadataRecord,
    PartitionChangeRecord, PartitionRecord, RegisterBrokerRecord, TopicRecord,
};
use crate::ids::{
    BrokerEpoch, DirectoryId, LeaderEpoch, NodeId, PartitionEpoch, PartitionIndex, TopicId,
    TopicName,
};

impl Image {
    /// Applies one record and notes what it changed.
    ///
    /// Records of transactions are not for an image: [`super::replay::Replay`] keeps them apart.
    ///
    /// # Errors
    /// Where the record contradicts the image, which is then unchanged.
    pub fn apply(&mut self, record: &MetadataRecord, delta: &mut Delta) -> Result<(), ImageError> {
        use MetadataRecord as R;
        match record {
            R::Topic(record) => self.create_topic(record, delta)?,
            R::Partition(record) => self.set_partition(record, delta)?,
            R::PartitionChange(record) => self.change_partition(record, delta)?,
            R::RemoveTopic(record) => self.remove_topic(record.topic_id, delta)?,
            R::ClearElr(record) => self.clear_elr(&record.topic_name, delta),
            R::RegisterBroker(record) => {
                let brokers = Arc::make_mut(&mut self.brokers);
                brokers.insert(record.broker_id, Arc::new(broker_of(record)));
                delta.brokers.insert(record.broker_id);
            }
            R::UnregisterBroker(record) => {
                self.broker_mut(record.broker_id, record.broker_epoch, delta)?;
                Arc::make_mut(&mut self.brokers).remove(&record.broker_id);
            }
            R::FenceBroker(record) => {
                self.broker_mut(record.id, record.epoch, delta)?.fenced = true;
            }
            R::UnfenceBroker(record) => {
                self.broker_mut(record.id, record.epoch, delta)?.fenced = false;
            }
            R::BrokerRegistrationChange(record) => self.change_broker(record, delta)?,
            R::RegisterController(record) => {
                let id = record.controller_id;
                put(
                    &mut self.controllers,
                    id,
                    Some(record.clone()),
                    &mut delta.controllers,
                );
            }
            R::FeatureLevel(record) => {
                let level = Some(record.feature_level).filter(|&level| level != 0);
                let name = Arc::clone(&record.name);
                put(&mut self.features, name, level, &mut delta.features);
            }
            R::ProducerIds(record) => {
                if record.next_producer_id <= self.next_producer_id {
                    return Err(ImageError("producer ids were given out twice".to_owned()));
                }
                self.next_producer_id = record.next_producer_id;
                delta.producer_ids = true;
            }
            R::Config(record) => self.set_config(record, delta)?,
            R::ClientQuota(record) => self.set_quota(record, delta),
            R::AccessControlEntry(_)
            | R::RemoveAccessControlEntry(_)
            | R::DelegationToken(_)
            | R::RemoveDelegationToken(_)
            | R::UserScramCredential(_)
            | R::RemoveUserScramCredential(_) => self.apply_security(record, delta),
            R::NoOp(_) => {}
            R::BeginTransaction(_) | R::EndTransaction(_) | R::AbortTransaction(_) => {
                return Err(ImageError(format!("{} outside of a replay", record.name())));
            }
        }
        Ok(())
    }

    /// What is only stored, for the part that will ask for it.
    fn apply_security(&mut self, record: &MetadataRecord, delta: &mut Delta) {
        use MetadataRecord as R;
        let changed = &mut delta.security;
        if let R::AccessControlEntry(record) = record {
            put(&mut self.access, record.id, Some(record.clone()), changed);
        } else if let R::RemoveAccessControlEntry(record) = record {
            put(&mut self.access, record.id, None, changed);
        } else if let R::DelegationToken(record) = record {
            let id = Arc::clone(&record.token_id);
            put(&mut self.tokens, id, Some(record.clone()), changed);
        } else if let R::RemoveDelegationToken(record) = record {
            put(
                &mut self.tokens,
                Arc::clone(&record.token_id),
                None,
                changed,
            );
        } else if let R::UserScramCredential(record) = record {
            let key = (Arc::clone(&record.name), record.mechanism);
            put(&mut self.scram, key, Some(record.clone()), changed);
        } else if let R::RemoveUserScramCredential(record) = record {
            let key = (Arc::clone(&record.name), record.mechanism);
            put(&mut self.scram, key, None, changed);
        } else {
            unreachable!("apply sends no {} here", record.name());
        }
    }

    fn create_topic(&mut self, record: &TopicRecord, delta: &mut Delta) -> Result<(), ImageError> {
        let (name, id) = (&record.name, record.topic_id);
        if self.names.contains_key(name) || self.topics.contains_key(&id) {
            return Err(ImageError(format!("topic {name} is there already")));
        }
        let topic = TopicImage {
            name: Arc::clone(name),
            id,
            partitions: Vec::new(),
        };
        let topic = Arc::new(topic);
        Arc::make_mut(&mut self.names).insert(Arc::clone(name), Arc::clone(&topic));
        Arc::make_mut(&mut self.topics).insert(id, topic);
        assert_eq!(
            self.names.len(),
            self.topics.len(),
            "each topic has one name"
        );
        delta.on_created(id);
        Ok(())
    }

    fn set_partition(
        &mut self,
        record: &PartitionRecord,
        delta: &mut Delta,
    ) -> Result<(), ImageError> {
        let partition = partition_of(record)?;
        let index = usize::try_from(record.partition_id.0).unwrap_or(usize::MAX);
        self.change_topic(record.topic_id, |topic| {
            let count = topic.partitions.len();
            match topic.partitions.get_mut(index) {
                Some(existing) => *existing = partition,
                None if index == count => {
                    if count == 0 {
                        // Most topics of a cluster that has very many have one partition.
                        topic.partitions.reserve_exact(1);
                    }
                    topic.partitions.push(partition);
                }
                None => {
                    let (name, index) = (&topic.name, record.partition_id);
                    return Err(ImageError(format!(
                        "{name}-{index} comes before those below it"
                    )));
                }
            }
            Ok(())
        })?;
        delta.on_partition(record.topic_id, record.partition_id);
        Ok(())
    }

    fn change_partition(
        &mut self,
        record: &PartitionChangeRecord,
        delta: &mut Delta,
    ) -> Result<(), ImageError> {
        let index = usize::try_from(record.partition_id.0).unwrap_or(usize::MAX);
        self.change_topic(record.topic_id, |topic| {
            let Some(partition) = topic.partitions.get_mut(index) else {
                let (name, index) = (&topic.name, record.partition_id);
                return Err(ImageError(format!(
                    "{name}-{index} changes but is not there"
                )));
            };
            change_partition(partition, record);
            Ok(())
        })?;
        delta.on_partition(record.topic_id, record.partition_id);
        Ok(())
    }

    /// A topic's configurations go with it.
    fn remove_topic(&mut self, id: TopicId, delta: &mut Delta) -> Result<(), ImageError> {
        let Some(topic) = Arc::make_mut(&mut self.topics).remove(&id) else {
            return Err(ImageError(format!(
                "topic {id} is deleted but is not there"
            )));
        };
        Arc::make_mut(&mut self.names).remove(&topic.name);
        assert_eq!(
            self.names.len(),
            self.topics.len(),
            "each topic has one name"
        );
        let resource = ConfigResource::topic(&topic.name);
        if self.configs.contains_key(&resource) {
            Arc::make_mut(&mut self.configs).remove(&resource);
            delta.configs.insert(resource);
        }
        delta.on_deleted(topic);
        Ok(())
    }

    fn clear_elr(&mut self, name: &TopicName, delta: &mut Delta) {
        let affected: Vec<TopicId> = self
            .topics
            .values()
            .filter(|topic| name.is_empty() || topic.name == *name)
            .filter(|topic| topic.partitions.iter().any(PartitionImage::has_elr))
            .map(|topic| topic.id)
            .collect();
        for id in affected {
            let changed = self.change_topic(id, |topic| {
                for (partition, index) in topic.partitions.iter_mut().zip(0..) {
                    if partition.has_elr() {
                        partition.eligible_leader_replicas.clear();
                        partition.last_known_elr.clear();
                        delta.on_partition(id, PartitionIndex(index));
                    }
                }
                Ok(())
            });
            changed.expect("found just before");
        }
    }

    /// Changes a topic, in both of the maps that hold it.
    fn change_topic(
        &mut self,
        id: TopicId,
        change: impl FnOnce(&mut TopicImage) -> Result<(), ImageError>,
    ) -> Result<(), ImageError> {
        let Some(topic) = Arc::make_mut(&mut self.topics).get_mut(&id) else {
            return Err(ImageError(format!(
                "a partition of topic {id}, which is not there"
            )));
        };
        let names = Arc::make_mut(&mut self.names);
        // The other map lets go of it meanwhile: what nobody else holds is changed where it is.
        let known = names.remove(&topic.name);
        assert!(known.is_some(), "each topic has one name");
        drop(known);
        let changed = change(Arc::make_mut(topic));
        names.insert(Arc::clone(&topic.name), Arc::clone(topic));
        changed
    }

    /// A registered broker, to be changed by a record of its present epoch.
    fn broker_mut(
        &mut self,
        id: NodeId,
        epoch: BrokerEpoch,
        delta: &mut Delta,
    ) -> Result<&mut BrokerImage, ImageError> {
        match Arc::make_mut(&mut self.brokers).get_mut(&id) {
            Some(broker) if broker.epoch == epoch => {
                delta.brokers.insert(id);
                Ok(Arc::make_mut(broker))
            }
            Some(_) => Err(ImageError(format!(
                "broker {id} has another epoch than {epoch}"
            ))),
            None => Err(ImageError(format!("broker {id} is not registered"))),
        }
    }

    fn change_broker(
        &mut self,
        record: &BrokerRegistrationChangeRecord,
        delta: &mut Delta,
    ) -> Result<(), ImageError> {
        let broker = self.broker_mut(record.broker_id, record.broker_epoch, delta)?;
        if record.fenced != 0 {
            broker.fenced = record.fenced > 0;
        }
        if record.in_controlled_shutdown != 0 {
            broker.in_controlled_shutdown = record.in_controlled_shutdown > 0;
        }
        if !record.log_dirs.is_empty() {
            broker.log_dirs.clone_from(&record.log_dirs);
        }
        if record.cordoned_log_dirs.is_some() {
            broker
                .cordoned_log_dirs
                .clone_from(&record.cordoned_log_dirs);
        }
        Ok(())
    }

    fn set_config(&mut self, record: &ConfigRecord, delta: &mut Delta) -> Result<(), ImageError> {
        let Some(kind) = ResourceKind::from_code(record.resource_type) else {
            let code = record.resource_type;
            return Err(ImageError(format!(
                "a configuration of a resource of kind {code}"
            )));
        };
        let resource = ConfigResource {
            kind,
            name: Arc::clone(&record.resource_name),
        };
        let configs = Arc::make_mut(&mut self.configs);
        let values = Arc::make_mut(configs.entry(resource.clone()).or_default());
        match &record.value {
            Some(value) => values.insert(Arc::clone(&record.name), Arc::clone(value)),
            None => values.remove(&record.name),
        };
        if values.is_empty() {
            configs.remove(&resource);
        }
        delta.configs.insert(resource);
        Ok(())
    }

    fn set_quota(&mut self, record: &ClientQuotaRecord, delta: &mut Delta) {
        let entity: QuotaEntity = record
            .entity
            .iter()
            .map(|part| (Arc::clone(&part.entity_type), part.entity_name.clone()))
            .collect();
        let quotas = Arc::make_mut(&mut self.quotas);
        let limits = quotas.entry(entity.clone()).or_default();
        if record.remove {
            limits.remove(&record.key);
        } else {
            limits.insert(Arc::clone(&record.key), record.value);
        }
        if limits.is_empty() {
            quotas.remove(&entity);
        }
        delta.quotas = true;
    }
}

/// Sets or removes one entry, and notes that something changed.
fn put<K: Clone + Ord, V: Clone>(
    map: &mut Arc<BTreeMap<K, V>>,
    key: K,
    value: Option<V>,
    changed: &mut bool,
) {
    let map = Arc::make_mut(map);
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
    *changed = true;
}

impl PartitionImage {
    fn has_elr(&self) -> bool {
        !self.eligible_leader_replicas.is_empty() || !self.last_known_elr.is_empty()
    }
}

fn partition_of(record: &PartitionRecord) -> Result<PartitionImage, ImageError> {
    let mut directories = record.directories.clone();
    if directories.is_empty() {
        directories = vec![DirectoryId::ZERO; record.replicas.len()];
    }
    if directories.len() != record.replicas.len() {
        return Err(ImageError(
            "a partition with more directories than replicas".to_owned(),
        ));
    }
    Ok(PartitionImage {
        replicas: record.replicas.clone(),
        directories,
        isr: record.isr.clone(),
        removing_replicas: record.removing_replicas.clone(),
        adding_replicas: record.adding_replicas.clone(),
        eligible_leader_replicas: record.eligible_leader_replicas.clone().unwrap_or_default(),
        last_known_elr: record.last_known_elr.clone().unwrap_or_default(),
        leader: record.leader,
        leader_recovery_state: record.leader_recovery_state,
        leader_epoch: record.leader_epoch,
        partition_epoch: record.partition_epoch,
    })
}

fn change_partition(partition: &mut PartitionImage, record: &PartitionChangeRecord) {
    let replace = |field: &mut Vec<NodeId>, new: &Option<Vec<NodeId>>| {
        if let Some(new) = new {
            field.clone_from(new);
        }
    };
    replace(&mut partition.isr, &record.isr);
    replace(&mut partition.replicas, &record.replicas);
    replace(&mut partition.removing_replicas, &record.removing_replicas);
    replace(&mut partition.adding_replicas, &record.adding_replicas);
    replace(
        &mut partition.eligible_leader_replicas,
        &record.eligible_leader_replicas,
    );
    replace(&mut partition.last_known_elr, &record.last_known_elr);
    match &record.directories {
        Some(directories) => partition.directories.clone_from(directories),
        None => partition
            .directories
            .resize(partition.replicas.len(), DirectoryId::ZERO),
    }
    if record.leader != PartitionChangeRecord::NO_LEADER_CHANGE {
        partition.leader = record.leader;
        partition.leader_epoch = LeaderEpoch(partition.leader_epoch.0.wrapping_add(1));
    }
    if record.leader_recovery_state >= 0 {
        partition.leader_recovery_state = record.leader_recovery_state;
    }
    partition.partition_epoch = PartitionEpoch(partition.partition_epoch.0.wrapping_add(1));
}

fn broker_of(record: &RegisterBrokerRecord) -> BrokerImage {
    BrokerImage {
        id: record.broker_id,
        epoch: record.broker_epoch,
        incarnation_id: record.incarnation_id,
        endpoints: record.end_points.clone(),
        features: record.features.clone(),
        rack: record.rack.clone(),
        fenced: record.fenced,
        in_controlled_shutdown: record.in_controlled_shutdown,
        log_dirs: record.log_dirs.clone(),
        cordoned_log_dirs: record.cordoned_log_dirs.clone(),
    }
}
