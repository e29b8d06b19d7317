//! Every request a broker serves, typed, and every reply.
//!
//! One table names the APIs; the enums, the dispatch of decoding and of encoding follow from it.
//! Source: the messages of Apache Kafka 4.3, through `kafka-wire`.

use bytes::Bytes;
use kafka_wire_core::{
    ApiVersion, BytesMut, DecodeError, Decoder, EncodeError, KafkaDecode, KafkaEncode, StrBytes,
};

use crate::storage::Slice;

macro_rules! apis {
    ($($name:ident $request:ident $response:ty;)*) => {
        /// A decoded request of any API served.
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum Request {
            $(
                #[doc = concat!("`", stringify!($request), "`.")]
                $name(kafka_wire::$request),
            )*
        }

        /// A reply to a request of any API served.
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum Reply {
            $(
                #[doc = concat!("The reply to `", stringify!($request), "`.")]
                $name($response),
            )*
            /// No bytes at all: a Produce with acks=0 succeeded (K12).
            Nothing,
        }

        impl Request {
            /// The number of the API.
            #[must_use]
            pub fn api_key(&self) -> i16 {
                match self {
                    $(Self::$name(_) => <kafka_wire::$request as kafka_wire::KafkaRequest>::API_KEY
                        .value(),)*
                }
            }

            /// The name of the API, as Kafka spells it.
            #[must_use]
            pub fn api_name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name),)*
                }
            }

            /// Decodes the body of a request; the decoder must be exhausted by it.
            ///
            /// # Errors
            /// Malformed bytes, or an API or version that is not served: close the connection.
            pub fn decode(
                api_key: i16,
                version: ApiVersion,
                mut decoder: Decoder,
            ) -> Result<Self, DecodeError> {
                let request = match api_key {
                    $(key if key == <kafka_wire::$request as kafka_wire::KafkaRequest>::API_KEY
                        .value() =>
                    {
                        Self::$name(kafka_wire::$request::decode(&mut decoder, version)?)
                    })*
                    _unserved => return Err(DecodeError::UnsupportedVersion {
                        message: "unserved API",
                        version,
                        supported: kafka_wire_core::VersionRange::new(0, 0),
                    }),
                };
                decoder.finish()?;
                Ok(request)
            }
        }

        impl Reply {
            /// Appends the reply's body at `version`; file slices go out through `pieces`.
            ///
            /// # Errors
            /// A field this version cannot represent: a bug of the handler that filled it.
            pub fn encode(
                &self,
                version: ApiVersion,
                buffer: &mut BytesMut,
                pieces: &mut Vec<Piece>,
            ) -> Result<(), EncodeError> {
                match self {
                    $(Self::$name(reply) => reply.encode_reply(version, buffer, pieces),)*
                    Self::Nothing => Ok(()),
                }
            }
        }
    };
}

apis! {
    AlterConfigs AlterConfigsRequest kafka_wire::AlterConfigsResponse;
    ApiVersions ApiVersionsRequest kafka_wire::ApiVersionsResponse;
    CreateAcls CreateAclsRequest kafka_wire::CreateAclsResponse;
    CreateDelegationToken CreateDelegationTokenRequest kafka_wire::CreateDelegationTokenResponse;
    CreatePartitions CreatePartitionsRequest kafka_wire::CreatePartitionsResponse;
    CreateTopics CreateTopicsRequest kafka_wire::CreateTopicsResponse;
    DeleteAcls DeleteAclsRequest kafka_wire::DeleteAclsResponse;
    DeleteRecords DeleteRecordsRequest kafka_wire::DeleteRecordsResponse;
    DeleteTopics DeleteTopicsRequest kafka_wire::DeleteTopicsResponse;
    DescribeAcls DescribeAclsRequest kafka_wire::DescribeAclsResponse;
    DescribeCluster DescribeClusterRequest kafka_wire::DescribeClusterResponse;
    DescribeConfigs DescribeConfigsRequest kafka_wire::DescribeConfigsResponse;
    DescribeDelegationToken DescribeDelegationTokenRequest
        kafka_wire::DescribeDelegationTokenResponse;
    DescribeLogDirs DescribeLogDirsRequest kafka_wire::DescribeLogDirsResponse;
    DescribeProducers DescribeProducersRequest kafka_wire::DescribeProducersResponse;
    DescribeQuorum DescribeQuorumRequest kafka_wire::DescribeQuorumResponse;
    DescribeTopicPartitions DescribeTopicPartitionsRequest
        kafka_wire::DescribeTopicPartitionsResponse;
    DescribeUserScramCredentials DescribeUserScramCredentialsRequest
        kafka_wire::DescribeUserScramCredentialsResponse;
    AlterUserScramCredentials AlterUserScramCredentialsRequest
        kafka_wire::AlterUserScramCredentialsResponse;
    ExpireDelegationToken ExpireDelegationTokenRequest kafka_wire::ExpireDelegationTokenResponse;
    Fetch FetchRequest FetchReply;
    IncrementalAlterConfigs IncrementalAlterConfigsRequest
        kafka_wire::IncrementalAlterConfigsResponse;
    InitProducerId InitProducerIdRequest kafka_wire::InitProducerIdResponse;
    ListConfigResources ListConfigResourcesRequest kafka_wire::ListConfigResourcesResponse;
    ListOffsets ListOffsetsRequest kafka_wire::ListOffsetsResponse;
    Metadata MetadataRequest kafka_wire::MetadataResponse;
    OffsetForLeaderEpoch OffsetForLeaderEpochRequest kafka_wire::OffsetForLeaderEpochResponse;
    Produce ProduceRequest kafka_wire::ProduceResponse;
    RenewDelegationToken RenewDelegationTokenRequest kafka_wire::RenewDelegationTokenResponse;
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
}

/// A part of what goes out on a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Piece {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A range of a log's file, to be sent without reading it where the platform can.
    Slice(Slice),
}

/// The answer to a Fetch: Kafka's message, with the records as slices instead of bytes.
///
/// `response.responses[t].partitions[p].records` is empty; its records are `records[t][p]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FetchReply {
    /// All but the records.
    pub response: kafka_wire::FetchResponse,
    /// The records of each topic's partitions, in the order of `response`.
    pub records: Vec<Vec<Vec<Slice>>>,
}

/// Encoding of a reply's body.
trait EncodeReply {
    fn encode_reply(
        &self,
        version: ApiVersion,
        buffer: &mut BytesMut,
        pieces: &mut Vec<Piece>,
    ) -> Result<(), EncodeError>;
}

impl<M: KafkaEncode> EncodeReply for M {
    fn encode_reply(
        &self,
        version: ApiVersion,
        buffer: &mut BytesMut,
        _pieces: &mut Vec<Piece>,
    ) -> Result<(), EncodeError> {
        self.encode_into(buffer, version).map(|_written| ())
    }
}

impl FetchReply {
    /// Appends the body. Records go out as slices once the hand-written encoding is there.
    fn encode_reply(
        &self,
        version: ApiVersion,
        buffer: &mut BytesMut,
        _pieces: &mut Vec<Piece>,
    ) -> Result<(), EncodeError> {
        self.response
            .encode_into(buffer, version)
            .map(|_written| ())
    }
}
