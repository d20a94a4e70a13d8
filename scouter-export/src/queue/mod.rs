//! Finished spans from the program's threads to the worker.
//!
//! Spans are appended to one of a few buffers ("lanes"), of which each thread has a favourite. The worker takes a lane by
//! exchanging its buffer for an empty one, so a span costs the worker nothing here, memory is contiguous, and the same few
//! buffers go round.
//!
//! Waking the worker costs the program's thread a call of the system, which can take longer than a hundred spans. So the
//! worker is woken for a first span and for a full batch, and while spans come fast it looks by itself and is not woken.

mod budget;
mod lane;

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::thread::available_parallelism;

use scouter_span::{FinishedSpan, scope::ScopeId};
use tokio::sync::Notify;

use budget::Budget;
pub(crate) use budget::Held;
use lane::{Content, Lane, Offer};

/// More than the threads that are at the same instant inside [`Queue::accept`] on everyday machines. A power of two.
const LANES: usize = 16;
/// How many bytes in a lane wake the worker.
const WAKE_BYTES: usize = 128 << 10;
/// How often a thread goes round the lanes before it gives a span up. Each is held for less than a microsecond, unless its
/// holder lost the processor just then.
const ROUNDS: usize = 16;

/// The way in. Every method may be called from any thread; none waits.
#[derive(Debug)]
pub(crate) struct Queue {
    lanes: Box<[Lane]>,
    /// How many lanes are favourites, less one. The others are for when these are busy or full. A power of two, less one.
    favourites: usize,
    budget: Budget,
    open: AtomicBool,
    full: AtomicU64,
    shut: AtomicU64,
    /// The number of spans that make a batch.
    batch_items: u64,
    /// Whether the worker looks by itself soon.
    watched: AtomicBool,
    wake: Notify,
}

/// The worker's side: what it has taken from each lane.
#[derive(Debug)]
pub(crate) struct Taker {
    taken: [u64; LANES],
    total: Held,
    spare: Content,
}

/// How many spans were turned away at the entrance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TurnedAway {
    pub(crate) full: u64,
    pub(crate) shut: u64,
}

impl Queue {
    /// A queue that holds at most `max`, and wakes the worker for every `batch_items` spans.
    pub(crate) fn new(max: Held, batch_items: u64, open: bool) -> Self {
        let processors = available_parallelism().map_or(1, NonZero::get);
        let favourites = (2 * processors).next_power_of_two().min(LANES) - 1;
        Self {
            lanes: (0..LANES).map(|at| if at <= favourites { Lane::with_room() } else { Lane::default() }).collect(),
            favourites,
            budget: Budget::new(max),
            open: AtomicBool::new(open),
            full: AtomicU64::new(0),
            shut: AtomicU64::new(0),
            batch_items,
            watched: AtomicBool::new(false),
            wake: Notify::new(),
        }
    }

    /// Takes a copy of the span, or counts it as turned away.
    #[inline]
    pub(crate) fn accept(&self, span: &FinishedSpan<'_>) {
        if !self.open.load(Ordering::Relaxed) {
            return self.turn_away(&self.shut);
        }
        let length = span.bytes.len() as u64;
        let Some(held) = self.budget.take(length) else { return self.turn_away(&self.full) };
        match self.append(span.scope, span.bytes) {
            Offer::Taken { crossed } => {
                if held.items == 1 || held.items == self.batch_items || crossed {
                    self.call();
                }
            }
            refused => {
                self.budget.give(Held { items: 1, bytes: length });
                // Others may have seen this span's place in the count, and left the waking to this thread.
                self.call();
                self.turn_away(if matches!(refused, Offer::Closed) { &self.shut } else { &self.full });
            }
        }
    }

    #[inline]
    fn append(&self, scope: ScopeId, bytes: &[u8]) -> Offer {
        let favourite = lane::thread_number() & self.favourites;
        for attempt in 0..LANES * ROUNDS {
            // The other favourites first: they have their buffers.
            let at = if attempt <= self.favourites { (favourite + attempt) & self.favourites } else { attempt % LANES };
            match self.lanes[at].offer(scope, bytes, WAKE_BYTES) {
                Offer::Busy => {}
                done => return done,
            }
        }
        Offer::Busy
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
    fn turn_away(&self, counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Release);
    }

    /// Hands what the lanes hold to `each`: the scope, the number of spans, and their bytes. With `close`, every lane
    /// takes nothing more from then on.
    pub(crate) fn take(&self, taker: &mut Taker, close: bool, mut each: impl FnMut(ScopeId, u32, &[u8])) {
        let Taker { taken, total, spare } = taker;
        for (at, (lane, taken)) in self.lanes.iter().zip(taken).enumerate() {
            if lane.accepted() == *taken && !close {
                continue;
            }
            // The lanes that only a rush fills keep no buffers.
            let mut leave = if at <= self.favourites { std::mem::take(spare) } else { Content::default() };
            let accepted = lane.exchange(&mut leave, close);
            *total = total.plus(Held { items: accepted - *taken, bytes: leave.len() as u64 });
            *taken = accepted;
            leave.for_each(&mut each);
            if at <= self.favourites {
                leave.clear();
                *spare = leave;
            }
        }
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
        self.lanes.iter().map(Lane::accepted).sum()
    }

    /// How many have not.
    pub(crate) fn turned_away(&self) -> TurnedAway {
        TurnedAway { full: self.full.load(Ordering::Acquire), shut: self.shut.load(Ordering::Acquire) }
    }
}

impl Taker {
    pub(crate) fn new() -> Self {
        Self { taken: [0; LANES], total: Held::default(), spare: Content::with_room() }
    }

    /// Everything that was taken so far, handed to the end or not.
    pub(crate) fn total(&self) -> Held {
        self.total
    }
}

impl TurnedAway {
    pub(crate) const fn total(self) -> u64 {
        self.full + self.shut
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use scouter_span::TraceId;

    fn offer(queue: &Queue, scope: u32, bytes: &[u8]) {
        let trace_id = TraceId::from_int(1).unwrap();
        queue.accept(&FinishedSpan { bytes, scope: ScopeId(scope), trace_id });
    }

    fn taken(queue: &Queue, taker: &mut Taker, close: bool) -> Vec<(u32, u32, Vec<u8>)> {
        let mut runs = Vec::new();
        queue.take(taker, close, |scope, items, bytes| runs.push((scope.0, items, bytes.to_vec())));
        runs
    }

    #[test]
    fn runs_of_a_scope_stay_together() {
        let queue = Queue::new(Held { items: 10, bytes: 100 }, 5, true);
        for (scope, bytes) in [(0, b"aa"), (0, b"bb"), (1, b"cc"), (0, b"dd")] {
            offer(&queue, scope, bytes);
        }
        let mut taker = Taker::new();
        let runs = taken(&queue, &mut taker, false);
        assert_eq!(runs, [(0, 2, b"aabb".to_vec()), (1, 1, b"cc".to_vec()), (0, 1, b"dd".to_vec())]);
        assert_eq!(queue.held(), Held { items: 4, bytes: 8 });
        assert_eq!(taken(&queue, &mut taker, false), []);
        queue.give(Held { items: 4, bytes: 8 });
        assert_eq!(queue.held(), Held::default());
    }

    #[test]
    fn both_bounds_turn_spans_away_and_what_destinations_hold_counts() {
        let queue = Queue::new(Held { items: 3, bytes: 10 }, 5, true);
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
        let queue = Queue::new(Held { items: 1000, bytes: 1 << 30 }, 5, true);
        let span = vec![7; 700_000];
        (0..LANES + 1).for_each(|_| offer(&queue, 0, &span));
        assert_eq!((queue.accepted(), queue.turned_away().full), (LANES as u64, 1));
        let mut taker = Taker::new();
        assert_eq!(taken(&queue, &mut taker, false).len(), LANES);
        offer(&queue, 0, &vec![7; 3 << 20]);
        assert_eq!(taken(&queue, &mut taker, false)[0].2.len(), 3 << 20);
    }

    #[test]
    fn a_closed_queue_takes_nothing() {
        let queue = Queue::new(Held { items: 3, bytes: 10 }, 5, true);
        let mut taker = Taker::new();
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
        let queue = Queue::new(Held { items: 1 << 20, bytes: 1 << 30 }, 512, true);
        let mut taker = Taker::new();
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
