//! Flushing and closing.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use super::{Behaviour, FarEnd, PATIENT, answering};
use crate::error::ErrorKind;
use crate::payload::Payload;
use crate::transport::Transport;

/// A flush waits for the sends before it, and ends when they have.
///
/// # Panics
///
/// When it is not so.
pub async fn flush_waits_for_sends(far_end: &dyn FarEnd) {
    let transport = far_end.transport(PATIENT);
    let flushed = transport.flush().await;
    assert!(flushed.is_ok(), "a flush with nothing to wait for: {flushed:?}");

    far_end.behave(Behaviour::AnswerFrom(2));
    let early = transport.send(Payload::traces("early", 1));
    let flush = async {
        far_end.until_arrived(1).await;
        let mut flush = pin!(transport.flush());
        assert!(is_pending(flush.as_mut()).await, "a flush did not wait for a send that had begun before it");
        // The second payload makes the far end answer the first.
        let late = transport.send(Payload::traces("late", 1)).await;
        assert!(late.is_ok(), "a send while flushing: {late:?}");
        flush.await
    };
    let (early, flushed) = tokio::join!(early, flush);
    assert!(early.is_ok() && flushed.is_ok(), "{early:?} {flushed:?}");
}

/// A close waits for the sends before it, which still deliver.
///
/// # Panics
///
/// When it is not so.
pub async fn close_waits_for_sends(far_end: &dyn FarEnd) {
    let transport = far_end.transport(PATIENT);
    far_end.behave(Behaviour::AnswerFrom(2));
    let other = far_end.transport(PATIENT);
    let early = transport.send(Payload::traces("early", 1));
    let close = async {
        far_end.until_arrived(1).await;
        let mut close = pin!(transport.close());
        assert!(is_pending(close.as_mut()).await, "a close did not wait for a send that had begun before it");
        let late = transport.send(Payload::traces("late", 1)).await;
        assert!(late.is_err_and(|error| error.kind() == ErrorKind::Closed), "a send began after the close");
        // Another transport makes the far end answer the first.
        let others = other.send(Payload::traces("other", 1)).await;
        assert!(others.is_ok(), "closing one transport closed another: {others:?}");
        close.await
    };
    let (early, closed) = tokio::join!(early, close);
    assert!(early.is_ok() && closed.is_ok(), "{early:?} {closed:?}");
}

/// A closed transport answers that it is closed, sends nothing, and may be closed and flushed again.
///
/// # Panics
///
/// When it is not so.
pub async fn close_is_final(far_end: &dyn FarEnd) {
    far_end.behave(answering());
    let transport = far_end.transport(PATIENT);
    let sent = transport.send(Payload::traces("spans", 1)).await;
    assert!(sent.is_ok(), "before the close: {sent:?}");
    for _ in 0..2 {
        let closed = transport.close().await;
        assert!(closed.is_ok(), "{closed:?}");
        let outcome = transport.send(Payload::traces("spans", 1)).await;
        let is_closed = outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::Closed && !error.is_retryable());
        assert!(is_closed, "a closed transport answered {outcome:?}");
        let flushed = transport.flush().await;
        assert!(flushed.is_ok(), "{flushed:?}");
    }
    assert_eq!(far_end.arrived().len(), 1, "a closed transport sent something");
}

/// Polls once.
async fn is_pending<T>(mut future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> bool {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_pending())).await
}
