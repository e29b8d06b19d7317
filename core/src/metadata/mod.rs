//! The cluster's metadata: records, and the image they build.
//!
//! * [`records`], [`control`]: Kafka's own record types, byte for byte; [`codec`] is how their
//!   fields are written.
//! * [`image`]: everything the cluster knows, by applying records in order; [`delta`] is what a
//!   run of records changed, [`replay`] takes whole batches, [`snapshot`] goes back to records.
//!
//! Nothing here decides: `crate::controller` makes records, `crate::quorum` makes them durable.

mod apply;
pub mod codec;
pub mod control;
pub mod delta;
pub mod image;
mod message;
pub mod records;
pub mod replay;
pub mod snapshot;
mod value;

pub use delta::Delta;
pub use image::{
    BrokerImage, ConfigResource, Image, ImageError, PartitionImage, ResourceKind, TopicImage,
};
pub use replay::Replay;

#[cfg(test)]
pub(crate) mod golden;
