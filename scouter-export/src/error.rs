//! What callers are told.

use std::error::Error as StdError;
use std::sync::Arc;

use scouter_transport::Signal;

use crate::report::noun;

/// What went wrong. The list may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The settings cannot work.
    Config,
    /// A destination's transport could not be made.
    Destination,
    /// The worker's thread could not be started.
    Worker,
}

/// Why a worker or a pipeline was not made.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text}")]
pub struct Error {
    kind: ErrorKind,
    text: String,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// Why not everything has arrived.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlushError {
    /// The time was up. What had not been sent by then is still being sent after a flush; after a shutdown it is dropped.
    #[error("{remaining} {} were still waiting when the time was up", noun(*signal))]
    Timeout {
        /// Whether it is about spans or records.
        signal: Signal,
        /// The spans that the destination with most left had not dealt with.
        remaining: u64,
    },
    /// Everything has been dealt with, but some spans were dropped on the way.
    #[error("{dropped} {} did not arrive at {destination}: {reason}", noun(*signal))]
    Failed {
        /// Whether it is about spans or records.
        signal: Signal,
        /// The first destination with losses.
        destination: String,
        /// How many spans it lost while this call waited.
        dropped: u64,
        /// The destination's last error, without credentials.
        reason: String,
    },
    /// The caller is on the worker's own thread, which cannot wait for itself.
    #[error("the worker cannot wait for itself, flush from another thread")]
    OnWorker,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), source: None }
    }

    pub(crate) fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// What went wrong.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }
}
