//! The numbers behind the statistics of a destination.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::latency::LatencyCounters;
use super::{DestinationStats, DropReason, Dropped};
use crate::queue::Held;

/// Raised by the worker, read by anyone.
///
/// A span is counted three times on its way, in this order: as accepted (by the thread that ended it, under the lane's
/// lock), as submitted (when its export begins), and under its fate. The worker learns of a span only by taking that lock,
/// so its counts come after the acceptance. All of these only rise, and every fate is raised with `Release`.
///
/// A reader takes them in the opposite order, fates with `Acquire` first: for every fate it has seen it then also sees the
/// submission and the acceptance, as of the same moment or later. So it never sees more fates than submissions, nor more
/// fates than spans, and the differences, which are what is in flight and what is queued, are never negative. That is all
/// the equation needs: nothing is locked, and no two counters have to be read at one instant.
#[derive(Debug, Default)]
pub(crate) struct DestinationCounters {
    exported: AtomicU64,
    thinned: AtomicU64,
    submitted: AtomicU64,
    /// By stage and reason.
    dropped: [[AtomicU64; DropReason::ALL.len()]; 2],
    held_items: AtomicU64,
    held_bytes: AtomicU64,
    requests: AtomicU64,
    retries: AtomicU64,
    bytes: AtomicU64,
    latency: LatencyCounters,
    operations: LatencyCounters,
    last_error: Mutex<Option<String>>,
}

/// Where on its way a span was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Before it was handed to the transport.
    Queued,
    /// After.
    Sent,
}

/// Fates of spans, read at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fates {
    pub(crate) exported: u64,
    pub(crate) thinned: u64,
    /// At either stage.
    pub(crate) dropped: Dropped,
    /// Of these, after they were handed to the transport.
    pub(crate) failed: Dropped,
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

    pub(crate) fn drop_spans(&self, stage: Stage, reason: DropReason, items: u64) {
        self.dropped[stage as usize][reason as usize].fetch_add(items, Ordering::Release);
    }

    /// Notes spans about to be handed to the transport.
    pub(crate) fn submit(&self, items: u64) {
        self.submitted.fetch_add(items, Ordering::Relaxed);
    }

    pub(crate) fn fail(&self, error: String) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    pub(crate) fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes a request about to be made, for the first time or again.
    pub(crate) fn request(&self, length: usize, again: bool) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.retries.fetch_add(u64::from(again), Ordering::Relaxed);
        self.bytes.fetch_add(length as u64, Ordering::Relaxed);
    }

    pub(crate) fn answer(&self, took: Duration) {
        self.latency.add(took);
    }

    /// Notes a payload brought to its end.
    pub(crate) fn operation(&self, took: Duration) {
        self.operations.add(took);
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
        let (mut dropped, mut failed) = (Dropped::default(), Dropped::default());
        for reason in DropReason::ALL {
            let [queued, sent] = &self.dropped;
            let sent = sent[reason as usize].load(Ordering::Acquire);
            failed.add(reason, sent);
            dropped.add(reason, sent + queued[reason as usize].load(Ordering::Acquire));
        }
        let (exported, thinned) = (self.exported.load(Ordering::Acquire), self.thinned.load(Ordering::Acquire));
        Fates { exported, thinned, dropped, failed }
    }

    /// The statistics, given the fates read before and the spans accepted by now.
    pub(crate) fn stats(&self, name: &str, simple: bool, fates: Fates, accepted: u64) -> DestinationStats {
        let submitted = self.submitted.load(Ordering::Relaxed);
        let queued = accepted.saturating_sub(fates.total());
        DestinationStats {
            name: name.to_owned(),
            simple,
            exported: fates.exported,
            thinned: fates.thinned,
            dropped: fates.dropped,
            failed: fates.failed,
            queued,
            submitted,
            // Submissions were read later than the fates, and may have overtaken the acceptances read in between.
            in_flight: submitted.saturating_sub(fates.exported + fates.failed.total()).min(queued),
            waiting_bytes: self.held().bytes,
            requests: self.requests.load(Ordering::Relaxed),
            retries: self.retries.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            latency: self.latency.get(),
            operations: self.operations.get(),
            last_error: self.last_error(),
        }
    }
}
