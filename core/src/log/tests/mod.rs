//! The log against a list of batches, through crashes and full disks.
//!
//! Each seed is a history; the failing one is printed. What is checked is numbered as in the
//! reliability notes of the project: R50-R52, R54-R57, R59, R61.

mod compaction;
mod damage;
mod disk;
mod indexes;
mod kafka_files;
mod moving;
mod properties;
mod rig;
mod scenarios;
