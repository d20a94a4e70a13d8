//! Traces and records out of Kafka topics, as a member of a consumer group.
//!
//! A thread reads messages and makes batches of them, as many tasks store batches, and offsets are committed in their
//! order once the store has what is before them. So a message is stored at least once, and the store keeps it once.

#[cfg(feature = "kafka")]
mod batch;
#[cfg(feature = "kafka")]
mod consumer;
#[cfg(feature = "kafka")]
mod dead_letter;
mod flags;
#[cfg(feature = "kafka")]
mod keeper;
#[cfg(feature = "kafka")]
mod ledger;
#[cfg(feature = "kafka")]
mod receiver;
mod source;
#[cfg(feature = "kafka")]
mod work;

use super::Background;
use crate::error::ServerError;
use crate::ingest::Ingest;

pub(crate) use flags::KafkaFlags;
pub use source::{KafkaSource, Properties};

/// Adds a receiver for this source.
///
/// # Errors
/// Settings that cannot work.
#[cfg(feature = "kafka")]
pub(crate) fn add(
    to: &mut Background,
    source: &KafkaSource,
    ingest: &Ingest,
    longest: usize,
) -> Result<(), ServerError> {
    let receiver = std::sync::Arc::new(receiver::KafkaReceiver::new(source, longest)?);
    let ingest = ingest.clone();
    to.add("kafka", move |stop| {
        let (receiver, ingest) = (std::sync::Arc::clone(&receiver), ingest.clone());
        async move { receiver.run(ingest, stop).await }
    });
    Ok(())
}

/// Says that it is not built in.
///
/// # Errors
/// Always.
#[cfg(not(feature = "kafka"))]
pub(crate) fn add(_: &mut Background, _: &KafkaSource, _: &Ingest, _: usize) -> Result<(), ServerError> {
    Err(ServerError::config("reading from Kafka is not built in: enable the cargo feature `kafka`"))
}
