//! One batch to its end.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use scouter_transport::{Error, ErrorKind, Receipt, Status, Transport};
use tokio::time::Instant;

use super::answer::Answer;
use crate::batch::Batch;
use crate::observer::{ExportError, ExportOperation};
use crate::pipeline::Shared;
use crate::queue::Held;
use crate::stats::{DropReason, Stage};

tokio::task_local! {
    /// Of the export that runs as this task, for the meter that sees its tries.
    pub(super) static PROGRESS: Arc<Progress>;
}

/// How much of a batch has met its fate. Outlives an export that panics or is cut off after a half.
#[derive(Debug)]
pub(super) struct Progress {
    items: AtomicU64,
    bytes: AtomicU64,
    operation: Mutex<Instant>,
    attempts: AtomicU32,
}

/// What an operation came to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    rejected: u64,
    error: Option<ExportError>,
    status: Option<Status>,
}

impl Progress {
    pub(super) fn new() -> Self {
        let operation = Mutex::new(Instant::now());
        Self { items: AtomicU64::new(0), bytes: AtomicU64::new(0), operation, attempts: AtomicU32::new(0) }
    }

    fn begin(&self) {
        *self.operation.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.attempts.store(0, Ordering::Relaxed);
    }

    /// One more try. Tells whether it is not the first.
    pub(super) fn attempt(&self) -> bool {
        self.attempts.fetch_add(1, Ordering::Relaxed) > 0
    }

    fn add(&self, part: Held) {
        self.items.fetch_add(part.items, Ordering::Relaxed);
        self.bytes.fetch_add(part.bytes, Ordering::Relaxed);
    }

    pub(super) fn done(&self) -> Held {
        Held { items: self.items.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }

    fn elapsed(&self) -> Duration {
        self.operation.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Tells the observer that the operation is over.
    pub(super) fn tell(&self, shared: &Shared, at: usize, spans: u64, outcome: &Outcome) {
        let duration = self.elapsed();
        shared.outlets[at].counters.operation(duration);
        shared.observe(&ExportOperation {
            destination: &shared.outlets[at].destination.name,
            signal: shared.signal,
            spans,
            rejected: outcome.rejected,
            duration,
            attempts: self.attempts.load(Ordering::Relaxed),
            error: outcome.error,
            status: outcome.status,
        });
    }
}

impl Outcome {
    pub(super) fn failed(error: ExportError) -> Self {
        Self { error: Some(error), ..Self::default() }
    }
}

/// Sends a batch to the destination at this place, and once in halves when the receiver finds it too large. Counts the fate
/// of every span.
pub(super) async fn export(shared: &Shared, at: usize, transport: &dyn Transport, batch: Batch, progress: &Progress) {
    let mut todo = vec![(batch, true)];
    while let Some((batch, may_split)) = todo.pop() {
        progress.begin();
        let payload = batch.payload();
        let sent = transport.send((*payload).clone()).await;
        drop(payload);
        let too_large = sent.as_ref().is_err_and(|error| error.kind() == ErrorKind::TooLarge);
        if too_large
            && may_split
            && let Some([first, second]) = batch.split()
        {
            todo.extend([(second, false), (first, false)]);
            continue;
        }
        // From here to the end of the turn nothing waits, so a shutdown that cuts exports off finds all of it done or
        // none. Fates first: the release makes room that the next span may take.
        settle(shared, at, batch.held.items, sent, progress);
        progress.add(batch.held);
        shared.release(at, batch.held);
    }
}

fn settle(shared: &Shared, at: usize, items: u64, sent: Result<Receipt, Error>, progress: &Progress) {
    let counters = &shared.outlets[at].counters;
    match sent {
        Ok(receipt) => {
            let answer = Answer::read(&receipt.body);
            let rejected = answer.rejected.min(items);
            let error = (rejected > 0).then_some(ExportError::Rejected);
            progress.tell(shared, at, items, &Outcome { rejected, error, status: None });
            counters.export(items - rejected);
            if rejected > 0 {
                let message =
                    format!("the receiver rejected {rejected} of {items} {}: {}", shared.noun(), answer.message);
                shared.lose(at, Stage::Sent, DropReason::Rejected, rejected, message);
            } else if !answer.message.is_empty() {
                shared.warn(at, format!("the receiver took all {} and warns: {}", shared.noun(), answer.message));
            }
        }
        Err(error) => {
            let reason = match error.kind() {
                ErrorKind::TooLarge => DropReason::TooLarge,
                _ if error.is_retryable() => DropReason::RetriesExhausted,
                _ => DropReason::Refused,
            };
            let (kind, status) = (ExportError::Transport(error.kind()), error.status());
            progress.tell(shared, at, items, &Outcome { rejected: 0, error: Some(kind), status });
            shared.lose(at, Stage::Sent, reason, items, error.to_string());
        }
    }
}
