//! Which traces, records and tags are wanted.

mod parse;
mod records;
mod tags;

use std::collections::BTreeMap;
use std::fmt;

use scouter_span::TraceId;
use scouter_span::view::StatusCode;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

pub use records::RecordFilters;
pub use tags::{DEFAULT_TAGS, MAX_TAGS, TagFilters};

/// How many traces, or records, a page has when nobody says.
pub const DEFAULT_LIMIT: u32 = 100;

/// The most traces, or records, a page can have.
pub const MAX_LIMIT: u32 = 1000;

/// The attribute that holds a tag, before the tag's own name.
pub const TAG_PREFIX: &str = "scouter.tag.";

/// The attribute that holds the entity a span or a record belongs to.
pub const ENTITY_ATTRIBUTE: &str = "scouter.entity";

/// Which traces are wanted. A trace is wanted when all of these hold; what is `None` or empty holds for every trace.
///
/// Some fields speak of the trace as a whole. The others speak of a span (`service_name`, `span_name`, `status_code`,
/// `attributes`, `tags`, `entity_uid`): one and the same span of the trace must satisfy all that are set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TraceFilters {
    /// This trace.
    pub trace_id: Option<TraceId>,
    /// One of these traces.
    pub trace_ids: Option<Vec<TraceId>>,
    /// The span's service, exactly.
    pub service_name: Option<String>,
    /// The span's name, exactly.
    pub span_name: Option<String>,
    /// Whether any span of the trace has the status ERROR.
    pub has_errors: Option<bool>,
    /// The span's status.
    pub status_code: Option<StatusCode>,
    /// The trace begins at or after this time, nanoseconds since the Unix epoch.
    pub start_time: Option<u64>,
    /// The trace begins before this time, nanoseconds since the Unix epoch.
    pub end_time: Option<u64>,
    /// From its earliest start to its latest end the trace takes at least this many milliseconds.
    pub min_duration_ms: Option<f64>,
    /// From its earliest start to its latest end the trace takes at most this many milliseconds.
    pub max_duration_ms: Option<f64>,
    /// Attributes the span has with these very values, or its resource where the span has none of that name. A number equals
    /// the same number whether it was recorded as an integer or as a double; text never equals a number.
    pub attributes: Map<String, Value>,
    /// Tags the span has with these values.
    pub tags: BTreeMap<String, String>,
    /// The entity the span belongs to.
    pub entity_uid: Option<String>,
    /// How many traces to return, 1 to [`MAX_LIMIT`]; [`DEFAULT_LIMIT`] when not said.
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// A filter that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {value} cannot be used: {expected}")]
pub struct FilterError {
    /// The filter.
    pub field: String,
    /// What it was set to, as JSON.
    pub value: String,
    /// What it may be set to.
    pub expected: String,
}

impl TraceFilters {
    /// The traces with this id: at most one.
    pub fn trace(id: TraceId) -> Self {
        Self { trace_id: Some(id), ..Self::default() }
    }

    /// Checks what the types do not say.
    ///
    /// # Errors
    /// The first filter that is out of its range or contradicts another one. The cursor is left to the store that made it.
    pub fn validate(&self) -> Result<(), FilterError> {
        check_limit(self.limit, MAX_LIMIT)?;
        for (field, value) in [("min_duration_ms", self.min_duration_ms), ("max_duration_ms", self.max_duration_ms)] {
            if let Some(value) = value.filter(|value| !(value.is_finite() && *value >= 0.0)) {
                return Err(FilterError::new(field, value, "give milliseconds, 0 or more"));
            }
        }
        if let (Some(min), Some(max)) = (self.min_duration_ms, self.max_duration_ms)
            && min > max
        {
            let expected = format!("give at most the {max} of max_duration_ms, or raise that");
            return Err(FilterError::new("min_duration_ms", min, expected));
        }
        check_times(self.start_time, self.end_time)
    }

    /// Reads filters from a JSON object, the body of a search.
    ///
    /// # Errors
    /// The first field that is unknown, of the wrong type, or out of range.
    pub fn from_json(object: &Map<String, Value>) -> Result<Self, FilterError> {
        parse::object(object)
    }

    /// Reads filters from the pairs of a URL's query. Values are plain text; `attributes` and `tags` are JSON objects, `trace_ids` is
    /// separated by commas or given several times.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json), and a field given twice.
    pub fn from_query<K: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, FilterError> {
        const JSON: [&str; 6] = ["has_errors", "min_duration_ms", "max_duration_ms", "limit", "attributes", "tags"];
        parse::object(&parse::query(pairs, &JSON, &["trace_ids"])?)
    }

    /// How many traces to return.
    pub fn page_size(&self) -> u32 {
        self.limit.unwrap_or(DEFAULT_LIMIT)
    }
}

impl FilterError {
    /// A filter with a value it cannot have.
    pub fn new(field: impl Into<String>, value: impl Into<Value>, expected: impl Into<String>) -> Self {
        Self { field: field.into(), value: shortened(&value.into()), expected: expected.into() }
    }
}

fn check_limit(limit: Option<u32>, most: u32) -> Result<(), FilterError> {
    match limit.filter(|limit| !(1..=most).contains(limit)) {
        Some(limit) => Err(FilterError::new("limit", limit, format!("give a number from 1 to {most}"))),
        None => Ok(()),
    }
}

fn check_times(start: Option<u64>, end: Option<u64>) -> Result<(), FilterError> {
    match (start, end) {
        (Some(start), Some(end)) if start > end => {
            let expected = format!("give at most the {end} of end_time, or raise that");
            Err(FilterError::new("start_time", start, expected))
        }
        _ => Ok(()),
    }
}

/// The value as JSON, cut where it is too long to be read.
fn shortened(value: &Value) -> String {
    const LONGEST: usize = 100;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// Stands in JSON as the text it prints as.
struct Printed<T>(T);

impl<T: fmt::Display> Serialize for Printed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl Serialize for TraceFilters {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        macro_rules! set {
            ($($field:ident: $value:expr),* $(,)?) => {$(
                if let Some(value) = $value {
                    map.serialize_entry(stringify!($field), &value)?;
                }
            )*};
        }
        set!(
            trace_id: self.trace_id.map(Printed),
            trace_ids: self.trace_ids.as_ref().map(|ids| ids.iter().copied().map(Printed).collect::<Vec<_>>()),
            service_name: self.service_name.as_ref(),
            span_name: self.span_name.as_ref(),
            has_errors: self.has_errors,
            status_code: self.status_code.map(StatusCode::name),
            start_time: self.start_time,
            end_time: self.end_time,
            min_duration_ms: self.min_duration_ms,
            max_duration_ms: self.max_duration_ms,
            attributes: Some(&self.attributes).filter(|attributes| !attributes.is_empty()),
            tags: Some(&self.tags).filter(|tags| !tags.is_empty()),
            entity_uid: self.entity_uid.as_ref(),
            limit: self.limit,
            cursor: self.cursor.as_ref(),
        );
        map.end()
    }
}

impl<'de> Deserialize<'de> for TraceFilters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse::object(&Map::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
