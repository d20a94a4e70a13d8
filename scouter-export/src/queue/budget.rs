//! How much may wait, in spans and in bytes.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes take the lower 40 bits, spans the 24 above them, so that one operation changes both.
const SHIFT: u32 = 40;
const BYTES: u64 = (1 << SHIFT) - 1;

/// A number of spans and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) items: u64,
    pub(crate) bytes: u64,
}

/// How much is held at one place, and how much further on.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    held: AtomicU64,
    /// What is held further on by the destination that holds least.
    floor: AtomicU64,
}

impl Held {
    /// The largest bounds that leave room for every thread to overshoot by a span before it steps back.
    pub(crate) const LARGEST: Self = Self { items: 1 << 23, bytes: 1 << 39 };

    const fn pack(self) -> u64 {
        self.items << SHIFT | (self.bytes & BYTES)
    }

    const fn unpack(packed: u64) -> Self {
        Self { items: packed >> SHIFT, bytes: packed & BYTES }
    }

    pub(crate) const fn plus(self, other: Self) -> Self {
        Self { items: self.items + other.items, bytes: self.bytes + other.bytes }
    }

    pub(crate) const fn minus(self, other: Self) -> Self {
        Self { items: self.items.saturating_sub(other.items), bytes: self.bytes.saturating_sub(other.bytes) }
    }

    pub(crate) const fn fits(self, max: Self) -> bool {
        self.items <= max.items && self.bytes <= max.bytes
    }

    /// The smaller number of spans, and the smaller number of bytes.
    pub(crate) fn least(self, other: Self) -> Self {
        Self { items: self.items.min(other.items), bytes: self.bytes.min(other.bytes) }
    }
}

impl Budget {
    /// Takes room for a span within `max` and tells what is then held here; `None` when there is no room.
    #[inline]
    pub(crate) fn take(&self, bytes: u64, max: Held) -> Option<Held> {
        if bytes > max.bytes {
            return None;
        }
        let span = Held { items: 1, bytes };
        let held = Held::unpack(self.held.fetch_add(span.pack(), Ordering::Relaxed)).plus(span);
        let floor = Held::unpack(self.floor.load(Ordering::Relaxed));
        if held.plus(floor).fits(max) {
            return Some(held);
        }
        self.give(span);
        None
    }

    pub(crate) fn give(&self, held: Held) {
        self.held.fetch_sub(held.pack(), Ordering::Relaxed);
    }

    pub(crate) fn held(&self) -> Held {
        Held::unpack(self.held.load(Ordering::Relaxed))
    }

    pub(crate) fn set_floor(&self, held: Held) {
        self.floor.store(held.pack(), Ordering::Relaxed);
    }
}
