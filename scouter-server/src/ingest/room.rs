//! The bound on what the server holds in memory for requests that are not stored yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many bytes may be in flight.
#[derive(Debug)]
pub(crate) struct Room {
    capacity: usize,
    used: AtomicUsize,
}

/// Bytes that are in flight. Gives its room back when dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    room: Arc<Room>,
    bytes: usize,
}

/// There is no room for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Room {
    pub(crate) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { capacity, used: AtomicUsize::new(0) })
    }

    /// How many bytes are in flight.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// A reservation of nothing yet.
    pub(crate) fn enter(self: &Arc<Self>) -> Reservation {
        Reservation { room: Arc::clone(self), bytes: 0 }
    }
}

impl Reservation {
    /// Takes room for more bytes, or none at all.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        let capacity = self.room.capacity;
        let grown = |used: usize| used.checked_add(bytes).filter(|used| *used <= capacity);
        self.room.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).map_err(|_| Full)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Gives back what goes beyond so many bytes.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let over = self.bytes.saturating_sub(bytes);
        self.room.used.fetch_sub(over, Ordering::Relaxed);
        self.bytes -= over;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_given_once_and_comes_back() {
        let room = Room::new(10);
        let mut first = room.enter();
        let mut second = room.enter();
        assert_eq!(first.grow(6), Ok(()));
        assert_eq!(second.grow(5), Err(Full));
        assert_eq!(second.grow(4), Ok(()));
        assert_eq!(second.grow(usize::MAX), Err(Full));
        assert_eq!(room.used(), 10);
        first.shrink_to(2);
        assert_eq!(room.used(), 6);
        drop(first);
        drop(second);
        assert_eq!(room.used(), 0);
    }
}
