//! A time limit.

use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::payload::{Payload, Receipt};
use crate::transport::{BoxFuture, Transport};

/// Ends each send, flush and close of the transport within after a limit, with [`ErrorKind::Timeout`].
///
/// Around a [`Retry`](crate::Retry) it limits all attempts together; inside, each of them. A flush or close that runs
/// out of time leaves its sends running.
#[derive(Debug)]
pub struct Timeout<T> {
    inner: T,
    limit: Duration,
}

impl<T: Transport> Timeout<T> {
    /// Puts a limit around `inner`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when `limit` is zero.
    pub fn new(inner: T, limit: Duration) -> Result<Self, Error> {
        if limit.is_zero() {
            return Err(Error::new(ErrorKind::Config, "the time limit is zero: nothing could be done within it"));
        }
        Ok(Self { inner, limit })
    }

    async fn limited<R>(&self, operation: &'static str, work: BoxFuture<'_, Result<R, Error>>) -> Result<R, Error> {
        match tokio::time::timeout(self.limit, work).await {
            Ok(outcome) => outcome,
            Err(_) => {
                Err(Error::new(ErrorKind::Timeout, format!("not done within {:?}", self.limit)).during(operation, ""))
            }
        }
    }
}

impl<T: Transport> Transport for Timeout<T> {
    fn send(&self, payload: Payload) -> BoxFuture<'_, Result<Receipt, Error>> {
        Box::pin(self.limited("send", self.inner.send(payload)))
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.limited("flush", self.inner.flush()))
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.limited("close", self.inner.close()))
    }
}
