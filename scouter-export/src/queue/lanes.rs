//! The buffers that threads fill side by side.

use std::num::NonZero;
use std::thread::available_parallelism;

use scouter_span::scope::ScopeId;

use super::budget::Held;
use super::lane::{self, Content, Lane, Offer};

/// More than the threads that are at the same instant appending on everyday machines. A power of two.
pub(super) const LANES: usize = 16;
/// How many bytes in a lane make a full measure.
const MEASURE: usize = 128 << 10;
/// How often a thread goes round the lanes before it gives a span up. Each is held for less than a microsecond, unless its
/// holder lost the processor just then.
const ROUNDS: usize = 16;

/// A few buffers, of which each thread has a favourite. None who appends ever waits.
#[derive(Debug)]
pub(crate) struct Lanes {
    lanes: Box<[Lane]>,
    /// How many lanes are favourites, less one. The others are for when these are busy or full. A power of two, less one.
    favourites: usize,
    /// What a lane holds at most, in bytes, while others have room, unless it is a single span.
    most: usize,
}

/// The other side: what it has taken from each lane.
#[derive(Debug, Default)]
pub(crate) struct Taker {
    taken: [u64; LANES],
    total: Held,
    spare: Content,
}

impl Lanes {
    /// Lanes of which each holds at most `most` bytes until all of them do. With `room`, the favourites have their buffers from
    /// the start.
    pub(crate) fn new(most: usize, room: bool) -> Self {
        let processors = available_parallelism().map_or(1, NonZero::get);
        let favourites = (2 * processors).next_power_of_two().min(LANES) - 1;
        let lane = |at| if room && at <= favourites { Lane::with_room() } else { Lane::default() };
        Self { lanes: (0..LANES).map(lane).collect(), favourites, most }
    }

    /// Takes a copy of a span's bytes.
    #[inline]
    pub(crate) fn append(&self, scope: ScopeId, bytes: &[u8]) -> Offer {
        let favourite = lane::thread_number() & self.favourites;
        for attempt in 0..LANES * ROUNDS {
            // The other favourites first: they have their buffers.
            let at = if attempt <= self.favourites { (favourite + attempt) & self.favourites } else { attempt % LANES };
            // All lanes were tried: when they are full, the worker gets no processor time, and the budget alone is the bound.
            let most = if attempt < 2 * LANES { self.most } else { usize::MAX };
            match self.lanes[at].offer(scope, bytes, MEASURE, most) {
                Offer::Busy => {}
                done => return done,
            }
        }
        Offer::Busy
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

    /// How many spans have been appended so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.lanes.iter().map(Lane::accepted).sum()
    }
}

impl Taker {
    /// A taker that need not allocate for the first buffer it takes.
    pub(crate) fn with_room() -> Self {
        Self { spare: Content::with_room(), ..Self::default() }
    }

    /// Everything that was taken so far, handed to the end or not.
    pub(crate) fn total(&self) -> Held {
        self.total
    }
}
