//! The channels of a connection: each carries one message at a time, so that an answer belongs to that message.

use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, PoisonError};

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation};
use tokio::sync::{Mutex as AsyncMutex, Semaphore};

use super::reply::{Reply, failed};
use super::session::Session;
use crate::error::{Error, ErrorKind};
use crate::payload::Signal;

/// So many messages are on their way at once; more wait.
const LANES: usize = 64;

/// A connection with its channels, opened when first needed, and what is known of its queues.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) session: Session,
    /// Whether the queue of a signal is there. Held while that is being seen to, so that it is once.
    declared: [AsyncMutex<bool>; 2],
    /// Channels on which nothing is on its way.
    idle: Mutex<Vec<Channel>>,
    places: Semaphore,
    /// The largest message that the broker takes, once it has said so.
    pub(super) largest: AtomicUsize,
}

/// A message to publish.
#[derive(Debug)]
pub(super) struct Publication<'a> {
    pub(super) exchange: &'a str,
    pub(super) routing_key: &'a str,
    pub(super) properties: BasicProperties,
    pub(super) body: &'a [u8],
}

impl Link {
    pub(super) fn new(session: Session) -> Self {
        // Two more are for declaring the queues of both signals.
        let places = Semaphore::new(LANES.min(session.most_channels().saturating_sub(2)).max(1));
        Self {
            session,
            declared: Default::default(),
            idle: Mutex::default(),
            places,
            largest: AtomicUsize::new(usize::MAX),
        }
    }

    /// Sees to it that the queue of a signal is there.
    pub(super) async fn declare(&self, signal: Signal, queue: &str) -> Result<(), Error> {
        let mut is_declared = self.declared[signal.index()].lock().await;
        if !*is_declared {
            self.session.declare(queue).await?;
            *is_declared = true;
        }
        Ok(())
    }

    /// The queue of a signal has gone away: the next send declares it anew.
    pub(super) async fn undeclare(&self, signal: Signal) {
        *self.declared[signal.index()].lock().await = false;
    }

    /// Publishes a persistent message and waits until the broker has it for good.
    ///
    /// A caller that gives up takes the channel along, so that no late answer meets the next message.
    pub(super) async fn publish(&self, publication: Publication<'_>) -> Result<(), Error> {
        let lost = |error: lapin::Error| failed(&error);
        let _place = self.places.acquire().await.map_err(|_| Error::closed())?;
        // Nothing is handed to the library that it cannot send: it would keep that even for a caller who has gone.
        self.session.unblocked().await;
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let channel = match kept {
            Some(channel) => channel,
            None => {
                let channel = self.session.channel().await?;
                channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(lost)?;
                channel
            }
        };
        let Publication { exchange, routing_key, properties, body } = publication;
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let published = channel.basic_publish(exchange.into(), routing_key.into(), options, body, properties);
        let outcome = match published.await.map_err(lost)?.await.map_err(lost)? {
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)) => {
                let text = returned.reply_text.as_str().to_owned();
                Err(Reply { code: returned.reply_code, text }.error(""))
            }
            Confirmation::Nack(None) => {
                Err(Error::new(ErrorKind::Unavailable, "the broker could not keep the message (basic.nack)"))
            }
            Confirmation::NotRequested => {
                Err(Error::new(ErrorKind::BadResponse, "the broker does not confirm messages"))
            }
        };
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(channel);
        outcome
    }
}
