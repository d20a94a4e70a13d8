//! How many spans there have been. Each thread counts in a place of its own, so counting never waits.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Enough places that threads of everyday programs rarely share one.
const PLACES: usize = 16;

/// A number that threads raise without meeting each other.
#[derive(Debug, Default)]
pub struct Counter([Place; PLACES]);

/// 128 bytes, because processors fetch lines of 64 in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Place(AtomicU64);

/// What a provider counts about its spans.
///
/// At every moment `started = live + ended + abandoned`, and every ended span was handed to the sink.
#[derive(Debug, Default)]
pub struct Counters {
    /// Sampled spans that have begun.
    pub started: Counter,
    /// Spans that are not exported because a sampler, or the caller before it, said so. Those that are recorded all the
    /// same, for processors to see, are among them.
    pub sampled_out: Counter,
    /// Sampled spans that have ended.
    pub ended: Counter,
    /// Sampled spans that went away without an end.
    pub abandoned: Counter,
    /// Calls of samplers, id generators and processors that panicked, or that a binding says have failed.
    pub plugin_failures: Counter,
}

fn place() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static PLACE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % PLACES;
    }
    PLACE.try_with(|place| *place).unwrap_or(0)
}

impl Counter {
    /// Raises the number by one.
    #[inline]
    pub fn increment(&self) {
        // Release, so that who sees a span's end counted sees its start counted too.
        self.0[place()].0.fetch_add(1, Ordering::Release);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.iter().map(|place| place.0.load(Ordering::Acquire)).sum()
    }

    /// Back to nothing, for the child's side of a fork.
    pub fn reset(&self) {
        for place in &self.0 {
            place.0.store(0, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_between_threads() {
        let counter = Counter::default();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..10_000).for_each(|_| counter.increment()));
            }
        });
        assert_eq!(counter.get(), 80_000);
    }
}
