//! Trying again.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::RetryPolicy;
use crate::error::Error;
use crate::payload::{Payload, Receipt};
use crate::traffic::Traffic;
use crate::transport::{BoxFuture, Transport};

/// One failed attempt that will be followed by another. Shown to the observer of [`Retry::on_retry`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Retrying<'a> {
    /// Which attempt failed, counted from 1.
    pub attempt: u32,
    /// How long the next one waits.
    pub wait: Duration,
    /// Why it failed.
    pub error: &'a Error,
    /// What is being sent.
    pub payload: &'a Payload,
}

type Observer = Arc<dyn Fn(&Retrying<'_>) + Send + Sync>;

/// Sends again what may be sent again, as its [`RetryPolicy`] says.
///
/// A flush waits for sends between two attempts too. Closing ends their waiting: they answer with the error of their
/// last attempt.
pub struct Retry<T> {
    inner: T,
    policy: RetryPolicy,
    random: Mutex<fastrand::Rng>,
    observer: Option<Observer>,
    traffic: Traffic,
}

impl<T: Transport> Retry<T> {
    /// Puts retries around `inner`.
    pub fn new(inner: T, policy: RetryPolicy) -> Self {
        let random = Mutex::new(fastrand::Rng::new());
        Self { inner, policy, random, observer: None, traffic: Traffic::default() }
    }

    /// Draws the jitter from this seed, for repeatable tests.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.random = Mutex::new(fastrand::Rng::with_seed(seed));
        self
    }

    /// Calls `observer` before each wait. It runs inside the send and must not block.
    #[must_use]
    pub fn on_retry(mut self, observer: impl Fn(&Retrying<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    fn fraction(&self) -> f64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).f64()
    }

    async fn attempts(&self, payload: Payload) -> Result<Receipt, Error> {
        let begun = Instant::now();
        let mut attempt = 1;
        loop {
            let error = match self.inner.send(payload.clone()).await {
                Ok(receipt) => return Ok(receipt),
                Err(error) => error,
            };
            let Some(wait) = self.policy.wait(attempt, &error, begun.elapsed(), self.fraction()) else {
                return Err(error);
            };
            if let Some(observer) = &self.observer {
                observer(&Retrying { attempt, wait, error: &error, payload: &payload });
            }
            if tokio::time::timeout(wait, self.traffic.closed()).await.is_ok() {
                return Err(error);
            }
            attempt += 1;
        }
    }
}

impl<T: Transport> Transport for Retry<T> {
    fn send(&self, payload: Payload) -> BoxFuture<'_, Result<Receipt, Error>> {
        Box::pin(async move {
            match self.traffic.enter() {
                Some(_ticket) => self.attempts(payload).await,
                None => Err(Error::closed().during("send", "")),
            }
        })
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            self.traffic.drained().await;
            self.inner.flush().await
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            self.traffic.close().await;
            self.inner.close().await
        })
    }
}

impl<T: fmt::Debug> fmt::Debug for Retry<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry").field("inner", &self.inner).field("policy", &self.policy).finish_non_exhaustive()
    }
}
