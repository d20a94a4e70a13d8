//! Messages that will never be stored, put aside with the reason.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::Message as _;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers as _, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::sync::OnceCell;

use super::consumer::log;
use crate::metrics::DeadLetter;

/// What the name of a topic gets for its dead letters.
const SUFFIX: &str = ".dead-letter";

/// How long librdkafka may take to take a letter in.
const QUEUE: Duration = Duration::from_secs(1);

/// The way to the dead letters. Connects with the first.
pub(super) struct DeadLetters {
    config: ClientConfig,
    producer: OnceCell<FutureProducer<Quiet>>,
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
        Self { config, producer: OnceCell::new() }
    }

    /// Puts a message aside: unchanged, with two headers more. Returns when all replicas have it.
    ///
    /// # Errors
    /// Why it could not be put aside. Doing it again is right.
    pub(super) async fn put(&self, message: &OwnedMessage, reason: DeadLetter, words: &str) -> Result<(), String> {
        let producer = self.producer.get_or_try_init(|| self.connect()).await?;
        let topic = format!("{}{SUFFIX}", message.topic());
        let headers = headers(message, reason, words);
        let mut record = FutureRecord::<[u8], [u8]>::to(&topic).headers(headers);
        record.key = message.key();
        record.payload = message.payload();
        match producer.send(record, QUEUE).await {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(format!("the topic {topic} did not take it: {error}")),
        }
    }

    async fn connect(&self) -> Result<FutureProducer<Quiet>, String> {
        let config = self.config.clone();
        let made = tokio::task::spawn_blocking(move || FutureProducer::from_config_and_context(&config, Quiet)).await;
        match made {
            Ok(Ok(producer)) => Ok(producer),
            Ok(Err(error)) => Err(format!("no producer could be made: {error}")),
            Err(_) => Err("no producer could be made".to_owned()),
        }
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
