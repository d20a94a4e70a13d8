//! Counting for each process by itself.

use std::sync::atomic::{AtomicU64, Ordering};

use scouter_span::counters::Counter;
use scouter_span::fork;

/// A number that begins at zero in a forked child, whichever of its threads comes first. Nobody ever waits.
#[derive(Debug, Default)]
pub(crate) struct OwnCounter {
    /// What this process has counted, on top of what it inherited.
    counter: Counter,
    /// What it inherited, below the lowest bits of the number of the process.
    inherited: AtomicU64,
}

/// The bits of a count. Those above tell a process from its parent.
const BITS: u32 = 48;
const COUNT: u64 = (1 << BITS) - 1;

impl OwnCounter {
    /// Raises the number by one.
    #[inline]
    pub(crate) fn increment(&self) {
        self.inherited();
        self.counter.increment();
    }

    /// The number now.
    pub(crate) fn get(&self) -> u64 {
        let inherited = self.inherited();
        self.counter.get().saturating_sub(inherited)
    }

    /// What was counted before this process began. No thread of it counts before this is settled, so all that settle it at
    /// the same time find the same; one that comes late fails, because the number of the process has changed.
    #[inline]
    fn inherited(&self) -> u64 {
        let known = self.inherited.load(Ordering::Acquire);
        let process = fork::generation() << BITS;
        if known & !COUNT == process { known & COUNT } else { self.settle(known, process) }
    }

    #[cold]
    fn settle(&self, known: u64, process: u64) -> u64 {
        let settled = process | (self.counter.get() & COUNT);
        match self.inherited.compare_exchange(known, settled, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => settled & COUNT,
            Err(other) => other & COUNT,
        }
    }
}
