//! The APIs that only describe: what the broker knows, put into an answer at once.
//!
//! Each `answer` beside this file is a pure function of what it is made from; here is where a
//! broker keeps that.

use std::sync::Arc;

use super::cluster_view::{ClusterView, LostReplicas};
use super::describe_log_dirs::DataDirectory;
use super::describe_quorum::{QuorumView, Replica};
use super::{
    Requester, api_versions, describe_cluster, describe_configs, describe_log_dirs,
    describe_producers, describe_quorum, describe_topic_partitions, list_config_resources,
};
use crate::ids::DirectoryIndex;
use crate::metadata::records::EndpointData;
use crate::node::Broker;
use crate::quorum::format::KRAFT_VERSION;
use crate::time::Now;
use crate::wire::request::Reply;
use kafka_wire as wire;

/// The feature that the quorum itself keeps.
const KRAFT: &str = "kraft.version";

/// The cluster as the client sees it.
pub(super) fn view<'a>(broker: &'a Broker, from: &Requester) -> ClusterView<'a> {
    let listener = broker.identity.listener(from.listener);
    let view = ClusterView::new(
        &broker.image,
        &broker.identity.cluster_id,
        broker.identity.node,
        listener.map_or("", |listener| &listener.name),
    );
    if !broker.has_lost_replicas() {
        return view;
    }
    view.without(LostReplicas {
        absent: &broker.absent,
        hosted: &broker.partitions,
    })
}

/// Answers an ApiVersions request.
pub(super) fn api_versions(
    broker: &Broker,
    from: &Requester,
    request: &wire::ApiVersionsRequest,
) -> Reply {
    let own = broker.image.broker(broker.identity.node);
    let mut finalized: Vec<(&str, i16)> = broker
        .image
        .features()
        .map(|(name, level)| (&**name, level))
        .collect();
    finalized.push((KRAFT, KRAFT_VERSION));
    finalized.sort_unstable();
    let features = api_versions::Features {
        supported: own.map_or(&[], |own| &own.features),
        finalized,
        offset: broker.applied.plus(-1),
    };
    Reply::ApiVersions(api_versions::answer(&features, from.version(), request))
}

/// Answers a DescribeCluster request.
pub(super) fn cluster(
    broker: &Broker,
    from: &Requester,
    request: &wire::DescribeClusterRequest,
) -> Reply {
    Reply::DescribeCluster(describe_cluster::answer(&view(broker, from), request))
}

/// Answers a DescribeConfigs request.
pub(super) fn configs(broker: &Broker, request: &wire::DescribeConfigsRequest) -> Reply {
    let node = broker.identity.node;
    let answer = describe_configs::answer(&broker.image, &broker.settings, node, request);
    Reply::DescribeConfigs(answer)
}

/// Answers a DescribeLogDirs request.
pub(super) fn log_dirs(broker: &Broker, request: &wire::DescribeLogDirsRequest) -> Reply {
    let directories: Vec<DataDirectory<'_>> = broker
        .config
        .log_dirs
        .iter()
        .zip((0..=u8::MAX).map(DirectoryIndex))
        .map(|(path, at)| DataDirectory {
            path,
            space: broker.spaces.get(&at).copied(),
        })
        .collect();
    Reply::DescribeLogDirs(describe_log_dirs::answer(
        &directories,
        &broker.partitions,
        broker.futures(),
        request,
    ))
}

/// Answers a DescribeProducers request.
pub(super) fn producers(broker: &Broker, request: &wire::DescribeProducersRequest) -> Reply {
    let answer = describe_producers::answer(&broker.image, &broker.partitions, request);
    Reply::DescribeProducers(answer)
}

/// Answers a DescribeQuorum request: one voter, this node, which leads.
pub(super) fn quorum(
    broker: &Broker,
    now: Now,
    from: &Requester,
    request: &wire::DescribeQuorumRequest,
) -> Reply {
    let names = &broker.config.listeners.controller_names;
    let listeners = &broker.config.listeners.advertised;
    let endpoints = listeners
        .iter()
        .filter(|listener| names.contains(&listener.name))
        .map(|listener| EndpointData {
            name: Arc::from(listener.name.as_str()),
            host: Arc::from(listener.host.as_str()),
            port: listener.port,
            security_protocol: listener.protocol.wire_code(),
        })
        .collect();
    let leader = Replica {
        node: broker.quorum.leader(),
        directory: broker.quorum.directory(),
        log_end_offset: broker.quorum.log_end_offset(),
        last_fetch: now.wall,
        last_caught_up: now.wall,
        endpoints,
    };
    let view = QuorumView {
        leader: broker.quorum.leader(),
        leader_epoch: broker.quorum.epoch(),
        high_watermark: broker.quorum.high_watermark(),
        voters: vec![leader],
        observers: Vec::new(),
    };
    Reply::DescribeQuorum(describe_quorum::answer(&view, from.version(), request))
}

/// Answers a DescribeTopicPartitions request.
pub(super) fn topic_partitions(
    broker: &Broker,
    from: &Requester,
    request: &wire::DescribeTopicPartitionsRequest,
) -> Reply {
    let view = view(broker, from);
    let partitions_max = broker.config.describe_partitions_max;
    Reply::DescribeTopicPartitions(describe_topic_partitions::answer(
        &view,
        partitions_max,
        request,
    ))
}

/// Answers a ListConfigResources request.
pub(super) fn config_resources(
    broker: &Broker,
    from: &Requester,
    request: &wire::ListConfigResourcesRequest,
) -> Reply {
    let answer = list_config_resources::answer(&broker.image, from.version(), request);
    Reply::ListConfigResources(answer)
}
