//! Messages that will never be stored, put aside with the reason.

use lapin::message::Delivery;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::AMQPValue;
use lapin::{BasicProperties, Channel, Confirmation};
use scouter_transport::rabbitmq::{RabbitMqConfig, Session};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::metrics::DeadLetter;

/// What the name of a queue gets for its dead letters.
const SUFFIX: &str = ".dead-letter";

/// The delivery mode of a message that is kept on disk.
const PERSISTENT: u8 = 2;

/// The way to the dead letters of one queue. Connects with the first, by itself: a broker that is short of memory stops
/// reading from connections that publish, and acknowledgements must go on.
#[derive(Debug)]
pub(super) struct DeadLetters {
    config: RabbitMqConfig,
    source: String,
    target: String,
    /// Held while a letter is on its way, so that an answer belongs to it.
    way: Mutex<Option<Way>>,
}

#[derive(Debug)]
struct Way {
    channel: Channel,
    session: Session,
}

impl DeadLetters {
    pub(super) fn new(config: RabbitMqConfig, queue: &str) -> Self {
        Self { config, source: queue.to_owned(), target: format!("{queue}{SUFFIX}"), way: Mutex::default() }
    }

    /// Puts a message aside: unchanged, with two headers more. Returns when the broker has it for good.
    ///
    /// # Errors
    /// Why it could not be put aside. Doing it again is right.
    pub(super) async fn put(&self, letter: &Letter) -> Result<(), String> {
        let limit = self.config.effective_timeout();
        match timeout(limit, self.publish(letter)).await {
            Ok(outcome) => outcome.map_err(|error| format!("the queue {} did not take it: {error}", self.target)),
            Err(_) => Err(format!("the queue {} did not take it within {limit:?}", self.target)),
        }
    }

    async fn publish(&self, letter: &Letter) -> Result<(), String> {
        let mut way = self.way.lock().await;
        // Taken out: whoever gives up in the middle takes the channel along.
        let open = way.take().filter(|way| !way.session.is_ended());
        let open = match open {
            Some(open) => open,
            None => self.open().await.map_err(|error| error.to_string())?,
        };
        open.session.unblocked().await;
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let properties = letter.properties(&self.source);
        let published =
            open.channel.basic_publish("".into(), self.target.as_str().into(), options, &letter.body, properties);
        let confirm = published.await.map_err(|error| error.to_string())?;
        match confirm.await.map_err(|error| error.to_string())? {
            Confirmation::Ack(None) => {
                *way = Some(open);
                Ok(())
            }
            // The queue is gone: it is made again on the next way.
            Confirmation::Ack(Some(_)) => Err("it is not there any more".to_owned()),
            _ => Err("the broker could not keep it".to_owned()),
        }
    }

    async fn open(&self) -> Result<Way, scouter_transport::Error> {
        let session = Session::open(&self.config, "scouter-server dead letters").await?;
        session.declare(&self.target).await?;
        let channel = session.channel().await?;
        let confirming = channel.confirm_select(ConfirmSelectOptions::default()).await;
        confirming.map_err(|error| scouter_transport::rabbitmq::failed(&error))?;
        Ok(Way { channel, session })
    }

    /// Closes the connection, if there is one.
    pub(super) async fn close(&self) {
        if let Some(way) = self.way.lock().await.take() {
            way.session.close().await;
        }
    }
}

/// A message that is put aside.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) tag: u64,
    pub(super) reason: DeadLetter,
    pub(super) words: String,
    body: Vec<u8>,
    properties: BasicProperties,
}

impl Letter {
    pub(super) fn new(delivery: Delivery, reason: DeadLetter, words: String) -> Self {
        let Delivery { delivery_tag, data, properties, .. } = delivery;
        Self { tag: delivery_tag, reason, words, body: data, properties }
    }

    /// Those of the message, and our headers.
    fn properties(&self, source: &str) -> BasicProperties {
        let mut headers = self.properties.headers().clone().unwrap_or_default();
        let reason = format!("{}: {}", self.reason.name(), self.words);
        headers.insert("scouter.reason".into(), AMQPValue::LongString(reason.into()));
        headers.insert("scouter.source".into(), AMQPValue::LongString(source.into()));
        self.properties.clone().with_headers(headers).with_delivery_mode(PERSISTENT)
    }
}

#[cfg(test)]
mod tests {
    use lapin::types::FieldTable;

    use super::*;

    #[test]
    fn a_letter_keeps_what_it_had_and_says_why_and_from_where() {
        let mut delivery = Delivery::mock(7, "".into(), "spans".into(), false, b"body".to_vec());
        let mut own = FieldTable::default();
        own.insert("a".into(), AMQPValue::ShortUInt(3));
        delivery.properties = BasicProperties::default().with_content_type("text/plain".into()).with_headers(own);
        let letter = Letter::new(delivery, DeadLetter::Malformed, "not OTLP".to_owned());
        let properties = letter.properties("spans");
        assert_eq!(properties.content_type().as_ref().unwrap().as_str(), "text/plain");
        assert_eq!(*properties.delivery_mode(), Some(2));
        let headers = properties.headers().as_ref().unwrap().inner();
        let text = |name: &str| match headers.get(name) {
            Some(AMQPValue::LongString(text)) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
            other => format!("{other:?}"),
        };
        assert_eq!(text("scouter.reason"), "malformed: not OTLP");
        assert_eq!(text("scouter.source"), "spans");
        assert_eq!(headers.get("a"), Some(&AMQPValue::ShortUInt(3)));
        assert_eq!((letter.tag, &letter.body[..]), (7, &b"body"[..]));
    }
}
