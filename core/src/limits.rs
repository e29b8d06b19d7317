//! Every maximum in one place, with the sum it comes from.

/// Largest frame a connection may send before its first valid request. A first request is an
/// ApiVersions or a Metadata of a few hundred bytes; 64 KiB leaves room for one that names many
/// topics.
pub const FIRST_FRAME_BYTES_MAX: u32 = 64 * 1024;

/// Default of `socket.request.max.bytes` (Kafka's).
pub const FRAME_BYTES_MAX: u32 = 100 * 1024 * 1024;

/// Most elements of one array in a request (Kafka 4.4's bound).
pub const ARRAY_ELEMENTS_MAX: usize = 1_000_000;

/// Most tagged fields of one structure in a request (Kafka 4.4's bound).
pub const TAGGED_FIELDS_MAX: usize = 10_000;

/// Requests of one connection that may wait for their replies; past it the driver stops reading the
/// socket. librdkafka pipelines up to 1,000,000 by configuration and in practice a few hundred; a
/// parked request costs about 200 bytes, so 1,024 of them cost 200 KiB at the worst.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 1_024;

/// Batches remembered for each (producer id, partition) to recognise a retry (KIP-98).
pub const PRODUCER_BATCHES_REMEMBERED: usize = 5;

/// Longest topic name (Kafka's).
pub const TOPIC_NAME_CHARACTERS_MAX: usize = 249;

/// Bytes one disk read of a job asks for: large enough to amortise a call, small enough to keep a
/// turn short.
pub const JOB_READ_BYTES: u32 = 1024 * 1024;

/// Default of the broker's budget for the memory tail, over all partitions together.
pub const TAIL_BYTES_DEFAULT: u64 = 16 * 1024 * 1024;
