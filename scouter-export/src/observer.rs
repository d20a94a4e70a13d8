//! Telling someone what every export came to.

use std::fmt;
use std::time::Duration;

use scouter_transport::{ErrorKind, Signal, Status};

/// One payload brought to its end at one destination, with all its tries
/// (semantic conventions, `otel.sdk.exporter.operation.duration`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExportOperation<'a> {
    /// The destination's name.
    pub destination: &'a str,
    /// Whether it was about spans or records.
    pub signal: Signal,
    /// How many spans, or records, the payload had. When the receiver asked for smaller payloads, every half is an operation.
    pub spans: u64,
    /// How many of these the receiver has not taken although it took the payload (OTLP, "Partial Success").
    pub rejected: u64,
    /// From the first try to the last answer, waits between tries included.
    pub duration: Duration,
    /// How many tries there were.
    pub attempts: u32,
    /// What went wrong last; `None` when every span was taken.
    pub error: Option<ExportError>,
    /// The receiver's own number for what went wrong, if it gave one.
    pub status: Option<Status>,
}

/// Why not all spans of a payload were exported. The list may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExportError {
    /// The transport said so.
    Transport(ErrorKind),
    /// The receiver took the payload and rejected some of its spans.
    Rejected,
    /// The transport panicked.
    Panic,
    /// A shutdown's time was up.
    Shutdown,
}

/// Is told of every finished export, on the worker's thread. It must be quick: everything else waits meanwhile. A panic is
/// caught and counted among [`Stats::panics`](crate::Stats::panics).
pub trait ExportObserver: Send + Sync + fmt::Debug {
    /// An export has come to its end, well or badly. Called before the spans are counted, so whoever sees them in the
    /// statistics has been told.
    fn exported(&self, operation: &ExportOperation<'_>);
}

impl ExportError {
    /// A stable name in snake case, as value of the attribute `error.type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transport(kind) => kind.name(),
            Self::Rejected => "rejected",
            Self::Panic => "panic",
            Self::Shutdown => "shutdown",
        }
    }
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
