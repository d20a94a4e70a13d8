//! From a batch to the store, however long it takes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinSet;

use super::batch::{Batch, Part, Refused, Request, Unpacked, join, unpack};
use super::dead_letter::Letter;
use crate::ingest::{Accepted, Ingest, IngestError, off_the_loop};
use crate::metrics::DeadLetter;
use crate::receive::Stop;
use crate::store::Signal;

/// The first wait before something is tried again.
pub(super) const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait before something is tried again.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How often the same trouble is told.
const EVERY: Duration = Duration::from_secs(60);

/// Brings batches into the store.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) ingest: Ingest,
    pub(super) longest: usize,
    pub(super) news: News,
}

/// What was told, and when.
#[derive(Debug, Default)]
pub(super) struct News(Mutex<HashMap<&'static str, Instant>>);

/// What became of a batch: these are durable, those are to be put aside.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// The tag of the batch's last message.
    pub(super) last: u64,
    pub(super) stored: Vec<u64>,
    pub(super) letters: Vec<Letter>,
}

/// The server is to end, and the store takes nothing: the messages go back to their queue.
#[derive(Debug)]
pub(super) struct GaveUp;

impl Keeper {
    /// Keeps a batch.
    pub(super) async fn keep(self: Arc<Self>, signal: Signal, batch: Batch, stop: Stop) -> Result<Settled, GaveUp> {
        let mut settled =
            Settled { last: batch.deliveries.last().map_or(0, |last| last.delivery_tag), ..Settled::default() };
        let (longest, work) = (self.longest, batch.bytes);
        let mut left = batch.deliveries.into_iter();
        while !left.as_slice().is_empty() {
            let part;
            (part, left) = off_the_loop(work, move || (unpack(signal, &mut left, longest), left)).await;
            self.keep_part(signal, part, &mut settled, &stop).await?;
        }
        Ok(settled)
    }

    async fn keep_part(
        self: &Arc<Self>,
        signal: Signal,
        part: Part,
        settled: &mut Settled,
        stop: &Stop,
    ) -> Result<(), GaveUp> {
        let whole = |message: &Unpacked| match &message.request {
            Ok(request) if request.is_joinable => Some(request.bytes.clone()),
            _ => None,
        };
        let joinable: Vec<_> = part.messages.iter().filter_map(whole).collect();
        // Each was looked at and found right. If the store takes not all of them, each by itself tells which.
        let is_stored = !joinable.is_empty() && self.store(signal, join(&joinable), stop.clone()).await?.is_ok();
        drop(joinable);
        let mut alone = JoinSet::new();
        for Unpacked { delivery, body, request } in part.messages {
            match request {
                Ok(Request { is_joinable: true, .. }) if is_stored => settled.stored.push(delivery.delivery_tag),
                Ok(Request { bytes, .. }) => {
                    let (keeper, stop) = (Arc::clone(self), stop.clone());
                    alone.spawn(async move { (delivery, body, keeper.store(signal, bytes, stop).await) });
                }
                Err(Refused(reason, words)) => settled.letters.push(Letter::new(delivery, body, reason, words)),
            }
        }
        while let Some(done) = alone.join_next().await {
            let (delivery, body, outcome) = match done {
                Ok(done) => done,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(_) => return Err(GaveUp),
                },
            };
            match outcome? {
                Ok(accepted) if accepted.rejected == 0 => settled.stored.push(delivery.delivery_tag),
                Ok(accepted) => {
                    settled.letters.push(Letter::new(delivery, body, DeadLetter::Rejected, accepted.message));
                }
                Err(error) => {
                    settled.letters.push(Letter::new(delivery, body, DeadLetter::Malformed, error.to_string()));
                }
            }
        }
        Ok(())
    }

    /// Stores until it is stored, or refused for good.
    async fn store(
        &self,
        signal: Signal,
        bytes: Bytes,
        mut stop: Stop,
    ) -> Result<Result<Accepted, IngestError>, GaveUp> {
        let mut wait = FIRST_WAIT;
        loop {
            let message = self.ingest.message(bytes.clone()).await;
            match self.ingest.accept(signal, message).await {
                Err(error) if error.is_retryable() => {
                    if self.news.is_new("store") {
                        tracing::error!("the store does not keep messages of RabbitMQ: {error}; trying on");
                    }
                    rest(&mut wait, &mut stop).await?;
                }
                settled => return Ok(settled),
            }
        }
    }
}

/// Waits a while, longer each time, unless the server is to end.
pub(super) async fn rest(wait: &mut Duration, stop: &mut Stop) -> Result<(), GaveUp> {
    let length = *wait;
    *wait = (length * 2).min(LONGEST_WAIT);
    tokio::select! {
        () = tokio::time::sleep(length) => Ok(()),
        () = stop.requested() => Err(GaveUp),
    }
}

impl News {
    /// Whether this trouble is to be told now: once a minute.
    pub(super) fn is_new(&self, trouble: &'static str) -> bool {
        let now = Instant::now();
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = told.get(trouble).is_none_or(|last| now.duration_since(*last) >= EVERY);
        if is_new {
            told.insert(trouble, now);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_once_a_minute() {
        let news = News::default();
        assert!(news.is_new("store") && news.is_new("broker"));
        assert!(!news.is_new("store"));
    }
}
