//! A record as it is read: what was said, of which entity, and beside which span.

mod read;

use std::collections::BTreeMap;

use scouter_span::{SpanId, TraceId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Scope, hex};
pub use read::time;

/// The attribute that holds the space of the entity.
pub const SPACE_ATTRIBUTE: &str = "scouter.space";

/// The attribute that holds the entity's name.
pub const NAME_ATTRIBUTE: &str = "scouter.name";

/// The attribute that holds the entity's version.
pub const VERSION_ATTRIBUTE: &str = "scouter.version";

/// The attribute that holds the name under which the program knows the entity.
pub const ALIAS_ATTRIBUTE: &str = "scouter.alias";

/// The attribute that holds the id the program gave the record.
pub const RECORD_ID_ATTRIBUTE: &str = "scouter.record.id";

/// The attribute that holds the session (OpenTelemetry's semantic conventions, "Session").
pub const SESSION_ATTRIBUTE: &str = "session.id";

/// The attribute that tells one record from every other (semantic conventions, "General logs attributes").
pub const UID_ATTRIBUTE: &str = "log.record.uid";

/// The event name of a Scouter record, before its kind.
pub const EVENT_PREFIX: &str = "scouter.record.";

/// A record: an OpenTelemetry log record, with what Scouter's attributes say of it.
///
/// Records of any other tool are records too; they have no entity and no kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When it happened, or, where nobody said, when it was observed; nanoseconds since the Unix epoch.
    pub time: u64,
    /// When it was first seen by whoever collects records, nanoseconds since the Unix epoch; 0 when not said.
    pub observed_time: u64,
    /// What class of event it is, `""` for a log line.
    pub event_name: String,
    /// The kind of a Scouter record: `spc`, `psi`, `custom` or `agent`.
    pub kind: Option<String>,
    /// The trace it belongs to.
    #[serde(with = "hex::option")]
    pub trace_id: Option<TraceId>,
    /// The span that was active, or that inserted it.
    #[serde(with = "hex::option")]
    pub span_id: Option<SpanId>,
    /// Bits 0 to 7: the W3C flags of that span.
    pub flags: u32,
    /// What it is about; `None` without any of Scouter's attributes that say so.
    pub entity: Option<Entity>,
    /// The id the program gave it.
    pub record_id: Option<String>,
    /// The session it belongs to.
    pub session_id: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// What it says. As [`Span::attributes`](crate::Span::attributes).
    pub body: Value,
    /// All its attributes, Scouter's included. As [`Span::attributes`](crate::Span::attributes).
    pub attributes: Map<String, Value>,
    /// How many attributes were left out.
    pub dropped_attributes_count: u32,
    /// OTLP's `SeverityNumber`, 0 when not said.
    pub severity_number: i32,
    /// How serious it is in the words of its source, `""` when not said.
    pub severity_text: String,
    /// The resource's `service.name`, `""` when it has none.
    pub service_name: String,
    /// The attributes of what produced it.
    pub resource: Map<String, Value>,
    /// The library that recorded it.
    pub scope: Scope,
}

/// What records are about. Each text is `""` when not said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity {
    /// The one name that no other entity has.
    pub uid: String,
    /// The space it is in.
    pub space: String,
    /// Its name in that space.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The name under which the program knows it.
    pub alias: String,
}

/// Some records, newest first, and where to go on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RecordPage {
    /// The records.
    pub items: Vec<Record>,
    /// What to give as `cursor` to get the next page; `None` on the last one.
    pub next_cursor: Option<String>,
}
