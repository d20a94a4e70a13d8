//! Settings checked, the connection kept, the lanes run.

use std::sync::Arc;

use scouter_transport::rabbitmq::{RabbitMqConfig, Session};
use scouter_transport::{Error, ErrorKind, Signal as Side};
use tokio::time::timeout;

use super::dead_letter::DeadLetters;
use super::keeper::{FIRST_WAIT, Keeper, News, rest};
use super::lane::Lane;
use super::prefetch::Prefetch;
use super::source::RabbitMqSource;
use crate::error::ServerError;
use crate::ingest::Ingest;
use crate::receive::Stop;
use crate::store::Signal;

/// Reads queues of RabbitMQ into the store.
#[derive(Debug)]
pub(crate) struct RabbitMqReceiver {
    config: RabbitMqConfig,
    longest: usize,
}

impl RabbitMqReceiver {
    /// Checks the settings. Connects when it runs.
    ///
    /// # Errors
    /// Settings that cannot work.
    pub(crate) fn new(source: &RabbitMqSource, longest: usize) -> Result<Self, ServerError> {
        let config = source.connection.clone();
        let wrong = |error: &dyn std::fmt::Display| ServerError::config(format!("reading from RabbitMQ: {error}"));
        config.check().map_err(|error| wrong(&error))?;
        if config.queue_of(Side::Traces) == config.queue_of(Side::Logs) {
            let queue = config.queue_of(Side::Traces);
            return Err(wrong(&format!("traces and records cannot share the queue {queue}: give two")));
        }
        Ok(Self { config, longest })
    }

    /// Reads until it is to stop, and what was taken is stored and acknowledged.
    pub(crate) async fn run(&self, ingest: Ingest, mut stop: Stop) {
        let keeper = Arc::new(Keeper { ingest, longest: self.longest, news: News::default() });
        let lanes = [(Signal::Traces, Side::Traces), (Signal::Logs, Side::Logs)].map(|(signal, side)| {
            let queue = self.config.queue_of(side).to_owned();
            let dead_letters = Arc::new(DeadLetters::new(self.config.clone(), &queue));
            let (broker, limit) = (self.config.shown(), self.config.effective_timeout());
            Lane { signal, queue, broker, limit, keeper: Arc::clone(&keeper), dead_letters }
        });
        let mut prefetches = [Prefetch::new(), Prefetch::new()];
        let mut wait = FIRST_WAIT;
        while !stop.is_requested() {
            let opened = tokio::select! {
                opened = self.open() => opened,
                () = stop.requested() => break,
            };
            let trouble = match opened {
                Ok(session) => {
                    wait = FIRST_WAIT;
                    let ([traces, logs], [first, second]) = (&lanes, &mut prefetches);
                    // Each goes on without the other, but not without the connection.
                    let read = tokio::join!(
                        traces.read(&session, first, stop.clone()),
                        logs.read(&session, second, stop.clone())
                    );
                    session.close().await;
                    read.0.and(read.1).err()
                }
                Err(error) => Some(error),
            };
            let Some(error) = trouble else { break };
            if keeper.news.is_new("broker") {
                let broker = self.config.shown();
                tracing::error!("nothing is read from RabbitMQ at {broker}: {error}; trying on");
            }
            if rest(&mut wait, &mut stop).await.is_err() {
                break;
            }
        }
        for lane in &lanes {
            lane.dead_letters.close().await;
        }
    }

    async fn open(&self) -> Result<Session, Error> {
        let limit = self.config.effective_timeout();
        match timeout(limit, Session::open(&self.config, "scouter-server")).await {
            Ok(opened) => opened,
            Err(_) => Err(Error::new(ErrorKind::Timeout, format!("the broker did not let us in within {limit:?}"))),
        }
    }
}
