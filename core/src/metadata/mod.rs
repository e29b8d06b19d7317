//! The cluster's metadata: records, and the image they build.
//!
//! * [`records`], [`control`]: Kafka's own record types, byte for byte; [`codec`] is how their
//!   fields are written.
//! * [`image`]: everything the cluster knows, by applying records in order; [`delta`] is what a
//!   run of records changed.
//!
//! Nothing here decides: `crate::controller` makes records, `crate::quorum` makes them durable.

pub mod codec;
pub mod control;
pub mod records;

#[cfg(test)]
pub(crate) mod golden;
