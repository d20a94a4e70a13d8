//! A span as it is read: plain fields, attributes as JSON, and its place in the tree.

mod json;
mod read;

use scouter_span::view::{SpanKind, StatusCode};
use scouter_span::{SpanId, TraceId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::hex;
pub use json::{attributes, tag_text, value};
pub use read::service_name;

/// A finished span and its place in its trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// The trace.
    #[serde(with = "hex")]
    pub trace_id: TraceId,
    /// The span within the trace.
    #[serde(with = "hex")]
    pub span_id: SpanId,
    /// The span that caused this one; `None` for a root.
    #[serde(with = "hex::option")]
    pub parent_span_id: Option<SpanId>,
    /// The vendors' entries, as in the `tracestate` header.
    pub trace_state: String,
    /// The bits of OTLP's `Span.flags`.
    pub flags: u32,
    /// What it stands for.
    pub name: String,
    /// What part it plays.
    #[serde(with = "hex::kind")]
    pub kind: SpanKind,
    /// The resource's `service.name`, `""` when it has none.
    pub service_name: String,
    /// Nanoseconds since the Unix epoch.
    pub start_time: u64,
    /// Nanoseconds since the Unix epoch.
    pub end_time: u64,
    /// Nanoseconds; 0 when the end lies before the start.
    pub duration_ns: u64,
    /// How it ended.
    pub status: Status,
    /// Its attributes. Numbers are exact; bytes are base64 text; `NaN` and the infinities are text.
    pub attributes: Map<String, Value>,
    /// How many attributes were left out.
    pub dropped_attributes_count: u32,
    /// What happened while it ran, in the recorded order.
    pub events: Vec<Event>,
    /// How many events were left out.
    pub dropped_events_count: u32,
    /// The spans it refers to.
    pub links: Vec<Link>,
    /// How many links were left out.
    pub dropped_links_count: u32,
    /// The attributes of what produced it.
    pub resource: Map<String, Value>,
    /// The library that recorded it.
    pub scope: Scope,
    /// How many ancestors it has in its tree: 0 for a root and for an orphan.
    pub depth: u32,
    /// The ids from the top of its tree to this span, itself included; of a very deep one the last
    /// [`PATH_LIMIT`](crate::tree::PATH_LIMIT).
    #[serde(with = "hex::list")]
    pub path: Vec<SpanId>,
    /// Its direct children, in start order.
    #[serde(with = "hex::list")]
    pub children: Vec<SpanId>,
    /// Whether it names a parent that is not there (or that is its own descendant), and so stands at the top of a tree.
    pub orphan: bool,
}

/// How a span ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// How.
    #[serde(with = "hex::code")]
    pub code: StatusCode,
    /// Why, `""` when not said.
    pub message: String,
}

/// Something that happened while a span ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Nanoseconds since the Unix epoch.
    pub time: u64,
    /// What happened.
    pub name: String,
    /// As [`Span::attributes`].
    pub attributes: Map<String, Value>,
    /// How many attributes were left out.
    pub dropped_attributes_count: u32,
}

/// A reference to another span.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// The other span's trace, `None` when the sender's bytes were not an id.
    #[serde(with = "hex::option")]
    pub trace_id: Option<TraceId>,
    /// The other span, `None` when the sender's bytes were not an id.
    #[serde(with = "hex::option")]
    pub span_id: Option<SpanId>,
    /// The other span's `tracestate`.
    pub trace_state: String,
    /// As [`Span::attributes`].
    pub attributes: Map<String, Value>,
    /// How many attributes were left out.
    pub dropped_attributes_count: u32,
    /// As [`Span::flags`], for the other span.
    pub flags: u32,
}

/// The library or component that recorded a span.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scope {
    /// Its name, `""` when not said.
    pub name: String,
    /// Its version, `""` when not said.
    pub version: String,
    /// As [`Span::attributes`].
    pub attributes: Map<String, Value>,
    /// Where its attribute names are defined, `""` when not said.
    pub schema_url: String,
}
