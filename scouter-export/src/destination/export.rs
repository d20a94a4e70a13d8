//! One batch to its end.

use scouter_transport::{ErrorKind, Payload, Transport};

use super::answer::Answer;
use crate::batch::Batch;
use crate::report::Seldom;
use crate::stats::{DestinationCounters, DropReason};

/// What became of a batch's spans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) exported: u64,
    pub(super) dropped: Vec<(DropReason, u64)>,
}

/// Sends a batch, and once in halves when the receiver finds it too large.
pub(super) async fn export(
    name: &str,
    transport: &dyn Transport,
    batch: Batch,
    counters: &DestinationCounters,
    reports: &Seldom,
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut todo = vec![(batch, true)];
    while let Some((batch, may_split)) = todo.pop() {
        let items = batch.held.items;
        counters.payload();
        let sent = transport.send(Payload::traces(batch.body.clone(), batch.items())).await;
        let error = match sent {
            Ok(receipt) => {
                let answer = Answer::read(&receipt.body);
                let rejected = answer.rejected.min(items);
                outcome.exported += items - rejected;
                if rejected > 0 {
                    outcome.dropped.push((DropReason::Rejected, rejected));
                }
                if rejected > 0 || !answer.message.is_empty() {
                    let message = format!("the receiver rejected {rejected} of {items} spans: {}", answer.message);
                    reports.report(name, (rejected > 0).then_some(DropReason::Rejected), rejected, &message);
                    counters.fail(message);
                }
                continue;
            }
            Err(error) => error,
        };
        let reason = match error.kind() {
            ErrorKind::TooLarge => DropReason::TooLarge,
            _ if error.is_retryable() => DropReason::RetriesExhausted,
            _ => DropReason::Refused,
        };
        if reason == DropReason::TooLarge
            && may_split
            && let Some([first, second]) = batch.split()
        {
            todo.extend([(second, false), (first, false)]);
            continue;
        }
        reports.report(name, Some(reason), items, &error);
        counters.fail(error.to_string());
        outcome.dropped.push((reason, items));
    }
    outcome
}
