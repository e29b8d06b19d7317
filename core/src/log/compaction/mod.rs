//! Compaction: of each key the last record stays, at its offset (K108; R60).
//!
//! A round cleans the segments from the log's start up to where nothing may be touched: the segment
//! in use, the last stable offset, what is not durable yet, and what is younger than
//! `min.compaction.lag.ms`. It reads the part that no round has seen (the *dirty* section) into a
//! [`KeyMap`], then writes every segment of the round anew without the records that the map knows a
//! later one of, and swaps the new files in. A section with more keys than the map may hold takes
//! several rounds. Compare Kafka's `LogCleaner`, `Cleaner`, 4.3.1.
//!
//! What a batch keeps: its offsets, codec, meaning of timestamps, producer, sequence and leader
//! epoch. Some batches stay with no record in them:
//! * those a live producer is remembered by, so that its retries are recognised after a restart
//!   too (R66). Kafka keeps only the newest of each producer;
//! * the last batch of every new segment, so that a segment always ends where its successor begins.
//!   Recovery tells a lost end by that. Kafka keeps only the last one of a round.
//!
//! A tombstone goes `delete.retention.ms` after the first round that saw it as the last of its key:
//! that round writes the time into the batch, in the place of the base timestamp (KIP-534). A
//! transaction's marker goes the same way once none of the transaction's batches is left.
//!
//! # The files of a swap
//!
//! ```text
//! 1  write      B.log.cleaned, B.index.cleaned, B.timeindex.cleaned (, B.txnindex.cleaned)
//! 2  sync       these files and the folder's names
//! 3  rename     their indexes to .swap, then B.log.cleaned to B.log.swap; sync the names
//! 4  remove     the files of all old segments; sync the names
//! 5  rename     the indexes to their own names, then B.log.swap to B.log; sync the names
//! ```
//!
//! B is the base offset of the oldest segment that is replaced. 1 and 2 are the operations
//! `WriteCleaned` and `SyncCleaned` of [`crate::storage`], 3 to 5 are `ReplaceSegments`. The names
//! and their order are Kafka's, so that it could finish a swap that was begun here.
//!
//! What a crash leaves, and what the next boot makes of it (`opening`):
//!
//! | after | there are | boot |
//! |---|---|---|
//! | 1, 2, 3 unsynced | `.cleaned`, all old segments | removes `.cleaned` and `.swap` |
//! | 3 | `B.log.swap`, old segments or some of them | carries 4 and 5 out, again if need be |
//! | 4 | `B.log.swap`, no old segment | carries 5 out |
//! | 5 unsynced | `B.log`, perhaps indexes called `.swap` | removes those; rebuilds the index |
//!
//! Invariants:
//! * whatever is called `.swap` is whole and durable, because step 2 came before;
//! * as long as anything is called `.cleaned`, no old segment has lost a file, because step 4 comes
//!   after the sync of step 3;
//! * the old segments are exactly those from B to where `B.log.swap` ends, because the last batch
//!   of the last of them is kept;
//! * a log is swapped by one operation at a time, and never above what is durable.

mod dirty;
pub mod filter;
mod job;
pub mod key_map;
mod output;
pub mod raw;
mod swap;
pub mod transactions;

#[cfg(test)]
mod tests;

pub use self::dirty::Dirtiness;
pub use self::filter::{LiveProducers, Rules, Scratch, filter_batch, note_keys};
pub use self::job::{Compacted, Compaction, CompactionEnd, CompactionOptions, Piece, PieceDone};
pub use self::key_map::KeyMap;
pub use self::transactions::{AbortedTransaction, CleanedTransactions};
