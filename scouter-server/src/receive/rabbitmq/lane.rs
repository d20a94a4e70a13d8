//! One queue, read for as long as the connection lives.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_core::Stream as _;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, BasicRejectOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use scouter_transport::rabbitmq::{Session, failed};
use scouter_transport::{Error, ErrorKind};
use tokio::time::timeout;

use super::batch::Arrived;
use super::dead_letter::DeadLetters;
use super::keeper::{FIRST_WAIT, GaveUp, Keeper, Settled, rest};
use super::letters::Letters;
use super::prefetch::Prefetch;
use crate::metrics::Broker;
use crate::receive::Stop;
use crate::store::Signal;

/// How long the end may take in which dead letters are put aside and the channel is closed.
const FAREWELL: Duration = Duration::from_secs(2);

/// What reads one queue.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) signal: Signal,
    pub(super) queue: String,
    /// The broker, as it may be shown.
    pub(super) broker: String,
    /// How long the broker may take for an answer.
    pub(super) limit: Duration,
    pub(super) keeper: Arc<Keeper>,
    pub(super) dead_letters: Arc<DeadLetters>,
}

/// Why a consumer ended.
#[derive(Debug)]
enum End {
    /// The broker is to be told another number of messages.
    Renew,
    /// The server is to end.
    Stop,
}

/// A channel and what came over it.
#[derive(Debug)]
struct Desk {
    channel: Channel,
    arrived: Arrived,
    letters: Letters,
    /// The tag of the message that came last. They count up from 1.
    last: u64,
}

impl Lane {
    /// Reads until the server is to end. A queue that cannot be read now is tried again.
    ///
    /// # Errors
    /// Why the connection is no good any more: it is cut. What was not acknowledged, the broker delivers again.
    pub(super) async fn read(&self, session: &Session, prefetch: &mut Prefetch, stop: Stop) -> Result<(), Error> {
        let read = self.try_on(session, prefetch, stop).await;
        if read.is_err() {
            // Whoever reads the other queue on it is not to go on alone.
            session.cut();
        }
        read
    }

    async fn try_on(&self, session: &Session, prefetch: &mut Prefetch, mut stop: Stop) -> Result<(), Error> {
        let mut wait = FIRST_WAIT;
        loop {
            let Err(error) = self.attend(session, prefetch, &mut stop, &mut wait).await else { return Ok(()) };
            if session.is_ended() || session.is_spent() {
                return Err(error);
            }
            let trouble = match self.signal {
                Signal::Traces => "queue of traces",
                Signal::Logs => "queue of records",
            };
            if self.keeper.news.is_new(trouble) {
                let (queue, broker) = (&self.queue, &self.broker);
                tracing::error!("the queue {queue} of RabbitMQ at {broker} is not read: {error}; trying on");
            }
            tokio::select! {
                rested = rest(&mut wait, &mut stop) => if rested.is_err() {
                    return Ok(());
                },
                () = session.ended() => return Err(error),
            }
        }
    }

    /// Reads on a channel until the server is to end.
    async fn attend(
        &self,
        session: &Session,
        prefetch: &mut Prefetch,
        stop: &mut Stop,
        wait: &mut Duration,
    ) -> Result<(), Error> {
        let opening = async {
            session.declare_for_reading(&self.queue).await?;
            session.channel().await
        };
        let letters = Letters::new(self.queue.clone(), Arc::clone(&self.dead_letters), Arc::clone(&self.keeper));
        let channel = tokio::select! {
            opened = self.in_time(session, opening) => opened?,
            () = stop.requested() => return Ok(()),
        };
        let mut desk = Desk { channel, arrived: Arrived::default(), letters, last: 0 };
        while let End::Renew = self.consume(session, &mut desk, prefetch, stop, wait).await? {
            prefetch.renew();
        }
        let farewell = async {
            while !desk.letters.is_empty() {
                let tag = desk.letters.next().await;
                desk.ack(tag, false).await?;
            }
            Ok(())
        };
        // What cannot be put aside now is delivered again, and what was not looked at goes back when the channel closes.
        timeout(FAREWELL, farewell).await.unwrap_or(Ok(()))?;
        timeout(FAREWELL, desk.channel.close(200, "done".into()))
            .await
            .unwrap_or(Ok(()))
            .map_err(|error| failed(&error))
    }

    /// Reads with one consumer. Messages arrive while others are stored, so that what they hold is known and bounded.
    async fn consume(
        &self,
        session: &Session,
        desk: &mut Desk,
        prefetch: &mut Prefetch,
        stop: &mut Stop,
        wait: &mut Duration,
    ) -> Result<End, Error> {
        let mut consumer = self.in_time(session, self.begin(&desk.channel, prefetch.count)).await?;
        let first = desk.last + 1;
        let mut keeping = std::pin::pin!(None);
        let (mut messages, mut bytes) = (0, 0);
        let end = loop {
            if keeping.is_none() {
                (messages, bytes) = (0, 0);
                // Letters that wait hold places of this consumer; another has all of its own.
                if prefetch.is_off() || desk.letters.since(first) > usize::from(prefetch.count) / 2 {
                    break End::Renew;
                }
                if stop.is_requested() {
                    break End::Stop;
                }
                if let Some(batch) = desk.arrived.take() {
                    (messages, bytes) = (batch.deliveries.len(), batch.bytes);
                    keeping.set(Some(Arc::clone(&self.keeper).keep(self.signal, batch, stop.clone())));
                }
            }
            tokio::select! {
                biased;
                settled = async {
                    match keeping.as_mut().as_pin_mut() {
                        Some(keeping) => keeping.await,
                        None => std::future::pending().await,
                    }
                } => {
                    keeping.set(None);
                    match settled {
                        Ok(settled) => desk.settle(settled).await?,
                        Err(GaveUp) => break End::Stop,
                    }
                }
                () = stop.requested(), if keeping.is_none() => break End::Stop,
                tag = desk.letters.next() => desk.ack(tag, false).await?,
                delivery = next(&mut consumer) => {
                    self.take(desk, delivery?, prefetch);
                    while let Some(delivery) = ready(&mut consumer)? {
                        self.take(desk, delivery, prefetch);
                    }
                    *wait = FIRST_WAIT;
                    if Prefetch::is_too_much(desk.arrived.len() + messages, desk.arrived.bytes + bytes) {
                        prefetch.renew();
                        session.cut();
                        let reason = "messages are larger than those before: they are asked for again, fewer at once";
                        return Err(Error::new(ErrorKind::Unavailable, reason));
                    }
                }
            }
        };
        let cancelling = async {
            let cancelled = desk.channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await;
            cancelled.map_err(|error| failed(&error))
        };
        self.in_time(session, cancelling).await?;
        // These came before the broker heard of it. They are next, or go back when the channel closes.
        while let Some(delivery) = ready(&mut consumer)? {
            self.take(desk, delivery, prefetch);
        }
        Ok(end)
    }

    async fn begin(&self, channel: &Channel, count: u16) -> Result<Consumer, Error> {
        let lost = |error: lapin::Error| failed(&error);
        channel.basic_qos(count, BasicQosOptions::default()).await.map_err(lost)?;
        let options = BasicConsumeOptions::default();
        let consuming = channel.basic_consume(self.queue.as_str().into(), "".into(), options, FieldTable::default());
        consuming.await.map_err(lost)
    }

    fn take(&self, desk: &mut Desk, delivery: Delivery, prefetch: &mut Prefetch) {
        let metrics = &self.keeper.ingest.metrics;
        metrics.fetched(Broker::RabbitMq, 1, delivery.data.len() as u64);
        metrics.redelivered(Broker::RabbitMq, delivery.redelivered.into());
        prefetch.saw(delivery.data.len());
        desk.last = delivery.delivery_tag;
        desk.arrived.add(delivery);
    }

    /// Asks the broker for something. One that does not answer in time is left.
    async fn in_time<T>(&self, session: &Session, asked: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        match timeout(self.limit, asked).await {
            Ok(answer) => answer,
            Err(_) => {
                session.cut();
                Err(Error::new(ErrorKind::Timeout, format!("the broker did not answer within {:?}", self.limit)))
            }
        }
    }
}

impl Desk {
    /// Acknowledges what is durable, and begins to put the rest aside.
    async fn settle(&mut self, settled: Settled) -> Result<(), Error> {
        // Tags count up. Where nothing before is open, one word does for all.
        if self.letters.is_empty() && settled.letters.is_empty() {
            return self.ack(settled.last, true).await;
        }
        for tag in settled.stored {
            self.ack(tag, false).await?;
        }
        for letter in settled.letters {
            if let Some(tag) = self.letters.begin(letter) {
                // If the operator has set a dead-letter exchange for the queue, the broker puts it there.
                let rejected = self.channel.basic_reject(tag, BasicRejectOptions { requeue: false }).await;
                rejected.map_err(|error| failed(&error))?;
            }
        }
        Ok(())
    }

    async fn ack(&self, tag: u64, multiple: bool) -> Result<(), Error> {
        self.channel.basic_ack(tag, BasicAckOptions { multiple }).await.map_err(|error| failed(&error))
    }
}

/// The next message, in the order of the queue.
async fn next(consumer: &mut Consumer) -> Result<Delivery, Error> {
    match std::future::poll_fn(|context| Pin::new(&mut *consumer).poll_next(context)).await {
        Some(Ok(delivery)) => Ok(delivery),
        Some(Err(error)) => Err(failed(&error)),
        None => Err(ended()),
    }
}

/// The next message if it is here already.
fn ready(consumer: &mut Consumer) -> Result<Option<Delivery>, Error> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match Pin::new(consumer).poll_next(&mut context) {
        Poll::Ready(Some(Ok(delivery))) => Ok(Some(delivery)),
        Poll::Ready(Some(Err(error))) => Err(failed(&error)),
        Poll::Ready(None) | Poll::Pending => Ok(None),
    }
}

fn ended() -> Error {
    Error::new(ErrorKind::Unavailable, "the broker ended the consumer: the queue was deleted, or its node went away")
}
