//! One buffer of spans.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError};

use scouter_span::scope::ScopeId;

/// What a buffer begins with. Pages that are never written to cost nothing.
const ROOM: usize = 256 << 10;
/// A buffer larger than this is given back once it is empty.
const MOST: usize = 1 << 20;
/// As many runs are kept room for.
const RUNS: usize = 2048;

/// A buffer that the program's threads fill and the worker takes. 128 bytes, because processors fetch lines of 64 in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Lane {
    /// The program's threads only ever try this lock: whoever finds it held goes to the next lane.
    content: Mutex<Content>,
    /// How many spans have been put in so far. Written under the lock, read without.
    accepted: AtomicU64,
}

/// Spans one after the other.
#[derive(Debug, Default)]
pub(crate) struct Content {
    bytes: Vec<u8>,
    runs: Vec<Run>,
    closed: bool,
}

/// Neighbours of one scope.
#[derive(Clone, Copy, Debug)]
struct Run {
    scope: ScopeId,
    items: u32,
    /// Where in the bytes it ends.
    end: usize,
}

/// What came of offering a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// It was taken in; `crossed` when that made a full measure of bytes.
    Taken { crossed: bool },
    /// Another thread has the lane just now, or it is full.
    Busy,
    /// The lane takes nothing more.
    Closed,
}

/// The number of this thread, from which follows the lane that it tries first.
#[inline]
pub(crate) fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    NUMBER
        .try_with(|number| {
            if number.get() == usize::MAX {
                number.set(NEXT.fetch_add(1, Ordering::Relaxed) & 0xffff);
            }
            number.get()
        })
        .unwrap_or(0)
}

impl Lane {
    /// A lane that need not allocate for its first spans.
    pub(crate) fn with_room() -> Self {
        Self { content: Mutex::new(Content::with_room()), accepted: AtomicU64::new(0) }
    }

    /// Appends a span unless someone else is at it, or the lane then held more than `most` bytes. `measure` is the number
    /// of bytes whose multiples are reported.
    #[inline]
    pub(crate) fn offer(&self, scope: ScopeId, bytes: &[u8], measure: usize, most: usize) -> Offer {
        let mut content = match self.content.try_lock() {
            Ok(content) => content,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Offer::Busy,
        };
        if content.closed {
            return Offer::Closed;
        }
        let before = content.bytes.len();
        if before + bytes.len() > most && before > 0 {
            return Offer::Busy;
        }
        content.push(scope, bytes);
        let after = content.bytes.len();
        self.accepted.store(self.accepted.load(Ordering::Relaxed) + 1, Ordering::Release);
        Offer::Taken { crossed: before / measure != after / measure }
    }

    /// How many spans have been put in so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Acquire)
    }

    /// Exchanges the content for an empty one and tells how many spans have been put in so far. The worker may wait here
    /// for a thread that is copying a span.
    pub(crate) fn exchange(&self, empty: &mut Content, close: bool) -> u64 {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut content.bytes, &mut empty.bytes);
        std::mem::swap(&mut content.runs, &mut empty.runs);
        content.closed |= close;
        self.accepted.load(Ordering::Relaxed)
    }
}

impl Content {
    pub(crate) fn with_room() -> Self {
        Self { bytes: Vec::with_capacity(ROOM), runs: Vec::with_capacity(RUNS), closed: false }
    }

    #[inline]
    fn push(&mut self, scope: ScopeId, bytes: &[u8]) {
        if self.bytes.capacity() == 0 {
            *self = Self::with_room();
        }
        self.bytes.extend_from_slice(bytes);
        let end = self.bytes.len();
        match self.runs.last_mut() {
            Some(run) if run.scope == scope => {
                run.items += 1;
                run.end = end;
            }
            _ => self.runs.push(Run { scope, items: 1, end }),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn for_each(&self, mut each: impl FnMut(ScopeId, u32, &[u8])) {
        let mut start = 0;
        for run in &self.runs {
            each(run.scope, run.items, &self.bytes[start..run.end]);
            start = run.end;
        }
    }

    pub(crate) fn clear(&mut self) {
        // A buffer that a rush has made larger is given back when the rush is over.
        let calm = self.bytes.len() < ROOM / 4;
        if self.bytes.capacity() > MOST || calm && self.bytes.capacity() > ROOM {
            self.bytes = Vec::with_capacity(ROOM);
        }
        self.bytes.clear();
        self.runs.clear();
        self.runs.shrink_to(RUNS);
    }
}
