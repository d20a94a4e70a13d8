//! A channel: where questions are asked, messages published and consumed.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::connection::Commands;
use super::driver::{ChannelId, Command, Publish};
use super::line::{Delivery, Outcome};
use super::method::{self, Answer};
use super::properties::Properties;
use super::wire::Output;
use super::writer;
use crate::error::{Error, ErrorKind};

/// A message to publish. It is persistent and mandatory: what no queue takes is an error.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The exchange; the empty one routes to the queue that the key names.
    pub exchange: Arc<str>,
    /// The routing key.
    pub routing_key: Arc<str>,
    /// What is said about it. Without a message id it gets one.
    pub properties: Properties,
    /// Its bytes.
    pub body: Bytes,
}

/// What a broker knows of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// How many messages are ready for delivery.
    pub messages: u32,
    /// How many consumers it has.
    pub consumers: u32,
}

/// One channel of a connection. Dropping it closes the channel.
#[derive(Debug)]
pub struct Channel {
    pub(super) id: ChannelId,
    pub(super) commands: Commands,
}

/// What will tell whether a message was taken.
#[derive(Debug)]
#[must_use]
pub struct Confirm {
    outcome: oneshot::Receiver<Result<(), Error>>,
    commands: Commands,
}

/// The messages that a consumer gets.
#[derive(Debug)]
pub struct Deliveries {
    messages: mpsc::UnboundedReceiver<Result<Delivery, Error>>,
    commands: Commands,
}

/// Tells the broker what became of deliveries.
#[derive(Clone, Debug)]
pub struct Acknowledger {
    channel: ChannelId,
    commands: Commands,
}

impl Channel {
    /// Has the broker confirm every message from now on.
    ///
    /// # Errors
    ///
    /// Why the channel or the connection ended.
    pub async fn confirm(&self) -> Result<(), Error> {
        let answer = self.ask(method::CONFIRM_SELECT, |output| output.u8(0)).await?;
        expect(answer, Answer::Confirming)
    }

    /// Makes a durable queue, unless it is there. It is an error if it is there and not durable, or has arguments.
    ///
    /// # Errors
    ///
    /// Why the broker will not. Then the channel is closed.
    pub async fn declare(&self, queue: &str) -> Result<Queue, Error> {
        self.declare_queue(queue, 0b10).await
    }

    /// Looks at a queue.
    ///
    /// # Errors
    ///
    /// That there is none. Then the channel is closed.
    pub async fn look(&self, queue: &str) -> Result<Queue, Error> {
        self.declare_queue(queue, 0b1).await
    }

    async fn declare_queue(&self, queue: &str, flags: u8) -> Result<Queue, Error> {
        let answer = self.ask(method::QUEUE_DECLARE, |output| {
            output.u16(0);
            output.short(queue);
            output.u8(flags);
            output.u32(0);
        });
        match answer.await? {
            Answer::Declared { messages, consumers } => Ok(Queue { messages, consumers }),
            _ => Err(unexpected()),
        }
    }

    /// Publishes a message. It is under way when this returns; [`Confirm::outcome`] waits for the broker. Messages of
    /// one channel arrive in the order of their calls.
    pub fn publish(&self, publication: Publication) -> Confirm {
        let (done, outcome) = oneshot::channel();
        // If the connection has ended, `done` is dropped here, which the confirm finds out.
        let _ = self.commands.send(Command::Publish(Publish { channel: self.id, publication, done }));
        Confirm { outcome, commands: self.commands.clone() }
    }

    /// Consumes a queue, with at most so many messages that are not acknowledged.
    ///
    /// # Errors
    ///
    /// Why the broker will not. Then the channel is closed.
    pub async fn consume(&self, queue: &str, unacknowledged: u16) -> Result<Deliveries, Error> {
        let limited = self.ask(method::QOS, |output| {
            output.u32(0);
            output.u16(unacknowledged);
            output.u8(0);
        });
        expect(limited.await?, Answer::Limited)?;
        let (consumer, messages) = mpsc::unbounded_channel();
        let asked = writer::method(self.id, method::CONSUME, |output| {
            output.u16(0);
            output.short(queue);
            output.short(TAG);
            output.u8(0);
            output.u32(0);
        });
        expect(self.put(asked, Some(consumer)).await?, Answer::Consuming)?;
        Ok(Deliveries { messages, commands: self.commands.clone() })
    }

    /// Ends the consumer. What it has got already may still be acknowledged.
    ///
    /// # Errors
    ///
    /// Why the channel or the connection ended.
    pub async fn cancel(&self) -> Result<(), Error> {
        let answer = self.ask(method::CANCEL, |output| {
            output.short(TAG);
            output.u8(0);
        });
        expect(answer.await?, Answer::Cancelled)
    }

    /// What acknowledges deliveries of this channel.
    pub fn acknowledger(&self) -> Acknowledger {
        Acknowledger { channel: self.id, commands: self.commands.clone() }
    }

    async fn ask(&self, id: (u16, u16), arguments: impl FnOnce(&mut Output)) -> Outcome {
        self.put(writer::method(self.id, id, arguments), None).await
    }

    async fn put(&self, method: Output, consumer: Option<mpsc::UnboundedSender<Result<Delivery, Error>>>) -> Outcome {
        let (answer, outcome) = oneshot::channel();
        let asked = Command::Ask { channel: self.id, method, answer, consumer };
        self.commands.send(asked)?;
        outcome.await.unwrap_or_else(|_| Err(self.commands.reason()))
    }
}

/// The one consumer of a channel.
const TAG: &str = "scouter";

impl Drop for Channel {
    fn drop(&mut self) {
        // Without a connection there is nothing to close.
        let _ = self.commands.send(Command::Leave { channel: self.id });
    }
}

impl Confirm {
    /// Waits until the broker has taken the message for good.
    ///
    /// # Errors
    ///
    /// Why it has not, or may not have.
    pub async fn outcome(self) -> Result<(), Error> {
        self.outcome.await.unwrap_or_else(|_| Err(self.commands.reason()))
    }
}

impl Deliveries {
    /// The next message, in the order of the queue.
    ///
    /// # Errors
    ///
    /// Why there will be none any more.
    pub async fn next(&mut self) -> Result<Delivery, Error> {
        match self.messages.recv().await {
            Some(message) => message,
            None => Err(self.commands.reason()),
        }
    }

    /// The next message if it is here already.
    pub fn ready(&mut self) -> Option<Result<Delivery, Error>> {
        self.messages.try_recv().ok()
    }
}

impl Acknowledger {
    /// This delivery is done with; with `multiple`, all up to it are.
    ///
    /// # Errors
    ///
    /// Why the connection ended: the broker will deliver it again.
    pub fn ack(&self, tag: u64, multiple: bool) -> Result<(), Error> {
        self.tell(method::ACK, tag, multiple.into())
    }

    /// This delivery goes back to the queue; with `multiple`, all up to it do.
    ///
    /// # Errors
    ///
    /// Why the connection ended: the broker will deliver it again.
    pub fn requeue(&self, tag: u64, multiple: bool) -> Result<(), Error> {
        self.tell(method::NACK, tag, u8::from(multiple) | 0b10)
    }

    fn tell(&self, id: (u16, u16), tag: u64, flags: u8) -> Result<(), Error> {
        let method = writer::method(self.channel, id, |output| {
            output.u64(tag);
            output.u8(flags);
        });
        self.commands.send(Command::Tell { channel: self.channel, method })
    }
}

pub(super) fn expect(answer: Answer, expected: Answer) -> Result<(), Error> {
    if answer == expected { Ok(()) } else { Err(unexpected()) }
}

fn unexpected() -> Error {
    Error::new(ErrorKind::BadResponse, "the broker answered another question than was asked")
}
