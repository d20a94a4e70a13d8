//! What every transport must do, as a suite to run against any of them.
//!
//! Implement [`FarEnd`] for a receiver that your transport can reach, then run [`all`] in a test. Each check stands
//! alone too. A check panics, like any test, with what it expected.
//!
//! The checks wait for events, never for time, except where a time limit is what they check.

mod delivery;
mod failure;
mod lifetime;

use std::fmt::Debug;
use std::time::Duration;

use bytes::Bytes;

pub use self::delivery::{answers_come_back, bytes_arrive_unchanged, sends_overlap, signals_keep_apart};
pub use self::failure::{
    credentials_stay_secret, hanging_ends_in_timeout, refusal_is_final, restart_is_survived, too_large_is_told,
    unavailability_passes,
};
pub use self::lifetime::{close_is_final, close_waits_for_sends, flush_waits_for_sends};
use crate::payload::{ContentType, Signal};
use crate::transport::{BoxFuture, Transport};

/// What the far end does with payloads.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Behaviour {
    /// Takes each and answers with these bytes.
    Answer(Bytes),
    /// Answers nobody until this many payloads have arrived in all, counted from the last
    /// [`behave`](FarEnd::behave); then answers everybody with no bytes.
    AnswerFrom(usize),
    /// Takes none, for good: HTTP 400, gRPC `INVALID_ARGUMENT`.
    Refuse,
    /// Takes none now, and asks to be left alone for this long: HTTP 503, gRPC `UNAVAILABLE`.
    Unavailable(Duration),
    /// Takes none of this size: HTTP 413, gRPC `RESOURCE_EXHAUSTED` without `RetryInfo`.
    TooLarge,
    /// Never answers.
    Hang,
}

/// What arrived, as it would be read by a receiver: decompressed, unframed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Which of the two places it came to.
    pub signal: Signal,
    /// What the request said that it is.
    pub content: ContentType,
    /// The bytes.
    pub body: Bytes,
}

/// A receiver under the control of the suite, and the way to transports that reach it.
pub trait FarEnd: Debug + Send + Sync {
    /// A new transport to this far end, with credentials, giving up after `timeout`.
    fn transport(&self, timeout: Duration) -> Box<dyn Transport>;

    /// The encodings that the transport carries.
    fn contents(&self) -> Vec<ContentType>;

    /// Whether answers carry bytes, and refusals a delay. A broker only confirms.
    fn answers(&self) -> bool {
        true
    }

    /// A short timeout that is still long enough for the first send of a new transport.
    fn short_timeout(&self) -> Duration {
        Duration::from_secs(1)
    }

    /// The credentials that the transports of [`transport`](Self::transport) hold, as texts that must not show.
    fn secrets(&self) -> Vec<String>;

    /// Behaves like this from now on, for payloads that arrive from now on, and forgets what arrived.
    fn behave(&self, behaviour: Behaviour);

    /// What arrived since the last [`behave`](Self::behave), in order.
    fn arrived(&self) -> Vec<Arrival>;

    /// Resolves once this many payloads have arrived since the last [`behave`](Self::behave).
    fn until_arrived(&self, payloads: usize) -> BoxFuture<'_, ()>;

    /// Goes away: connections break, new ones are refused.
    fn stop(&self) -> BoxFuture<'_, ()>;

    /// Comes back in the same place.
    fn start(&self) -> BoxFuture<'_, ()>;
}

/// Runs every check, one after the other.
///
/// # Panics
///
/// When a check fails.
pub async fn all(far_end: &dyn FarEnd) {
    bytes_arrive_unchanged(far_end).await;
    signals_keep_apart(far_end).await;
    if far_end.answers() {
        answers_come_back(far_end).await;
    }
    sends_overlap(far_end).await;
    refusal_is_final(far_end).await;
    too_large_is_told(far_end).await;
    unavailability_passes(far_end).await;
    hanging_ends_in_timeout(far_end).await;
    restart_is_survived(far_end).await;
    credentials_stay_secret(far_end).await;
    flush_waits_for_sends(far_end).await;
    close_waits_for_sends(far_end).await;
    close_is_final(far_end).await;
}

/// Long enough for any machine; a check that works does not wait for it.
const PATIENT: Duration = Duration::from_secs(60);

fn answering() -> Behaviour {
    Behaviour::Answer(Bytes::new())
}
