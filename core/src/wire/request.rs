//! Every request a broker serves, typed, and every reply.
//!
//! One table names the APIs, by number, with the versions served; the enums, the dispatch of
//! decoding and of encoding follow from it. An API is in the table when it is implemented, because
//! the table is what ApiVersions advertises. Source: the messages of Apache Kafka 4.3, through
//! `kafka-wire`.

use std::ops::RangeInclusive;

use bytes::Bytes;
use kafka_wire::KafkaMessage;
use kafka_wire_core::{
    ApiVersion, DecodeError, DecodeLimits, Decoder, EncodeError, KafkaDecode, KafkaEncode, StrBytes,
};

use crate::wire::api_table::ServedApi;
use crate::wire::frame_writer::FrameWriter;

pub use crate::wire::fetch_reply::FetchReply;
pub use crate::wire::frame_writer::Piece;
pub use crate::wire::metadata_reply::MetadataReply;
pub use crate::wire::produce::{ProduceInput, ProducePartition, ProduceTopic};

macro_rules! apis {
    ($(
        $name:ident $key:literal [$first:literal, $last:literal]
        $message:ident $body:ty => $reply:ty;
    )*) => {
        /// A decoded request of any API served.
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        #[allow(
            clippy::large_enum_variant,
            reason = "a request is moved a few times; a box would cost each an allocation"
        )]
        pub enum Request {
            $(
                #[doc = concat!("`", stringify!($message), "`.")]
                $name($body),
            )*
        }

        /// A reply to a request of any API served.
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum Reply {
            $(
                #[doc = concat!("The reply to `", stringify!($message), "`.")]
                $name($reply),
            )*
            /// No bytes at all: a Produce with acks=0 succeeded (K12).
            Nothing,
        }

        /// The APIs served, by number.
        pub static SERVED: &[ServedApi] = &[$(
            ServedApi {
                key: $key,
                name: stringify!($name),
                version_min: $first,
                version_last: $last,
                flexible_from: flexible_from::<kafka_wire::$message>(),
            },
        )*];

        impl Request {
            /// The number of the API.
            #[must_use]
            pub fn api_key(&self) -> i16 {
                match self {
                    $(Self::$name(_) => $key,)*
                }
            }

            /// The name of the API, as Kafka spells it.
            #[must_use]
            pub fn api_name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name),)*
                }
            }

            /// Decodes the body of a request. Bytes after its last field are ignored: Kafka 4.3.1
            /// does so, and librdkafka 2.16 lets three follow in a Metadata of all topics.
            ///
            /// # Errors
            /// Malformed bytes: close the connection.
            pub fn decode(
                api: &ServedApi,
                version: i16,
                body: Bytes,
                limits: DecodeLimits,
            ) -> Result<Self, DecodeError> {
                debug_assert!(api.serves(version), "the caller checks the version");
                let body = if api.key == METADATA {
                    with_null_topics(version, body)
                } else {
                    body
                };
                let version = ApiVersion::new(version);
                match api.key {
                    $($key => <$body as DecodeBody>::decode_body(body, version, limits)
                        .map(Self::$name),)*
                    _unserved => Err(DecodeError::UnsupportedVersion {
                        message: "unserved API",
                        version,
                        supported: kafka_wire_core::VersionRange::new(0, 0),
                    }),
                }
            }
        }

        impl Reply {
            /// The number of the API it answers; `None` for [`Self::Nothing`].
            #[must_use]
            pub fn api_key(&self) -> Option<i16> {
                match self {
                    $(Self::$name(_) => Some($key),)*
                    Self::Nothing => None,
                }
            }

            /// Appends the reply's body at `version`.
            ///
            /// # Errors
            /// A field this version cannot represent: a bug of the handler that filled it.
            pub(crate) fn encode(
                &self,
                version: i16,
                writer: &mut FrameWriter,
            ) -> Result<(), EncodeError> {
                let version = ApiVersion::new(version);
                match self {
                    $(Self::$name(reply) => reply.encode_body(version, writer),)*
                    Self::Nothing => Ok(()),
                }
            }
        }
    };
}

apis! {
    Produce 0 [3, 13] ProduceRequest ProduceInput => kafka_wire::ProduceResponse;
    Fetch 1 [4, 18] FetchRequest kafka_wire::FetchRequest => FetchReply;
    ListOffsets 2 [1, 11] ListOffsetsRequest kafka_wire::ListOffsetsRequest => kafka_wire::ListOffsetsResponse;
    Metadata 3 [0, 13] MetadataRequest kafka_wire::MetadataRequest => MetadataReply;
    OffsetCommit 8 [2, 10] OffsetCommitRequest kafka_wire::OffsetCommitRequest => kafka_wire::OffsetCommitResponse;
    OffsetFetch 9 [1, 10] OffsetFetchRequest kafka_wire::OffsetFetchRequest => kafka_wire::OffsetFetchResponse;
    FindCoordinator 10 [0, 6] FindCoordinatorRequest kafka_wire::FindCoordinatorRequest => kafka_wire::FindCoordinatorResponse;
    JoinGroup 11 [0, 9] JoinGroupRequest kafka_wire::JoinGroupRequest => kafka_wire::JoinGroupResponse;
    Heartbeat 12 [0, 4] HeartbeatRequest kafka_wire::HeartbeatRequest => kafka_wire::HeartbeatResponse;
    LeaveGroup 13 [0, 5] LeaveGroupRequest kafka_wire::LeaveGroupRequest => kafka_wire::LeaveGroupResponse;
    SyncGroup 14 [0, 5] SyncGroupRequest kafka_wire::SyncGroupRequest => kafka_wire::SyncGroupResponse;
    DescribeGroups 15 [0, 6] DescribeGroupsRequest kafka_wire::DescribeGroupsRequest => kafka_wire::DescribeGroupsResponse;
    ListGroups 16 [0, 5] ListGroupsRequest kafka_wire::ListGroupsRequest => kafka_wire::ListGroupsResponse;
    SaslHandshake 17 [0, 1] SaslHandshakeRequest kafka_wire::SaslHandshakeRequest => kafka_wire::SaslHandshakeResponse;
    ApiVersions 18 [0, 4] ApiVersionsRequest kafka_wire::ApiVersionsRequest => kafka_wire::ApiVersionsResponse;
    CreateTopics 19 [2, 7] CreateTopicsRequest kafka_wire::CreateTopicsRequest => kafka_wire::CreateTopicsResponse;
    DeleteTopics 20 [1, 6] DeleteTopicsRequest kafka_wire::DeleteTopicsRequest => kafka_wire::DeleteTopicsResponse;
    DeleteRecords 21 [0, 2] DeleteRecordsRequest kafka_wire::DeleteRecordsRequest => kafka_wire::DeleteRecordsResponse;
    InitProducerId 22 [0, 5] InitProducerIdRequest kafka_wire::InitProducerIdRequest => kafka_wire::InitProducerIdResponse;
    OffsetForLeaderEpoch 23 [2, 4] OffsetForLeaderEpochRequest kafka_wire::OffsetForLeaderEpochRequest => kafka_wire::OffsetForLeaderEpochResponse;
    DescribeAcls 29 [1, 3] DescribeAclsRequest kafka_wire::DescribeAclsRequest => kafka_wire::DescribeAclsResponse;
    CreateAcls 30 [1, 3] CreateAclsRequest kafka_wire::CreateAclsRequest => kafka_wire::CreateAclsResponse;
    DeleteAcls 31 [1, 3] DeleteAclsRequest kafka_wire::DeleteAclsRequest => kafka_wire::DeleteAclsResponse;
    DescribeConfigs 32 [1, 4] DescribeConfigsRequest kafka_wire::DescribeConfigsRequest => kafka_wire::DescribeConfigsResponse;
    AlterConfigs 33 [0, 2] AlterConfigsRequest kafka_wire::AlterConfigsRequest => kafka_wire::AlterConfigsResponse;
    AlterReplicaLogDirs 34 [1, 2] AlterReplicaLogDirsRequest kafka_wire::AlterReplicaLogDirsRequest => kafka_wire::AlterReplicaLogDirsResponse;
    DescribeLogDirs 35 [1, 5] DescribeLogDirsRequest kafka_wire::DescribeLogDirsRequest => kafka_wire::DescribeLogDirsResponse;
    SaslAuthenticate 36 [0, 2] SaslAuthenticateRequest kafka_wire::SaslAuthenticateRequest => kafka_wire::SaslAuthenticateResponse;
    CreatePartitions 37 [0, 3] CreatePartitionsRequest kafka_wire::CreatePartitionsRequest => kafka_wire::CreatePartitionsResponse;
    CreateDelegationToken 38 [1, 3] CreateDelegationTokenRequest kafka_wire::CreateDelegationTokenRequest => kafka_wire::CreateDelegationTokenResponse;
    RenewDelegationToken 39 [1, 2] RenewDelegationTokenRequest kafka_wire::RenewDelegationTokenRequest => kafka_wire::RenewDelegationTokenResponse;
    ExpireDelegationToken 40 [1, 2] ExpireDelegationTokenRequest kafka_wire::ExpireDelegationTokenRequest => kafka_wire::ExpireDelegationTokenResponse;
    DescribeDelegationToken 41 [1, 3] DescribeDelegationTokenRequest kafka_wire::DescribeDelegationTokenRequest => kafka_wire::DescribeDelegationTokenResponse;
    DeleteGroups 42 [0, 2] DeleteGroupsRequest kafka_wire::DeleteGroupsRequest => kafka_wire::DeleteGroupsResponse;
    ElectLeaders 43 [0, 2] ElectLeadersRequest kafka_wire::ElectLeadersRequest => kafka_wire::ElectLeadersResponse;
    IncrementalAlterConfigs 44 [0, 1] IncrementalAlterConfigsRequest kafka_wire::IncrementalAlterConfigsRequest => kafka_wire::IncrementalAlterConfigsResponse;
    AlterPartitionReassignments 45 [0, 1] AlterPartitionReassignmentsRequest kafka_wire::AlterPartitionReassignmentsRequest => kafka_wire::AlterPartitionReassignmentsResponse;
    ListPartitionReassignments 46 [0, 0] ListPartitionReassignmentsRequest kafka_wire::ListPartitionReassignmentsRequest => kafka_wire::ListPartitionReassignmentsResponse;
    OffsetDelete 47 [0, 0] OffsetDeleteRequest kafka_wire::OffsetDeleteRequest => kafka_wire::OffsetDeleteResponse;
    DescribeClientQuotas 48 [0, 1] DescribeClientQuotasRequest kafka_wire::DescribeClientQuotasRequest => kafka_wire::DescribeClientQuotasResponse;
    AlterClientQuotas 49 [0, 1] AlterClientQuotasRequest kafka_wire::AlterClientQuotasRequest => kafka_wire::AlterClientQuotasResponse;
    DescribeUserScramCredentials 50 [0, 0] DescribeUserScramCredentialsRequest kafka_wire::DescribeUserScramCredentialsRequest => kafka_wire::DescribeUserScramCredentialsResponse;
    AlterUserScramCredentials 51 [0, 0] AlterUserScramCredentialsRequest kafka_wire::AlterUserScramCredentialsRequest => kafka_wire::AlterUserScramCredentialsResponse;
    DescribeQuorum 55 [0, 2] DescribeQuorumRequest kafka_wire::DescribeQuorumRequest => kafka_wire::DescribeQuorumResponse;
    UpdateFeatures 57 [0, 2] UpdateFeaturesRequest kafka_wire::UpdateFeaturesRequest => kafka_wire::UpdateFeaturesResponse;
    DescribeCluster 60 [0, 2] DescribeClusterRequest kafka_wire::DescribeClusterRequest => kafka_wire::DescribeClusterResponse;
    DescribeProducers 61 [0, 0] DescribeProducersRequest kafka_wire::DescribeProducersRequest => kafka_wire::DescribeProducersResponse;
    UnregisterBroker 64 [0, 0] UnregisterBrokerRequest kafka_wire::UnregisterBrokerRequest => kafka_wire::UnregisterBrokerResponse;
    ListConfigResources 74 [0, 1] ListConfigResourcesRequest kafka_wire::ListConfigResourcesRequest => kafka_wire::ListConfigResourcesResponse;
    DescribeTopicPartitions 75 [0, 0] DescribeTopicPartitionsRequest kafka_wire::DescribeTopicPartitionsRequest => kafka_wire::DescribeTopicPartitionsResponse;
}

/// The number of Metadata.
const METADATA: i16 = 3;

/// Versions of Metadata whose topics are an array of 32 bits that may be null.
const NULLABLE_TOPICS: RangeInclusive<i16> = 1..=8;

/// A Metadata whose array of topics has any negative length, made one with null: Apache Kafka 4.3.1
/// reads it so, and the codec knows -1 only.
fn with_null_topics(version: i16, body: Bytes) -> Bytes {
    let Some((length, rest)) = body.split_first_chunk::<4>() else {
        return body;
    };
    if !NULLABLE_TOPICS.contains(&version) || i32::from_be_bytes(*length) >= -1 {
        return body;
    }
    [&(-1_i32).to_be_bytes(), rest].concat().into()
}

/// The first flexible version of a message.
const fn flexible_from<M: KafkaMessage>() -> Option<i16> {
    match M::FLEXIBLE_VERSIONS {
        Some(range) => Some(range.min().value()),
        None => None,
    }
}

/// What every request begins with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RequestHead {
    /// The number of the API.
    pub api_key: i16,
    /// The version the client speaks; served by us.
    pub version: i16,
    /// Echoed in the reply.
    pub correlation_id: i32,
    /// What the client calls itself.
    pub client_id: Option<StrBytes>,
    /// Bytes of the frame the request came in.
    pub frame_bytes: u32,
    /// What the driver did for its connection since the request before, in nanoseconds: reading,
    /// decoding and checking it, and writing answers. 0 from a driver that does not measure.
    pub work_ns: u64,
}

/// Decoding of a request's body.
trait DecodeBody: Sized {
    fn decode_body(
        body: Bytes,
        version: ApiVersion,
        limits: DecodeLimits,
    ) -> Result<Self, DecodeError>;
}

impl<M: KafkaDecode> DecodeBody for M {
    fn decode_body(
        body: Bytes,
        version: ApiVersion,
        limits: DecodeLimits,
    ) -> Result<Self, DecodeError> {
        let mut decoder = Decoder::new(body, limits)?;
        M::decode(&mut decoder, version)
    }
}

impl DecodeBody for ProduceInput {
    fn decode_body(
        body: Bytes,
        version: ApiVersion,
        _limits: DecodeLimits,
    ) -> Result<Self, DecodeError> {
        Self::decode(&body, version.value())
    }
}

/// Encoding of a reply's body.
trait EncodeBody {
    fn encode_body(&self, version: ApiVersion, writer: &mut FrameWriter)
    -> Result<(), EncodeError>;
}

impl<M: KafkaEncode> EncodeBody for M {
    fn encode_body(
        &self,
        version: ApiVersion,
        writer: &mut FrameWriter,
    ) -> Result<(), EncodeError> {
        self.encode_into(writer.buffer_mut(), version)
            .map(|_written| ())
    }
}

impl EncodeBody for MetadataReply {
    fn encode_body(
        &self,
        version: ApiVersion,
        writer: &mut FrameWriter,
    ) -> Result<(), EncodeError> {
        self.encode(version.value(), writer)
    }
}

impl EncodeBody for FetchReply {
    fn encode_body(
        &self,
        version: ApiVersion,
        writer: &mut FrameWriter,
    ) -> Result<(), EncodeError> {
        self.encode(version.value(), writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics_of(version: i16, body: &[u8]) -> Option<Option<usize>> {
        let api = ServedApi::find(METADATA).expect("served");
        let body = Bytes::copy_from_slice(body);
        let decoded = Request::decode(api, version, body, DecodeLimits::default());
        let Ok(Request::Metadata(request)) = decoded else {
            return None;
        };
        Some(request.topics.map(|topics| topics.len()))
    }

    #[test]
    fn any_negative_length_of_metadatas_topics_is_null() {
        assert_eq!(topics_of(1, &[0xff, 0xff, 0xff, 0xff]), Some(None));
        assert_eq!(topics_of(1, &[0xff, 0xff, 0xff, 0xfe]), Some(None));
        assert_eq!(topics_of(8, &[0x80, 0, 0, 0, 1, 0, 0]), Some(None));
        assert_eq!(topics_of(1, &[0, 0, 0, 1, 0, 1, b't']), Some(Some(1)));
        // Version 0 has no null.
        assert_eq!(topics_of(0, &[0xff, 0xff, 0xff, 0xfe]), None);
        assert_eq!(topics_of(1, &[0xff, 0xff, 0xff]), None);
    }
}
