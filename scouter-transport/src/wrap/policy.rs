//! When to try again.

use std::time::Duration;

use crate::error::Error;

/// Exponential backoff with full jitter, within a budget of time and attempts.
///
/// After attempt *n* the wait is a random part of `initial_backoff * 2^(n-1)`, at most `max_backoff`, and never less
/// than the far end asked for. There is no further attempt when it would begin after `max_elapsed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    initial_backoff: Duration,
    max_backoff: Duration,
    max_elapsed: Duration,
    max_attempts: u32,
}

impl RetryPolicy {
    /// Waits up to 0.5 s after the first attempt, up to 10 s after later ones, and gives up after a minute.
    pub fn new() -> Self {
        Self {
            initial_backoff: Duration::from_millis(500),
            max_backoff: Duration::from_secs(10),
            max_elapsed: Duration::from_secs(60),
            max_attempts: u32::MAX,
        }
    }

    /// The longest wait after the first attempt.
    #[must_use]
    pub fn initial_backoff(mut self, backoff: Duration) -> Self {
        self.initial_backoff = backoff;
        self
    }

    /// The longest wait after any attempt, unless the far end asks for more.
    #[must_use]
    pub fn max_backoff(mut self, backoff: Duration) -> Self {
        self.max_backoff = backoff;
        self
    }

    /// The last moment, counted from the beginning of the send, at which an attempt may begin. Zero means one attempt.
    #[must_use]
    pub fn max_elapsed(mut self, elapsed: Duration) -> Self {
        self.max_elapsed = elapsed;
        self
    }

    /// How often to try at most, the first time included. Zero counts as one.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// How long to wait before the next attempt; `None` to give up.
    ///
    /// `fraction` is random in 0 to 1.
    pub(super) fn wait(&self, attempt: u32, error: &Error, elapsed: Duration, fraction: f64) -> Option<Duration> {
        if !error.is_retryable() || attempt >= self.max_attempts {
            return None;
        }
        let doubled = self.initial_backoff.saturating_mul(2u32.saturating_pow(attempt - 1));
        let backoff = doubled.min(self.max_backoff).mul_f64(fraction);
        let wait = backoff.max(error.retry_after().unwrap_or_default());
        (elapsed.saturating_add(wait) < self.max_elapsed).then_some(wait)
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn policy() -> RetryPolicy {
        RetryPolicy::new().initial_backoff(SECOND).max_backoff(SECOND * 5).max_elapsed(SECOND * 60)
    }

    fn error() -> Error {
        Error::new(ErrorKind::Unavailable, "")
    }

    #[test]
    fn backoff_doubles_up_to_its_bound() {
        let waits = [1, 2, 3, 4, 60, u32::MAX - 1].map(|attempt| policy().wait(attempt, &error(), SECOND, 1.0));
        assert_eq!(waits.map(|wait| wait.unwrap().as_secs()), [1, 2, 4, 5, 5, 5]);
        assert_eq!(policy().wait(3, &error(), SECOND, 0.25), Some(SECOND));
    }

    #[test]
    fn the_far_end_is_obeyed_within_the_budget() {
        let error = |seconds| error().with_retry_after(SECOND * seconds);
        assert_eq!(policy().wait(1, &error(30), SECOND, 1.0), Some(SECOND * 30));
        assert_eq!(policy().wait(4, &error(1), SECOND, 1.0), Some(SECOND * 5));
        assert_eq!(policy().wait(1, &error(59), SECOND, 1.0), None);
        assert_eq!(policy().wait(1, &error(u32::MAX), Duration::MAX, 1.0), None);
    }

    #[test]
    fn attempts_end() {
        assert_eq!(policy().max_attempts(0).wait(1, &error(), SECOND, 0.0), None);
        assert_eq!(policy().max_attempts(3).wait(2, &error(), SECOND, 0.0), Some(Duration::ZERO));
        assert_eq!(policy().max_attempts(3).wait(3, &error(), SECOND, 0.0), None);
        assert_eq!(policy().max_elapsed(Duration::ZERO).wait(1, &error(), Duration::ZERO, 0.0), None);
        assert_eq!(policy().wait(1, &Error::new(ErrorKind::Refused, ""), SECOND, 0.0), None);
    }

    proptest! {
        #[test]
        fn never_beyond_bounds(attempt in 1u32.., fraction in 0.0..1.0f64, initial: Duration, max: Duration) {
            let policy = RetryPolicy::new().initial_backoff(initial).max_backoff(max).max_elapsed(Duration::MAX);
            if let Some(wait) = policy.wait(attempt, &error(), Duration::ZERO, fraction) {
                prop_assert!(wait <= max);
            }
        }
    }
}
