//! The implementation over Kafka.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::BaseRecord;
use rdkafka::types::RDKafkaErrorCode as Code;
use tokio::sync::Mutex;

use super::config::KafkaConfig;
use super::delivery::{Delivery, Outcome, Progress};
use super::link::Link;
use super::properties::MESSAGE_OVERHEAD;
use super::split::Split;
use crate::error::{Error, ErrorKind};
use crate::payload::{ContentType, Payload, Receipt, Signal};
use crate::traffic::Traffic;
use crate::transport::{BoxFuture, Transport};

/// Sends payloads to Kafka, one message for each trace, and waits until all replicas have them.
///
/// A producer that gets nowhere (all brokers away, credentials refused, no acknowledgement for as long as the timeout)
/// is given up with what it still holds, and the next send makes a new one. A payload that is sent again sends only
/// what was not acknowledged. What the brokers will never take of a payload, when they took the rest of it, is told as
/// OTLP's partial success.
#[derive(Debug)]
pub struct Kafka {
    config: KafkaConfig,
    properties: Properties,
    /// Tells the progress of this transport from that of others.
    number: u64,
    link: Mutex<Option<Arc<Link>>>,
    /// The largest batch of messages (`batch.size`). Becomes smaller when the brokers take less.
    batch_bytes: AtomicUsize,
    traffic: Traffic,
}

/// As librdkafka takes them, secrets included.
struct Properties(ClientConfig);

/// Which link a send uses, and what it had acknowledged before.
#[derive(Debug, Default)]
struct Hold(Option<(Arc<Link>, u64)>);

/// The largest batch unless a property says otherwise; librdkafka's own default.
const BATCH_BYTES: usize = 1_000_000;
/// Batches do not become smaller than this.
const SMALLEST_BATCH: usize = 1_000;

static TRANSPORTS: AtomicU64 = AtomicU64::new(0);

/// So many messages are handed over before other tasks get their turn.
const TURN: usize = 512;

/// How long closing waits for the connections to be given back.
const FAREWELL: Duration = Duration::from_secs(5);

impl Kafka {
    /// Checks the settings. Connects with the first send.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] for settings that cannot work, [`ErrorKind::Unsupported`] for TLS and user names without
    /// the cargo feature `kafka-tls`.
    pub fn new(config: KafkaConfig) -> Result<Self, Error> {
        let properties = Properties(config.producer()?);
        let number = TRANSPORTS.fetch_add(1, Ordering::Relaxed);
        let batch_bytes = properties.0.get("batch.size").and_then(|bytes| bytes.parse().ok()).unwrap_or(BATCH_BYTES);
        let (link, traffic) = (Mutex::default(), Traffic::default());
        Ok(Self { config, properties, number, link, batch_bytes: AtomicUsize::new(batch_bytes), traffic })
    }

    /// The link, a new one where there is none that works.
    async fn link(&self) -> Result<Arc<Link>, Error> {
        let mut place = self.link.lock().await;
        if let Some(link) = place.as_ref().filter(|link| !link.news().is_broken()) {
            return Ok(Arc::clone(link));
        }
        let link = Arc::new(self.open(self.batch_bytes.load(Ordering::Relaxed)).await?);
        *place = Some(Arc::clone(&link));
        Ok(link)
    }

    async fn open(&self, batch_bytes: usize) -> Result<Link, Error> {
        let mut properties = self.properties.0.clone();
        properties.set("batch.size", batch_bytes.to_string());
        Link::open(properties).await
    }

    async fn deliver(&self, payload: &Payload, hold: &mut Hold) -> Result<Receipt, Error> {
        let link = self.link().await?;
        match self.attempt(payload, &link, hold, false).await? {
            Outcome::Delivered(receipt) => Ok(receipt),
            Outcome::Failed(error) => {
                if error.kind() == ErrorKind::Refused {
                    self.retire(&link).await;
                }
                Err(error)
            }
            Outcome::Lost => Err(link.news().broken().await),
            Outcome::Crowded => self.deliver_one_by_one(payload, &link, hold).await,
        }
    }

    /// A batch of messages was larger than the brokers take: each of them goes by itself. If that was it, later batches are
    /// smaller.
    async fn deliver_one_by_one(&self, payload: &Payload, link: &Arc<Link>, hold: &mut Hold) -> Result<Receipt, Error> {
        let alone = Arc::new(self.open(1).await?);
        let outcome = self.attempt(payload, &alone, hold, true).await?;
        if alone.news().acknowledged() > 0 && self.retire(link).await {
            let smaller = self.batch_bytes.load(Ordering::Relaxed) / 4;
            self.batch_bytes.store(smaller.max(SMALLEST_BATCH), Ordering::Relaxed);
        }
        match outcome {
            Outcome::Delivered(receipt) => Ok(receipt),
            Outcome::Failed(error) => Err(error),
            Outcome::Lost | Outcome::Crowded => Err(alone.news().broken().await),
        }
    }

    /// Sends what is not settled, and waits for the answers.
    async fn attempt(
        &self,
        payload: &Payload,
        link: &Arc<Link>,
        hold: &mut Hold,
        alone: bool,
    ) -> Result<Outcome, Error> {
        let news = link.news();
        hold.0 = Some((Arc::clone(link), news.acknowledged()));
        let _waiting = news.wait();
        let delivery = tokio::select! {
            delivery = self.hand_over(payload, link, alone) => delivery,
            why = news.broken() => return Err(why),
        };
        tokio::select! {
            biased;
            outcome = delivery.settled() => Ok(outcome),
            why = news.broken() => Err(why),
        }
    }

    /// Sends that use the link go on with it; the next one makes another. librdkafka remembers for minutes that a topic is
    /// not there or not for this user, which may be mended sooner.
    ///
    /// Answers whether it was in use.
    async fn retire(&self, link: &Arc<Link>) -> bool {
        self.link.lock().await.take_if(|held| Arc::ptr_eq(held, link)).is_some()
    }

    /// Gives everything that is not settled to librdkafka, as fast as it takes it.
    async fn hand_over(&self, payload: &Payload, link: &Link, alone: bool) -> Arc<Delivery> {
        let topic = self.config.topic_of(payload.signal);
        let split = match payload.content {
            ContentType::Protobuf => {
                Split::new(&payload.body, payload.signal, self.config.max_message_bytes - MESSAGE_OVERHEAD)
            }
            ContentType::Json => None,
        };
        let content = Header { key: "content-type", value: Some(payload.content.mime()) };
        let headers = OwnedHeaders::new_with_capacity(1).insert(content);
        let Some(split) = split else {
            // What cannot be taken apart travels as it is.
            let delivery = Delivery::new(self.progress(payload, 1), topic, alone);
            if !delivery.progress.is_settled(0) {
                let ticket = delivery.ticket(0, payload.items as usize);
                let record = BaseRecord::with_opaque_to(topic, ticket).payload(&payload.body[..]).headers(headers);
                produce::<()>(link, record).await;
            }
            return delivery;
        };
        let delivery = Delivery::new(self.progress(payload, split.messages().len()), topic, alone);
        let mut body = Vec::new();
        for (number, message) in split.messages().iter().enumerate() {
            if delivery.progress.is_settled(number) {
                continue;
            }
            if number % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
            body.clear();
            split.write(message, &mut body);
            let key = message.trace_id.map(hex);
            let ticket = delivery.ticket(number, message.items());
            let mut record = BaseRecord::with_opaque_to(topic, ticket).payload(&body[..]).headers(headers.clone());
            record.key = key.as_ref().map(|key| &key[..]);
            produce(link, record).await;
        }
        delivery
    }

    /// What is known of this payload from earlier tries.
    fn progress(&self, payload: &Payload, messages: usize) -> Arc<Progress> {
        let fresh = || Arc::new(Progress::new(self.number, payload.body.clone(), messages));
        let known = payload.progress.get_or_init(fresh);
        // Another transport may have sent a clone.
        if known.is_of(self.number, &payload.body, messages) { Arc::clone(known) } else { fresh() }
    }

    /// The time is over. A link that has achieved nothing meanwhile is given up.
    fn late(&self, hold: Hold) -> Error {
        let mut error = Error::timeout(self.config.timeout);
        if let Some((link, before)) = hold.0 {
            if let Some(last) = link.news().last() {
                let detail = format!("no acknowledgement within {:?}; last trouble: {last}", self.config.timeout);
                error = Error::new(ErrorKind::Timeout, detail);
            }
            if link.news().acknowledged() == before {
                link.news().give_up(error.clone());
            }
        }
        error
    }
}

/// Hands one message over, waiting while the queue is full. One that is not taken is settled as failed.
async fn produce<'a, K: rdkafka::message::ToBytes + ?Sized>(
    link: &Link,
    mut record: BaseRecord<'a, K, [u8], Box<super::delivery::Ticket>>,
) {
    loop {
        match link.producer().send(record) {
            Ok(()) => return,
            Err((KafkaError::MessageProduction(Code::QueueFull), returned)) => record = returned,
            Err((error, returned)) => {
                return returned.delivery_opaque.refused(error.rdkafka_error_code().unwrap_or(Code::InvalidArgument));
            }
        }
        link.news().room().await;
    }
}

/// A trace id as the key of a message: 32 lower-case digits.
fn hex(id: [u8; 16]) -> [u8; 32] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 32];
    for (pair, byte) in text.chunks_exact_mut(2).zip(id) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    text
}

impl Transport for Kafka {
    fn send(&self, payload: Payload) -> BoxFuture<'_, Result<Receipt, Error>> {
        Box::pin(async move {
            let operation = match payload.signal {
                Signal::Traces => "send traces to",
                Signal::Logs => "send logs to",
            };
            let told = |error: Error| {
                let topic = self.config.topic_of(payload.signal);
                error.during(operation, format!("Kafka topic {topic} at {}", self.config.brokers))
            };
            let Some(_ticket) = self.traffic.enter() else { return Err(told(Error::closed())) };
            let mut hold = Hold::default();
            let outcome = tokio::time::timeout(self.config.timeout, self.deliver(&payload, &mut hold)).await;
            outcome.unwrap_or_else(|_| Err(self.late(hold))).map_err(told)
        })
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            self.traffic.drained().await;
            Ok(())
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            self.traffic.close().await;
            if let Some(link) = self.link.lock().await.take() {
                let ended = link.ended();
                drop(link);
                // A connection that hangs ends later, in its own thread.
                let _ = tokio::time::timeout(FAREWELL, ended).await;
            }
            Ok(())
        })
    }
}

impl std::fmt::Debug for Properties {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Properties")
    }
}
