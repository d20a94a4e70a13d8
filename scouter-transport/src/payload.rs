//! What goes out and what comes back.

use std::fmt;
#[cfg(any(feature = "http", feature = "grpc", feature = "kafka"))]
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

#[cfg(any(feature = "http", feature = "grpc"))]
use crate::{compression::Compression, error::Error};

/// The largest request that is sent unless told otherwise.
pub(crate) const LARGEST_REQUEST: usize = 64 << 20;

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
#[derive(Clone)]
pub struct Payload {
    /// The encoded request.
    pub body: Bytes,
    /// How `body` is encoded.
    pub content: ContentType,
    /// What `body` holds.
    pub signal: Signal,
    /// How many spans or records `body` holds. For reports only, it does not travel.
    pub items: u32,
    /// What the first send made of `body`, for the tries after it. Clones share it.
    #[cfg(any(feature = "http", feature = "grpc"))]
    ready: Arc<OnceLock<Ready>>,
    /// What Kafka has acknowledged of `body`, for the tries after the first. Clones share it.
    #[cfg(feature = "kafka")]
    pub(crate) progress: Arc<OnceLock<Arc<crate::kafka::Progress>>>,
}

/// How a body travels.
#[cfg(any(feature = "http", feature = "grpc"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) content: ContentType,
    pub(crate) compression: Compression,
    /// Whether gRPC's flag and length stand in front.
    pub(crate) framed: bool,
}

/// A body in the form in which it travels.
#[cfg(any(feature = "http", feature = "grpc"))]
struct Ready {
    /// What it was made from, kept so that its address stays its own.
    body: Bytes,
    form: Form,
    bytes: Bytes,
}

impl Payload {
    /// Traces in protobuf: an encoded `ExportTraceServiceRequest` with `items` spans.
    pub fn traces(body: impl Into<Bytes>, items: u32) -> Self {
        Self::new(body.into(), Signal::Traces, items)
    }

    /// Logs in protobuf: an encoded `ExportLogsServiceRequest` with `items` records.
    pub fn logs(body: impl Into<Bytes>, items: u32) -> Self {
        Self::new(body.into(), Signal::Logs, items)
    }

    /// The same payload with another declared encoding.
    #[must_use]
    pub fn with_content(mut self, content: ContentType) -> Self {
        self.content = content;
        self
    }

    fn new(body: Bytes, signal: Signal, items: u32) -> Self {
        Self {
            body,
            content: ContentType::Protobuf,
            signal,
            items,
            #[cfg(any(feature = "http", feature = "grpc"))]
            ready: Arc::default(),
            #[cfg(feature = "kafka")]
            progress: Arc::default(),
        }
    }

    /// The body as it travels in this form. Made once: a retry finds what the first try has made.
    #[cfg(any(feature = "http", feature = "grpc"))]
    pub(crate) fn ready(&self, form: Form, make: impl FnOnce(&Bytes) -> Result<Bytes, Error>) -> Result<Bytes, Error> {
        let same = |ready: &&Ready| {
            let (kept, body) = (&ready.body, &self.body);
            ready.form == form && kept.as_ptr() == body.as_ptr() && kept.len() == body.len()
        };
        if let Some(ready) = self.ready.get().filter(same) {
            return Ok(ready.bytes.clone());
        }
        let bytes = make(&self.body)?;
        // Of two forms of one payload, the first is kept; nobody sends a payload in two.
        let _ = self.ready.set(Ready { body: self.body.clone(), form, bytes: bytes.clone() });
        Ok(bytes)
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        (&self.body, self.content, self.signal, self.items) == (&other.body, other.content, other.signal, other.items)
    }
}

impl Eq for Payload {}

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

#[cfg(test)]
#[cfg(any(feature = "http", feature = "grpc"))]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_form_is_made_once_for_all_clones() {
        let form = Form { content: ContentType::Protobuf, compression: Compression::Gzip, framed: false };
        let payload = Payload::traces("spans", 1);
        let failed = payload.clone().ready(form, |_| Err(Error::new(ErrorKind::Refused, "not now")));
        assert!(failed.is_err());
        assert_eq!(payload.clone().ready(form, |_| Ok(Bytes::from_static(b"once"))).unwrap(), "once");
        let never = |_: &Bytes| panic!("it is there");
        assert_eq!(payload.clone().ready(form, never).unwrap(), "once");

        // Another form, and another body, are made for themselves.
        let other = Form { framed: true, ..form };
        assert_eq!(payload.ready(other, |_| Ok(Bytes::from_static(b"other"))).unwrap(), "other");
        let changed = Payload { body: Bytes::from_static(b"new"), ..payload };
        assert_eq!(changed.ready(form, |body| Ok(body.clone())).unwrap(), "new");
    }
}
