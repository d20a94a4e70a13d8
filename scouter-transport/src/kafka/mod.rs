//! OTLP over Kafka: one message for each trace of a payload, keyed by the trace id, acknowledged by all replicas.
//!
//! A message's value is a whole `Export*ServiceRequest` in protobuf, with the resource and the scope of what it holds.
//! Topics, key and value are those of the OpenTelemetry Collector's Kafka exporter (`partition_traces_by_id`), so
//! that its receiver reads what is sent here.

mod config;
#[cfg(feature = "kafka")]
mod delivery;
#[cfg(feature = "kafka")]
mod failure;
#[cfg(feature = "kafka")]
mod link;
#[cfg(feature = "kafka")]
mod properties;
#[cfg(feature = "kafka")]
mod sender;
#[cfg(feature = "kafka")]
mod split;

pub use self::config::{KafkaCompression, KafkaConfig, SaslMechanism, SecurityProtocol};
#[cfg(feature = "kafka")]
pub(crate) use self::delivery::Progress;
#[cfg(feature = "kafka")]
pub use self::sender::Kafka;
#[cfg(feature = "kafka")]
pub use self::split::{Message, Split};
