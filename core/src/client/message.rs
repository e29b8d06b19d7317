//! Every request a client of ours sends, typed, and every response.
//!
//! One table, like the broker's in [`crate::wire::request`] but facing the other way: requests are
//! encoded, responses decoded. What a client does not send yet is not in it. Source: the messages
//! of Apache Kafka 4.3, through `kafka-wire`.

use bytes::{Bytes, BytesMut};
use kafka_wire::{KafkaMessage, OutboundFrameLimits};
use kafka_wire_core::{
    ApiVersion, DecodeError, DecodeLimits, Decoder, EncodeError, KafkaDecode, StrBytes,
};

/// A request with its response, for calls whose answer should come back typed.
pub trait Call: Sized {
    /// What answers it.
    type Response;

    /// The request among all requests.
    fn into_request(self) -> ClientRequest;

    /// The response, if it is this call's.
    fn from_response(response: ClientResponse) -> Option<Self::Response>;
}

macro_rules! calls {
    ($($name:ident $key:literal $request:ident $response:ident;)*) => {
        /// A request a client sends.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(
            clippy::large_enum_variant,
            reason = "a request is moved a few times; a box would cost each an allocation"
        )]
        pub enum ClientRequest {
            $(
                #[doc = concat!("`", stringify!($request), "`.")]
                $name(kafka_wire::$request),
            )*
        }

        /// A response a client receives.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(
            clippy::large_enum_variant,
            reason = "a response is moved a few times; a box would cost each an allocation"
        )]
        pub enum ClientResponse {
            $(
                #[doc = concat!("`", stringify!($response), "`.")]
                $name(kafka_wire::$response),
            )*
        }

        $(
            impl Call for kafka_wire::$request {
                type Response = kafka_wire::$response;

                fn into_request(self) -> ClientRequest {
                    ClientRequest::$name(self)
                }

                fn from_response(response: ClientResponse) -> Option<Self::Response> {
                    if let ClientResponse::$name(response) = response {
                        Some(response)
                    } else {
                        None
                    }
                }
            }
        )*

        impl ClientRequest {
            /// A request of an API with nothing in it; `None` where this client does not speak it.
            #[must_use]
            pub fn empty(api_key: i16) -> Option<Self> {
                match api_key {
                    $($key => Some(Self::$name(kafka_wire::$request::default())),)*
                    _unspoken => None,
                }
            }

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

            /// Appends the request's whole frame.
            pub(crate) fn encode(
                &self,
                correlation_id: i32,
                client_id: Option<StrBytes>,
                version: i16,
                frame: &mut BytesMut,
            ) -> Result<usize, EncodeError> {
                let version = ApiVersion::new(version);
                let limits = OutboundFrameLimits::new(i32::MAX as usize);
                match self {
                    $(Self::$name(request) => kafka_wire::encode_request(
                        frame, correlation_id, client_id, request, version, limits,
                    ),)*
                }
            }
        }

        /// First and last version that this client speaks of an API; `None` where it does not.
        #[must_use]
        pub fn versions_spoken(api_key: i16) -> Option<(i16, i16)> {
            match api_key {
                $($key => {
                    let range = <kafka_wire::$request as KafkaMessage>::SUPPORTED_VERSIONS;
                    Some((range.min().value(), range.max().value()))
                })*
                _unspoken => None,
            }
        }

        /// The version of the header in front of a response.
        pub(crate) fn response_header_version(api_key: i16, version: i16) -> Option<i16> {
            let version = ApiVersion::new(version);
            match api_key {
                $($key => kafka_wire::response_header_version_for::<kafka_wire::$request>(version)
                    .ok(),)*
                _unspoken => None,
            }
        }

        impl ClientResponse {
            /// Decodes the whole body of a response.
            pub(crate) fn decode(
                api_key: i16,
                version: i16,
                body: Bytes,
                limits: DecodeLimits,
            ) -> Result<Self, DecodeError> {
                let version = ApiVersion::new(version);
                let mut decoder = Decoder::new(body, limits)?;
                let response = match api_key {
                    $($key => Self::$name(
                        kafka_wire::$response::decode(&mut decoder, version)?,
                    ),)*
                    _unspoken => return Err(DecodeError::UnsupportedVersion {
                        message: "an API this client does not speak",
                        version,
                        supported: kafka_wire_core::VersionRange::new(0, 0),
                    }),
                };
                decoder.finish()?;
                Ok(response)
            }
        }
    };
}

calls! {
    Produce 0 ProduceRequest ProduceResponse;
    Fetch 1 FetchRequest FetchResponse;
    ListOffsets 2 ListOffsetsRequest ListOffsetsResponse;
    Metadata 3 MetadataRequest MetadataResponse;
    OffsetCommit 8 OffsetCommitRequest OffsetCommitResponse;
    OffsetFetch 9 OffsetFetchRequest OffsetFetchResponse;
    FindCoordinator 10 FindCoordinatorRequest FindCoordinatorResponse;
    JoinGroup 11 JoinGroupRequest JoinGroupResponse;
    Heartbeat 12 HeartbeatRequest HeartbeatResponse;
    LeaveGroup 13 LeaveGroupRequest LeaveGroupResponse;
    SyncGroup 14 SyncGroupRequest SyncGroupResponse;
    DescribeGroups 15 DescribeGroupsRequest DescribeGroupsResponse;
    ListGroups 16 ListGroupsRequest ListGroupsResponse;
    ApiVersions 18 ApiVersionsRequest ApiVersionsResponse;
    CreateTopics 19 CreateTopicsRequest CreateTopicsResponse;
    DeleteTopics 20 DeleteTopicsRequest DeleteTopicsResponse;
    DeleteRecords 21 DeleteRecordsRequest DeleteRecordsResponse;
    InitProducerId 22 InitProducerIdRequest InitProducerIdResponse;
    OffsetForLeaderEpoch 23 OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse;
    DescribeAcls 29 DescribeAclsRequest DescribeAclsResponse;
    DescribeConfigs 32 DescribeConfigsRequest DescribeConfigsResponse;
    AlterConfigs 33 AlterConfigsRequest AlterConfigsResponse;
    AlterReplicaLogDirs 34 AlterReplicaLogDirsRequest AlterReplicaLogDirsResponse;
    DescribeLogDirs 35 DescribeLogDirsRequest DescribeLogDirsResponse;
    CreatePartitions 37 CreatePartitionsRequest CreatePartitionsResponse;
    DeleteGroups 42 DeleteGroupsRequest DeleteGroupsResponse;
    ElectLeaders 43 ElectLeadersRequest ElectLeadersResponse;
    IncrementalAlterConfigs 44 IncrementalAlterConfigsRequest IncrementalAlterConfigsResponse;
    AlterPartitionReassignments 45
        AlterPartitionReassignmentsRequest AlterPartitionReassignmentsResponse;
    ListPartitionReassignments 46
        ListPartitionReassignmentsRequest ListPartitionReassignmentsResponse;
    OffsetDelete 47 OffsetDeleteRequest OffsetDeleteResponse;
    DescribeClientQuotas 48 DescribeClientQuotasRequest DescribeClientQuotasResponse;
    AlterClientQuotas 49 AlterClientQuotasRequest AlterClientQuotasResponse;
    DescribeUserScramCredentials 50
        DescribeUserScramCredentialsRequest DescribeUserScramCredentialsResponse;
    AlterUserScramCredentials 51 AlterUserScramCredentialsRequest AlterUserScramCredentialsResponse;
    DescribeQuorum 55 DescribeQuorumRequest DescribeQuorumResponse;
    UpdateFeatures 57 UpdateFeaturesRequest UpdateFeaturesResponse;
    DescribeCluster 60 DescribeClusterRequest DescribeClusterResponse;
    DescribeProducers 61 DescribeProducersRequest DescribeProducersResponse;
    UnregisterBroker 64 UnregisterBrokerRequest UnregisterBrokerResponse;
    ConsumerGroupDescribe 69 ConsumerGroupDescribeRequest ConsumerGroupDescribeResponse;
    ListConfigResources 74 ListConfigResourcesRequest ListConfigResourcesResponse;
    DescribeTopicPartitions 75 DescribeTopicPartitionsRequest DescribeTopicPartitionsResponse;
}

impl ClientRequest {
    /// Whether the broker answers: all but a Produce with acks=0 (K12).
    #[must_use]
    pub fn expects_response(&self) -> bool {
        !matches!(self, Self::Produce(produce) if produce.acks == 0)
    }
}
