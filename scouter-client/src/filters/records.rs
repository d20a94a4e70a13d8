//! Which records are wanted.

use std::collections::BTreeMap;

use scouter_span::{SpanId, TraceId};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::{DEFAULT_LIMIT, FilterError, MAX_LIMIT, check_limit, check_times, parse};
use crate::hex;

const FIELDS: &str = "trace_id, span_id, entity_uid, space, name, version, alias, event_name, kind, record_id, \
                      session_id, service_name, start_time, end_time, attributes, tags, limit and cursor";

/// Which records are wanted. A record is wanted when all of these hold; what is `None` or empty holds for every record. Texts
/// match exactly.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RecordFilters {
    /// The trace it belongs to.
    #[serde(with = "hex::option", skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<TraceId>,
    /// The span that was active, or that inserted it.
    #[serde(with = "hex::option", skip_serializing_if = "Option::is_none")]
    pub span_id: Option<SpanId>,
    /// The uid of what it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity_uid: Option<String>,
    /// The space of what it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
    /// The name of what it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The version of what it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The name under which the program knows what it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// Its event name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_name: Option<String>,
    /// Its kind: `spc`, `psi`, `custom` or `agent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The id the program gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_id: Option<String>,
    /// The session it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// The service it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
    /// It happened at or after this time, nanoseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<u64>,
    /// It happened before this time, nanoseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_time: Option<u64>,
    /// Attributes it has with these very values, or its resource where it has none of that name. A number equals the same number
    /// whether it was recorded as an integer or as a double; text never equals a number.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub attributes: Map<String, Value>,
    /// Tags it has with these values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// How many records to return, 1 to [`MAX_LIMIT`]; [`DEFAULT_LIMIT`] when not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl RecordFilters {
    /// The records of this trace.
    pub fn trace(id: TraceId) -> Self {
        Self { trace_id: Some(id), ..Self::default() }
    }

    /// Checks what the types do not say.
    ///
    /// # Errors
    /// The first filter that is out of its range or contradicts another one. The cursor is left to the store that made it.
    pub fn validate(&self) -> Result<(), FilterError> {
        check_limit(self.limit, MAX_LIMIT)?;
        check_times(self.start_time, self.end_time)
    }

    /// Reads filters from a JSON object, the body of a search.
    ///
    /// # Errors
    /// The first field that is unknown, of the wrong type, or out of range.
    pub fn from_json(object: &Map<String, Value>) -> Result<Self, FilterError> {
        let mut filters = Self::default();
        // A field that is null is a field that is not there.
        for (name, value) in object.iter().filter(|(_, value)| !value.is_null()) {
            let text = || parse::text(name, value).map(Some);
            match name.as_str() {
                "trace_id" => filters.trace_id = Some(parse::trace_id(name, value)?),
                "span_id" => filters.span_id = Some(parse::span_id(name, value)?),
                "entity_uid" => filters.entity_uid = text()?,
                "space" => filters.space = text()?,
                "name" => filters.name = text()?,
                "version" => filters.version = text()?,
                "alias" => filters.alias = text()?,
                "event_name" => filters.event_name = text()?,
                "kind" => filters.kind = text()?,
                "record_id" => filters.record_id = text()?,
                "session_id" => filters.session_id = text()?,
                "service_name" => filters.service_name = text()?,
                "start_time" => filters.start_time = Some(parse::time(name, value)?),
                "end_time" => filters.end_time = Some(parse::time(name, value)?),
                "attributes" => filters.attributes = parse::map(name, value)?.clone(),
                "tags" => filters.tags = parse::tags(name, value)?,
                "limit" => filters.limit = Some(parse::limit(name, value, MAX_LIMIT)?),
                "cursor" => filters.cursor = text()?,
                _ => return Err(parse::unknown(name, value, FIELDS)),
            }
        }
        filters.validate()?;
        Ok(filters)
    }

    /// Reads filters from the pairs of a URL's query. Values are plain text; `attributes` and `tags` are JSON objects.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json), and a field given twice.
    pub fn from_query<K: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, FilterError> {
        Self::from_json(&parse::query(pairs, &["limit", "attributes", "tags"], &[])?)
    }

    /// How many records to return.
    pub fn page_size(&self) -> u32 {
        self.limit.unwrap_or(DEFAULT_LIMIT)
    }
}

impl<'de> Deserialize<'de> for RecordFilters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json(&Map::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn filters_travel_as_json_and_come_back() {
        let all = json!({
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7", "entity_uid": "u", "space": "s",
            "name": "n", "version": "v", "alias": "a", "event_name": "scouter.record.spc", "kind": "spc", "record_id": "r",
            "session_id": "e", "service_name": "w", "start_time": 1_700_000_000_000_000_001_u64,
            "end_time": 1_700_000_000_000_000_002_u64, "attributes": {"k": 1, "l": [true]}, "tags": {"t": "v"},
            "limit": 7, "cursor": "c",
        });
        let filters = RecordFilters::from_json(all.as_object().unwrap()).unwrap();
        assert_eq!(serde_json::to_value(&filters).unwrap(), all);
        assert_eq!(serde_json::from_value::<RecordFilters>(all).unwrap(), filters);
        assert_eq!(serde_json::to_value(RecordFilters::default()).unwrap(), json!({}));
        let pairs = [("kind", "spc"), ("name", ""), ("version", "200"), ("limit", "3"), ("tags", r#"{"t": "v"}"#)];
        let json = json!({"kind": "spc", "version": "200", "limit": 3, "tags": {"t": "v"}});
        let filters = RecordFilters::from_query(pairs).unwrap();
        assert_eq!(filters, serde_json::from_value(json).unwrap());
        assert_eq!(filters.page_size(), 3);
    }

    #[test]
    fn bad_filters_are_named() {
        for (bad, field, value) in [
            (json!({"trace_id": "xyz"}), "trace_id", "\"xyz\""),
            (json!({"span_id": "0000000000000000"}), "span_id", "\"0000000000000000\""),
            (json!({"kind": 1}), "kind", "1"),
            (json!({"start_time": 2, "end_time": 1}), "start_time", "2"),
            (json!({"attributes": []}), "attributes", "[]"),
            (json!({"tags": {"env": 1}}), "tags.env", "1"),
            (json!({"limit": 0}), "limit", "0"),
            (json!({"limit": 1001}), "limit", "1001"),
            (json!({"uid": "a"}), "uid", "\"a\""),
        ] {
            let error = RecordFilters::from_json(bad.as_object().unwrap()).unwrap_err();
            assert_eq!((error.field.as_str(), error.value.as_str()), (field, value), "{error}");
        }
    }
}
