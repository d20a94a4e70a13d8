//! What goes out and what comes back.

use std::fmt;

use bytes::Bytes;

/// What a payload holds. It picks the HTTP path, the gRPC method, the topic or the routing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// An `ExportTraceServiceRequest`.
    Traces,
    /// An `ExportLogsServiceRequest`.
    Logs,
}

impl Signal {
    /// Both signals, in the order of [`Signal::index`].
    pub const ALL: [Self; 2] = [Self::Traces, Self::Logs];

    /// The name in lower case: `traces` or `logs`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Logs => "logs",
        }
    }

    /// The path of OTLP over HTTP, relative to a base endpoint: `v1/traces` or `v1/logs`.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Traces => "v1/traces",
            Self::Logs => "v1/logs",
        }
    }

    /// A small number for tables with one entry per signal.
    pub const fn index(self) -> usize {
        match self {
            Self::Traces => 0,
            Self::Logs => 1,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How the bytes of a payload are encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ContentType {
    /// OTLP in binary protobuf.
    #[default]
    Protobuf,
    /// OTLP in the JSON mapping of protobuf.
    Json,
}

impl ContentType {
    /// The value of a `Content-Type` header.
    pub const fn mime(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// A finished request: bytes that are sent as they are. A clone shares the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    /// The encoded request.
    pub body: Bytes,
    /// How `body` is encoded.
    pub content: ContentType,
    /// What `body` holds.
    pub signal: Signal,
    /// How many spans or records `body` holds. For reports only, it does not travel.
    pub items: u32,
}

impl Payload {
    /// Traces in protobuf: an encoded `ExportTraceServiceRequest` with `items` spans.
    pub fn traces(body: impl Into<Bytes>, items: u32) -> Self {
        Self { body: body.into(), content: ContentType::Protobuf, signal: Signal::Traces, items }
    }

    /// Logs in protobuf: an encoded `ExportLogsServiceRequest` with `items` records.
    pub fn logs(body: impl Into<Bytes>, items: u32) -> Self {
        Self { body: body.into(), content: ContentType::Protobuf, signal: Signal::Logs, items }
    }

    /// The same payload with another declared encoding.
    #[must_use]
    pub fn with_content(mut self, content: ContentType) -> Self {
        self.content = content;
        self
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload")
            .field("signal", &self.signal)
            .field("content", &self.content)
            .field("items", &self.items)
            .field("bytes", &self.body.len())
            .finish()
    }
}

/// What the far end answered to a payload that it took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The answer's bytes: an encoded `Export*ServiceResponse`, which may tell a partial success. Empty where the
    /// far end has nothing to say. At most 4 MiB.
    pub body: Bytes,
}
