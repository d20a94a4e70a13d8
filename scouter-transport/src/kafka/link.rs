//! A producer of librdkafka, the thread that listens to it, and why it was given up.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, Producer as _, ProducerContext};
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{ClientConfig, Statistics};
use tokio::sync::{Notify, oneshot, watch};

use super::delivery::Ticket;
use super::failure;
use crate::error::{Error, ErrorKind};

/// How long all brokers may be away, while somebody waits, before the link is given up. A host of several addresses has
/// been tried under each of them by then.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long the thread listens before it looks around.
const TURN: Duration = Duration::from_millis(100);

/// A producer. Given up as a whole when it no longer gets anywhere: with it goes what it has not sent.
pub(super) struct Link {
    producer: Arc<BaseProducer<Ear>>,
    news: Arc<News>,
    ended: watch::Receiver<()>,
}

/// What the producer has told.
#[derive(Debug, Default)]
pub(super) struct News {
    broken: watch::Sender<Option<Error>>,
    trouble: Mutex<Trouble>,
    /// How many sends wait for answers.
    waiting: AtomicUsize,
    /// How many messages were acknowledged.
    acknowledged: AtomicU64,
    /// How many sends wait for room in the queue.
    starving: AtomicUsize,
    room: Notify,
    stop: AtomicBool,
}

#[derive(Debug, Default)]
struct Trouble {
    /// What the producer complained of last, and with which code.
    last: Option<(Code, String)>,
    /// The last line about a broker: what is not told as an error, such as a connection that was closed early.
    line: Option<String>,
    /// Since when all brokers are away, and how much had been acknowledged before.
    down: Option<(Instant, u64)>,
}

/// Hears what librdkafka tells.
pub(super) struct Ear(Arc<News>);

/// Counts a send that waits for answers.
#[derive(Debug)]
pub(super) struct Waiting<'a>(&'a AtomicUsize);

impl Link {
    /// Makes a producer, in the thread that will listen to it and end it: both may block.
    pub(super) async fn open(config: ClientConfig) -> Result<Self, Error> {
        let news = Arc::<News>::default();
        let (made, making) = oneshot::channel();
        let (alive, ended) = watch::channel(());
        let ear = Ear(Arc::clone(&news));
        let thread = std::thread::Builder::new().name("scouter-kafka".to_owned());
        let spawned = thread.spawn(move || {
            let _alive = alive;
            match BaseProducer::from_config_and_context(&config, ear) {
                Ok(producer) => listen(Arc::new(producer), made),
                // Nobody waits any more: there is nobody to tell.
                Err(error) => drop(made.send(Err(not_made(error)))),
            }
        });
        spawned.map_err(|error| {
            Error::new(ErrorKind::Unavailable, "the operating system gave no thread for Kafka").with_source(error)
        })?;
        let lost = || Error::new(ErrorKind::Unavailable, "the thread for Kafka has ended");
        let producer = making.await.map_err(|_| lost())??;
        Ok(Self { producer, news, ended })
    }

    pub(super) fn producer(&self) -> &BaseProducer<Ear> {
        &self.producer
    }

    pub(super) fn news(&self) -> &News {
        &self.news
    }

    /// Resolves when the thread has ended and the connections are given back. The link must be dropped meanwhile.
    pub(super) fn ended(&self) -> impl Future<Output = ()> + use<> {
        let mut ended = self.ended.clone();
        async move { while ended.changed().await.is_ok() {} }
    }
}

/// The thread stays until nobody else holds the producer, so that it ends here and not where it would block somebody.
/// In a forked child there is no such thread, and what was the parent's never ends.
fn listen(producer: Arc<BaseProducer<Ear>>, made: oneshot::Sender<Result<Arc<BaseProducer<Ear>>, Error>>) {
    let news = Arc::clone(&producer.context().0);
    if made.send(Ok(Arc::clone(&producer))).is_err() {
        return;
    }
    while !(news.stop.load(Ordering::Acquire) && Arc::strong_count(&producer) == 1) {
        producer.poll(TURN);
        if let Some((code, reason)) = producer.client().fatal_error() {
            news.give_up(failure::error(code, "", &reason));
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.news.stop.store(true, Ordering::Release);
    }
}

impl News {
    /// A send begins to wait for answers.
    pub(super) fn wait(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        Waiting(&self.waiting)
    }

    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Acquire)
    }

    /// The link is of no more use. The first reason stays.
    pub(super) fn give_up(&self, why: Error) {
        self.broken.send_if_modified(|broken| {
            let first = broken.is_none();
            if first {
                *broken = Some(why);
            }
            first
        });
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.borrow().is_some()
    }

    /// Resolves once the link was given up, with the reason.
    pub(super) async fn broken(&self) -> Error {
        let mut broken = self.broken.subscribe();
        match broken.wait_for(Option::is_some).await.map(|error| error.clone()) {
            Ok(Some(error)) => error,
            // The sender lives in `self`.
            _ => std::future::pending().await,
        }
    }

    /// Resolves when a message has left the queue since `wait_for_room` was called.
    pub(super) async fn room(&self) {
        self.starving.fetch_add(1, Ordering::AcqRel);
        let _guard = Waiting(&self.starving);
        // A message may have left before this was counted; librdkafka is asked again soon in any case.
        let _ = tokio::time::timeout(Duration::from_millis(10), self.room.notified()).await;
    }

    /// What the producer complained of last.
    pub(super) fn last(&self) -> Option<String> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.last.as_ref().map(|(_, reason)| reason.clone()).or_else(|| trouble.line.clone())
    }

    fn logged(&self, line: &str) {
        let line = line.split_once("]: ").map_or(line, |(_thread, line)| line);
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        // Which protocol a broker wants is guessed once; what follows is the same connection that breaks again.
        if !trouble.line.as_ref().is_some_and(|line| line.contains("security.protocol")) {
            trouble.line = Some(line.to_owned());
        }
    }

    fn left(&self) {
        if self.starving.load(Ordering::Acquire) > 0 {
            self.room.notify_waiters();
        }
    }

    fn complained(&self, code: Code, reason: &str) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match code {
            Code::Authentication => {
                drop(trouble);
                self.give_up(failure::error(code, "", reason));
            }
            Code::AllBrokersDown => {
                if self.waiting.load(Ordering::Acquire) == 0 {
                    trouble.down = None;
                    return;
                }
                let acknowledged = self.acknowledged();
                // They have been back meanwhile if anything was acknowledged.
                let before = trouble.down.filter(|(_, before)| *before == acknowledged);
                let (since, _) = *trouble.down.insert(before.unwrap_or_else(|| (Instant::now(), acknowledged)));
                if since.elapsed() < PATIENCE {
                    return;
                }
                let said = trouble.line.clone().unwrap_or_else(|| reason.to_owned());
                let (code, reason) = trouble.last.clone().unwrap_or((code, said));
                drop(trouble);
                let code = if code == Code::SSL || is_about_tls(&reason) { Code::SSL } else { Code::AllBrokersDown };
                self.give_up(failure::error(code, "", &reason));
            }
            // Its own words are asked for by the thread.
            Code::Fatal => {}
            _ => trouble.last = Some((code, reason.to_owned())),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl ClientContext for Ear {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(target: "scouter_transport::kafka", facility, "{line}");
            }
            // Brokers that come and go are told by errors of sends.
            _ => tracing::debug!(target: "scouter_transport::kafka", facility, "{line}"),
        }
        if matches!(facility, "FAIL" | "ERROR") {
            self.0.logged(line);
        }
    }

    fn stats(&self, _: Statistics) {}

    fn stats_raw(&self, _: &[u8]) {}

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "scouter_transport::kafka", "{reason}");
        if let Some(code) = error.rdkafka_error_code() {
            self.0.complained(code, reason);
        }
    }
}

impl ProducerContext for Ear {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        match result {
            Ok(_) => {
                self.0.acknowledged.fetch_add(1, Ordering::AcqRel);
                ticket.acknowledged();
            }
            Err((error, _)) => ticket.failed(error.rdkafka_error_code().unwrap_or(Code::Unknown)),
        }
        self.0.left();
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("news", &self.news).finish_non_exhaustive()
    }
}

impl fmt::Debug for Ear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ear")
    }
}

/// Whether a connection failed because of what the two sides want of TLS. librdkafka calls that a failure of the connection.
fn is_about_tls(reason: &str) -> bool {
    ["certificate verify failed", "wrong version number", " alert "].iter().any(|words| reason.contains(words))
}

fn not_made(error: KafkaError) -> Error {
    match error {
        KafkaError::ClientCreation(reason) => {
            Error::new(ErrorKind::Config, format!("librdkafka does not take the settings: {reason}"))
        }
        _ => Error::new(ErrorKind::Config, "librdkafka does not take the settings"),
    }
}
