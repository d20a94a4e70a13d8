//! Counts the requests that pass through, each try by itself.

use std::sync::Arc;

use scouter_transport::{BoxFuture, Error, Payload, Receipt, Transport};
use tokio::time::Instant;

use super::export::PROGRESS;
use crate::stats::DestinationCounters;

/// Sits below the retries, so that it sees every try.
#[derive(Debug)]
pub(super) struct Meter<T> {
    inner: T,
    counters: Arc<DestinationCounters>,
}

impl<T> Meter<T> {
    pub(super) const fn new(inner: T, counters: Arc<DestinationCounters>) -> Self {
        Self { inner, counters }
    }
}

impl<T: Transport> Transport for Meter<T> {
    fn send(&self, payload: Payload) -> BoxFuture<'_, Result<Receipt, Error>> {
        Box::pin(async move {
            let again = PROGRESS.try_with(|progress| progress.attempt()).unwrap_or(false);
            self.counters.request(payload.body.len(), again);
            let start = Instant::now();
            let result = self.inner.send(payload).await;
            self.counters.answer(start.elapsed());
            if let Err(error) = &result {
                self.counters.fail(error.to_string());
            }
            result
        })
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.inner.flush()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.inner.close()
    }
}
