//! The vocabulary between the core and any disk: effects out, acknowledgements in.
//!
//! The core never opens a file. It emits [`DiskOp`]s and is told [`DiskDone`]s. The real disk, the
//! simulated one and the one in a browser tab implement the same contract, and both sides assert
//! it:
//!
//! 1. **FIFO per log**: the operations of one log are carried out in the order they were emitted.
//!    There is no order between logs, nor between reads and appends (a read names written bytes
//!    only).
//! 2. **Acknowledgements are cumulative**: [`DiskDone::Appended`] and [`DiskDone::Synced`]
//!    acknowledge everything of their log below an end offset, so a driver may coalesce operations
//!    and answers.
//! 3. **Generations**: an operation that changes a log carries the log's generation.
//!    [`DiskOp::Truncate`] begins the next one and is itself acknowledged in it. A driver drops
//!    changes of an older generation unanswered; the core drops acknowledgements of an older one.
//! 4. **Marks**: `flushed <= written <= log_end_offset`. `written` (appended) survives the death of
//!    the process, only `flushed` (synced) survives a power cut. A sync of a log makes durable
//!    everything appended to it before, including the names of the files it lies in, and the
//!    indexes of segments that are no longer appended to; those of the last one it may leave.
//!    Saving [`DirectoryFile::CleanShutdown`] waits for everything emitted before for the
//!    directory's logs, and makes them durable first, with all indexes.
//! 5. **Failure**: [`DiskDone::Failed`] with [`DiskError::Full`] answers an append that did not
//!    fit: nothing of it or of later appends of that generation is in the file, and the driver
//!    drops the log's further changes until a `Truncate` raises the generation. Any other failure
//!    of a change is final for its directory: a failed sync is never retried, and nothing of that
//!    directory is acknowledged again.
//! 6. **Slices** name written bytes only. `Truncate`, `MarkSegmentDeleted`, `MarkLogDeleted`,
//!    `RenameLog`, `ReplaceSegments` and removals are barriers: a driver resolves the slices of
//!    earlier replies before it carries them out. Replies of the turn that emits a
//!    `ReplaceSegments` are earlier ones; those of later turns name the new file, whatever it is
//!    called just then.
//! 7. **Compaction** writes files of its own (`log::compaction` has the protocol). `WriteCleaned`
//!    and `SyncCleaned` have no order with the log's other operations: the core waits for each
//!    answer. Where there is no space they fail alone, and nothing else is touched. All operations
//!    of compaction hold in every generation.
//! 8. **Work** ([`DiskOp::Work`]) touches no file. It has no order with anything, and no bounds but
//!    its own: a driver runs it where nobody waits for the node meanwhile, on a thread where it has
//!    some. Whoever asked judges, when the answer comes, whether it is still of use. Once the log's
//!    directory has failed or the log was removed, it may come or not.

mod bytes;
mod done;
mod files;
mod listing;
mod operation;
mod token;
mod work;

pub use bytes::{STAMP_BYTES, Slice, StampedBatch};
pub use done::{DiskDone, DiskError, FailureScope};
pub use files::{DirectoryFile, LogFile};
pub use listing::{DirectoryListing, DiskSpace, FolderListing};
pub use operation::DiskOp;
pub use token::Token;
pub use work::{Work, WorkDone};
