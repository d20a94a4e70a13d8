//! What has become of every span.

mod counters;
mod latency;
mod metric;

use std::fmt;
use std::ops::Index;

use scouter_transport::Signal;

pub(crate) use counters::{DestinationCounters, Stage};
pub use latency::Latency;
pub use metric::{Instrument, Metric, MetricValue};

/// Why a span did not arrive. This list is closed: whatever happens to a span, it is one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DropReason {
    /// No room: `max_queue_size` or `max_queue_bytes` was reached.
    QueueFull,
    /// The receiver takes no request as large as this, not even half of it.
    TooLarge,
    /// The receiver took the request and rejected some of its spans (OTLP, "Partial Success").
    Rejected,
    /// The receiver, or the transport, refused the request for good.
    Refused,
    /// The receiver could not be reached, or took nothing, within the retry window.
    RetriesExhausted,
    /// The span ended after the pipeline was shut down, or could not be sent before its deadline.
    Shutdown,
    /// A defect inside: a panic in a transport, or a span of a scope that was never registered.
    Internal,
    /// The span was let go without an end, so there was nothing to send.
    NeverEnded,
}

/// Dropped spans by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped([u64; DropReason::ALL.len()]);

/// What a pipeline has done so far, in this process.
///
/// For every destination, at every moment, `started = live + exported + thinned + dropped + queued`.
#[derive(Clone, Debug, PartialEq)]
pub struct Stats {
    /// Whether it is about spans or records. A record is started, and ended, when it is inserted.
    pub signal: Signal,
    /// Sampled spans that have begun.
    pub started: u64,
    /// Spans that a sampler left out. They are not among the started ones.
    pub sampled_out: u64,
    /// Sampled spans that have begun and not ended.
    pub live: u64,
    /// Sampled spans that have ended.
    pub ended: u64,
    /// Spans that wait to become a batch.
    pub pending: u64,
    /// The bytes of these.
    pub pending_bytes: u64,
    /// The most spans that a destination's queue holds.
    pub queue_capacity: u64,
    /// Panics that were caught.
    pub panics: u64,
    /// By destination, in the order in which they were given.
    pub destinations: Vec<DestinationStats>,
}

/// What has become of the spans for one destination.
#[derive(Clone, Debug, PartialEq)]
pub struct DestinationStats {
    /// The destination's name.
    pub name: String,
    /// Whether it gets every span by itself.
    pub simple: bool,
    /// Spans that the receiver has taken.
    pub exported: u64,
    /// Spans that this destination's own ratio left out.
    pub thinned: u64,
    /// Spans that did not arrive, by reason.
    pub dropped: Dropped,
    /// The part of the dropped spans that had been handed to the transport before.
    pub failed: Dropped,
    /// Spans that have ended and whose fate is open: in the queue, in a batch, or under way.
    pub queued: u64,
    /// Spans that have been handed to the transport so far, whatever came of it.
    pub submitted: u64,
    /// The part of the queued spans that has been handed to the transport, which has not answered for them.
    pub in_flight: u64,
    /// The bytes of spans in batches that wait or are under way.
    pub waiting_bytes: u64,
    /// Requests that were begun, first tries and later ones.
    pub requests: u64,
    /// Requests that were begun again.
    pub retries: u64,
    /// The bytes of all requests begun, before compression.
    pub bytes: u64,
    /// How long requests took that were answered, well or badly.
    pub latency: Latency,
    /// How long payloads took until their fate was known, all tries and the waits between them included.
    pub operations: Latency,
    /// What went wrong last. Free of credentials.
    pub last_error: Option<String>,
}

impl DropReason {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::QueueFull,
        Self::TooLarge,
        Self::Rejected,
        Self::Refused,
        Self::RetriesExhausted,
        Self::Shutdown,
        Self::Internal,
        Self::NeverEnded,
    ];

    /// A stable name in snake case, for labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::TooLarge => "too_large",
            Self::Rejected => "rejected",
            Self::Refused => "refused",
            Self::RetriesExhausted => "retries_exhausted",
            Self::Shutdown => "shutdown",
            Self::Internal => "internal",
            Self::NeverEnded => "never_ended",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Dropped {
    /// For all reasons together.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Every reason with its number.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> {
        DropReason::ALL.into_iter().zip(self.0)
    }

    pub(crate) fn add(&mut self, reason: DropReason, items: u64) {
        self.0[reason as usize] += items;
    }
}

impl Index<DropReason> for Dropped {
    type Output = u64;

    fn index(&self, reason: DropReason) -> &u64 {
        &self.0[reason as usize]
    }
}

impl DestinationStats {
    /// Spans that wait to be handed to the transport.
    pub fn waiting(&self) -> u64 {
        self.queued.saturating_sub(self.in_flight)
    }

    /// Spans whose fate is known.
    pub fn settled(&self) -> u64 {
        self.exported + self.thinned + self.dropped.total()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_place() {
        let mut dropped = Dropped::default();
        for (at, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, at);
            dropped.add(reason, at as u64 + 1);
            assert_eq!(dropped[reason], at as u64 + 1);
        }
        assert_eq!(dropped.total(), 36);
        assert_eq!(dropped.iter().last(), Some((DropReason::NeverEnded, 8)));
    }
}
