//! Finished spans, or records, from the program's threads to the worker. What is said of spans here holds for records.
//!
//! Spans are appended to one of a few buffers ("lanes"), of which each thread has a favourite. The worker takes a lane by
//! exchanging its buffer for an empty one, so a span costs the worker nothing here, memory is contiguous, and the same few
//! buffers go round.
//!
//! Waking the worker costs the program's thread a call of the system, which can take longer than a hundred spans. So the
//! worker is woken for a first span and for a full batch, and while spans come fast it looks by itself and is not woken.

mod budget;
mod lane;
mod lanes;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

use scouter_span::scope::ScopeId;
use tokio::sync::Notify;

pub(crate) use budget::{Budget, Held};
pub(crate) use lane::Offer;
pub(crate) use lanes::{Lanes, Taker};

/// What a lane holds before threads go on in the next lanes, when the worker gets no processor time for a while. When all
/// lanes hold that much they hold more: the queue's own bounds say when a span is turned away.
const LANE_BYTES: usize = 1 << 20;

/// The way in. Every method may be called from any thread; none waits.
#[derive(Debug)]
pub(crate) struct Queue {
    lanes: Lanes,
    max: Held,
    budget: Budget,
    open: AtomicBool,
    full: AtomicU64,
    shut: AtomicU64,
    /// The number of spans that make a batch.
    batch_items: u64,
    /// While this many spans or fewer wait, each of them wakes the worker: one, or all.
    waking: u64,
    /// Whether the worker looks by itself soon.
    watched: AtomicBool,
    wake: Notify,
}

/// How many spans were turned away at the entrance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TurnedAway {
    pub(crate) full: u64,
    pub(crate) shut: u64,
}

impl Queue {
    /// A queue that holds at most `max`, and wakes the worker for a first span and for every `batch_items` spans; for
    /// every span with `hasty`.
    pub(crate) fn new(max: Held, batch_items: u64, hasty: bool, open: bool) -> Self {
        Self {
            lanes: Lanes::new(LANE_BYTES, true),
            max,
            budget: Budget::default(),
            open: AtomicBool::new(open),
            full: AtomicU64::new(0),
            shut: AtomicU64::new(0),
            batch_items,
            waking: if hasty { u64::MAX } else { 1 },
            watched: AtomicBool::new(false),
            wake: Notify::new(),
        }
    }

    /// Takes a copy of the span's bytes, or counts it as turned away. Tells which.
    #[inline]
    pub(crate) fn accept(&self, scope: ScopeId, bytes: &[u8]) -> bool {
        if !self.open.load(Ordering::Relaxed) {
            return self.turn_away(&self.shut);
        }
        let length = bytes.len() as u64;
        let Some(held) = self.budget.take(length, self.max) else { return self.turn_away(&self.full) };
        match self.lanes.append(scope, bytes) {
            Offer::Taken { crossed } => {
                if held.items <= self.waking || held.items == self.batch_items || crossed {
                    self.call();
                }
                true
            }
            refused => {
                self.budget.give(Held { items: 1, bytes: length });
                // Others may have seen this span's place in the count, and left the waking to this thread.
                self.call();
                self.turn_away(if matches!(refused, Offer::Closed) { &self.shut } else { &self.full })
            }
        }
    }

    #[cold]
    fn call(&self) {
        // Either this thread sees that the worker does not look by itself any more, or the worker sees the span.
        fence(Ordering::SeqCst);
        if !self.watched.load(Ordering::Relaxed) {
            self.wake.notify_one();
        }
    }

    /// Tells whether the worker looks by itself soon. After `false` it has to look once more.
    pub(crate) fn watch(&self, watched: bool) {
        self.watched.store(watched, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    #[cold]
    fn turn_away(&self, counter: &AtomicU64) -> bool {
        counter.fetch_add(1, Ordering::Release);
        false
    }

    /// Hands what the lanes hold to `each`, see [`Lanes::take`].
    pub(crate) fn take(&self, taker: &mut Taker, close: bool, each: impl FnMut(ScopeId, u32, &[u8])) {
        self.lanes.take(taker, close, each);
    }

    /// Turns away every span from now on, but for those on threads that are already past this point.
    pub(crate) fn close(&self) {
        self.open.store(false, Ordering::Release);
    }

    /// Whether it takes spans.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Resolves when the worker should look.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// What is in the lanes and the pending batch.
    pub(crate) fn held(&self) -> Held {
        self.budget.held()
    }

    /// Notes that this much has left the pending batch.
    pub(crate) fn give(&self, held: Held) {
        self.budget.give(held);
    }

    /// Notes how much the destination holds that holds least; it counts towards the bound.
    pub(crate) fn set_floor(&self, held: Held) {
        self.budget.set_floor(held);
    }

    /// How many spans have been taken in so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.lanes.accepted()
    }

    /// How many have not.
    pub(crate) fn turned_away(&self) -> TurnedAway {
        TurnedAway { full: self.full.load(Ordering::Acquire), shut: self.shut.load(Ordering::Acquire) }
    }
}

impl TurnedAway {
    pub(crate) const fn total(self) -> u64 {
        self.full + self.shut
    }
}

#[cfg(test)]
mod tests {
    use super::lanes::LANES;
    use super::*;

    fn offer(queue: &Queue, scope: u32, bytes: &[u8]) {
        queue.accept(ScopeId(scope), bytes);
    }

    fn taken(queue: &Queue, taker: &mut Taker, close: bool) -> Vec<(u32, u32, Vec<u8>)> {
        let mut runs = Vec::new();
        queue.take(taker, close, |scope, items, bytes| runs.push((scope.0, items, bytes.to_vec())));
        runs
    }

    #[test]
    fn runs_of_a_scope_stay_together() {
        let queue = Queue::new(Held { items: 10, bytes: 100 }, 5, false, true);
        for (scope, bytes) in [(0, b"aa"), (0, b"bb"), (1, b"cc"), (0, b"dd")] {
            offer(&queue, scope, bytes);
        }
        let mut taker = Taker::default();
        let runs = taken(&queue, &mut taker, false);
        assert_eq!(runs, [(0, 2, b"aabb".to_vec()), (1, 1, b"cc".to_vec()), (0, 1, b"dd".to_vec())]);
        assert_eq!(queue.held(), Held { items: 4, bytes: 8 });
        assert_eq!(taken(&queue, &mut taker, false), []);
        queue.give(Held { items: 4, bytes: 8 });
        assert_eq!(queue.held(), Held::default());
    }

    #[test]
    fn both_bounds_turn_spans_away_and_what_destinations_hold_counts() {
        let queue = Queue::new(Held { items: 3, bytes: 10 }, 5, false, true);
        for bytes in [&b"1234"[..], b"1234", b"123", b"12"] {
            offer(&queue, 0, bytes);
        }
        assert_eq!((queue.accepted(), queue.turned_away().full), (3, 1));
        offer(&queue, 0, b"");
        assert_eq!((queue.accepted(), queue.turned_away().full), (3, 2));
        queue.give(Held { items: 3, bytes: 10 });
        queue.set_floor(Held { items: 2, bytes: 0 });
        offer(&queue, 0, b"1");
        offer(&queue, 0, b"1");
        assert_eq!((queue.accepted(), queue.turned_away().full), (4, 3));
    }

    #[test]
    fn a_full_lane_sends_threads_to_the_next() {
        let queue = Queue::new(Held { items: 1000, bytes: 1 << 30 }, 5, false, true);
        let span = vec![7; 700_000];
        (0..LANES).for_each(|_| offer(&queue, 0, &span));
        let mut taker = Taker::default();
        let runs = taken(&queue, &mut taker, false);
        assert_eq!((runs.len(), runs.iter().all(|(_, items, _)| *items == 1)), (LANES, true));
        offer(&queue, 0, &vec![7; 3 << 20]);
        assert_eq!(taken(&queue, &mut taker, false)[0].2.len(), 3 << 20);
    }

    #[test]
    fn lanes_that_are_all_full_turn_nothing_away_within_the_bounds() {
        let queue = Queue::new(Held { items: 1000, bytes: 64 << 20 }, 5, false, true);
        let span = vec![7; 1 << 20];
        (0..65).for_each(|_| offer(&queue, 0, &span));
        assert_eq!((queue.accepted(), queue.turned_away().full), (64, 1));
        let mut taker = Taker::default();
        let runs = taken(&queue, &mut taker, false);
        assert_eq!(runs.iter().map(|(_, items, _)| u64::from(*items)).sum::<u64>(), 64);
    }

    #[test]
    fn a_closed_queue_takes_nothing() {
        let queue = Queue::new(Held { items: 3, bytes: 10 }, 5, false, true);
        let mut taker = Taker::default();
        offer(&queue, 0, b"a");
        assert_eq!(taken(&queue, &mut taker, true).len(), 1);
        // A thread that saw the queue open comes to a closed lane.
        offer(&queue, 0, b"b");
        queue.close();
        offer(&queue, 0, b"c");
        assert_eq!((queue.accepted(), queue.turned_away()), (1, TurnedAway { full: 0, shut: 2 }));
        assert_eq!(queue.held(), Held { items: 1, bytes: 1 });
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        let queue = Queue::new(Held { items: 1 << 20, bytes: 1 << 30 }, 512, false, true);
        let mut taker = Taker::default();
        let mut bytes = 0;
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4u8)
                .map(|thread| {
                    let queue = &queue;
                    scope.spawn(move || (0..10_000).for_each(|_| offer(queue, u32::from(thread), &[thread; 7])))
                })
                .collect();
            while !threads.iter().all(std::thread::ScopedJoinHandle::is_finished) {
                queue.take(&mut taker, false, |scope, items, run| {
                    assert_eq!(run.len(), items as usize * 7);
                    assert!(run.iter().all(|byte| u32::from(*byte) == scope.0));
                    bytes += run.len();
                });
            }
        });
        queue.take(&mut taker, false, |_, _, run| bytes += run.len());
        assert_eq!((bytes, queue.accepted()), (280_000, 40_000));
    }
}
