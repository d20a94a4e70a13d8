//! From a batch to the store, however long it takes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::batch::{Batch, Refused, is_clean, join, request};
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
    pub(super) stored: Vec<u64>,
    pub(super) letters: Vec<Letter>,
}

/// The server is to end, and the store takes nothing: the messages go back to their queue.
#[derive(Debug)]
pub(super) struct GaveUp;

impl Keeper {
    /// Keeps a batch.
    pub(super) async fn keep(&self, signal: Signal, batch: Batch, stop: &mut Stop) -> Result<Settled, GaveUp> {
        let longest = self.longest;
        let work = batch.bytes;
        let (deliveries, requests) = off_the_loop(work, move || {
            let look = |delivery| {
                let request = request(signal, delivery, longest)?;
                Ok((is_clean(signal, &request), request))
            };
            let requests: Vec<Result<(bool, Bytes), Refused>> = batch.deliveries.iter().map(look).collect();
            (batch.deliveries, requests)
        })
        .await;
        let clean: Vec<_> = requests.iter().flatten().filter(|(clean, _)| *clean).map(|(_, bytes)| bytes).collect();
        // Each was looked at and found right. If the store takes not all of them, one after the other tells which.
        let all_stored = !clean.is_empty() && self.store(signal, join(&clean), stop).await?.is_ok();
        let mut settled = Settled::default();
        for (delivery, request) in deliveries.into_iter().zip(requests) {
            let refused = match request {
                Err(refused) => Some(refused),
                Ok((true, _)) if all_stored => None,
                Ok((_, bytes)) => match self.store(signal, bytes, stop).await? {
                    Ok(accepted) if accepted.rejected == 0 => None,
                    Ok(accepted) => Some(Refused(DeadLetter::Rejected, accepted.message)),
                    Err(error) => Some(Refused(DeadLetter::Malformed, error.to_string())),
                },
            };
            match refused {
                None => settled.stored.push(delivery.delivery_tag),
                Some(Refused(reason, words)) => settled.letters.push(Letter::new(delivery, reason, words)),
            }
        }
        Ok(settled)
    }

    /// Stores until it is stored, or refused for good.
    async fn store(
        &self,
        signal: Signal,
        bytes: Bytes,
        stop: &mut Stop,
    ) -> Result<Result<Accepted, IngestError>, GaveUp> {
        let mut wait = FIRST_WAIT;
        loop {
            let message = self.ingest.message(bytes.clone()).await;
            match self.ingest.accept(signal, message).await {
                Err(error) if error.is_retryable() => {
                    if self.news.is_new("store") {
                        tracing::error!("the store does not keep messages of RabbitMQ: {error}; trying on");
                    }
                    rest(&mut wait, stop).await?;
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
