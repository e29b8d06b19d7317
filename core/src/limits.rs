//! Every maximum in one place, with the sum it comes from.

use std::time::Duration;

/// Largest frame a connection may send before its first valid request, a Produce excepted. A first
/// request is an ApiVersions or a Metadata of a few hundred bytes; 64 KiB leaves room for one that
/// names many topics. A Produce may come first too, and be as large as any (kafka-python 2.0.2).
pub const FIRST_FRAME_BYTES_MAX: u32 = 64 * 1024;

/// Default of `socket.request.max.bytes` (Kafka's).
pub const FRAME_BYTES_MAX: u32 = 100 * 1024 * 1024;

/// Largest frame of a request that is no Produce. Decoding one may need 47 times its bytes at the
/// worst (measured: many empty structures), so this bounds a decode at 190 MB; a Fetch of 50,000
/// partitions of long names has 4 MB. A Produce is decoded by hand, at less than 3 times its bytes.
pub const OTHER_FRAME_BYTES_MAX: u32 = 4 * 1024 * 1024;

/// Most elements of one array in a request (Kafka 4.4's bound).
pub const ARRAY_ELEMENTS_MAX: usize = 1_000_000;

/// Most tagged fields of one structure in a request (Kafka 4.4's bound).
pub const TAGGED_FIELDS_MAX: usize = 10_000;

/// Requests of one connection that may wait for their replies; past it the driver stops reading the
/// socket. librdkafka pipelines up to 1,000,000 by configuration and in practice a few hundred; a
/// parked request costs about 200 bytes, so 1,024 of them cost 200 KiB at the worst.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 1_024;

/// Bytes of one connection's frames that may wait for their replies; past it the driver stops
/// reading the socket. Four requests of 1 MiB, the largest that clients send by default, keep a
/// disk busy that needs 4 ms to flush them at 1 GB/s; more only lie in memory.
pub const IN_FLIGHT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Batches remembered for each (producer id, partition) to recognise a retry (KIP-98).
pub const PRODUCER_BATCHES_REMEMBERED: usize = 5;

/// Longest topic name (Kafka's).
pub const TOPIC_NAME_CHARACTERS_MAX: usize = 249;

/// Bytes one disk read of a job asks for: large enough to amortise a call, small enough to keep a
/// turn short.
pub const JOB_READ_BYTES: u32 = 1024 * 1024;

/// Default of the broker's budget for the memory tail, over all partitions together.
pub const TAIL_BYTES_DEFAULT: u64 = 16 * 1024 * 1024;

/// Partitions of one Produce request that come without a batch: each is 6 bytes of frame and about
/// 170 of memory, so 10,000 of them cost 1.7 MB. A real producer sends none.
pub const HOLLOW_PARTITIONS_MAX: usize = 10_000;

/// Topics of one Produce request without a partition: each is 3 bytes of frame and about 200 of
/// memory, and no producer sends any.
pub const EMPTY_TOPICS_MAX: usize = 16;

/// Elements of one array before a connection's first valid request: 4 bytes each fill the frame
/// that is allowed then.
pub const FIRST_ARRAY_ELEMENTS_MAX: usize = 16 * 1024;

/// Tagged fields of one structure before a connection's first valid request; clients send none.
pub const FIRST_TAGGED_FIELDS_MAX: usize = 64;

/// Bytes one read of a connection asks for at first. A parked Fetch keeps the buffer it came in, so
/// an idle consumer costs this much.
pub const READ_BYTES_MIN: usize = 4 * 1024;

/// Bytes one read of a busy connection asks for where no larger frame is under way: reads that fill
/// their buffer double it up to this.
pub const READ_BYTES_MAX: usize = 64 * 1024;

/// Bytes of replies that may wait to be written on one connection before it reads no further
/// request: about two of the largest Fetch answers a client asks for by default (50 MiB) would be
/// too much to hold for a slow reader, so it is one small one.
pub const OUTPUT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Most bytes reserved for a frame on the word of its length alone; beyond, the reservation doubles
/// as bytes arrive. Twice the largest request of a producer by default (1 MiB), so that those are
/// read into place; a thousand connections that claim more and send nothing cost 2 GiB of address
/// space and, untouched, no memory.
pub const FRAME_RESERVE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// A batch's body up to this many bytes is copied into a Fetch reply's buffer instead of leaving as
/// a piece of its own: a copy of 512 bytes costs less than one more entry of a vectored write.
pub const INLINE_SLICE_BYTES_MAX: usize = 512;

/// Most bytes that a batch's records may decompress to; see [`decompressed_bytes_max`].
pub const DECOMPRESSED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Most times its size that a batch may decompress to. Log lines of one kind reach 100; 1,000 is
/// what zstd makes of a constant.
pub const DECOMPRESSION_RATIO_MAX: usize = 1_000;

/// Largest window of a zstd frame: what a browser is required to support (RFC 8878).
pub const ZSTD_WINDOW_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Most bytes that this many compressed bytes may become: [`DECOMPRESSION_RATIO_MAX`] times as
/// many, at least 1 MiB (a small batch of zeros is no attack), at most [`DECOMPRESSED_BYTES_MAX`].
#[must_use]
pub fn decompressed_bytes_max(compressed_bytes: usize) -> usize {
    compressed_bytes
        .saturating_mul(DECOMPRESSION_RATIO_MAX)
        .clamp(1024 * 1024, DECOMPRESSED_BYTES_MAX)
}

/// What a batch in the memory tail costs beside its bytes: its entry of about 100 bytes and the
/// header of its allocation.
pub const TAIL_BATCH_OVERHEAD_BYTES: u64 = 128;

/// Index entries gathered before they are written: one write of 256 bytes for 128 KiB of log at
/// the default `index.interval.bytes`, where one for each entry would double the system calls of
/// small appends.
pub const INDEX_ENTRIES_BATCHED: usize = 32;

/// Entries of each index that a segment in use keeps in memory, evenly thinned: 512 * (8 + 16)
/// bytes is 12 KiB for the busiest log, next to nothing for an idle one.
pub const INDEX_ENTRIES_KEPT: usize = 512;

/// Entries kept of an index that was loaded for reads of a closed segment: 4,096 * 8 bytes, 32 KiB.
pub const INDEX_ENTRIES_LOADED: usize = 4_096;

/// Memory for loaded indexes of closed segments, over all logs: about 128 of the largest.
pub const INDEX_CACHE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Bytes a look-up reads at once to step over batch headers: four times the distance between two
/// index entries, so that one read nearly always answers.
pub const LOOKUP_READ_BYTES: u32 = 16 * 1024;

/// Bytes that compaction reads, and takes apart, in one turn: at 300 MB/s that holds the brain for
/// 0.4 ms, and a larger piece gains nothing.
pub const COMPACTION_READ_BYTES: u32 = 128 * 1024;

/// Bytes that a replica's move to another directory copies in one turn, and has under way: what
/// compaction reads in eight, for each piece is appended and synced as a write of a client is.
pub const MOVE_READ_BYTES: u32 = 1024 * 1024;

/// Replicas that are copied to other directories at a time: each has a piece and its checks under
/// way; the others wait.
pub const MOVES_MAX: usize = 8;

/// Shortest time between two looks for a log to compact, where `log.cleaner.backoff.ms` is less: a
/// look costs a little for every partition.
pub const COMPACTION_LOOK_MIN: Duration = Duration::from_millis(10);

/// Bytes that compaction writes before it syncs them: what a disk at 200 MB/s takes 80 ms for, so
/// that the syncs of appends do not wait long behind them.
pub const COMPACTION_SYNC_BYTES: u64 = 16 * 1024 * 1024;

/// Segments one retention pass removes from a log before it lets others have their turn.
pub const RETENTION_SEGMENTS_PER_PASS: usize = 64;

/// Log that may grow after a producer snapshot before another is taken: bounds the replay of an
/// unclean start to what one core reads in a tenth of a second.
pub const PRODUCER_SNAPSHOT_INTERVAL_BYTES: u64 = 64 * 1024 * 1024;

/// Size from which a batch of a metadata snapshot is closed: large enough that headers cost
/// nothing, small enough that a reader of one batch stays below Kafka's limit of 8 MiB.
pub const SNAPSHOT_BATCH_BYTES: usize = 1024 * 1024;

/// How far before a producer snapshot an opening log is read, to find again the older of the five
/// batches that a snapshot leaves out (its format has room for one): five of the default size of a
/// client's batches (16 KiB) from each of three busy producers.
pub const HISTORY_SCAN_BYTES: u32 = 256 * 1024;

/// Batches remembered from there at most: about 100 bytes each.
pub const HISTORY_BATCHES_MAX: usize = 4_096;

/// Logs that are opened at the same time at boot. Each reads pieces of [`JOB_READ_BYTES`], so 32 of
/// them hold at most 32 MiB, and keep a disk busy.
pub const LOGS_OPENING_MAX: usize = 32;

/// Partitions of `__consumer_offsets` that are loaded at the same time: each holds one read of
/// [`JOB_READ_BYTES`], and clients' own reads want the disk too.
pub const GROUP_LOADS_MAX: usize = 8;

/// Offsets that one OffsetFetch may tell, after which further groups are refused: a request may ask
/// for all offsets of a group in each of its 8 bytes. At about 100 bytes each, 50 MB.
pub const OFFSETS_FETCHED_MAX: usize = 500_000;

/// Bytes of members that one DescribeGroups may tell, after which further groups are refused: a
/// request may name a large group in each of its 4 bytes. Twice what one group may have.
pub const MEMBERS_DESCRIBED_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Most records of a metadata batch in which a node registers itself and elects leaders; there may
/// be one for each partition it has (Kafka's `MAX_RECORDS_PER_BATCH`).
pub const METADATA_BATCH_RECORDS_MAX: usize = 10_000;

/// Largest metadata batch (Kafka's bound on what its quorum replicates at once). A change of the
/// metadata is one batch, so this bounds a request too: 10,000 topics of long names have 3 MB.
pub const METADATA_BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Records of one batch that are named one by one when the batch is refused for their sake.
pub const RECORD_ERRORS_MAX: usize = 1_000;

/// Partitions that one request may create (Kafka's bound on the records of one operation).
pub const PARTITIONS_PER_REQUEST_MAX: i64 = 10_000;

/// Longest string of a request, in bytes. Kafka closes the connection on a longer one, in compact
/// form too, because older versions have 16 bits for the length.
pub const STRING_BYTES_MAX: usize = 32_767;

/// Configurations that one DescribeConfigs may look at: a request of 10 bytes for each resource
/// asks for 40 of them at about 200 bytes each. `kafka-topics --describe` asks for all topics at
/// once, so there is room for 25,000 topics, in at most 200 MB.
pub const CONFIGS_DESCRIBED_MAX: usize = 1_000_000;

/// Producers that one DescribeProducers may list: a request may name a partition with thousands of
/// them in each of its 4 bytes. At 40 bytes each, 4 MB.
pub const PRODUCERS_DESCRIBED_MAX: usize = 100_000;

/// Most members of one group, whatever `group.max.size` says: 10,000 members at about 1 KiB are
/// 10 MB, their record is as large, and a rebalance of them is 10,000 answers.
pub const GROUP_MEMBERS_MAX: usize = 10_000;

/// Bytes that all members of a group may say of their protocols: 6 KiB for each of 10,000 members.
/// A subscription names topics, at 30 bytes each. The largest record that can be written is smaller
/// still.
pub const GROUP_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Groups of one partition of the offsets topic: an empty one needs about 500 bytes, so 50 MB; of
/// 50 partitions, 5,000,000 groups.
pub const GROUPS_PER_SHARD_MAX: usize = 100_000;

/// Groups of a shard that are looked at in a turn for what has expired: with a few offsets each,
/// less than a millisecond.
pub const GROUPS_CLEANED_PER_TURN: usize = 1_000;

/// Members, and ids given out, of one partition of the offsets topic: each has a timer of about 200
/// bytes beside what it is, 100 MB in all.
pub const GROUP_TIMERS_MAX: usize = 500_000;

/// Ids given out to clients of one group that have not joined with them yet. As many as members.
pub const PENDING_MEMBERS_MAX: usize = GROUP_MEMBERS_MAX;

/// Protocols of one JoinGroup; clients name one for each assignor, so fewer than 10.
pub const PROTOCOLS_PER_MEMBER_MAX: usize = 128;

/// Bytes of a client's name, or of an instance's, that a member id begins with. Names have less
/// than 100; an id must fit a string of the protocol with the 37 bytes that follow.
pub const MEMBER_ID_PREFIX_BYTES_MAX: usize = 1_024;

/// Bytes of one write that deletes offsets: a quarter of the largest batch that a topic takes by
/// default.
pub const TOMBSTONE_BYTES_PER_WRITE: usize = 256 * 1024;

/// How long a member may be silent between its first JoinGroup and the first generation it is told
/// of (Kafka's `classicGroupNewMemberJoinTimeoutMs`).
pub const NEW_MEMBER_JOIN_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// After a write of a group failed, its record is written again this much later: long enough for a
/// full disk not to be asked in vain all the time.
pub const GROUP_REWRITE_DELAY: Duration = Duration::from_secs(1);

/// Users, client ids or addresses that are remembered for their quotas at a time; the first of them
/// are forgotten where more are at work within one window. At about 400 bytes each, 6 MB.
pub const QUOTA_SHARERS_MAX: usize = 16_384;
