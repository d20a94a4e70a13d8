//! One batch to its end.

use std::sync::atomic::{AtomicU64, Ordering};

use scouter_transport::{ErrorKind, Payload, Transport};

use super::answer::Answer;
use crate::batch::Batch;
use crate::pipeline::Shared;
use crate::queue::Held;
use crate::stats::DropReason;

/// How much of a batch has met its fate. Outlives an export that panics or is cut off after a half.
#[derive(Debug, Default)]
pub(super) struct Progress {
    items: AtomicU64,
    bytes: AtomicU64,
}

impl Progress {
    fn add(&self, part: Held) {
        self.items.fetch_add(part.items, Ordering::Relaxed);
        self.bytes.fetch_add(part.bytes, Ordering::Relaxed);
    }

    pub(super) fn done(&self) -> Held {
        Held { items: self.items.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }
}

/// Sends a batch to the destination at this place, and once in halves when the receiver finds it too large. Counts the fate
/// of every span.
pub(super) async fn export(shared: &Shared, at: usize, transport: &dyn Transport, batch: Batch, progress: &Progress) {
    let mut todo = vec![(batch, true)];
    while let Some((batch, may_split)) = todo.pop() {
        shared.outlets[at].counters.payload();
        let sent = transport.send(Payload::traces(batch.body.clone(), batch.items())).await;
        let too_large = sent.as_ref().is_err_and(|error| error.kind() == ErrorKind::TooLarge);
        if too_large
            && may_split
            && let Some([first, second]) = batch.split()
        {
            todo.extend([(second, false), (first, false)]);
            continue;
        }
        settle(shared, at, batch.held.items, sent);
        progress.add(batch.held);
        shared.release(at, batch.held);
    }
}

fn settle(shared: &Shared, at: usize, items: u64, sent: Result<scouter_transport::Receipt, scouter_transport::Error>) {
    let counters = &shared.outlets[at].counters;
    match sent {
        Ok(receipt) => {
            let answer = Answer::read(&receipt.body);
            let rejected = answer.rejected.min(items);
            counters.export(items - rejected);
            if rejected > 0 {
                let message = format!("the receiver rejected {rejected} of {items} spans: {}", answer.message);
                shared.lose(at, DropReason::Rejected, rejected, message);
            } else if !answer.message.is_empty() {
                shared.warn(at, format!("the receiver took all spans and warns: {}", answer.message));
            }
        }
        Err(error) => {
            let reason = match error.kind() {
                ErrorKind::TooLarge => DropReason::TooLarge,
                _ if error.is_retryable() => DropReason::RetriesExhausted,
                _ => DropReason::Refused,
            };
            shared.lose(at, reason, items, error.to_string());
        }
    }
}
