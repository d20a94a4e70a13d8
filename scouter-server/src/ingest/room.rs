//! The bound on what the server holds in memory for requests that are not stored yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// So many bytes may be in flight.
#[derive(Debug)]
pub(crate) struct Room {
    capacity: usize,
    used: AtomicUsize,
    /// Called when room was given back.
    freed: Notify,
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
        Arc::new(Self { capacity, used: AtomicUsize::new(0), freed: Notify::new() })
    }

    /// How many bytes are in flight.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// A reservation of nothing yet.
    pub(crate) fn enter(self: &Arc<Self>) -> Reservation {
        Reservation { room: Arc::clone(self), bytes: 0 }
    }

    /// Waits for room, as receivers do that fetch messages by themselves. More bytes than there is room for at all wait until they
    /// have it for themselves.
    pub(crate) async fn reserve(self: &Arc<Self>, bytes: usize) -> Reservation {
        let mut reservation = self.enter();
        let bytes = bytes.min(self.capacity);
        loop {
            // Waits from here on, so that nothing is missed between the look and the wait.
            let freed = self.freed.notified();
            if reservation.grow(bytes).is_ok() {
                return reservation;
            }
            freed.await;
        }
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
        if over > 0 {
            self.room.used.fetch_sub(over, Ordering::Relaxed);
            self.bytes -= over;
            self.room.freed.notify_waiters();
        }
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

    #[tokio::test]
    async fn room_is_waited_for() {
        let room = Room::new(10);
        let first = room.reserve(6).await;
        let mut waiting = std::pin::pin!(room.reserve(100));
        assert!(now(waiting.as_mut()).await.is_none());
        drop(first);
        let all = waiting.await;
        assert_eq!(room.used(), 10);
        drop(all);
        assert_eq!(room.used(), 0);
    }

    /// What the future comes to if it is ready now.
    async fn now<T>(mut future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(match future.as_mut().poll(context) {
                std::task::Poll::Ready(value) => Some(value),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
