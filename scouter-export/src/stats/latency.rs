//! How long requests take.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds in milliseconds; what takes longer has a place of its own.
const BOUNDS: [u64; 12] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 10_000];

/// A histogram.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// All of them together.
    pub sum: Duration,
    places: [u64; BOUNDS.len() + 1],
}

#[derive(Debug, Default)]
pub(super) struct LatencyCounters {
    micros: AtomicU64,
    places: [AtomicU64; BOUNDS.len() + 1],
}

impl Latency {
    /// The number of requests that took at most as long as each bound, the bounds rising; `None` stands for any length.
    pub fn cumulative(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let bounds = BOUNDS.into_iter().map(|bound| Some(Duration::from_millis(bound))).chain([None]);
        bounds.zip(self.places).scan(0, |sum, (bound, count)| {
            *sum += count;
            Some((bound, *sum))
        })
    }
}

impl LatencyCounters {
    pub(super) fn add(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let place = BOUNDS.iter().position(|bound| micros <= bound * 1000).unwrap_or(BOUNDS.len());
        self.micros.fetch_add(micros, Ordering::Relaxed);
        self.places[place].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> Latency {
        let places = std::array::from_fn(|at| self.places[at].load(Ordering::Relaxed));
        let sum = Duration::from_micros(self.micros.load(Ordering::Relaxed));
        Latency { count: places.iter().sum(), sum, places }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_has_its_place() {
        let counters = LatencyCounters::default();
        for millis in [0, 1, 3, 60_000] {
            counters.add(Duration::from_millis(millis));
        }
        let latency = counters.get();
        assert_eq!((latency.count, latency.sum), (4, Duration::from_millis(60_004)));
        let cumulative: Vec<_> = latency.cumulative().map(|(_, count)| count).collect();
        assert_eq!(cumulative, [2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4]);
    }
}
