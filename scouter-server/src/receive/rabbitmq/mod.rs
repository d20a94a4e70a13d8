//! Traces and records out of RabbitMQ queues.
//!
//! A consumer of each queue takes what has arrived, makes one request of it, and acknowledges it once the store has it. So
//! a message is stored at least once, and the store keeps it once. Many servers may share a queue.

#[cfg(feature = "rabbitmq")]
mod batch;
#[cfg(feature = "rabbitmq")]
mod dead_letter;
mod flags;
#[cfg(feature = "rabbitmq")]
mod keeper;
#[cfg(feature = "rabbitmq")]
mod lane;
#[cfg(feature = "rabbitmq")]
mod letters;
#[cfg(feature = "rabbitmq")]
mod prefetch;
#[cfg(feature = "rabbitmq")]
mod receiver;
mod source;

use super::Background;
use crate::error::ServerError;
use crate::ingest::Ingest;

pub(crate) use flags::RabbitMqFlags;
pub use source::RabbitMqSource;

/// Adds a receiver for this source.
///
/// # Errors
/// Settings that cannot work.
#[cfg(feature = "rabbitmq")]
pub(crate) fn add(
    to: &mut Background,
    source: &RabbitMqSource,
    ingest: &Ingest,
    longest: usize,
) -> Result<(), ServerError> {
    let receiver = std::sync::Arc::new(receiver::RabbitMqReceiver::new(source, longest)?);
    let ingest = ingest.clone();
    to.add("rabbitmq", move |stop| {
        let (receiver, ingest) = (std::sync::Arc::clone(&receiver), ingest.clone());
        async move { receiver.run(ingest, stop).await }
    });
    Ok(())
}

/// Says that it is not built in.
///
/// # Errors
/// Always.
#[cfg(not(feature = "rabbitmq"))]
pub(crate) fn add(_: &mut Background, _: &RabbitMqSource, _: &Ingest, _: usize) -> Result<(), ServerError> {
    Err(ServerError::config("reading from RabbitMQ is not built in: enable the cargo feature `rabbitmq`"))
}
