//! From a batch to the store, or to the dead letters, however long it takes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::Message as _;
use rdkafka::Timestamp;
use rdkafka::message::OwnedMessage;

use super::batch::{Batch, encoding};
use super::dead_letter::{DeadLetters, NotPut};
use super::ledger::Place;
use super::work::Work;
use crate::ingest::{Accepted, Ingest, IngestError, off_the_loop};
use crate::metrics::{Broker, DeadLetter};
use crate::receive::http::from_json;
use crate::receive::value::Encoding;
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

/// A message that will never be stored, or not all of it: why, in a word and in words.
#[derive(Debug)]
struct Refused(DeadLetter, String);

impl Keeper {
    /// Keeps a batch, and notes that it is done with.
    pub(super) async fn keep(self: Arc<Self>, batch: Batch) {
        let (places, length) = (batch.places(), batch.length());
        let mut done = Done { work: Arc::clone(&self.work), places, length, durable: false };
        done.durable = match batch {
            Batch::Joined { signal, bytes, messages } => self.joined(signal, bytes, &messages).await.is_ok(),
            Batch::Single { signal, message, .. } => self.single(signal, Arc::new(*message)).await.is_ok(),
        };
    }

    async fn joined(
        self: &Arc<Self>,
        signal: Signal,
        bytes: Bytes,
        messages: &[(Place, usize)],
    ) -> Result<(), Aborted> {
        let (keeper, whole) = (Arc::clone(self), bytes.clone());
        if let Some(Ok(_)) = self.contained(async move { keeper.store(signal, whole).await }).await? {
            return Ok(());
        }
        // Each was looked at and found right, but the store takes not all of them: one after the other tells which.
        let mut begin = 0;
        for (place, end) in messages {
            let value = bytes.slice(begin..*end).into();
            begin = *end;
            let topic = self.topics[place.partition.topic].clone();
            let (time, number) = (Timestamp::NotAvailable, place.partition.number);
            let message = OwnedMessage::new(Some(value), None, topic, time, number, place.offset, None);
            self.single(signal, Arc::new(message)).await?;
        }
        Ok(())
    }

    /// Stores one message, or puts it aside.
    async fn single(self: &Arc<Self>, signal: Signal, message: Arc<OwnedMessage>) -> Result<(), Aborted> {
        let (keeper, judged) = (Arc::clone(self), Arc::clone(&message));
        match self.contained(async move { keeper.judge(signal, &judged).await }).await? {
            Some(Ok(())) => Ok(()),
            Some(Err(Refused(reason, words))) => self.put_aside(&message, reason, &words).await,
            None => self.put_aside(&message, DeadLetter::Malformed, "the server hit a defect with it").await,
        }
    }

    /// Runs work on a message in a task of its own: a defect that the message meets ends there, with `None`. Else the message would
    /// come again and again, or the partition stand still.
    async fn contained<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Aborted>> + Send + 'static,
    ) -> Result<Option<T>, Aborted> {
        match tokio::spawn(work).await {
            Ok(outcome) => outcome.map(Some),
            Err(error) if error.is_panic() => {
                self.ingest.metrics.panicked();
                tracing::error!("a message from Kafka met a defect of the server");
                Ok(None)
            }
            Err(_) => Err(Aborted),
        }
    }

    async fn judge(&self, signal: Signal, message: &OwnedMessage) -> Result<Result<(), Refused>, Aborted> {
        let refused = |reason, words: &dyn std::fmt::Display| Ok(Err(Refused(reason, words.to_string())));
        let Some(value) = message.payload() else {
            return refused(DeadLetter::Malformed, &"the message has no value");
        };
        if value.len() > self.max_request_bytes {
            let words = format!("{} bytes are more than the longest request, {}", value.len(), self.max_request_bytes);
            return refused(DeadLetter::TooLarge, &words);
        }
        let bytes = Bytes::copy_from_slice(value);
        let bytes = match encoding(message, value) {
            Encoding::Protobuf => bytes,
            Encoding::Json => match off_the_loop(bytes.len(), move || from_json(signal, &bytes)).await {
                Ok(translated) => translated.into(),
                Err(error) => return refused(DeadLetter::Malformed, &error),
            },
            Encoding::Other => {
                let words = "the content type is neither application/x-protobuf nor application/json";
                return refused(DeadLetter::Unsupported, &words);
            }
        };
        match self.store(signal, bytes).await? {
            Ok(accepted) if accepted.rejected == 0 => Ok(Ok(())),
            Ok(accepted) => refused(DeadLetter::Rejected, &accepted.message),
            Err(error) => refused(DeadLetter::Malformed, &error),
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

    /// Puts a message aside until it is. Where no letters are taken for long, the partition has to go on without: then the message
    /// stays where it was, in its topic, until Kafka removes it there.
    async fn put_aside(&self, message: &OwnedMessage, reason: DeadLetter, words: &str) -> Result<(), Aborted> {
        let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
        let mut wait = FIRST_WAIT;
        loop {
            match self.dead_letters.put(message, reason, words).await {
                Ok(()) => break,
                Err(NotPut::Yet(why)) => {
                    let stuck =
                        format!("partition {partition} of {topic} waits for a dead letter to be put aside: {why}");
                    self.rest(&mut wait, "dead letter", &stuck).await?;
                }
                Err(NotPut::Ever(why)) => {
                    self.ingest.metrics.dead_letter_lost(Broker::Kafka);
                    if self.work.is_news("lost dead letter") {
                        let place = format!("the message at offset {offset} in partition {partition} of {topic}");
                        tracing::error!("{place} was passed over: it cannot be stored ({words}), nor put aside: {why}");
                    }
                    return Ok(());
                }
            }
        }
        self.ingest.metrics.dead_lettered(Broker::Kafka, reason);
        if self.work.is_news(reason.name()) {
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

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;
    use scouter_client::{RecordFilters, RecordPage, Span, Tag, TagFilters, Trace, TraceFilters, TracePage};
    use scouter_span::TraceId;

    use super::*;
    use crate::ingest::Room;
    use crate::receive::kafka::ledger::Partition;
    use crate::store::{BoxFuture, Store, StoreError, Written};

    /// A store with a defect.
    #[derive(Debug)]
    struct Defective;

    impl Store for Defective {
        fn write(&self, _: Signal, _: Bytes) -> BoxFuture<'_, Result<Written, StoreError>> {
            Box::pin(async { panic!("a defect") })
        }

        fn trace(&self, _: TraceId) -> BoxFuture<'_, Result<Option<Trace>, StoreError>> {
            unreachable!()
        }

        fn search(&self, _: TraceFilters) -> BoxFuture<'_, Result<TracePage, StoreError>> {
            unreachable!()
        }

        fn spans(&self, _: TraceFilters) -> BoxFuture<'_, Result<Vec<Span>, StoreError>> {
            unreachable!()
        }

        fn services(&self) -> BoxFuture<'_, Result<Vec<String>, StoreError>> {
            unreachable!()
        }

        fn records(&self, _: RecordFilters) -> BoxFuture<'_, Result<RecordPage, StoreError>> {
            unreachable!()
        }

        fn tags(&self, _: TagFilters) -> BoxFuture<'_, Result<Vec<Tag>, StoreError>> {
            unreachable!()
        }

        fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
            unreachable!()
        }
    }

    #[tokio::test]
    async fn a_message_that_meets_a_defect_is_a_dead_letter_and_not_lost() {
        let ingest = Ingest { store: Arc::new(Defective), metrics: Arc::default(), room: Room::new(1 << 20) };
        let mut nowhere = ClientConfig::new();
        nowhere.set("bootstrap.servers", "127.0.0.1:1").set("message.timeout.ms", "50");
        let work = Arc::new(Work::default());
        let keeper = Arc::new(Keeper {
            ingest: ingest.clone(),
            work: Arc::clone(&work),
            dead_letters: DeadLetters::new(nowhere),
            topics: ["spans", "logs"].map(str::to_owned),
            max_request_bytes: 1 << 20,
        });
        let partition = Partition { topic: 0, number: 0 };
        let span = [&[0x0a, 32, 0x12, 30, 0x12, 28, 0x0a, 16][..], &[7; 16], &[0x12, 8], &[9; 8]].concat();
        let messages = vec![(work.begin(partition, 5).0, span.len())];
        let batch = Batch::Joined { signal: Signal::Traces, bytes: span.into(), messages };
        assert!(work.hand_over(&batch));
        let keeping = tokio::spawn(keeper.keep(batch));
        // Once together, once alone; then it waits until it can be put aside.
        while !ingest.metrics.render(0).contains("scouter_server_panics_total 2") {
            assert!(!keeping.is_finished(), "the message was let go");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(work.commit().is_empty());
        work.abort();
        keeping.await.unwrap();
        assert!(work.commit().is_empty(), "what was neither stored nor put aside is not committed");
    }
}
