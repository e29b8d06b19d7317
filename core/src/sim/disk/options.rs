//! How slow a simulated disk is, and what it holds.

/// How a simulated disk behaves.
#[derive(Clone, Debug)]
pub struct DiskOptions {
    /// Shortest and longest time of a read or write, in nanoseconds.
    pub call_ns: (u64, u64),
    /// Shortest and longest time of a sync, in nanoseconds.
    pub sync_ns: (u64, u64),
    /// One call in this many takes a hundred times as long; 0 for never.
    pub slow_one_in: u64,
    /// How much longer a job's read may take, in nanoseconds.
    pub read_ns_max: u64,
    /// Bytes that fit; `None` for no limit.
    pub capacity_bytes: Option<u64>,
    /// Whether a limit may come later.
    pub may_fill: bool,
    /// Whether a sync of a log takes its index files along.
    pub sync_takes_indexes: bool,
    /// Whether consecutive acknowledgements may be given as one.
    pub coalesces: bool,
    /// One sync in this many fails with EIO, losing the pages it was for; 0 for never (D8).
    pub sync_error_one_in: u64,
}

impl Default for DiskOptions {
    fn default() -> Self {
        Self {
            call_ns: (2_000, 50_000),
            sync_ns: (100_000, 2_000_000),
            slow_one_in: 0,
            read_ns_max: 0,
            capacity_bytes: None,
            may_fill: false,
            sync_takes_indexes: false,
            coalesces: true,
            sync_error_one_in: 0,
        }
    }
}
