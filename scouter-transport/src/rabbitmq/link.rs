//! The one connection that all sends share, and how it comes back.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::RabbitMqConfig;
use super::lane::Link;
use super::session::Session;
use crate::error::{Error, ErrorKind};

/// How long to wait after the first failure, and at most.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// How an attempt ended, once it has.
type Outcome = Option<Result<Arc<Link>, Error>>;

/// Where the link is kept. Attempts to connect are tasks of their own: all sends wait for the same one, and none of them
/// takes it along when it gives up.
#[derive(Clone)]
pub(super) struct Dock(Arc<Inner>);

struct Inner {
    config: RabbitMqConfig,
    /// How long an attempt may take.
    limit: Duration,
    state: Mutex<State>,
}

struct State {
    slot: Slot,
    /// Counts attempts, to tell them apart.
    attempts: u64,
    /// How many have failed in a row, and when the last did.
    failures: u32,
    failed: Option<Instant>,
}

enum Slot {
    Idle,
    Connecting { attempt: u64, outcome: watch::Receiver<Outcome>, task: AbortHandle },
    Up(Arc<Link>),
}

impl Dock {
    pub(super) fn new(config: RabbitMqConfig) -> Self {
        let state = State { slot: Slot::Idle, attempts: 0, failures: 0, failed: None };
        Self(Arc::new(Inner { limit: config.timeout, config, state: Mutex::new(state) }))
    }

    /// The link; connects if there is none.
    pub(super) async fn link(&self) -> Result<Arc<Link>, Error> {
        loop {
            let (number, mut outcome) = match self.enter() {
                Ok(link) => return Ok(link),
                Err(waiting) => waiting,
            };
            if let Ok(outcome) = outcome.wait_for(Option::is_some).await
                && let Some(outcome) = &*outcome
            {
                return outcome.clone();
            }
            // The attempt went away with the runtime it was on.
            let mut state = self.0.lock();
            if matches!(state.slot, Slot::Connecting { attempt, .. } if attempt == number) {
                state.slot = Slot::Idle;
            }
        }
    }

    /// The link if it is there, else the attempt to wait for.
    fn enter(&self) -> Result<Arc<Link>, (u64, watch::Receiver<Outcome>)> {
        let mut state = self.0.lock();
        match &state.slot {
            Slot::Up(link) if !link.session.is_ended() => return Ok(Arc::clone(link)),
            Slot::Connecting { attempt, outcome, .. } => return Err((*attempt, outcome.clone())),
            Slot::Up(_) | Slot::Idle => {}
        }
        state.attempts += 1;
        let attempt = state.attempts;
        let not_before = state.failed.map(|failed| failed + delay(state.failures).min(self.0.limit / 2));
        let (sender, outcome) = watch::channel(None);
        let inner = Arc::clone(&self.0);
        let task = tokio::spawn(inner.attempt(attempt, not_before, sender)).abort_handle();
        state.slot = Slot::Connecting { attempt, outcome: outcome.clone(), task };
        Err((attempt, outcome))
    }

    /// Lets this link go. Whoever still uses it may; the next send makes another.
    pub(super) fn forget(&self, link: &Arc<Link>) {
        let mut state = self.0.lock();
        if matches!(&state.slot, Slot::Up(current) if Arc::ptr_eq(current, link)) {
            state.slot = Slot::Idle;
        }
    }

    /// Takes the link away, and stops an attempt.
    pub(super) fn take(&self) -> Option<Arc<Link>> {
        match std::mem::replace(&mut self.0.lock().slot, Slot::Idle) {
            Slot::Up(link) => Some(link),
            Slot::Connecting { task, .. } => {
                task.abort();
                None
            }
            Slot::Idle => None,
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn attempt(self: Arc<Self>, number: u64, not_before: Option<Instant>, done: watch::Sender<Outcome>) {
        if let Some(instant) = not_before {
            sleep_until(instant).await;
        }
        let outcome = match timeout(self.limit, Session::open(&self.config, "scouter")).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let reason = format!("the broker did not let us in within {:?}", self.limit);
                Err(Error::new(ErrorKind::Timeout, reason))
            }
        };
        let outcome = outcome.map(|session| Arc::new(Link::new(session)));
        let mut state = self.lock();
        if matches!(state.slot, Slot::Connecting { attempt, .. } if attempt == number) {
            state.slot = match &outcome {
                Ok(link) => Slot::Up(Arc::clone(link)),
                Err(_) => Slot::Idle,
            };
        }
        (state.failures, state.failed) = match outcome {
            Ok(_) => (0, None),
            Err(_) => (state.failures.saturating_add(1), Some(Instant::now())),
        };
        drop(state);
        done.send_replace(Some(outcome));
    }
}

/// How long to wait after so many failures: twice as long each time, and not at the same time as everybody else.
fn delay(failures: u32) -> Duration {
    let doubled = FIRST_DELAY.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LONGEST_DELAY);
    doubled.mul_f64(0.5 + fastrand::f64() / 2.0)
}

impl fmt::Debug for Dock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.0.lock().slot {
            Slot::Idle => "idle",
            Slot::Connecting { .. } => "connecting",
            Slot::Up(_) => "up",
        };
        f.debug_struct("Dock").field("broker", &self.0.config.shown()).field("state", &state).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_limit() {
        for failures in 1..100 {
            let expected = FIRST_DELAY.saturating_mul(1 << (failures - 1).min(10)).min(LONGEST_DELAY);
            let delay = delay(failures);
            assert!(delay >= expected / 2 && delay <= expected, "{delay:?} after {failures} failures");
        }
    }
}
