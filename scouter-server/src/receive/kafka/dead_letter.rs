//! Messages that will never be stored, put aside with the reason.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::Message as _;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers as _, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::types::RDKafkaErrorCode as Code;

use super::consumer::log;
use crate::metrics::DeadLetter;

/// What the name of a topic gets for its dead letters.
const SUFFIX: &str = ".dead-letter";

/// How long librdkafka may take to take a letter in.
const QUEUE: Duration = Duration::from_secs(1);

/// How long a topic may be missing, or not for us, until letters that it should take are let go.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long letters are let go after that until the topic is tried again.
const PAUSE: Duration = Duration::from_secs(5);

/// The way to the dead letters. Connects with the first.
pub(super) struct DeadLetters {
    config: ClientConfig,
    producer: tokio::sync::Mutex<Option<FutureProducer<Quiet>>>,
    /// By topic.
    refusals: Mutex<HashMap<String, Refusal>>,
}

/// Why a message was not put aside.
#[derive(Debug)]
pub(super) enum NotPut {
    /// Doing it again is right.
    Yet(String),
    /// It is of no use.
    Ever(String),
}

/// A topic that takes no letters.
#[derive(Debug)]
struct Refusal {
    since: Instant,
    last: Instant,
    why: String,
}

/// What an answer of the brokers means for a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Brokers come back, leaders are found.
    Wait,
    /// Nobody may put anything there, until somebody mends that.
    Refused,
    /// This letter does not fit there.
    Unfit,
}

/// Says nothing but to `tracing`.
pub(super) struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log(level, facility, line);
    }

    fn error(&self, _: KafkaError, reason: &str) {
        tracing::debug!("{reason}");
    }
}

impl DeadLetters {
    pub(super) fn new(config: ClientConfig) -> Self {
        Self { config, producer: tokio::sync::Mutex::default(), refusals: Mutex::default() }
    }

    /// Puts a message aside: unchanged, with two headers more. Returns when all replicas have it.
    ///
    /// # Errors
    /// Why it could not be put aside.
    pub(super) async fn put(&self, message: &OwnedMessage, reason: DeadLetter, words: &str) -> Result<(), NotPut> {
        let topic = format!("{}{SUFFIX}", message.topic());
        if let Some(why) = self.refused(&topic) {
            return Err(NotPut::Ever(why));
        }
        let producer = self.producer().await.map_err(NotPut::Yet)?;
        let headers = headers(message, reason, words);
        let mut record = FutureRecord::<[u8], [u8]>::to(&topic).headers(headers);
        record.key = message.key();
        record.payload = message.payload();
        let Err((error, _)) = producer.send(record, QUEUE).await else {
            self.refusals().remove(&topic);
            return Ok(());
        };
        let why = format!("the topic {topic} did not take it: {error}");
        match error.rdkafka_error_code().map_or(Verdict::Wait, verdict) {
            Verdict::Wait => Err(NotPut::Yet(why)),
            Verdict::Unfit => Err(NotPut::Ever(why)),
            Verdict::Refused => {
                // librdkafka remembers for minutes what is not there, and it may be mended sooner.
                let ended = self.producer.lock().await.take();
                drop(tokio::task::spawn_blocking(move || drop((ended, producer))));
                Err(if self.refuse(topic, &why) { NotPut::Ever(why) } else { NotPut::Yet(why) })
            }
        }
    }

    fn refusals(&self) -> MutexGuard<'_, HashMap<String, Refusal>> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the topic need not be tried now.
    fn refused(&self, topic: &str) -> Option<String> {
        let refusals = self.refusals();
        let refusal = refusals.get(topic)?;
        let hopeless = refusal.last.duration_since(refusal.since) >= PATIENCE;
        (hopeless && refusal.last.elapsed() < PAUSE).then(|| refusal.why.clone())
    }

    /// Notes that the topic refused a letter. Answers whether that goes on for too long.
    fn refuse(&self, topic: String, why: &str) -> bool {
        let now = Instant::now();
        let mut refusals = self.refusals();
        let refusal = refusals.entry(topic).or_insert_with(|| Refusal { since: now, last: now, why: String::new() });
        refusal.last = now;
        why.clone_into(&mut refusal.why);
        now.duration_since(refusal.since) >= PATIENCE
    }

    async fn producer(&self) -> Result<FutureProducer<Quiet>, String> {
        let mut place = self.producer.lock().await;
        if let Some(producer) = &*place {
            return Ok(producer.clone());
        }
        let config = self.config.clone();
        let made = tokio::task::spawn_blocking(move || FutureProducer::from_config_and_context(&config, Quiet)).await;
        match made {
            Ok(Ok(producer)) => Ok(place.insert(producer).clone()),
            Ok(Err(error)) => Err(format!("no producer could be made: {error}")),
            Err(_) => Err("no producer could be made".to_owned()),
        }
    }
}

fn verdict(code: Code) -> Verdict {
    match code {
        Code::UnknownTopic
        | Code::UnknownTopicOrPartition
        | Code::UnknownPartition
        | Code::InvalidTopic
        | Code::TopicAuthorizationFailed
        | Code::ClusterAuthorizationFailed => Verdict::Refused,
        Code::MessageSizeTooLarge
        | Code::MessageBatchTooLarge
        | Code::InvalidMessageSize
        | Code::InvalidRecord
        | Code::PolicyViolation => Verdict::Unfit,
        _ => Verdict::Wait,
    }
}

/// Those of the message, and ours.
fn headers(message: &OwnedMessage, reason: DeadLetter, words: &str) -> OwnedHeaders {
    let mut headers = OwnedHeaders::new();
    for header in message.headers().into_iter().flat_map(|headers| headers.iter()) {
        headers = headers.insert(Header { key: header.key, value: header.value });
    }
    let reason = format!("{}: {words}", reason.name());
    let source = format!("{}/{}/{}", message.topic(), message.partition(), message.offset());
    let headers = headers.insert(Header { key: "scouter.reason", value: Some(&reason) });
    headers.insert(Header { key: "scouter.source", value: Some(&source) })
}

impl std::fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeadLetters")
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::Timestamp;

    use super::*;

    #[test]
    fn what_is_missing_is_waited_for_and_then_no_more() {
        let letters = DeadLetters::new(ClientConfig::new());
        assert_eq!(verdict(Code::MessageTimedOut), Verdict::Wait);
        assert_eq!(verdict(Code::MessageSizeTooLarge), Verdict::Unfit);
        for code in [Code::UnknownTopicOrPartition, Code::UnknownTopic, Code::TopicAuthorizationFailed] {
            assert_eq!(verdict(code), Verdict::Refused);
        }
        assert!(!letters.refuse("t".to_owned(), "not there"));
        assert_eq!(letters.refused("t"), None);
        letters.refusals().get_mut("t").unwrap().since -= PATIENCE;
        assert!(letters.refuse("t".to_owned(), "still not there"));
        assert_eq!(letters.refused("t").as_deref(), Some("still not there"));
        assert_eq!(letters.refused("another"), None);
        // It is tried again now and then.
        letters.refusals().get_mut("t").unwrap().last -= PAUSE;
        letters.refusals().get_mut("t").unwrap().since -= PAUSE;
        assert_eq!(letters.refused("t"), None);
    }

    #[test]
    fn a_letter_keeps_its_headers_and_says_why_and_from_where() {
        let own = OwnedHeaders::new().insert(Header { key: "a", value: Some("b") });
        let time = Timestamp::NotAvailable;
        let message = OwnedMessage::new(None, None, "spans".to_owned(), time, 2, 77, Some(own));
        let headers = headers(&message, DeadLetter::Malformed, "not OTLP");
        let text = |header: Header<'_, &[u8]>| {
            (header.key.to_owned(), String::from_utf8_lossy(header.value.unwrap_or_default()).into_owned())
        };
        let expected = [("a", "b"), ("scouter.reason", "malformed: not OTLP"), ("scouter.source", "spans/2/77")];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(headers.iter().map(text).collect::<Vec<_>>(), expected);
    }
}
