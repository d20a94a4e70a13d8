//! Messages that will never be stored, put aside with the reason.

use bytes::Bytes;
use lapin::message::Delivery;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};
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

/// The longest words of a reason, in bytes. Headers have to fit into one frame.
const LONGEST_WORDS: usize = 1000;

/// A message that is put aside.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) tag: u64,
    pub(super) reason: DeadLetter,
    pub(super) words: String,
    pub(super) body: Bytes,
    properties: BasicProperties,
}

impl Letter {
    /// The message with this body.
    pub(super) fn new(delivery: Delivery, body: Bytes, reason: DeadLetter, mut words: String) -> Self {
        let Delivery { delivery_tag, properties, .. } = delivery;
        words.truncate(words.floor_char_boundary(LONGEST_WORDS));
        Self { tag: delivery_tag, reason, words, body, properties }
    }

    /// Those of the message, and our headers. What the broker would obey is left out: a time to live would end the letter, the
    /// user is one that only its sender may name, and carbon copies would go to other queues, this one among them.
    fn properties(&self, source: &str) -> BasicProperties {
        let given = &self.properties;
        let mut headers = given.headers().clone().unwrap_or_default();
        let reason = format!("{}: {}", self.reason.name(), self.words);
        headers.insert("scouter.reason".into(), AMQPValue::LongString(reason.into()));
        headers.insert("scouter.source".into(), AMQPValue::LongString(source.into()));
        let mut kept = FieldTable::default();
        for (name, value) in headers.inner() {
            if !matches!(name.as_str(), "CC" | "BCC") {
                kept.insert(name.clone(), value.clone());
            }
        }
        let mut properties = BasicProperties::default().with_headers(kept).with_delivery_mode(PERSISTENT);
        macro_rules! keep {
            ($($property:ident $with:ident),*) => {$(
                if let Some(value) = given.$property() {
                    properties = properties.$with(value.clone());
                }
            )*};
        }
        keep!(
            content_type with_content_type,
            content_encoding with_content_encoding,
            priority with_priority,
            correlation_id with_correlation_id,
            reply_to with_reply_to,
            message_id with_message_id,
            timestamp with_timestamp,
            kind with_type,
            app_id with_app_id
        );
        properties
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_keeps_what_it_had_and_says_why_and_from_where() {
        let mut delivery = Delivery::mock(7, "".into(), "spans".into(), false, Vec::new());
        let mut own = FieldTable::default();
        own.insert("a".into(), AMQPValue::ShortUInt(3));
        for copies in ["CC", "BCC"] {
            own.insert(copies.into(), AMQPValue::LongString("spans".into()));
        }
        let plain = || {
            BasicProperties::default()
                .with_content_type("text/plain".into())
                .with_content_encoding("gzip".into())
                .with_priority(4)
                .with_correlation_id("c".into())
                .with_reply_to("r".into())
                .with_message_id("m".into())
                .with_timestamp(9)
                .with_type("t".into())
                .with_app_id("app".into())
        };
        delivery.properties = plain()
            .with_headers(own)
            .with_delivery_mode(1)
            .with_expiration("1000".into())
            .with_user_id("somebody".into())
            .with_cluster_id("c".into());
        let letter = Letter::new(delivery, Bytes::from_static(b"body"), DeadLetter::Malformed, "not OTLP".to_owned());
        let properties = letter.properties("spans");
        let headers = properties.headers().clone().unwrap();
        assert_eq!(properties, plain().with_headers(headers).with_delivery_mode(PERSISTENT));
        let headers = properties.headers().as_ref().unwrap().inner();
        let text = |name: &str| match headers.get(name) {
            Some(AMQPValue::LongString(text)) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
            other => format!("{other:?}"),
        };
        assert_eq!(text("scouter.reason"), "malformed: not OTLP");
        assert_eq!(text("scouter.source"), "spans");
        assert_eq!(headers.get("a"), Some(&AMQPValue::ShortUInt(3)));
        assert_eq!(headers.len(), 3, "{headers:?}");
        assert_eq!((letter.tag, &letter.body[..]), (7, &b"body"[..]));
        let delivery = Delivery::mock(7, "".into(), "spans".into(), false, Vec::new());
        let endless = Letter::new(delivery, Bytes::new(), DeadLetter::Malformed, "ä".repeat(9999));
        assert_eq!(endless.words.len(), LONGEST_WORDS);
    }
}
