//! The numbers behind the statistics of a destination.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::latency::LatencyCounters;
use super::{DestinationStats, DropReason, Dropped};
use crate::queue::Held;

/// Raised by the worker, read by anyone.
///
/// Numbers of spans whose fate is known only rise, and are raised after the span was counted as accepted. So a reader who
/// takes these first and the accepted ones afterwards never sees more fates than spans, and what is left is queued.
#[derive(Debug, Default)]
pub(crate) struct DestinationCounters {
    exported: AtomicU64,
    thinned: AtomicU64,
    dropped: [AtomicU64; DropReason::ALL.len()],
    held_items: AtomicU64,
    held_bytes: AtomicU64,
    payloads: AtomicU64,
    requests: AtomicU64,
    bytes: AtomicU64,
    latency: LatencyCounters,
    last_error: Mutex<Option<String>>,
}

/// Fates of spans, read at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fates {
    pub(crate) exported: u64,
    pub(crate) thinned: u64,
    pub(crate) dropped: Dropped,
}

impl Fates {
    pub(crate) fn total(&self) -> u64 {
        self.exported + self.thinned + self.dropped.total()
    }
}

impl DestinationCounters {
    pub(crate) fn export(&self, items: u64) {
        self.exported.fetch_add(items, Ordering::Release);
    }

    pub(crate) fn thin(&self, items: u64) {
        self.thinned.fetch_add(items, Ordering::Release);
    }

    pub(crate) fn drop_spans(&self, reason: DropReason, items: u64) {
        self.dropped[reason as usize].fetch_add(items, Ordering::Release);
    }

    pub(crate) fn fail(&self, error: String) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    pub(crate) fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes a payload about to be sent, in as many requests as it takes.
    pub(crate) fn payload(&self) {
        self.payloads.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes a request about to be made.
    pub(crate) fn request(&self, length: usize) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(length as u64, Ordering::Relaxed);
    }

    pub(crate) fn answer(&self, took: Duration) {
        self.latency.add(took);
    }

    /// What batches hold that wait or are under way.
    pub(crate) fn held(&self) -> Held {
        Held { items: self.held_items.load(Ordering::Relaxed), bytes: self.held_bytes.load(Ordering::Relaxed) }
    }

    /// Only the worker's thread changes this.
    pub(crate) fn set_held(&self, held: Held) {
        self.held_items.store(held.items, Ordering::Relaxed);
        self.held_bytes.store(held.bytes, Ordering::Relaxed);
    }

    pub(crate) fn fates(&self) -> Fates {
        let mut dropped = Dropped::default();
        for reason in DropReason::ALL {
            dropped.add(reason, self.dropped[reason as usize].load(Ordering::Acquire));
        }
        Fates {
            exported: self.exported.load(Ordering::Acquire),
            thinned: self.thinned.load(Ordering::Acquire),
            dropped,
        }
    }

    /// The statistics, given the fates read before and the spans accepted by now.
    pub(crate) fn stats(&self, name: &str, fates: Fates, accepted: u64) -> DestinationStats {
        let requests = self.requests.load(Ordering::Relaxed);
        DestinationStats {
            name: name.to_owned(),
            exported: fates.exported,
            thinned: fates.thinned,
            dropped: fates.dropped,
            queued: accepted.saturating_sub(fates.total()),
            waiting_bytes: self.held().bytes,
            requests,
            retries: requests.saturating_sub(self.payloads.load(Ordering::Relaxed)),
            bytes: self.bytes.load(Ordering::Relaxed),
            latency: self.latency.get(),
            last_error: self.last_error(),
        }
    }
}
