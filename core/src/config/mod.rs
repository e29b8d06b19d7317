//! Configuration: one table of every setting, and what follows from it.
//!
//! * [`definition`]: what a setting is; the tables beside it hold every broker, topic, group and
//!   client-metrics configuration of Apache Kafka 4.3.1 and Ottla's few own.
//! * [`value`]: texts into checked values, with Kafka's words for what is wrong.
//! * [`properties`]: the syntax of `server.properties`.
//! * [`settings`]: the layers a broker's value comes from.
//! * [`broker`], [`topic`]: typed configurations, resolved once and read everywhere.
//! * [`describe`]: the answer to DescribeConfigs. [`reference_page`]: the documentation page.
//!
//! No file is read here, and nothing is stored: dynamic values live in the metadata image.

pub mod broker;
mod broker_parts;
pub mod definition;
pub mod describe;
pub mod listeners;
pub mod properties;
pub mod reference_page;
pub mod rules;
pub mod settings;
pub mod table;
mod table_broker;
mod table_groups;
mod table_logs;
mod table_other;
mod table_security;
mod table_topics;
pub mod topic;
pub mod value;

pub use crate::wire::batch::TimestampType;
pub use broker::{BrokerConfig, HttpConfig};
pub use broker_parts::MoveConfig;
pub use settings::{ConfigError, Overrides, Settings, Source};
pub use topic::{CompressionType, FlushPolicy, LogConfig, RecordValidation};
