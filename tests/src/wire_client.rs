//! A small blocking client that speaks Kafka's protocol, for tests of the real process.
//!
//! One connection, requests written and answers read when the test says so; no retries, no
//! metadata, no groups. Apart from the message codec and the batch builder it shares nothing with
//! the broker.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use kafka_wire::fetch_request::{FetchPartition, FetchTopic};
use kafka_wire::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_wire::{
    CreateTopicsRequest, FetchRequest, InitProducerIdRequest, KafkaRequest, OutboundFrameLimits,
    ProduceRequest, RequestResponsePair, ResponseHeader,
};
use kafka_wire_core::{ApiVersion, DecodeLimits, Decoder, KafkaDecode, KafkaEncode, StrBytes};
use ottla_core::ids::Offset;
use ottla_core::wire::records::{Batches, Records};

/// Largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u32 = 100 << 20;

/// How long an answer may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;

/// The last version of Produce and of Fetch that names topics instead of numbering them.
const PRODUCE_VERSION: i16 = 9;
const FETCH_VERSION: i16 = 12;

/// One connection.
#[derive(Debug)]
pub struct WireClient {
    stream: TcpStream,
    correlation_id: i32,
}

impl WireClient {
    /// Connects to `HOST:PORT`.
    ///
    /// # Errors
    ///
    /// The network's.
    pub fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            correlation_id: 0,
        })
    }

    /// Sends a request.
    ///
    /// # Errors
    ///
    /// The network's.
    ///
    /// # Panics
    ///
    /// When the version cannot hold the request: a mistake of the test.
    pub fn send<M>(&mut self, version: i16, request: &M) -> io::Result<()>
    where
        M: KafkaRequest + KafkaEncode,
    {
        self.correlation_id += 1;
        let (mut frame, limits) = (BytesMut::new(), OutboundFrameLimits::new(64 << 20));
        let (name, version) = (Some(StrBytes::from("test")), ApiVersion::new(version));
        let id = self.correlation_id;
        kafka_wire::encode_request(&mut frame, id, name, request, version, limits)
            .expect("the test fills requests as their version allows");
        self.stream.write_all(&frame)
    }

    /// Waits for the end of the connection; `false` where there were bytes before it.
    ///
    /// # Errors
    ///
    /// It does not come, or not in order.
    pub fn is_ended(&mut self) -> io::Result<bool> {
        Ok(self.stream.read(&mut [0])? == 0)
    }

    /// Reads the answer to the oldest request that has none yet, which was an `M`.
    ///
    /// # Errors
    ///
    /// The network's; [`io::ErrorKind::InvalidData`] for bytes that are no such answer.
    pub fn receive<M: RequestResponsePair>(&mut self, version: i16) -> io::Result<M::Response> {
        let frame = self.receive_frame()?;
        let version = ApiVersion::new(version);
        let header = kafka_wire::response_header_version_for::<M>(version).map_err(invalid)?;
        let mut decoder = Decoder::new(frame, DecodeLimits::default()).map_err(invalid)?;
        ResponseHeader::decode(&mut decoder, ApiVersion::new(header)).map_err(invalid)?;
        let answer = M::Response::decode(&mut decoder, version).map_err(invalid)?;
        decoder.finish().map_err(invalid)?;
        Ok(answer)
    }

    fn receive_frame(&mut self) -> io::Result<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length);
        if length > ANSWER_BYTES_MAX {
            return Err(invalid("an answer beyond every limit"));
        }
        let mut frame = vec![0; length as usize];
        self.stream.read_exact(&mut frame)?;
        Ok(Bytes::from(frame))
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    ///
    /// As [`WireClient::receive`].
    pub fn call<M>(&mut self, version: i16, request: &M) -> io::Result<M::Response>
    where
        M: RequestResponsePair + KafkaEncode,
    {
        self.send(version, request)?;
        self.receive::<M>(version)
    }

    /// Creates a topic.
    ///
    /// # Errors
    ///
    /// The network's.
    ///
    /// # Panics
    ///
    /// When the broker refuses.
    pub fn create_topic(&mut self, name: &str, partitions: i32) -> io::Result<()> {
        let mut topic = kafka_wire::create_topics_request::CreatableTopic::default();
        topic.name = StrBytes::from(name);
        topic.num_partitions = partitions;
        topic.replication_factor = 1;
        let mut request = CreateTopicsRequest::default();
        request.topics = vec![topic];
        request.timeout_ms = 30_000;
        let answer = self.call(7, &request)?;
        assert_eq!(
            answer.topics.first().map(|topic| topic.error_code),
            Some(0),
            "{answer:?}"
        );
        Ok(())
    }

    /// Asks for a producer id; returns it with its epoch.
    ///
    /// # Errors
    ///
    /// The network's.
    ///
    /// # Panics
    ///
    /// When the broker refuses.
    pub fn init_producer(&mut self) -> io::Result<(i64, i16)> {
        let mut request = InitProducerIdRequest::default();
        request.transactional_id = None;
        request.transaction_timeout_ms = i32::MAX;
        request.producer_id = -1;
        request.producer_epoch = -1;
        let started = Instant::now();
        loop {
            let answer = self.call(4, &request)?;
            // Apache Kafka 4.3 answers so until its first block of ids has come.
            if answer.error_code == COORDINATOR_LOAD_IN_PROGRESS && started.elapsed() < PATIENCE {
                continue;
            }
            assert_eq!(answer.error_code, 0, "{answer:?}");
            return Ok((answer.producer_id, answer.producer_epoch));
        }
    }

    /// Sends one batch with acks=all; its answer is read by [`WireClient::receive_produced`].
    ///
    /// # Errors
    ///
    /// The network's.
    pub fn send_batch(&mut self, topic: &str, partition: i32, batch: Bytes) -> io::Result<()> {
        let mut data = PartitionProduceData::default();
        data.index = partition;
        data.records = Some(batch);
        let mut of_topic = TopicProduceData::default();
        of_topic.name = StrBytes::from(topic);
        of_topic.partition_data = vec![data];
        let mut request = ProduceRequest::default();
        request.transactional_id = None;
        request.acks = -1;
        request.timeout_ms = 30_000;
        request.topic_data = vec![of_topic];
        self.send(PRODUCE_VERSION, &request)
    }

    /// Reads the answer to a batch: an error code, and the offset the batch got.
    ///
    /// # Errors
    ///
    /// As [`WireClient::receive`].
    pub fn receive_produced(&mut self) -> io::Result<(i16, i64)> {
        let answer = self.receive::<ProduceRequest>(PRODUCE_VERSION)?;
        let topic = answer.responses.first();
        let partition = topic.and_then(|topic| topic.partition_responses.first());
        let partition = partition.ok_or_else(|| invalid("an answer without the partition"))?;
        Ok((partition.error_code, partition.base_offset))
    }

    /// Reads the values of a partition, from an offset on, as far as one Fetch goes.
    ///
    /// # Errors
    ///
    /// As [`WireClient::receive`]; also for an error code in the answer.
    pub fn fetch(
        &mut self,
        topic: &str,
        partition: i32,
        from: i64,
    ) -> io::Result<Vec<(Offset, Bytes)>> {
        self.fetch_on(topic, partition, from)
            .map(|(values, _next)| values)
    }

    /// The same, with the offset to go on from: after the last batch, which may hold no record
    /// where the log is compacted.
    ///
    /// # Errors
    ///
    /// As [`WireClient::fetch`].
    pub fn fetch_on(
        &mut self,
        topic: &str,
        partition: i32,
        from: i64,
    ) -> io::Result<(Vec<(Offset, Bytes)>, Offset)> {
        let mut wanted = FetchPartition::default();
        wanted.partition = partition;
        wanted.current_leader_epoch = -1;
        wanted.fetch_offset = from;
        wanted.last_fetched_epoch = -1;
        wanted.log_start_offset = -1;
        wanted.partition_max_bytes = 8 << 20;
        let mut of_topic = FetchTopic::default();
        of_topic.topic = StrBytes::from(topic);
        of_topic.partitions = vec![wanted];
        let mut request = FetchRequest::default();
        request.replica_id = -1;
        request.max_bytes = 64 << 20;
        request.session_epoch = -1;
        request.topics = vec![of_topic];
        let answer = self.call(FETCH_VERSION, &request)?;
        let topic = answer.responses.first();
        let partition = topic.and_then(|topic| topic.partitions.first());
        let partition = partition.ok_or_else(|| invalid("an answer without the partition"))?;
        if partition.error_code != 0 {
            return Err(invalid(format!("error code {}", partition.error_code)));
        }
        values(partition.records.clone().unwrap_or_default(), Offset(from))
    }
}

/// The values in a run of batches, from an offset on, and the offset after the run.
fn values(batches: Bytes, from: Offset) -> io::Result<(Vec<(Offset, Bytes)>, Offset)> {
    let mut values = Vec::new();
    let mut next = from;
    for batch in Batches::new(batches) {
        let (header, batch) = batch.map_err(|error| invalid(error.message()))?;
        let last_delta = i64::from(header.last_offset_delta);
        next = Offset(header.base_offset.0 + last_delta + 1);
        for record in Records::open(&batch).map_err(|error| invalid(error.message()))? {
            let record = record.map_err(|error| invalid(error.message()))?;
            if record.offset >= from {
                values.push((record.offset, record.value.unwrap_or_default()));
            }
        }
    }
    Ok((values, next))
}

fn invalid(problem: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}
