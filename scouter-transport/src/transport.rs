//! The trait that every way out implements.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::error::Error;
use crate::payload::{Payload, Receipt};

/// A boxed future, so that [`Transport`] can be used as `dyn Transport`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Brings finished payloads to a far end.
///
/// # Contract
///
/// *Who calls it*: one owner (the export worker), from inside its tokio runtime with time and I/O enabled. A
/// `current_thread` runtime is enough. Making a transport needs no runtime and does no I/O; connections are made by
/// the first send. A transport made after a fork, or after an earlier runtime ended, works like any other.
///
/// *How often*: [`send`](Self::send) once per payload. Sends may overlap: the owner decides how many.
/// [`flush`](Self::flush) at any time, [`close`](Self::close) at the end; both may be repeated.
///
/// *May it block*: never the thread, only the future. A send ends within the transport's timeout while it is polled,
/// and may be dropped at any point, which abandons the payload. A send counts as begun when it is first polled; a
/// begun send must be polled on or dropped, because `flush` and `close` wait for it.
///
/// *Errors*: [`Error::is_retryable`] tells whether the same payload may be sent again. A plain transport never
/// retries by itself; [`Retry`](crate::Retry) does.
///
/// Wrappers implement this trait too, and forward all three methods.
pub trait Transport: Send + Sync + Debug + 'static {
    /// Sends one payload and waits for the answer.
    ///
    /// # Errors
    ///
    /// The reason why the far end has not, or may not have, taken the payload.
    fn send(&self, payload: Payload) -> BoxFuture<'_, Result<Receipt, Error>>;

    /// Waits until every send that had begun before this call has ended, however it ended.
    ///
    /// # Errors
    ///
    /// Only what keeps the transport from waiting. The fate of a payload is the answer to its own send.
    fn flush(&self) -> BoxFuture<'_, Result<(), Error>>;

    /// Takes no more payloads, waits for the sends in flight, then gives the connections back.
    ///
    /// Sends that begin later are answered with [`ErrorKind::Closed`](crate::ErrorKind::Closed). Closing twice is fine.
    ///
    /// # Errors
    ///
    /// Only what keeps the transport from closing in order; it is closed all the same.
    fn close(&self) -> BoxFuture<'_, Result<(), Error>>;
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn send(&self, payload: Payload) -> BoxFuture<'_, Result<Receipt, Error>> {
        (**self).send(payload)
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), Error>> {
        (**self).flush()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        (**self).close()
    }
}

impl<T: Transport + ?Sized> Transport for Arc<T> {
    fn send(&self, payload: Payload) -> BoxFuture<'_, Result<Receipt, Error>> {
        (**self).send(payload)
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), Error>> {
        (**self).flush()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        (**self).close()
    }
}
