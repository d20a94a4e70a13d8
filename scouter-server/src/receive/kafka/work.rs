//! What the thread that reads and the tasks that store have in common.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::batch::Batch;
use super::ledger::{Ledger, Partition, Place, Position};

/// So many bytes may be on their way to the store. What it holds itself is bounded by the server's room.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// So many batches may be on their way to the store.
const MOST_BATCHES: usize = 16;
/// How often the same trouble is told.
const EVERY: Duration = Duration::from_secs(60);

/// Everything under way.
#[derive(Debug, Default)]
pub(super) struct Work {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    ledger: Ledger,
    bytes: usize,
    batches: usize,
    aborted: bool,
    told: HashMap<&'static str, Instant>,
}

impl Work {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message was fetched. Tells whether it had been fetched here before, too.
    pub(super) fn begin(&self, partition: Partition, offset: i64) -> (Place, bool) {
        self.lock().ledger.begin(partition, offset)
    }

    /// A batch goes to the store. Answers whether anything in it is still ours.
    pub(super) fn hand_over(&self, batch: &Batch) -> bool {
        let mut state = self.lock();
        let ours = batch.places().iter().any(|place| state.ledger.holds(place));
        if ours {
            state.bytes += batch.length();
            state.batches += 1;
        }
        ours
    }

    /// A batch is done with; its messages are durable, or were not kept.
    pub(super) fn finish(&self, places: &[Place], length: usize, durable: bool) {
        let mut state = self.lock();
        if durable {
            places.iter().for_each(|place| state.ledger.finish(place));
        }
        state.bytes -= length;
        state.batches -= 1;
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn is_full(&self) -> bool {
        self.lock().is_full()
    }

    /// Waits for room for another batch, no longer than this. Answers whether there is.
    pub(super) fn wait_for_room(&self, patience: Duration) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), patience, |state| state.is_full() && !state.aborted);
        !waited.unwrap_or_else(PoisonError::into_inner).0.is_full()
    }

    /// Waits until nothing of these partitions is under way, no longer than this. Answers whether it is so.
    pub(super) fn wait_for(&self, partitions: &[Partition], patience: Duration) -> bool {
        let busy = |state: &mut State| state.ledger.is_busy(partitions) && !state.aborted;
        let waited = self.changed.wait_timeout_while(self.lock(), patience, busy);
        !waited.unwrap_or_else(PoisonError::into_inner).0.ledger.is_busy(partitions)
    }

    /// Waits until nothing is under way at all, or nobody waits for it any more.
    pub(super) fn wait_for_all(&self) {
        drop(self.changed.wait_while(self.lock(), |state| state.batches > 0 && !state.aborted));
    }

    /// What may be committed and was not yet.
    pub(super) fn commit(&self) -> Vec<Position> {
        self.lock().ledger.commit()
    }

    pub(super) fn uncommit(&self) {
        self.lock().ledger.uncommit();
    }

    pub(super) fn give_up(&self, partitions: &[Partition]) {
        self.lock().ledger.give_up(partitions);
    }

    /// Nobody waits for the end any more: leave everything as it is.
    pub(super) fn abort(&self) {
        self.lock().aborted = true;
        self.changed.notify_all();
    }

    pub(super) fn is_aborted(&self) -> bool {
        self.lock().aborted
    }

    /// Whether this trouble is to be told now: once a minute.
    pub(super) fn is_news(&self, trouble: &'static str) -> bool {
        let (now, mut state) = (Instant::now(), self.lock());
        let last = state.told.get(trouble);
        let is_news = last.is_none_or(|last| now.duration_since(*last) >= EVERY);
        if is_news {
            state.told.insert(trouble, now);
        }
        is_news
    }
}

impl State {
    fn is_full(&self) -> bool {
        self.bytes >= MOST_BYTES || self.batches >= MOST_BATCHES
    }
}
