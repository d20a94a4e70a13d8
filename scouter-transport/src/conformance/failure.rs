//! What goes wrong is told as it is, and nothing is told that must stay secret.

use std::error::Error as _;
use std::time::Duration;

use tokio::time::Instant;

use super::{Behaviour, FarEnd, PATIENT, answering};
use crate::error::{Error, ErrorKind};
use crate::payload::Payload;
use crate::transport::Transport;

/// A refused payload is not to be sent again, and the next one passes.
///
/// # Panics
///
/// When it is not so.
pub async fn refusal_is_final(far_end: &dyn FarEnd) {
    let transport = far_end.transport(PATIENT);
    far_end.behave(Behaviour::Refuse);
    let error = failure(&*transport).await;
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(!error.is_retryable(), "a refusal must not be retryable: {error}");
    passes(far_end, &*transport, "after a refusal").await;
}

/// A payload that is too large is told apart from other refusals, as it may pass in parts.
///
/// # Panics
///
/// When it is not so.
pub async fn too_large_is_told(far_end: &dyn FarEnd) {
    let transport = far_end.transport(PATIENT);
    far_end.behave(Behaviour::TooLarge);
    let error = failure(&*transport).await;
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    assert!(!error.is_retryable(), "the same payload would be too large again: {error}");
    passes(far_end, &*transport, "after one that was too large").await;
}

/// Unavailability is retryable, after the delay that the far end asks for.
///
/// # Panics
///
/// When it is not so.
pub async fn unavailability_passes(far_end: &dyn FarEnd) {
    let transport = far_end.transport(PATIENT);
    for delay in [Duration::ZERO, Duration::from_secs(7)] {
        far_end.behave(Behaviour::Unavailable(delay));
        let error = failure(&*transport).await;
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.is_retryable(), "unavailability must be retryable: {error}");
        let expected = far_end.answers().then_some(delay);
        assert_eq!(error.retry_after(), expected, "the delay of {error}");
    }
    passes(far_end, &*transport, "after unavailability").await;
}

/// A far end that never answers costs no more than the timeout, and the transport works on.
///
/// # Panics
///
/// When it is not so.
pub async fn hanging_ends_in_timeout(far_end: &dyn FarEnd) {
    let limit = far_end.short_timeout();
    let transport = far_end.transport(limit);
    far_end.behave(Behaviour::Hang);
    let begun = Instant::now();
    let error = failure(&*transport).await;
    let elapsed = begun.elapsed();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.is_retryable(), "a timeout must be retryable: {error}");
    assert!(elapsed >= limit && elapsed < limit * 10, "gave up after {elapsed:?} instead of {limit:?}");
    assert!(far_end.arrived().len() <= 1, "the payload was sent more than once");
    passes(far_end, &*transport, "after a timeout").await;
}

/// While the far end is away, errors are retryable; once it is back, payloads pass, through the same transport.
///
/// # Panics
///
/// When it is not so.
pub async fn restart_is_survived(far_end: &dyn FarEnd) {
    const TRIES: usize = 5;
    let transport = far_end.transport(PATIENT);
    passes(far_end, &*transport, "before the far end stops").await;
    far_end.stop().await;
    for _ in 0..3 {
        let error = failure(&*transport).await;
        assert!(error.is_retryable(), "the far end is away, which must be retryable: {error}");
    }
    far_end.start().await;
    far_end.behave(answering());
    for attempt in 1..=TRIES {
        match transport.send(Payload::traces("spans", 1)).await {
            Ok(_) => break,
            // A connection from before may have to be found broken first.
            Err(error) => assert!(error.is_retryable() && attempt < TRIES, "not back after a restart: {error}"),
        }
    }
    assert_eq!(far_end.arrived().len(), 1, "one payload arrived after the restart");
}

/// No credential shows in the transport or in any error.
///
/// # Panics
///
/// When one does.
pub async fn credentials_stay_secret(far_end: &dyn FarEnd) {
    let transport = far_end.transport(far_end.short_timeout());
    let mut texts = vec![format!("{transport:?}")];
    for behaviour in [Behaviour::Refuse, Behaviour::TooLarge, Behaviour::Unavailable(Duration::ZERO), Behaviour::Hang] {
        far_end.behave(behaviour);
        texts.push(told(&failure(&*transport).await));
    }
    far_end.stop().await;
    texts.push(told(&failure(&*transport).await));
    far_end.start().await;
    texts.push(format!("{transport:?}"));
    for text in texts {
        for secret in far_end.secrets() {
            assert!(!text.contains(&secret), "a credential shows in: {}", text.replace(&secret, "<secret>"));
        }
    }
}

/// Everything that an error shows, its sources included.
fn told(error: &Error) -> String {
    let mut text = format!("{error} {error:?} {error:#?}");
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(&format!(" {source} {source:?}"));
        next = source.source();
    }
    text
}

async fn failure(transport: &dyn Transport) -> Error {
    match transport.send(Payload::traces("spans", 1)).await {
        Ok(receipt) => panic!("a failure was expected, not {receipt:?}"),
        Err(error) => error,
    }
}

async fn passes(far_end: &dyn FarEnd, transport: &dyn Transport, when: &str) {
    far_end.behave(answering());
    let outcome = transport.send(Payload::traces("spans", 1)).await;
    assert!(outcome.is_ok(), "{when} the next payload was not taken: {outcome:?}");
    assert_eq!(far_end.arrived().len(), 1, "{when} the next payload did not arrive once");
}
