//! The translation beside `opentelemetry-proto`, which decodes what comes out.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::{Value as Json, json};

use super::to_protobuf;
use crate::store::Signal;

fn translate(json: &Json) -> Result<ExportTraceServiceRequest, String> {
    let bytes = to_protobuf(Signal::Traces, json.to_string().as_bytes()).map_err(|error| error.to_string())?;
    scouter_span::view::TraceRequest::parse(&bytes).unwrap();
    Ok(ExportTraceServiceRequest::decode(bytes.as_slice()).unwrap())
}

fn span(span: &Json) -> Result<Span, String> {
    let request = translate(&json!({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}))?;
    Ok(request.resource_spans[0].scope_spans[0].spans[0].clone())
}

fn value(value: &Json) -> Result<Option<Value>, String> {
    let span = span(&json!({"attributes": [{"key": "k", "value": value}]}))?;
    Ok(span.attributes[0].value.clone().unwrap().value)
}

#[test]
fn every_field_arrives() {
    let json = json!({"resourceSpans": [{
        "schemaUrl": "https://schema/1",
        "resource": {
            "attributes": [{"key": "service.name", "value": {"stringValue": "hello"}}],
            "droppedAttributesCount": 1,
        },
        "scopeSpans": [{
            "schemaUrl": "https://schema/2",
            "scope": {
                "name": "scope", "version": "1.2", "droppedAttributesCount": 2,
                "attributes": [{"key": "a", "value": {"boolValue": true}}],
            },
            "spans": [{
                "traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "eee19b7ec3c1b174", "parentSpanId": "eee19b7ec3c1b173",
                "traceState": "k=v", "flags": 257, "name": "GET /", "kind": 2,
                "startTimeUnixNano": "1544712660000000000", "endTimeUnixNano": 1_544_712_661_000_000_000_u64,
                "attributes": [{"key": "n", "value": {"intValue": "-5"}}],
                "droppedAttributesCount": 3, "droppedEventsCount": 4, "droppedLinksCount": 5,
                "events": [{
                    "timeUnixNano": "7", "name": "event", "droppedAttributesCount": 6,
                    "attributes": [{"key": "d", "value": {"doubleValue": 0.5}}],
                }],
                "links": [{
                    "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "EEE19B7EC3C1B174", "traceState": "l=w",
                    "flags": 1, "droppedAttributesCount": 7,
                    "attributes": [{"key": "b", "value": {"bytesValue": "aGk="}}],
                }],
                "status": {"code": 2, "message": "no"},
            }],
        }],
    }]});
    let ours = translate(&json).unwrap();
    // Their reader of the same JSON is the judge; it takes ids in lower case only.
    let theirs = json.to_string().replace("5B8EFFF7980", "5b8efff7980").replace("EEE19B", "eee19b");
    let theirs = theirs.replace("D269B633813FC60C", "d269b633813fc60c").replace("7EC3C1B174", "7ec3c1b174");
    // Their reader takes times as text.
    let theirs = theirs.replace(":1544712661000000000", ":\"1544712661000000000\"");
    let theirs: ExportTraceServiceRequest = serde_json::from_str(&theirs).unwrap();
    assert_eq!(ours, theirs);
}

#[test]
fn values_of_every_kind_arrive() {
    let exact: [(Json, Option<Value>); 12] = [
        (json!({}), None),
        (json!({"stringValue": ""}), Some(Value::StringValue(String::new()))),
        (json!({"stringValue": "\u{1F600}\n\""}), Some(Value::StringValue("\u{1F600}\n\"".into()))),
        (json!({"boolValue": false}), Some(Value::BoolValue(false))),
        (json!({"intValue": 0}), Some(Value::IntValue(0))),
        (json!({"intValue": "9223372036854775807"}), Some(Value::IntValue(i64::MAX))),
        (json!({"intValue": i64::MIN}), Some(Value::IntValue(i64::MIN))),
        (json!({"intValue": 1e3}), Some(Value::IntValue(1000))),
        (json!({"intValue": "1e3"}), Some(Value::IntValue(1000))),
        (json!({"doubleValue": 3}), Some(Value::DoubleValue(3.0))),
        (json!({"doubleValue": "-Infinity"}), Some(Value::DoubleValue(f64::NEG_INFINITY))),
        (json!({"doubleValue": "1.5"}), Some(Value::DoubleValue(1.5))),
    ];
    for (json, expected) in exact {
        assert_eq!(value(&json).unwrap(), expected, "{json}");
    }
    let nan = value(&json!({"doubleValue": "NaN"})).unwrap();
    assert!(matches!(nan, Some(Value::DoubleValue(nan)) if nan.is_nan()));
    for bytes in ["+/8=", "+/8", "-_8=", "-_8"] {
        assert_eq!(value(&json!({"bytesValue": bytes})).unwrap(), Some(Value::BytesValue(vec![0xfb, 0xff])));
    }
    let list =
        json!({"arrayValue": {"values": [{"intValue": 1}, {"kvlistValue": {"values": [{"key": "x", "value": {}}]}}]}});
    let Some(Value::ArrayValue(list)) = value(&list).unwrap() else { panic!("no list") };
    assert_eq!(list.values.len(), 2);
    assert!(matches!(&list.values[1].value, Some(Value::KvlistValue(map)) if map.values[0].key == "x"));
}

#[test]
fn unknown_names_and_nulls_are_passed_over() {
    let json = json!({
        "unknown": {"resourceSpans": 5},
        "resourceSpans": [{
            "resource": null,
            "deprecated": [1, 2, {"x": []}],
            "scopeSpans": [{"scope": null, "spans": [{
                "trace_id": 5, "name": null, "attributes": null, "status": null, "kind": null, "startTimeUnixNano": null,
            }]}],
        }],
    });
    let request = translate(&json).unwrap();
    assert_eq!(request.resource_spans[0].resource, None);
    assert_eq!(request.resource_spans[0].scope_spans[0].spans, [Span::default()]);
    assert_eq!(translate(&json!({})).unwrap(), ExportTraceServiceRequest::default());
    assert_eq!(translate(&json!({"resourceSpans": []})).unwrap(), ExportTraceServiceRequest::default());
    assert_eq!(translate(&json!({"resourceSpans": null})).unwrap(), ExportTraceServiceRequest::default());
}

#[test]
fn ids_of_the_wrong_length_are_left_to_ingest() {
    let read = span(&json!({"traceId": "abcd", "spanId": ""})).unwrap();
    assert_eq!((read.trace_id, read.span_id), (vec![0xab, 0xcd], vec![]));
}

#[test]
fn wrong_values_are_named() {
    let spans = [
        (json!({"traceId": "xyz0"}), "traceId"),
        (json!({"traceId": "abc"}), "traceId"),
        (json!({"traceId": "+f"}), "traceId"),
        (json!({"spanId": 5}), "spanId"),
        (json!({"kind": "SPAN_KIND_SERVER"}), "kind"),
        (json!({"kind": 2.5}), "kind"),
        (json!({"kind": 1_u64 << 40}), "kind"),
        (json!({"name": 5}), "name"),
        (json!({"name": ["x"]}), "name"),
        (json!({"startTimeUnixNano": -1}), "startTimeUnixNano"),
        (json!({"startTimeUnixNano": ""}), "startTimeUnixNano"),
        (json!({"startTimeUnixNano": " 5"}), "startTimeUnixNano"),
        (json!({"startTimeUnixNano": "+5"}), "startTimeUnixNano"),
        (json!({"startTimeUnixNano": "18446744073709551616"}), "startTimeUnixNano"),
        (json!({"droppedLinksCount": 1_u64 << 32}), "droppedLinksCount"),
        (json!({"attributes": {}}), "KeyValue"),
        (json!({"attributes": [null]}), "KeyValue"),
        (json!({"status": []}), "Status"),
    ];
    for (json, name) in spans {
        let error = span(&json).expect_err(&json.to_string());
        assert!(error.contains(name), "{json}: {error}");
    }
    for json in [
        json!({"intValue": "nan"}),
        json!({"intValue": "NaN"}),
        json!({"intValue": "9223372036854775808"}),
        json!({"doubleValue": "inf"}),
        json!({"doubleValue": "nan"}),
        json!({"doubleValue": true}),
        json!({"boolValue": "true"}),
        json!({"boolValue": 1}),
        json!({"bytesValue": "*"}),
    ] {
        value(&json).expect_err(&json.to_string());
    }
}

#[test]
fn text_that_is_not_one_json_object_is_refused() {
    for text in [
        "",
        "null",
        "[]",
        "5",
        "{",
        "{}{}",
        "{} x",
        "\"\"",
        "{\"resourceSpans\":[}",
        "{\"x\":\"\\ud800\"",
        "\u{feff}{}",
    ] {
        assert!(to_protobuf(Signal::Traces, text.as_bytes()).is_err(), "{text}");
    }
    assert!(to_protobuf(Signal::Traces, b"{\"resourceSpans\":[{\"schemaUrl\":\"\xff\"}]}").is_err());
    let deep = format!("{}{}", "{\"arrayValue\":{\"values\":[".repeat(1000), "]}}".repeat(1000));
    let deep = format!("{{\"resourceSpans\":[{{\"resource\":{{\"attributes\":[{{\"value\":{deep}}}]}}}}]}}");
    assert!(to_protobuf(Signal::Traces, deep.as_bytes()).is_err());
    let deep = format!("{{\"unknown\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    // What is passed over is not descended into.
    assert!(to_protobuf(Signal::Traces, deep.as_bytes()).is_ok());
}

#[test]
fn every_field_of_a_record_arrives() {
    let json = json!({"resourceLogs": [{
        "schemaUrl": "https://schema/1",
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "hello"}}]},
        "scopeLogs": [{
            "schemaUrl": "https://schema/2",
            "scope": {"name": "scope", "version": "1.2"},
            "logRecords": [{
                "timeUnixNano": "1544712660000000000", "observedTimeUnixNano": "1544712660000000001",
                "severityNumber": 9, "severityText": "info", "eventName": "scouter.record.spc",
                "body": {"kvlistValue": {"values": [{"key": "x", "value": {"doubleValue": 0.5}}]}},
                "attributes": [{"key": "n", "value": {"intValue": "-5"}}],
                "droppedAttributesCount": 3, "flags": 1,
                "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174",
            }],
        }],
    }]});
    // Their reader of the same JSON is the judge. Ours takes ids of either case, numbers as numbers, and names it does not know.
    let theirs: ExportLogsServiceRequest = serde_json::from_value(json.clone()).unwrap();
    let mut other = json;
    let record = &mut other["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
    record["traceId"] = "5B8EFFF798038103D269B633813FC60C".into();
    record["timeUnixNano"] = 1_544_712_660_000_000_000_u64.into();
    record["attributes"][0]["value"] = json!({"intValue": -5});
    record["unknown"] = json!({"traceId": [5]});
    let bytes = to_protobuf(Signal::Logs, other.to_string().as_bytes()).unwrap();
    scouter_span::view::LogsRequest::parse(&bytes).unwrap();
    assert_eq!(ExportLogsServiceRequest::decode(bytes.as_slice()).unwrap(), theirs);
    for (wrong, name) in [(json!({"traceId": "xyz"}), "traceId"), (json!({"severityNumber": "INFO"}), "severityNumber")]
    {
        let json = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [wrong]}]}]});
        let error = to_protobuf(Signal::Logs, json.to_string().as_bytes()).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}
