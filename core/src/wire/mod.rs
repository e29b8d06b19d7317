//! Kafka's wire protocol: typed requests and replies, the APIs served, record batches.
//!
//! The message codec is the crate `kafka-wire`, generated from Kafka's own schemas; this module
//! decides which APIs and versions are served, dispatches on them, and looks into record batches.
//! It does not decide what a request means (`crate::api`) nor frame a connection
//! (`crate::connection`).

pub mod api_table;
mod attributes;
pub mod batch;
pub mod builder;
pub mod compression;
pub mod fetch_reply;
pub(crate) mod frame_writer;
pub mod metadata_reply;
pub mod produce;
pub(crate) mod reader;
pub mod records;
pub mod reply_errors;
pub mod request;
mod throttle_time;
pub mod walk;
