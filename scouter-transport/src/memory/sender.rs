//! The implementation of memory.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use super::MemoryConfig;
use crate::error::Error;
use crate::payload::{Payload, Receipt};
use crate::traffic::Traffic;
use crate::transport::{BoxFuture, Transport};

/// Keeps payloads, the newest up to its bounds. Clones share everything, so one can be sent through and another
/// looked at; [`transport`](Self::transport) shares what is kept but is closed by itself.
///
/// It can be told how to behave: [`answer_with`](Self::answer_with) bytes, [`fail_next`](Self::fail_next) with an
/// error, or [`hold`](Self::hold) every send at a gate until [`release`](Self::release).
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use scouter_transport::{Error, ErrorKind, Payload, Transport, memory::Memory};
///
/// let memory = Memory::default();
/// memory.fail_next(1, Error::new(ErrorKind::Unavailable, "as told"));
/// assert!(memory.send(Payload::traces("spans", 1)).await.is_err());
/// assert!(memory.send(Payload::traces("spans", 1)).await.is_ok());
/// assert_eq!(memory.payloads().len(), 1);
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Memory {
    shared: Arc<Shared>,
    traffic: Arc<Traffic>,
    timeout: Duration,
}

#[derive(Debug)]
struct Shared {
    config: MemoryConfig,
    state: watch::Sender<State>,
}

#[derive(Debug, Default)]
struct State {
    kept: VecDeque<Payload>,
    kept_bytes: usize,
    received: u64,
    forgotten: u64,
    answer: Bytes,
    failures: VecDeque<(usize, Error)>,
    held: bool,
    waiting: usize,
}

impl State {
    fn keep(&mut self, payload: Payload, config: &MemoryConfig) {
        self.received += 1;
        self.kept_bytes += payload.body.len();
        self.kept.push_back(payload);
        while self.kept.len() > config.max_payloads || self.kept_bytes > config.max_bytes {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.kept_bytes -= oldest.body.len();
            self.forgotten += 1;
        }
    }

    fn next_failure(&mut self) -> Option<Error> {
        let (times, error) = self.failures.front_mut()?;
        let error = error.clone();
        *times -= 1;
        if *times == 0 {
            self.failures.pop_front();
        }
        Some(error)
    }
}

impl Memory {
    /// Empty, open, answering every payload with an empty receipt.
    pub fn new(config: MemoryConfig) -> Self {
        let timeout = config.timeout;
        let shared = Arc::new(Shared { config, state: watch::Sender::default() });
        Self { shared, traffic: Arc::default(), timeout }
    }

    /// Another, open transport into the same memory. Closing one does not close the other.
    #[must_use]
    pub fn transport(&self) -> Self {
        Self { traffic: Arc::default(), ..self.clone() }
    }

    /// How long a send through this transport may wait at the gate.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// What is kept, oldest first.
    pub fn payloads(&self) -> Vec<Payload> {
        self.shared.state.borrow().kept.iter().cloned().collect()
    }

    /// Takes out what is kept, oldest first.
    pub fn take(&self) -> Vec<Payload> {
        let mut taken = VecDeque::new();
        self.shared.state.send_modify(|state| {
            taken = std::mem::take(&mut state.kept);
            state.kept_bytes = 0;
        });
        taken.into()
    }

    /// How many payloads have been taken in, kept or not.
    pub fn received(&self) -> u64 {
        self.shared.state.borrow().received
    }

    /// How many payloads were forgotten because of the bounds.
    pub fn forgotten(&self) -> u64 {
        self.shared.state.borrow().forgotten
    }

    /// Resolves once at least this many payloads have been taken in.
    pub async fn until_received(&self, payloads: u64) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.shared.state.subscribe().wait_for(|state| state.received >= payloads).await;
    }

    /// Answers with these bytes from now on.
    pub fn answer_with(&self, body: impl Into<Bytes>) {
        self.shared.state.send_modify(|state| state.answer = body.into());
    }

    /// Answers the next `times` sends with this error, after those told before. Such payloads are not kept.
    pub fn fail_next(&self, times: usize, error: Error) {
        if times > 0 {
            self.shared.state.send_modify(|state| state.failures.push_back((times, error)));
        }
    }

    /// Forgets the failures that were told.
    pub fn recover(&self) {
        self.shared.state.send_modify(|state| state.failures.clear());
    }

    /// Keeps sends waiting from now on.
    pub fn hold(&self) {
        self.shared.state.send_modify(|state| state.held = true);
    }

    /// Lets the waiting sends, and later ones, pass.
    pub fn release(&self) {
        self.shared.state.send_modify(|state| state.held = false);
    }

    /// Resolves once at least this many sends wait at the gate.
    pub async fn until_waiting(&self, sends: usize) {
        let _ = self.shared.state.subscribe().wait_for(|state| state.waiting >= sends).await;
    }

    async fn pass_gate(&self) {
        let mut state = self.shared.state.subscribe();
        if !state.borrow_and_update().held {
            return;
        }
        let _place = Place::take(&self.shared.state);
        let _ = state.wait_for(|state| !state.held).await;
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(MemoryConfig::default())
    }
}

impl Transport for Memory {
    fn send(&self, payload: Payload) -> BoxFuture<'_, Result<Receipt, Error>> {
        Box::pin(async move {
            let operation = "send to";
            let shared = &*self.shared;
            let Some(_ticket) = self.traffic.enter() else { return Err(Error::closed().during(operation, "memory")) };
            if tokio::time::timeout(self.timeout, self.pass_gate()).await.is_err() {
                return Err(Error::timeout(self.timeout).during(operation, "memory"));
            }
            let mut outcome = Ok(Receipt::default());
            shared.state.send_modify(|state| {
                outcome = match state.next_failure() {
                    Some(error) => Err(error),
                    None => {
                        state.keep(payload, &shared.config);
                        Ok(Receipt { body: state.answer.clone() })
                    }
                };
            });
            outcome
        })
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            self.traffic.drained().await;
            Ok(())
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            self.traffic.close().await;
            Ok(())
        })
    }
}

/// One send's place at the gate, until dropped.
struct Place<'a>(&'a watch::Sender<State>);

impl<'a> Place<'a> {
    fn take(state: &'a watch::Sender<State>) -> Self {
        state.send_modify(|state| state.waiting += 1);
        Self(state)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|state| state.waiting -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn payload(bytes: usize) -> Payload {
        Payload::traces(vec![b'x'; bytes], 1)
    }

    #[tokio::test]
    async fn the_oldest_are_forgotten_first() {
        let memory = Memory::new(MemoryConfig::new().max_payloads(3).max_bytes(10));
        for bytes in [1, 2, 3, 4, 5] {
            memory.send(payload(bytes)).await.unwrap();
        }
        let sizes: Vec<_> = memory.payloads().iter().map(|payload| payload.body.len()).collect();
        assert_eq!(sizes, [4, 5]);
        assert_eq!((memory.received(), memory.forgotten()), (5, 3));
        memory.send(payload(11)).await.unwrap();
        assert!(memory.take().is_empty());
        memory.send(payload(10)).await.unwrap();
        assert_eq!(memory.take().len(), 1);
        assert!(memory.take().is_empty());
    }

    #[tokio::test]
    async fn failures_come_in_the_order_told() {
        let memory = Memory::default();
        memory.fail_next(0, Error::new(ErrorKind::Refused, "never"));
        memory.fail_next(2, Error::new(ErrorKind::Unavailable, "first"));
        memory.fail_next(usize::MAX, Error::new(ErrorKind::Refused, "then"));
        let mut kinds = Vec::new();
        for _ in 0..4 {
            kinds.push(memory.send(payload(1)).await.unwrap_err().kind());
        }
        memory.recover();
        memory.answer_with("yes");
        assert_eq!(memory.send(payload(1)).await.unwrap().body, "yes");
        use ErrorKind::{Refused, Unavailable};
        assert_eq!(kinds, [Unavailable, Unavailable, Refused, Refused]);
        assert_eq!(memory.received(), 1);
    }

    #[tokio::test]
    async fn a_send_waits_at_the_gate_and_may_be_dropped_there() {
        let memory = Memory::default();
        memory.hold();
        let mut sends = tokio::task::JoinSet::new();
        for _ in 0..2 {
            let memory = memory.clone();
            sends.spawn(async move { memory.send(payload(1)).await });
        }
        memory.until_waiting(2).await;
        assert_eq!(memory.received(), 0);
        memory.release();
        while let Some(sent) = sends.join_next().await {
            sent.unwrap().unwrap();
        }
        memory.until_received(2).await;

        memory.hold();
        let task = tokio::spawn({
            let memory = memory.clone();
            async move { memory.send(payload(1)).await }
        });
        memory.until_waiting(1).await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        memory.flush().await.unwrap();
        memory.until_waiting(0).await;
        assert_eq!(memory.shared.state.borrow().waiting, 0);
    }
}
