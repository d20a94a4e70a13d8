//! Reading filters from JSON and from a URL's query, with errors a person can act on.

use std::collections::BTreeMap;

use scouter_span::view::StatusCode;
use scouter_span::{SpanId, TraceId};
use serde_json::{Map, Value};

use super::{FilterError, TraceFilters};

const FIELDS: &str = "trace_id, trace_ids, service_name, span_name, has_errors, status_code, start_time, end_time, \
                      min_duration_ms, max_duration_ms, attributes, tags, entity_uid, limit and cursor";

pub(super) fn object(object: &Map<String, Value>) -> Result<TraceFilters, FilterError> {
    let mut filters = TraceFilters::default();
    // A field that is null is a field that is not there.
    for (name, value) in object.iter().filter(|(_, value)| !value.is_null()) {
        match name.as_str() {
            "trace_id" => filters.trace_id = Some(trace_id(name, value)?),
            "trace_ids" => filters.trace_ids = Some(trace_ids(name, value)?),
            "service_name" => filters.service_name = Some(text(name, value)?),
            "span_name" => filters.span_name = Some(text(name, value)?),
            "has_errors" => filters.has_errors = Some(truth(name, value)?),
            "status_code" => filters.status_code = Some(status(name, value)?),
            "start_time" => filters.start_time = Some(time(name, value)?),
            "end_time" => filters.end_time = Some(time(name, value)?),
            "min_duration_ms" => filters.min_duration_ms = Some(milliseconds(name, value)?),
            "max_duration_ms" => filters.max_duration_ms = Some(milliseconds(name, value)?),
            "attributes" => filters.attributes = map(name, value)?.clone(),
            "tags" => filters.tags = tags(name, value)?,
            "entity_uid" => filters.entity_uid = Some(text(name, value)?),
            "limit" => filters.limit = Some(limit(name, value, super::MAX_LIMIT)?),
            "cursor" => filters.cursor = Some(text(name, value)?),
            _ => return Err(unknown(name, value, FIELDS)),
        }
    }
    filters.validate()?;
    Ok(filters)
}

/// Turns the texts of a query into the JSON they stand for, field by field. Fields named in `json` are JSON, those in `lists` are
/// texts separated by commas, or given several times.
pub(super) fn query<K: AsRef<str>, V: AsRef<str>>(
    pairs: impl IntoIterator<Item = (K, V)>,
    json: &[&str],
    lists: &[&str],
) -> Result<Map<String, Value>, FilterError> {
    let mut fields = Map::new();
    for (name, text) in pairs {
        let (name, text) = (name.as_ref(), text.as_ref());
        // A form sends the fields a person left empty; they ask for nothing.
        if text.is_empty() {
            continue;
        }
        if lists.contains(&name) {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(Value::from);
            let list = fields.entry(name).or_insert_with(|| Value::Array(Vec::new()));
            list.as_array_mut().into_iter().for_each(|list| list.extend(items.clone()));
            continue;
        }
        let value = match json.contains(&name) {
            true => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
            false => text.into(),
        };
        if fields.contains_key(name) {
            return Err(wrong(name, &value, "it is given twice; give it once"));
        }
        fields.insert(name.to_owned(), value);
    }
    // A list of nothing but commas asks for nothing, too.
    fields
        .retain(|name, value| !lists.contains(&name.as_str()) || value.as_array().is_some_and(|list| !list.is_empty()));
    Ok(fields)
}

pub(super) fn unknown(name: &str, value: &Value, fields: &str) -> FilterError {
    wrong(name, value, format!("there is no such filter; there are {fields}"))
}

fn wrong(name: &str, value: &Value, expected: impl Into<String>) -> FilterError {
    FilterError::new(name, value.clone(), expected)
}

pub(super) fn text(name: &str, value: &Value) -> Result<String, FilterError> {
    value.as_str().map(str::to_owned).ok_or_else(|| wrong(name, value, "give a text"))
}

fn truth(name: &str, value: &Value) -> Result<bool, FilterError> {
    value.as_bool().ok_or_else(|| wrong(name, value, "give true or false"))
}

pub(super) fn trace_id(name: &str, value: &Value) -> Result<TraceId, FilterError> {
    let id = value.as_str().and_then(|text| text.parse().ok());
    id.ok_or_else(|| wrong(name, value, "give 32 hexadecimal digits that are not all zero"))
}

pub(super) fn span_id(name: &str, value: &Value) -> Result<SpanId, FilterError> {
    let id = value.as_str().and_then(|text| text.parse().ok());
    id.ok_or_else(|| wrong(name, value, "give 16 hexadecimal digits that are not all zero"))
}

fn trace_ids(name: &str, value: &Value) -> Result<Vec<TraceId>, FilterError> {
    let list = value.as_array().ok_or_else(|| wrong(name, value, "give a list of trace ids"))?;
    list.iter().map(|id| trace_id(name, id)).collect()
}

fn status(name: &str, value: &Value) -> Result<StatusCode, FilterError> {
    let mut codes = (0..=2).map(StatusCode::from_number);
    let code = match value {
        Value::String(text) => {
            codes.find(|code| text.eq_ignore_ascii_case(code.name()) || text.parse() == Ok(*code as u8))
        }
        _ => value.as_u64().and_then(|number| codes.find(|code| u64::from(*code as u8) == number)),
    };
    code.ok_or_else(|| wrong(name, value, "give UNSET, OK or ERROR, or its number 0, 1 or 2"))
}

pub(super) fn time(name: &str, value: &Value) -> Result<u64, FilterError> {
    // As in OTLP's JSON form a text of digits will do: not every language can write such a number.
    let time = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    time.ok_or_else(|| wrong(name, value, "give whole nanoseconds since 1970-01-01T00:00:00Z, 0 or more"))
}

fn milliseconds(name: &str, value: &Value) -> Result<f64, FilterError> {
    value.as_f64().ok_or_else(|| wrong(name, value, "give milliseconds, 0 or more"))
}

pub(super) fn limit(name: &str, value: &Value, most: u32) -> Result<u32, FilterError> {
    let limit = value.as_u64().and_then(|limit| u32::try_from(limit).ok());
    limit.ok_or_else(|| wrong(name, value, format!("give a whole number from 1 to {most}")))
}

pub(super) fn map<'a>(name: &str, value: &'a Value) -> Result<&'a Map<String, Value>, FilterError> {
    value.as_object().ok_or_else(|| wrong(name, value, "give a JSON object of names and values"))
}

pub(super) fn tags(name: &str, value: &Value) -> Result<BTreeMap<String, String>, FilterError> {
    let entries = map(name, value)?.iter();
    entries.map(|(tag, value)| Ok((tag.clone(), text(&format!("{name}.{tag}"), value)?))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(value: Value) -> Result<TraceFilters, FilterError> {
        object(value.as_object().unwrap())
    }

    #[test]
    fn filters_travel_as_json_and_come_back() {
        let all = json!({
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "trace_ids": ["4bf92f3577b34da6a3ce929d0e0e4736"],
            "service_name": "a", "span_name": "b", "has_errors": false, "status_code": "ERROR",
            "start_time": 1_700_000_000_000_000_001_u64, "end_time": 1_700_000_000_000_000_002_u64,
            "min_duration_ms": 0.5, "max_duration_ms": 1.5, "attributes": {"k": 1, "l": [true]}, "tags": {"t": "v"},
            "entity_uid": "u", "limit": 7, "cursor": "c",
        });
        let filters = parse(all.clone()).unwrap();
        assert_eq!(serde_json::to_value(&filters).unwrap(), all);
        assert_eq!(serde_json::from_value::<TraceFilters>(all).unwrap(), filters);
        assert_eq!(serde_json::to_value(TraceFilters::default()).unwrap(), json!({}));
        assert_eq!(parse(json!({"limit": null, "trace_ids": []})).unwrap().trace_ids, Some(vec![]));
        assert_eq!(parse(json!({"status_code": 2, "start_time": "12"})).unwrap().start_time, Some(12));
    }

    #[test]
    fn a_query_says_the_same_as_json() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let pairs = [
            ("service_name", "200"),
            ("span_name", ""),
            ("has_errors", "true"),
            ("status_code", "2"),
            ("start_time", "5"),
            ("min_duration_ms", "1.5"),
            ("trace_ids", id),
            ("attributes", r#"{"http.status": 200}"#),
            ("tags", r#"{"env": "prod"}"#),
            ("limit", "3"),
        ];
        let json = json!({
            "service_name": "200", "has_errors": true, "status_code": "ERROR", "start_time": 5, "min_duration_ms": 1.5,
            "trace_ids": [id], "attributes": {"http.status": 200}, "tags": {"env": "prod"}, "limit": 3,
        });
        assert_eq!(TraceFilters::from_query(pairs).unwrap(), parse(json).unwrap());
        assert_eq!(TraceFilters::from_query([("limit", "1"), ("limit", "2")]).unwrap_err().field, "limit");
        let several =
            TraceFilters::from_query([("trace_ids", &*format!("{id}, {id}")), ("trace_ids", id), ("trace_ids", ",")]);
        assert_eq!(several.unwrap().trace_ids.unwrap().len(), 3);
        assert_eq!(TraceFilters::from_query([("trace_ids", ",")]).unwrap(), TraceFilters::default());
    }

    #[test]
    fn bad_filters_are_named() {
        for (bad, field, value) in [
            (json!({"trace_id": "xyz"}), "trace_id", "\"xyz\""),
            (json!({"trace_id": "0".repeat(32)}), "trace_id", "\"00000000000000000000000000000000\""),
            (json!({"trace_ids": [3]}), "trace_ids", "3"),
            (json!({"service_name": 1}), "service_name", "1"),
            (json!({"has_errors": "maybe"}), "has_errors", "\"maybe\""),
            (json!({"status_code": "FINE"}), "status_code", "\"FINE\""),
            (json!({"status_code": 3}), "status_code", "3"),
            (json!({"start_time": -1}), "start_time", "-1"),
            (json!({"start_time": 2, "end_time": 1}), "start_time", "2"),
            (json!({"min_duration_ms": -0.5}), "min_duration_ms", "-0.5"),
            (json!({"min_duration_ms": 2, "max_duration_ms": 1}), "min_duration_ms", "2.0"),
            (json!({"attributes": []}), "attributes", "[]"),
            (json!({"tags": {"env": 1}}), "tags.env", "1"),
            (json!({"limit": 0}), "limit", "0"),
            (json!({"limit": 1001}), "limit", "1001"),
            (json!({"limit": 5_000_000_000_u64}), "limit", "5000000000"),
            (json!({"servicename": "a"}), "servicename", "\"a\""),
        ] {
            let error = parse(bad).unwrap_err();
            assert_eq!((error.field.as_str(), error.value.as_str()), (field, value), "{error}");
        }
        let long = parse(json!({"limit": "x".repeat(1000)})).unwrap_err();
        assert!(long.value.len() < 120, "{long}");
    }
}
