//! Which sends are in flight, and whether more may begin.

use std::collections::BTreeSet;

use tokio::sync::watch;

/// Counts sends in and out, so that `flush` and `close` can wait for them.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    state: watch::Sender<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    active: BTreeSet<u64>,
    closed: bool,
}

/// One send in flight, until dropped.
#[derive(Debug)]
pub(crate) struct Ticket<'a> {
    traffic: &'a Traffic,
    number: u64,
}

impl Traffic {
    /// Begins a send, or answers `None` when closed.
    pub(crate) fn enter(&self) -> Option<Ticket<'_>> {
        let mut number = None;
        self.state.send_if_modified(|state| {
            if !state.closed {
                number = Some(state.next);
                state.active.insert(state.next);
                state.next += 1;
            }
            false
        });
        number.map(|number| Ticket { traffic: self, number })
    }

    /// Resolves once every send that has begun by now has ended.
    pub(crate) async fn drained(&self) {
        let mut state = self.state.subscribe();
        let until = state.borrow_and_update().next;
        // The sender lives in `self`, so waiting cannot fail.
        let _ = state.wait_for(|state| state.active.first().is_none_or(|oldest| *oldest >= until)).await;
    }

    /// Lets no more sends begin, then resolves once all have ended.
    pub(crate) async fn close(&self) {
        self.state.send_modify(|state| state.closed = true);
        self.drained().await;
    }

    /// Resolves once closing has begun.
    pub(crate) async fn closed(&self) {
        let _ = self.state.subscribe().wait_for(|state| state.closed).await;
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.traffic.state.send_modify(|state| {
            state.active.remove(&self.number);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn is_pending(future: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
        future.poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    #[test]
    fn drained_waits_for_earlier_sends_only() {
        let traffic = Traffic::default();
        let first = traffic.enter();
        let mut drained = pin!(traffic.drained());
        assert!(is_pending(drained.as_mut()));
        let later = traffic.enter();
        drop(first);
        assert!(!is_pending(drained.as_mut()));
        drop(later);
    }

    #[test]
    fn closed_lets_nothing_begin_and_waits_for_the_rest() {
        let traffic = Traffic::default();
        let ticket = traffic.enter();
        let mut close = pin!(traffic.close());
        assert!(is_pending(close.as_mut()));
        assert!(traffic.enter().is_none());
        drop(ticket);
        assert!(!is_pending(close.as_mut()));
        assert!(!is_pending(pin!(traffic.closed())));
    }
}
