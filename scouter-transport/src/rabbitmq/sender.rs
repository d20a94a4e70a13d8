//! The implementation of sending through RabbitMQ.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::RabbitMqConfig;
use super::lane::Link;
use super::link::Dock;
use crate::amqp::{Address, Properties, Publication, Reply};
use crate::error::{Error, ErrorKind};
use crate::payload::{ContentType, Payload, Receipt};
use crate::traffic::Traffic;
use crate::transport::{BoxFuture, Transport};

/// How long an orderly farewell may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// Sends payloads as persistent messages over one connection that is kept.
///
/// Any number of sends may be under way: they share a channel per signal, and each ends with the broker's confirm of its
/// own message. A message that no queue takes comes back and is an error. Only protobuf travels.
#[derive(Debug)]
pub struct RabbitMq {
    shown: String,
    exchange: Arc<str>,
    queues: [Arc<str>; 2],
    timeout: Duration,
    /// The largest message: as configured, or less once the broker has said so.
    largest: AtomicUsize,
    dock: Dock,
    traffic: Traffic,
}

/// How far a send has come, for the report of one that ran out of time.
#[derive(Debug, Default)]
struct Progress {
    step: AtomicU8,
    link: Mutex<Option<Arc<Link>>>,
}

const CONNECTING: u8 = 0;
const OPENING: u8 = 1;
const PUBLISHING: u8 = 2;

impl RabbitMq {
    /// Checks the settings. Needs no runtime and does no I/O: the first send connects.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] for settings that cannot work.
    pub fn new(config: RabbitMqConfig) -> Result<Self, Error> {
        let address = Address::new(config.clone())?;
        Ok(Self {
            shown: config.shown(),
            exchange: config.exchange.into(),
            queues: config.queues.map(Arc::from),
            timeout: config.timeout,
            largest: AtomicUsize::new(config.max_message_bytes),
            dock: Dock::new(address, config.timeout),
            traffic: Traffic::default(),
        })
    }

    async fn publish(&self, payload: Payload, progress: &Progress) -> Result<Receipt, Error> {
        if payload.content != ContentType::Protobuf {
            let reason = "RabbitMQ carries protobuf only: send JSON over HTTP, or encode it as protobuf";
            return Err(Error::new(ErrorKind::Unsupported, reason));
        }
        let (length, largest) = (payload.body.len(), self.largest.load(Ordering::Relaxed));
        if length > largest {
            let reason = format!("the message has {length} bytes, and {largest} is the limit: send smaller batches");
            return Err(Error::new(ErrorKind::TooLarge, reason));
        }
        let link = self.dock.link().await?;
        progress.reached(OPENING, &link);
        let queue = &self.queues[payload.signal.index()];
        let declared = self.exchange.is_empty().then_some(&**queue);
        let lane = link.lane(payload.signal, declared).await?;
        progress.reached(PUBLISHING, &link);
        let confirm = lane.publish(Publication {
            exchange: Arc::clone(&self.exchange),
            routing_key: Arc::clone(queue),
            properties: Properties { content_type: Some(payload.content.mime().to_owned()), ..Properties::default() },
            body: payload.body,
        });
        let Err(error) = confirm.outcome().await else { return Ok(Receipt::default()) };
        let reply = Reply::of(&error);
        // A message that was not kept says nothing about the channel. After anything else it is closed, or the queue is
        // gone; then the next send opens and declares anew.
        if error.kind() != ErrorKind::Unavailable || reply.is_some() {
            link.leave(payload.signal, &lane);
        }
        if let Some(limit) = reply.and_then(Reply::size_limit) {
            self.largest.fetch_min(limit, Ordering::Relaxed);
        }
        if reply.is_some_and(|reply| reply.code == Reply::NO_ROUTE) {
            return Err(self.unroutable(queue).with_source(error));
        }
        Err(error)
    }

    fn unroutable(&self, queue: &str) -> Error {
        let reason = match &*self.exchange {
            "" => format!("the queue `{queue}` was deleted"),
            exchange => {
                format!("no queue is bound to the exchange `{exchange}` for the routing key `{queue}`: bind one")
            }
        };
        Error::new(ErrorKind::Unavailable, reason)
    }

    fn timed_out(&self, progress: &Progress) -> Error {
        let link = progress.link.lock().unwrap_or_else(PoisonError::into_inner).take();
        let blocked = link.as_ref().and_then(|link| link.connection.blocked());
        // If the connection hangs, later sends must not hang with it, and what waits in it must not pile up.
        if let Some(link) = &link {
            self.dock.forget(link);
        }
        let limit = self.timeout;
        let reason = match (blocked, progress.step.load(Ordering::Relaxed)) {
            (Some(reason), _) => format!("not done within {limit:?}: the broker takes no messages now ({reason})"),
            (None, CONNECTING) => format!("not done within {limit:?}: the broker does not let us in"),
            (None, OPENING) => format!("not done within {limit:?}: the broker does not open a channel"),
            (None, _) => format!("not done within {limit:?}: the broker does not confirm the message"),
        };
        Error::new(ErrorKind::Timeout, reason)
    }
}

impl Progress {
    fn reached(&self, step: u8, link: &Arc<Link>) {
        self.step.store(step, Ordering::Relaxed);
        *self.link.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(link));
    }
}

impl Transport for RabbitMq {
    fn send(&self, payload: Payload) -> BoxFuture<'_, Result<Receipt, Error>> {
        Box::pin(async move {
            let operation = match payload.signal {
                crate::Signal::Traces => "send traces to",
                crate::Signal::Logs => "send logs to",
            };
            let progress = Progress::default();
            let outcome = match self.traffic.enter() {
                None => Err(Error::closed()),
                Some(_ticket) => match tokio::time::timeout(self.timeout, self.publish(payload, &progress)).await {
                    Ok(outcome) => outcome,
                    Err(_) => Err(self.timed_out(&progress)),
                },
            };
            outcome.map_err(|error| error.during(operation, &self.shown))
        })
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            self.traffic.drained().await;
            Ok(())
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            self.traffic.close().await;
            if let Some(link) = self.dock.take() {
                // A broker that does not say farewell is left without.
                let _ = tokio::time::timeout(FAREWELL, link.connection.close()).await;
            }
            Ok(())
        })
    }
}
