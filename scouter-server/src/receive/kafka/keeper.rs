//! From a batch to the store, or to the dead letters, however long it takes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::Message as _;
use rdkafka::Timestamp;
use rdkafka::message::OwnedMessage;

use super::batch::{Batch, Encoding, encoding};
use super::dead_letter::DeadLetters;
use super::ledger::Place;
use super::work::Work;
use crate::ingest::{Accepted, Ingest, IngestError, off_the_loop};
use crate::metrics::{Broker, DeadLetter};
use crate::receive::http::from_json;
use crate::store::Signal;

/// The first wait before something is tried again.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait before something is tried again.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Brings batches into the store.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) ingest: Ingest,
    pub(super) work: Arc<Work>,
    pub(super) dead_letters: DeadLetters,
    pub(super) topics: [String; 2],
    pub(super) max_request_bytes: usize,
}

/// The server ends before it came to pass; the message is delivered again.
#[derive(Debug)]
struct Aborted;

impl Keeper {
    /// Keeps a batch, and notes that it is done with.
    pub(super) async fn keep(self: Arc<Self>, batch: Batch) {
        let (places, length) = (batch.places(), batch.length());
        // A defect must not leave the batch counted for ever: its messages are delivered again to whoever reads next.
        let mut done = Done { work: Arc::clone(&self.work), places, length, durable: false };
        done.durable = match batch {
            Batch::Joined { signal, bytes, messages } => self.joined(signal, bytes, &messages).await.is_ok(),
            Batch::Single { signal, message, .. } => self.single(signal, &message).await.is_ok(),
        };
    }

    async fn joined(&self, signal: Signal, bytes: Bytes, messages: &[(Place, usize)]) -> Result<(), Aborted> {
        if self.store(signal, bytes.clone()).await?.is_ok() {
            return Ok(());
        }
        // Each was looked at and found right, but the store takes not all of them: one after the other tells which.
        let mut begin = 0;
        for (place, end) in messages {
            let value = bytes.slice(begin..*end);
            begin = *end;
            if let Err(error) = self.store(signal, value.clone()).await? {
                let topic = self.topics[place.partition.topic].clone();
                let (time, number) = (Timestamp::NotAvailable, place.partition.number);
                let message = OwnedMessage::new(Some(value.into()), None, topic, time, number, place.offset, None);
                self.put_aside(&message, DeadLetter::Malformed, &error.to_string()).await?;
            }
        }
        Ok(())
    }

    async fn single(&self, signal: Signal, message: &OwnedMessage) -> Result<(), Aborted> {
        let value = message.payload().unwrap_or_default();
        if value.len() > self.max_request_bytes {
            let words = format!("{} bytes are more than the longest request, {}", value.len(), self.max_request_bytes);
            return self.put_aside(message, DeadLetter::TooLarge, &words).await;
        }
        let bytes = Bytes::copy_from_slice(value);
        let bytes = match encoding(message, value) {
            Encoding::Protobuf => bytes,
            Encoding::Json => match off_the_loop(bytes.len(), move || from_json(signal, &bytes)).await {
                Ok(translated) => translated.into(),
                Err(error) => return self.put_aside(message, DeadLetter::Malformed, &error.to_string()).await,
            },
            Encoding::Other => {
                let words = "the content type is neither application/x-protobuf nor application/json";
                return self.put_aside(message, DeadLetter::Unsupported, words).await;
            }
        };
        match self.store(signal, bytes).await? {
            Ok(accepted) if accepted.rejected == 0 => Ok(()),
            Ok(accepted) => self.put_aside(message, DeadLetter::Rejected, &accepted.message).await,
            Err(error) => self.put_aside(message, DeadLetter::Malformed, &error.to_string()).await,
        }
    }

    /// Stores until it is stored, or refused for good.
    async fn store(&self, signal: Signal, bytes: Bytes) -> Result<Result<Accepted, IngestError>, Aborted> {
        let mut wait = FIRST_WAIT;
        loop {
            let message = self.ingest.message(bytes.clone()).await;
            match self.ingest.accept(signal, message).await {
                Err(error) if error.is_retryable() => {
                    self.rest(&mut wait, "store", &format!("the store does not keep messages of Kafka: {error}"))
                        .await?;
                }
                settled => return Ok(settled),
            }
        }
    }

    /// Puts a message aside until it is. What cannot be put aside is not passed over: the partition waits.
    async fn put_aside(&self, message: &OwnedMessage, reason: DeadLetter, words: &str) -> Result<(), Aborted> {
        let mut wait = FIRST_WAIT;
        while let Err(error) = self.dead_letters.put(message, reason, words).await {
            let (topic, partition) = (message.topic(), message.partition());
            let stuck = format!("partition {partition} of {topic} waits for a dead letter to be put aside: {error}");
            self.rest(&mut wait, "dead letter", &stuck).await?;
        }
        self.ingest.metrics.dead_lettered(Broker::Kafka, reason);
        if self.work.is_news(reason.name()) {
            let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
            tracing::warn!(topic, partition, offset, "a message was put aside as a dead letter: {words}");
        }
        Ok(())
    }

    async fn rest(&self, wait: &mut Duration, trouble: &'static str, words: &str) -> Result<(), Aborted> {
        if self.work.is_aborted() {
            return Err(Aborted);
        }
        if self.work.is_news(trouble) {
            tracing::error!("{words}; trying on");
        }
        tokio::time::sleep(*wait).await;
        *wait = (*wait * 2).min(LONGEST_WAIT);
        if self.work.is_aborted() { Err(Aborted) } else { Ok(()) }
    }
}

/// Notes the end of a batch, also when its task ends in a panic or is cut off.
struct Done {
    work: Arc<Work>,
    places: Vec<Place>,
    length: usize,
    durable: bool,
}

impl Drop for Done {
    fn drop(&mut self) {
        self.work.finish(&self.places, self.length, self.durable);
    }
}
