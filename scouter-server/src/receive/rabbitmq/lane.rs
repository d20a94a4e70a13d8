//! One queue, read for as long as the connection lives.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_core::Stream as _;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use scouter_transport::rabbitmq::{Session, failed};
use scouter_transport::{Error, ErrorKind};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::batch::Batch;
use super::dead_letter::{DeadLetters, Letter};
use super::keeper::{FIRST_WAIT, GaveUp, Keeper, LONGEST_WAIT};
use super::prefetch::Prefetch;
use crate::metrics::Broker;
use crate::receive::Stop;
use crate::store::Signal;

/// How long dead letters may take when the consumer is to end.
const FAREWELL: Duration = Duration::from_secs(2);

/// What reads one queue.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) signal: Signal,
    pub(super) queue: String,
    pub(super) keeper: Arc<Keeper>,
    pub(super) dead_letters: Arc<DeadLetters>,
}

/// Why a consumer ended.
#[derive(Debug)]
enum End {
    /// Messages have another size than was thought.
    Renew,
    /// The server is to end.
    Stop,
}

impl Lane {
    /// Reads until the server is to end.
    ///
    /// # Errors
    /// Why the connection is no good any more. What was not acknowledged, the broker delivers again.
    pub(super) async fn read(&self, session: &Session, mut stop: Stop) -> Result<(), Error> {
        session.declare(&self.queue).await?;
        let mut prefetch = Prefetch::new();
        while let End::Renew = self.consume(session, &mut prefetch, &mut stop).await? {
            prefetch.renew();
        }
        Ok(())
    }

    async fn consume(&self, session: &Session, prefetch: &mut Prefetch, stop: &mut Stop) -> Result<End, Error> {
        let lost = |error: lapin::Error| failed(&error);
        let channel = session.channel().await?;
        channel.basic_qos(prefetch.count, BasicQosOptions::default()).await.map_err(lost)?;
        let options = BasicConsumeOptions::default();
        let consuming = channel.basic_consume(self.queue.as_str().into(), "".into(), options, FieldTable::default());
        let mut consumer = consuming.await.map_err(lost)?;
        // Ends with this consumer: what is not put aside by then is delivered again.
        let mut letters = JoinSet::new();
        let end = loop {
            let first = tokio::select! {
                biased;
                () = stop.requested() => break End::Stop,
                Some(done) = letters.join_next(), if !letters.is_empty() => {
                    if let Ok(tag) = done {
                        ack(&channel, tag, false).await?;
                    }
                    continue;
                }
                first = next(&mut consumer) => first?,
            };
            let mut batch = Batch::default();
            batch.add(first);
            while !batch.is_full()
                && let Some(delivery) = ready(&mut consumer)?
            {
                batch.add(delivery);
            }
            if self.settle(&channel, batch, prefetch, &mut letters, stop).await?.is_err() {
                break End::Stop;
            }
            // A letter that waits is acknowledged here or nowhere, so it is waited for; messages go on meanwhile.
            if prefetch.is_off() && letters.is_empty() {
                break End::Renew;
            }
        };
        // What was delivered and not looked at goes back when the channel closes.
        let cancelled = channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await;
        cancelled.map_err(lost)?;
        if let End::Renew = end {
            // Another consumer must not get these a second time.
            while let Some(delivery) = ready(&mut consumer)? {
                let mut batch = Batch::default();
                batch.add(delivery);
                while !batch.is_full()
                    && let Some(delivery) = ready(&mut consumer)?
                {
                    batch.add(delivery);
                }
                if self.settle(&channel, batch, prefetch, &mut letters, stop).await?.is_err() {
                    break;
                }
            }
        }
        let rest = async {
            while let Some(done) = letters.join_next().await {
                if let Ok(tag) = done {
                    ack(&channel, tag, false).await?;
                }
            }
            Ok(())
        };
        // What cannot be put aside now is delivered again.
        timeout(FAREWELL, rest).await.unwrap_or(Ok(()))?;
        channel.close(200, "done".into()).await.map_err(lost)?;
        Ok(end)
    }

    /// Keeps a batch and acknowledges what is durable.
    async fn settle(
        &self,
        channel: &Channel,
        batch: Batch,
        prefetch: &mut Prefetch,
        letters: &mut JoinSet<u64>,
        stop: &mut Stop,
    ) -> Result<Result<(), GaveUp>, Error> {
        let metrics = &self.keeper.ingest.metrics;
        metrics.fetched(Broker::RabbitMq, batch.deliveries.len() as u64, batch.bytes as u64);
        metrics.redelivered(Broker::RabbitMq, batch.redelivered());
        batch.deliveries.iter().for_each(|delivery| prefetch.saw(delivery.data.len()));
        let last = batch.deliveries.last().map_or(0, |delivery| delivery.delivery_tag);
        let settled = match self.keeper.keep(self.signal, batch, stop).await {
            Ok(settled) => settled,
            Err(gave_up) => return Ok(Err(gave_up)),
        };
        // Tags count up. Where nothing before is open, one word does for all.
        if letters.is_empty() && settled.letters.is_empty() {
            ack(channel, last, true).await?;
        } else {
            for tag in settled.stored {
                ack(channel, tag, false).await?;
            }
        }
        for letter in settled.letters {
            letters.spawn(put_aside(
                Arc::clone(&self.dead_letters),
                Arc::clone(&self.keeper),
                self.queue.clone(),
                letter,
            ));
        }
        Ok(Ok(()))
    }
}

/// Puts a message aside until it is, while others go on; then it is acknowledged, and not before.
async fn put_aside(dead_letters: Arc<DeadLetters>, keeper: Arc<Keeper>, queue: String, letter: Letter) -> u64 {
    let mut wait = FIRST_WAIT;
    while let Err(error) = dead_letters.put(&letter).await {
        if keeper.news.is_new("dead letter") {
            tracing::error!("a dead letter of {queue} waits to be put aside: {error}; trying on");
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
    keeper.ingest.metrics.dead_lettered(Broker::RabbitMq, letter.reason);
    if keeper.news.is_new(letter.reason.name()) {
        tracing::warn!(queue, "a message was put aside as a dead letter: {}", letter.words);
    }
    letter.tag
}

async fn ack(channel: &Channel, tag: u64, multiple: bool) -> Result<(), Error> {
    channel.basic_ack(tag, BasicAckOptions { multiple }).await.map_err(|error| failed(&error))
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
