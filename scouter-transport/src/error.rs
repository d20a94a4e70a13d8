//! The one error type of this crate.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What went wrong. The list may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The settings cannot work: a bad URL, header, certificate or duration.
    Config,
    /// This build, or this transport, cannot do what was asked.
    Unsupported,
    /// No connection could be made. Retryable.
    Unreachable,
    /// The connection ended before the whole answer had come. Retryable.
    Dropped,
    /// The two ends do not trust each other, or do not agree on TLS.
    Tls,
    /// No answer within the timeout. Retryable.
    Timeout,
    /// The transport was closed before the send began.
    Closed,
    /// The far end asks to send less: HTTP 429, gRPC `RESOURCE_EXHAUSTED` with `RetryInfo`. Retryable.
    Throttled,
    /// The far end cannot take payloads now: HTTP 502, 503, 504, gRPC `UNAVAILABLE` and its like. Retryable.
    Unavailable,
    /// The payload is larger than the far end takes. A smaller one may pass.
    TooLarge,
    /// The far end will not take this payload.
    Refused,
    /// The far end answered something that this protocol does not allow, or more than 4 MiB.
    BadResponse,
}

impl ErrorKind {
    /// Every kind, for tables of counters.
    pub const ALL: [Self; 12] = [
        Self::Config,
        Self::Unsupported,
        Self::Unreachable,
        Self::Dropped,
        Self::Tls,
        Self::Timeout,
        Self::Closed,
        Self::Throttled,
        Self::Unavailable,
        Self::TooLarge,
        Self::Refused,
        Self::BadResponse,
    ];

    /// A stable name in snake case, for counters and labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Unsupported => "unsupported",
            Self::Unreachable => "unreachable",
            Self::Dropped => "dropped",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::TooLarge => "too_large",
            Self::Refused => "refused",
            Self::BadResponse => "bad_response",
        }
    }

    /// Whether the same payload may be sent again.
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Unreachable | Self::Dropped | Self::Timeout | Self::Throttled | Self::Unavailable)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The far end's own verdict, in its protocol's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// An HTTP status, such as 503.
    Http(u16),
    /// A gRPC status code, such as 14.
    Grpc(u16),
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(code) => write!(f, "HTTP status {code}"),
            Self::Grpc(code) => match GRPC_NAMES.get(usize::from(*code)) {
                Some(name) => write!(f, "gRPC status {name}"),
                None => write!(f, "gRPC status {code}"),
            },
        }
    }
}

/// The codes of the gRPC specification ("Status codes and their use in gRPC"), in order.
const GRPC_NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Why a payload was not delivered, or a transport not made.
///
/// The message names the operation, the endpoint without its credentials, the far end's status and the reason.
/// A clone shares the source.
#[derive(Clone, Debug)]
pub struct Error(Box<Report>);

#[derive(Clone, Debug)]
struct Report {
    kind: ErrorKind,
    operation: Option<&'static str>,
    endpoint: Option<String>,
    status: Option<Status>,
    detail: String,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of this kind. `detail` says what happened and the way out: lower case, no full stop, no credentials.
    pub fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self(Box::new(Report {
            kind,
            operation: None,
            endpoint: None,
            status: None,
            detail: detail.into(),
            retry_after: None,
            source: None,
        }))
    }

    /// Adds what was being done, such as `send traces to`, and the endpoint as it may be shown.
    #[must_use]
    pub fn during(mut self, operation: &'static str, endpoint: impl Into<String>) -> Self {
        self.0.operation = Some(operation);
        self.0.endpoint = Some(endpoint.into());
        self
    }

    /// Adds the far end's verdict.
    #[must_use]
    pub fn with_status(mut self, status: Status) -> Self {
        self.0.status = Some(status);
        self
    }

    /// Adds how long the far end wants to be left alone.
    #[must_use]
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// Adds the error underneath.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same payload may be sent again.
    pub fn is_retryable(&self) -> bool {
        self.0.kind.is_retryable()
    }

    /// How long the far end wants to be left alone: `Retry-After` of HTTP, `RetryInfo` of gRPC.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The far end's verdict, where it gave one.
    pub fn status(&self) -> Option<Status> {
        self.0.status
    }

    /// What was being done, such as `send traces to`.
    pub fn operation(&self) -> Option<&'static str> {
        self.0.operation
    }

    /// Where to, without credentials and query.
    pub fn endpoint(&self) -> Option<&str> {
        self.0.endpoint.as_deref()
    }

    pub(crate) fn closed() -> Self {
        Self::new(ErrorKind::Closed, "the transport is closed")
    }

    pub(crate) fn timeout(limit: Duration) -> Self {
        Self::new(ErrorKind::Timeout, format!("no answer within {limit:?}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = &*self.0;
        if let Some(operation) = report.operation {
            write!(f, "cannot {operation}")?;
            if let Some(endpoint) = report.endpoint.as_deref().filter(|endpoint| !endpoint.is_empty()) {
                write!(f, " {endpoint}")?;
            }
            f.write_str(": ")?;
        }
        match (report.status, report.detail.as_str()) {
            (Some(status), "") => write!(f, "{status}"),
            (Some(status), detail) => write!(f, "{status}: {detail}"),
            (None, detail) => f.write_str(detail),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn message_names_operation_endpoint_status_and_reason() {
        let error = Error::new(ErrorKind::Unavailable, "busy")
            .during("send traces to", "http://host/v1/traces")
            .with_status(Status::Http(503));
        assert_eq!(error.to_string(), "cannot send traces to http://host/v1/traces: HTTP status 503: busy");
        let error = Error::new(ErrorKind::Refused, "").with_status(Status::Grpc(3));
        assert_eq!(error.to_string(), "gRPC status INVALID_ARGUMENT");
        assert_eq!(Status::Grpc(99).to_string(), "gRPC status 99");
    }

    #[test]
    fn source_is_kept_through_clones() {
        let error = Error::new(ErrorKind::Dropped, "gone").with_source(io::Error::from(io::ErrorKind::BrokenPipe));
        let clone = error.clone();
        let source = clone.source().and_then(|source| source.downcast_ref::<io::Error>());
        assert_eq!(source.map(io::Error::kind), Some(io::ErrorKind::BrokenPipe));
    }

    #[test]
    fn exactly_the_passing_kinds_are_retryable() {
        let retryable: Vec<_> = ErrorKind::ALL.into_iter().filter(|kind| kind.is_retryable()).collect();
        assert_eq!(
            retryable,
            [
                ErrorKind::Unreachable,
                ErrorKind::Dropped,
                ErrorKind::Timeout,
                ErrorKind::Throttled,
                ErrorKind::Unavailable
            ]
        );
    }

    #[test]
    fn names_are_distinct() {
        let mut names: Vec<_> = ErrorKind::ALL.iter().map(|kind| kind.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ErrorKind::ALL.len());
    }
}
