//! Our JSON, read by the JSON reader of `opentelemetry-proto`, is what it was made from.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;
use scouter_transport::{ErrorKind, Signal, json};

fn any_value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        Just(None),
        ".{0,12}".prop_map(|text| Some(Value::StringValue(text))),
        any::<bool>().prop_map(|value| Some(Value::BoolValue(value))),
        any::<i64>().prop_map(|value| Some(Value::IntValue(value))),
        prop::num::f64::NORMAL.prop_map(|value| Some(Value::DoubleValue(value))),
    ];
    let leaf = leaf.prop_map(|value| AnyValue { value });
    leaf.prop_recursive(3, 20, 4, |inner| {
        let list = vec(inner.clone(), 0..4).prop_map(|values| Value::ArrayValue(ArrayValue { values }));
        let map = vec(("[a-z]{0,4}", inner), 0..4).prop_map(|entries| {
            let entry = |(key, value)| KeyValue { key, value: Some(value), ..KeyValue::default() };
            Value::KvlistValue(KeyValueList { values: entries.into_iter().map(entry).collect() })
        });
        prop_oneof![list, map].prop_map(|value| AnyValue { value: Some(value) })
    })
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    vec(("[a-z.]{0,6}", any_value()), 0..4).prop_map(|pairs| {
        pairs.into_iter().map(|(key, value)| KeyValue { key, value: Some(value), ..KeyValue::default() }).collect()
    })
}

prop_compose! {
    fn event()(time_unix_nano: u64, name in ".{0,8}", attributes in attributes(), dropped_attributes_count: u32) -> Event {
        Event { time_unix_nano, name, attributes, dropped_attributes_count }
    }
}

prop_compose! {
    fn link()(trace_id in vec(any::<u8>(), 16), span_id in vec(any::<u8>(), 8), trace_state in "[a-z=]{0,6}",
              attributes in attributes(), dropped_attributes_count: u32, flags: u32) -> Link {
        Link { trace_id, span_id, trace_state, attributes, dropped_attributes_count, flags }
    }
}

prop_compose! {
    fn span()(ids in (vec(any::<u8>(), 16), vec(any::<u8>(), 8), vec(any::<u8>(), 0..=8)), name in ".{0,12}",
              trace_state in "[a-z=]{0,6}", kind in 0..=5i32, times: (u64, u64), counts: (u32, u32, u32), flags: u32,
              attributes in attributes(), events in vec(event(), 0..3), links in vec(link(), 0..3),
              status in proptest::option::of((".{0,8}", 0..=2i32))) -> Span {
        let (trace_id, span_id, parent_span_id) = ids;
        Span {
            trace_id, span_id, parent_span_id, trace_state, name, kind, attributes, events, links, flags,
            start_time_unix_nano: times.0,
            end_time_unix_nano: times.1,
            dropped_attributes_count: counts.0,
            dropped_events_count: counts.1,
            dropped_links_count: counts.2,
            status: status.map(|(message, code)| Status { message, code }),
        }
    }
}

prop_compose! {
    fn scope()(name in ".{0,8}", version in ".{0,4}", attributes in attributes(), dropped_attributes_count: u32)
        -> InstrumentationScope {
        InstrumentationScope { name, version, attributes, dropped_attributes_count }
    }
}

fn resource() -> impl Strategy<Value = Resource> {
    attributes().prop_map(|attributes| Resource { attributes, ..Resource::default() })
}

prop_compose! {
    fn traces()(resource in proptest::option::of(resource()), schema_url in ".{0,6}", scope in proptest::option::of(scope()),
                spans in vec(vec(span(), 0..3), 0..3)) -> ExportTraceServiceRequest {
        let scope_spans =
            |spans| ScopeSpans { scope: scope.clone(), spans, schema_url: schema_url.clone() };
        let scope_spans = spans.into_iter().map(scope_spans).collect();
        let resource_spans = vec![ResourceSpans { resource, scope_spans, schema_url: schema_url.clone() }];
        ExportTraceServiceRequest { resource_spans }
    }
}

prop_compose! {
    fn record()(times: (u64, u64), severity_number in 0..=24i32, severity_text in ".{0,6}",
                body in proptest::option::of(any_value()), attributes in attributes(), dropped_attributes_count: u32,
                flags: u32, trace_id in vec(any::<u8>(), 16), span_id in vec(any::<u8>(), 8), event_name in ".{0,6}")
        -> LogRecord {
        LogRecord {
            time_unix_nano: times.0, observed_time_unix_nano: times.1, severity_number, severity_text, body, attributes,
            dropped_attributes_count, flags, trace_id, span_id, event_name,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn traces_read_back_the_same(request in traces()) {
        let json = json::encode(Signal::Traces, &request.encode_to_vec()).unwrap();
        prop_assert!(!json.contains(&b'\n'));
        let read: ExportTraceServiceRequest = serde_json::from_slice(&json)
            .map_err(|error| TestCaseError::fail(format!("{error} in {}", String::from_utf8_lossy(&json))))?;
        prop_assert_eq!(read, request);
    }

    #[test]
    fn logs_read_back_the_same(log_records in vec(record(), 0..3), resource in resource()) {
        let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
        let resource_logs = vec![ResourceLogs { resource: Some(resource), scope_logs, ..ResourceLogs::default() }];
        let request = ExportLogsServiceRequest { resource_logs };
        let json = json::encode(Signal::Logs, &request.encode_to_vec()).unwrap();
        let read: ExportLogsServiceRequest = serde_json::from_slice(&json)
            .map_err(|error| TestCaseError::fail(format!("{error} in {}", String::from_utf8_lossy(&json))))?;
        prop_assert_eq!(read, request);
    }

    #[test]
    fn any_bytes_are_json_or_an_error(bytes in vec(any::<u8>(), 0..60), cut in 0..200usize, request in traces()) {
        let mut whole = request.encode_to_vec();
        whole.truncate(cut);
        for bytes in [bytes, whole] {
            match json::encode(Signal::Traces, &bytes) {
                Ok(json) => prop_assert!(serde_json::from_slice::<serde_json::Value>(&json).is_ok()),
                Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Refused),
            }
        }
    }
}

fn attribute(value: Option<Value>) -> String {
    let attributes = vec![KeyValue { key: "k".to_owned(), value: Some(AnyValue { value }), ..KeyValue::default() }];
    let resource = Some(Resource { attributes, ..Resource::default() });
    let resource_spans = vec![ResourceSpans { resource, ..ResourceSpans::default() }];
    let json = json::encode(Signal::Traces, &ExportTraceServiceRequest { resource_spans }.encode_to_vec()).unwrap();
    let text = String::from_utf8(json).unwrap();
    let (_, rest) = text.split_once(r#""value":"#).unwrap();
    rest.strip_suffix("}]}}]}").unwrap().to_owned()
}

#[test]
fn values_look_as_the_json_mapping_says() {
    for (value, expected) in [
        (None, "{}"),
        (Some(Value::StringValue(String::new())), r#"{"stringValue":""}"#),
        (
            Some(Value::StringValue("\"\\\n\r\t\u{1}ä😀".to_owned())),
            "{\"stringValue\":\"\\\"\\\\\\n\\r\\t\\u0001ä😀\"}",
        ),
        (Some(Value::BoolValue(false)), r#"{"boolValue":false}"#),
        (Some(Value::IntValue(0)), r#"{"intValue":"0"}"#),
        (Some(Value::IntValue(i64::MIN)), r#"{"intValue":"-9223372036854775808"}"#),
        (Some(Value::DoubleValue(0.1)), r#"{"doubleValue":0.1}"#),
        (Some(Value::DoubleValue(1e300)), r#"{"doubleValue":1e300}"#),
        (Some(Value::DoubleValue(f64::NAN)), r#"{"doubleValue":"NaN"}"#),
        (Some(Value::DoubleValue(f64::NEG_INFINITY)), r#"{"doubleValue":"-Infinity"}"#),
        (Some(Value::BytesValue(vec![0, 255])), r#"{"bytesValue":"AP8="}"#),
        (Some(Value::ArrayValue(ArrayValue::default())), r#"{"arrayValue":{"values":[]}}"#),
    ] {
        assert_eq!(attribute(value.clone()), expected, "{value:?}");
    }
}

#[test]
fn values_nested_without_end_are_refused() {
    let mut value = AnyValue { value: Some(Value::BoolValue(true)) };
    for _ in 0..1000 {
        value = AnyValue { value: Some(Value::ArrayValue(ArrayValue { values: vec![value] })) };
    }
    let attributes = vec![KeyValue { key: "k".to_owned(), value: Some(value), ..KeyValue::default() }];
    let resource = Some(Resource { attributes, ..Resource::default() });
    let resource_spans = vec![ResourceSpans { resource, ..ResourceSpans::default() }];
    let bytes = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
    assert_eq!(json::encode(Signal::Traces, &bytes).unwrap_err().kind(), ErrorKind::Refused);
}
