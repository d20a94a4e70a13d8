//! The implementation of sending through RabbitMQ.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lapin::BasicProperties;

use super::RabbitMqConfig;
use super::lane::{Link, Publication};
use super::link::Dock;
use super::reply::Reply;
use crate::error::{Error, ErrorKind};
use crate::payload::{ContentType, Payload, Receipt};
use crate::traffic::Traffic;
use crate::transport::{BoxFuture, Transport};

/// Sends payloads as persistent messages over one connection that is kept.
///
/// Many sends may be under way: each has a channel of its own and ends with the broker's confirm of its message. A message
/// that no queue takes comes back and is an error. Only protobuf travels.
#[derive(Debug)]
pub struct RabbitMq {
    shown: String,
    exchange: String,
    queues: [String; 2],
    timeout: Duration,
    largest: usize,
    dock: Dock,
    traffic: Traffic,
}

/// The delivery mode of a message that is kept on disk.
const PERSISTENT: u8 = 2;

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
        config.check_all()?;
        Ok(Self {
            shown: config.shown(),
            exchange: config.exchange.clone(),
            queues: config.queues.clone(),
            timeout: config.timeout,
            largest: config.max_message_bytes,
            dock: Dock::new(config),
            traffic: Traffic::default(),
        })
    }

    async fn publish(&self, payload: Payload, progress: &Progress) -> Result<Receipt, Error> {
        if payload.content != ContentType::Protobuf {
            let reason = "RabbitMQ carries protobuf only: send JSON over HTTP, or encode it as protobuf";
            return Err(Error::new(ErrorKind::Unsupported, reason));
        }
        check_size(payload.body.len(), self.largest)?;
        let link = self.dock.link().await?;
        progress.reached(OPENING, &link);
        let outcome = self.publish_on(&link, payload, progress).await;
        // Each channel that the broker closes is one less.
        if outcome.is_err() && link.session.is_spent() {
            self.dock.forget(&link);
        }
        outcome
    }

    async fn publish_on(&self, link: &Arc<Link>, payload: Payload, progress: &Progress) -> Result<Receipt, Error> {
        check_size(payload.body.len(), link.largest.load(Ordering::Relaxed))?;
        let queue = &self.queues[payload.signal.index()];
        if self.exchange.is_empty() {
            link.declare(payload.signal, queue).await?;
        }
        progress.reached(PUBLISHING, link);
        let publication = Publication {
            exchange: &self.exchange,
            routing_key: queue,
            properties: BasicProperties::default()
                .with_content_type(payload.content.mime().into())
                .with_delivery_mode(PERSISTENT),
            body: &payload.body,
        };
        let Err(error) = link.publish(publication).await else { return Ok(Receipt::default()) };
        let Some(reply) = Reply::of(&error) else { return Err(error) };
        if let Some(limit) = reply.size_limit() {
            link.largest.fetch_min(limit, Ordering::Relaxed);
        }
        if reply.code == Reply::NO_ROUTE {
            link.undeclare(payload.signal).await;
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
        let blocked = link.as_ref().and_then(|link| link.session.blocked());
        // If the connection hangs, later sends must not hang with it, and what waits in it must not pile up. A broker that says
        // that it takes nothing does not hang, and nothing more is handed to it: another connection would be no better.
        if let Some(link) = link.filter(|link| blocked.is_none() || !link.session.has_heartbeat()) {
            self.dock.forget(&link);
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

fn check_size(length: usize, largest: usize) -> Result<(), Error> {
    if length <= largest {
        return Ok(());
    }
    let reason = format!("the message has {length} bytes, and {largest} is the limit: send smaller batches");
    Err(Error::new(ErrorKind::TooLarge, reason))
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
                link.session.close().await;
            }
            Ok(())
        })
    }
}
