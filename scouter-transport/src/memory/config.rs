//! Settings of memory.

use std::time::Duration;

/// How much memory keeps, and how long a send may wait at its gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryConfig {
    pub(crate) max_payloads: usize,
    pub(crate) max_bytes: usize,
    pub(crate) timeout: Duration,
}

impl MemoryConfig {
    /// Keeps at most 10 000 payloads and 64 MiB; a send gives up after 10 s.
    pub fn new() -> Self {
        Self { max_payloads: 10_000, max_bytes: 64 * 1024 * 1024, timeout: Duration::from_secs(10) }
    }

    /// Keeps at most this many payloads; the oldest are forgotten first.
    #[must_use]
    pub fn max_payloads(mut self, payloads: usize) -> Self {
        self.max_payloads = payloads;
        self
    }

    /// Keeps at most this many bytes of bodies; the oldest are forgotten first.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How long one send may wait while the gate is held.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self::new()
    }
}
