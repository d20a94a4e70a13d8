//! A channel for one signal: its queue is there, and its messages are confirmed.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Mutex as AsyncMutex;

use crate::amqp::{Channel, Connection, Reply};
use crate::error::{Error, ErrorKind};
use crate::payload::Signal;

/// A connection with a lane for each signal, opened when first needed.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) connection: Connection,
    lanes: [Lane; 2],
}

#[derive(Debug, Default)]
struct Lane {
    /// Held while the lane is being opened, so that it is opened once.
    opening: AsyncMutex<()>,
    channel: Mutex<Option<Arc<Channel>>>,
}

impl Lane {
    fn get(&self) -> Option<Arc<Channel>> {
        self.channel.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, channel: Option<Arc<Channel>>) {
        *self.channel.lock().unwrap_or_else(PoisonError::into_inner) = channel;
    }
}

impl Link {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, lanes: Default::default() }
    }

    /// The lane of a signal. `queue` is declared first, if one is given.
    pub(super) async fn lane(&self, signal: Signal, queue: Option<&str>) -> Result<Arc<Channel>, Error> {
        let lane = &self.lanes[signal.index()];
        if let Some(channel) = lane.get() {
            return Ok(channel);
        }
        let _opening = lane.opening.lock().await;
        if let Some(channel) = lane.get() {
            return Ok(channel);
        }
        let channel = match queue {
            Some(queue) => declared(&self.connection, queue).await?,
            None => self.connection.channel().await?,
        };
        channel.confirm().await?;
        let channel = Arc::new(channel);
        lane.set(Some(Arc::clone(&channel)));
        Ok(channel)
    }

    /// The lane is no good any more: the next send opens it anew.
    pub(super) fn leave(&self, signal: Signal, channel: &Arc<Channel>) {
        let lane = &self.lanes[signal.index()];
        if lane.get().is_some_and(|current| Arc::ptr_eq(&current, channel)) {
            lane.set(None);
        }
    }
}

/// Sees to it that the queue is there, and gives the channel on which that was done.
async fn declared(connection: &Connection, queue: &str) -> Result<Channel, Error> {
    let channel = connection.channel().await?;
    let Err(error) = channel.declare(queue).await else { return Ok(channel) };
    let Some(reply) = Reply::of(&error) else { return Err(error) };
    // A message in such a queue would not outlive the broker, or the connection that made the queue.
    let is_fleeting = ["'durable'", "'exclusive'", "'auto_delete'"].iter().any(|name| reply.text.contains(name));
    match reply.code {
        Reply::PRECONDITION_FAILED if is_fleeting => {
            let reason = format!(
                "the queue `{queue}` exists, but messages in it can get lost; delete it or name another ({reply})"
            );
            Err(Error::new(ErrorKind::Unavailable, reason).with_source(error))
        }
        // Its operator has chosen a type or limits for it, which is fine, or lets us use it and not make it.
        Reply::PRECONDITION_FAILED | Reply::ACCESS_REFUSED => {
            let channel = connection.channel().await?;
            match channel.look(queue).await {
                Ok(_) => Ok(channel),
                Err(missing) if Reply::of(&missing).is_some_and(|missing| missing.code == Reply::NOT_FOUND) => Err(
                    Error::new(error.kind(), format!("the queue `{queue}` is not there and cannot be made: {reply}"))
                        .with_source(error.clone()),
                ),
                Err(error) => Err(error),
            }
        }
        Reply::RESOURCE_LOCKED => {
            let reason = format!("the queue `{queue}` belongs to another connection alone; name another ({reply})");
            Err(Error::new(ErrorKind::Unavailable, reason).with_source(error))
        }
        _ => Err(error),
    }
}
