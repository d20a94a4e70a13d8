//! The end of queues: on demand, when nobody refers to one any more, and when the interpreter exits.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use scouter::queue::ScouterQueue;

use crate::arguments::Millis;

/// What a queue, its parts, and the tracers that have it share.
pub(crate) struct Shared(Arc<ScouterQueue>);

/// All that may still take records. Looked at by attached threads only, so that no fork finds it locked.
static OPEN: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());
/// Queues that nobody refers to, and that send what is left. Nobody waits for them before the exit.
static CLOSING: Mutex<Vec<Arc<ScouterQueue>>> = Mutex::new(Vec::new());
/// How long such a queue goes on.
const CLOSING_DEADLINE: Duration = Duration::from_secs(5);

impl Shared {
    pub(super) fn new(queue: ScouterQueue) -> Arc<Self> {
        let shared = Arc::new(Self(Arc::new(queue)));
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|shared| shared.strong_count() > 0);
        open.push(Arc::downgrade(&shared));
        shared
    }

    pub(super) fn get(&self) -> &ScouterQueue {
        &self.0
    }
}

impl Drop for Shared {
    /// Possibly in the middle of the user's program: nothing may wait here.
    fn drop(&mut self) {
        self.0.begin_shutdown(CLOSING_DEADLINE);
        let mut closing = CLOSING.lock().unwrap_or_else(PoisonError::into_inner);
        closing.retain(|queue| !is_done(queue));
        closing.push(Arc::clone(&self.0));
    }
}

/// Whether every record of a closed queue has met its fate.
fn is_done(queue: &ScouterQueue) -> bool {
    queue.stats().is_none_or(|stats| stats.export.destinations.iter().all(|destination| destination.queued == 0))
}

fn open() -> Vec<Arc<Shared>> {
    let open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    open.iter().filter_map(Weak::upgrade).collect()
}

/// Begins to end every queue, and waits for none. For the interpreter's exit.
#[pyfunction]
pub(crate) fn _begin_ending_queues(timeout_millis: Millis) {
    for shared in open() {
        shared.get().begin_shutdown(timeout_millis.duration());
    }
}

/// Waits for the end of every queue, also of those that nobody refers to, for at most this long in all.
#[pyfunction]
pub(crate) fn _end_queues(py: Python<'_>, timeout_millis: Millis) {
    let mut all: Vec<_> = open().iter().map(|shared| Arc::clone(&shared.0)).collect();
    all.append(&mut CLOSING.lock().unwrap_or_else(PoisonError::into_inner));
    let (timeout, begun) = (timeout_millis.duration(), Instant::now());
    py.detach(|| {
        for queue in all {
            // What does not arrive is counted and reported.
            let _ = queue.shutdown(timeout.saturating_sub(begun.elapsed()));
        }
    });
}
