//! Which tags are wanted.

use scouter_span::TraceId;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::{FilterError, check_limit, check_times, parse};
use crate::hex;

const FIELDS: &str = "key, value_prefix, entity_uid, trace_id, start_time, end_time and limit";

/// How many tags are returned when nobody says.
pub const DEFAULT_TAGS: u32 = 1000;

/// The most tags that are returned.
pub const MAX_TAGS: u32 = 10_000;

/// Which tags are wanted, and among which traces and records they are counted. What is `None` leaves nothing out.
///
/// `trace_id`, `entity_uid` and the times choose traces and records; a tag that none of them has is not returned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TagFilters {
    /// This tag, exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Values that begin with this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_prefix: Option<String>,
    /// Among records of this entity, and traces with a span of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity_uid: Option<String>,
    /// Among this trace and its records.
    #[serde(with = "hex::option", skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<TraceId>,
    /// Among traces that begin, and records that happened, at or after this time, nanoseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<u64>,
    /// Among traces that begin, and records that happened, before this time, nanoseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_time: Option<u64>,
    /// How many tags to return, 1 to [`MAX_TAGS`]; [`DEFAULT_TAGS`] when not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

impl TagFilters {
    /// Checks what the types do not say.
    ///
    /// # Errors
    /// The first filter that is out of its range or contradicts another one.
    pub fn validate(&self) -> Result<(), FilterError> {
        check_limit(self.limit, MAX_TAGS)?;
        check_times(self.start_time, self.end_time)
    }

    /// Reads filters from a JSON object, the body of a question.
    ///
    /// # Errors
    /// The first field that is unknown, of the wrong type, or out of range.
    pub fn from_json(object: &Map<String, Value>) -> Result<Self, FilterError> {
        let mut filters = Self::default();
        // A field that is null is a field that is not there.
        for (name, value) in object.iter().filter(|(_, value)| !value.is_null()) {
            match name.as_str() {
                "key" => filters.key = Some(parse::text(name, value)?),
                "value_prefix" => filters.value_prefix = Some(parse::text(name, value)?),
                "entity_uid" => filters.entity_uid = Some(parse::text(name, value)?),
                "trace_id" => filters.trace_id = Some(parse::trace_id(name, value)?),
                "start_time" => filters.start_time = Some(parse::time(name, value)?),
                "end_time" => filters.end_time = Some(parse::time(name, value)?),
                "limit" => filters.limit = Some(parse::limit(name, value, MAX_TAGS)?),
                _ => return Err(parse::unknown(name, value, FIELDS)),
            }
        }
        filters.validate()?;
        Ok(filters)
    }

    /// Reads filters from the pairs of a URL's query.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json), and a field given twice.
    pub fn from_query<K: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, FilterError> {
        Self::from_json(&parse::query(pairs, &["limit"], &[])?)
    }

    /// How many tags to return.
    pub fn most(&self) -> u32 {
        self.limit.unwrap_or(DEFAULT_TAGS)
    }
}

impl<'de> Deserialize<'de> for TagFilters {
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
            "key": "env", "value_prefix": "p", "entity_uid": "u", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
            "start_time": 1, "end_time": 2, "limit": 10_000,
        });
        let filters = TagFilters::from_json(all.as_object().unwrap()).unwrap();
        assert_eq!(serde_json::to_value(&filters).unwrap(), all);
        assert_eq!(serde_json::from_value::<TagFilters>(all).unwrap(), filters);
        let queried = TagFilters::from_query([("key", "env"), ("limit", "5"), ("value_prefix", "")]).unwrap();
        assert_eq!(queried, TagFilters { key: Some("env".into()), limit: Some(5), ..TagFilters::default() });
        for (bad, field) in [
            (json!({"limit": 10_001}), "limit"),
            (json!({"tag": 1}), "tag"),
            (json!({"start_time": 2, "end_time": 1}), "start_time"),
        ] {
            assert_eq!(TagFilters::from_json(bad.as_object().unwrap()).unwrap_err().field, field);
        }
    }
}
