//! What time it is.

use std::time::{SystemTime, UNIX_EPOCH};

/// Where a tracer reads the time.
#[derive(Clone, Copy, Debug, Default)]
pub enum Clock {
    /// The operating system's wall clock.
    #[default]
    System,
    /// A function that returns nanoseconds since the Unix epoch, for tests and for replays.
    Custom(fn() -> u64),
}

impl Clock {
    /// Nanoseconds since the Unix epoch.
    #[inline]
    pub fn now(self) -> u64 {
        match self {
            Self::System => system_now(),
            Self::Custom(read) => read(),
        }
    }
}

#[inline]
#[expect(clippy::disallowed_methods, reason = "this is the clock that everyone else takes")]
fn system_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_nanos() as u64)
}
