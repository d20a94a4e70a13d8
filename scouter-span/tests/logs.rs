//! Log records of another implementation read as they were meant.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use proptest::prelude::*;
use prost::Message;
use scouter_span::view::{self, LogsRequest, Severity, ValueView};
use scouter_span::wire::WireError;

fn values() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        Just(None),
        any::<bool>().prop_map(|value| Some(Any::BoolValue(value))),
        any::<i64>().prop_map(|value| Some(Any::IntValue(value))),
        (-1e300..1e300f64).prop_map(|value| Some(Any::DoubleValue(value))),
        ".{0,40}".prop_map(|text| Some(Any::StringValue(text))),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| Some(Any::BytesValue(bytes))),
    ];
    leaf.prop_map(|value| AnyValue { value }).prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|values| AnyValue { value: Some(Any::ArrayValue(ArrayValue { values })) }),
            attributes(inner).prop_map(|values| AnyValue { value: Some(Any::KvlistValue(KeyValueList { values })) }),
        ]
    })
}

fn attributes(values: impl Strategy<Value = AnyValue>) -> impl Strategy<Value = Vec<KeyValue>> {
    let pair = |(key, value)| KeyValue { key, value: Some(value), ..KeyValue::default() };
    prop::collection::vec(("[a-z.]{0,9}", values).prop_map(pair), 0..4)
}

fn ids(length: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(Vec::new()),
        Just(vec![0; length]),
        prop::collection::vec(any::<u8>(), length),
        prop::collection::vec(any::<u8>(), 0..20),
    ]
}

fn records() -> impl Strategy<Value = LogRecord> {
    let numbers = (any::<u64>(), any::<u64>(), -1..30, any::<u32>(), any::<u32>());
    let texts = (".{0,9}", ".{0,30}", prop::option::of(values()), attributes(values()));
    (numbers, texts, ids(16), ids(8)).prop_map(|(numbers, texts, trace_id, span_id)| LogRecord {
        time_unix_nano: numbers.0,
        observed_time_unix_nano: numbers.1,
        severity_number: numbers.2,
        dropped_attributes_count: numbers.3,
        flags: numbers.4,
        severity_text: texts.0,
        event_name: texts.1,
        body: texts.2,
        attributes: texts.3,
        trace_id,
        span_id,
    })
}

fn requests() -> impl Strategy<Value = ExportLogsServiceRequest> {
    let scope = ("[a-z]{0,9}", prop::collection::vec(records(), 0..4)).prop_map(|(name, log_records)| ScopeLogs {
        scope: Some(InstrumentationScope { name, ..InstrumentationScope::default() }),
        log_records,
        schema_url: "scope".to_owned(),
    });
    let resource = (attributes(values()), prop::collection::vec(scope, 0..3));
    let resource = resource.prop_map(|(attributes, scope_logs)| ResourceLogs {
        resource: Some(Resource { attributes, ..Resource::default() }),
        scope_logs,
        schema_url: "resource".to_owned(),
    });
    prop::collection::vec(resource, 1..3).prop_map(|resource_logs| ExportLogsServiceRequest { resource_logs })
}

/// What a view says, as a value that owns it.
fn read(value: ValueView<'_>) -> AnyValue {
    let value = match value {
        ValueView::Empty => None,
        ValueView::Bool(value) => Some(Any::BoolValue(value)),
        ValueView::I64(value) => Some(Any::IntValue(value)),
        ValueView::F64(value) => Some(Any::DoubleValue(value)),
        ValueView::Str(value) => Some(Any::StringValue(value.to_owned())),
        ValueView::Bytes(value) => Some(Any::BytesValue(value.to_vec())),
        ValueView::Array(values) => Some(Any::ArrayValue(ArrayValue { values: values.iter().map(read).collect() })),
        ValueView::Map(entries) => {
            Some(Any::KvlistValue(KeyValueList { values: entries.iter().map(read_entry).collect() }))
        }
    };
    AnyValue { value }
}

fn read_entry(entry: view::KeyValue<'_>) -> KeyValue {
    KeyValue { key: entry.key.to_owned(), value: Some(read(entry.value)), ..KeyValue::default() }
}

/// The record as the view reads it. A body that is empty and one that is not there are one to a reader, and so are ids that
/// are none.
fn read_record(view: view::LogRecordView<'_>, has_body: bool) -> LogRecord {
    LogRecord {
        time_unix_nano: view.time(),
        observed_time_unix_nano: view.observed_time(),
        severity_number: view.severity().0,
        severity_text: view.severity_text().to_owned(),
        body: has_body.then(|| read(view.body())),
        attributes: view.attributes().iter().map(read_entry).collect(),
        dropped_attributes_count: view.dropped_attributes_count(),
        flags: view.flags(),
        trace_id: view.trace_id().map(|id| id.to_bytes().to_vec()).unwrap_or_default(),
        span_id: view.span_id().map(|id| id.to_bytes().to_vec()).unwrap_or_default(),
        event_name: view.event_name().to_owned(),
    }
}

fn without_bad_ids(mut record: LogRecord) -> LogRecord {
    for (id, length) in [(&mut record.trace_id, 16), (&mut record.span_id, 8)] {
        if id.len() != length || id.iter().all(|byte| *byte == 0) {
            id.clear();
        }
    }
    record
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn records_read_as_another_implementation_wrote_them(request in requests()) {
        let bytes = request.encode_to_vec();
        let view = LogsRequest::parse(&bytes).unwrap();
        prop_assert_eq!(view.bytes(), &bytes[..]);
        prop_assert_eq!(view.resource_logs().count(), request.resource_logs.len());
        for (view, resource) in view.resource_logs().zip(&request.resource_logs) {
            prop_assert_eq!(view.schema_url(), "resource");
            let attributes: Vec<_> = view.resource().attributes().iter().map(read_entry).collect();
            prop_assert_eq!(&attributes, &resource.resource.as_ref().unwrap().attributes);
            prop_assert_eq!(view.scope_logs().count(), resource.scope_logs.len());
            for (view, scope) in view.scope_logs().zip(&resource.scope_logs) {
                prop_assert_eq!((view.schema_url(), view.scope().name()), ("scope", &*scope.scope.as_ref().unwrap().name));
                prop_assert_eq!(view.records().count(), scope.log_records.len());
                for (view, record) in view.records().zip(&scope.log_records) {
                    prop_assert_eq!(read_record(view, record.body.is_some()), without_bad_ids(record.clone()));
                    // A record alone reads the same as one in a request.
                    prop_assert_eq!(view.bytes(), &record.encode_to_vec()[..]);
                }
            }
        }
        let all = request.resource_logs.iter().flat_map(|resource| &resource.scope_logs).map(|scope| scope.log_records.len());
        prop_assert_eq!(view.records().count(), all.sum::<usize>());
    }

    /// The check agrees with the reference decoder about what is a request at all.
    #[test]
    fn damaged_requests_are_refused_where_the_reference_refuses_them(
        request in requests(), place in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = request.encode_to_vec();
        let at = place.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(1 + cut.index(bytes.len()));
        if let Ok(view) = LogsRequest::parse(&bytes) {
            let reference = ExportLogsServiceRequest::decode(&bytes[..]);
            prop_assert!(reference.is_ok(), "accepted {bytes:?}: {reference:?}");
            let names: Vec<_> = view.records().map(|record| record.event_name().to_owned()).collect();
            let reference = reference.unwrap();
            let records = reference.resource_logs.iter().flat_map(|r| &r.scope_logs).flat_map(|s| &s.log_records);
            prop_assert_eq!(names, records.map(|record| record.event_name.clone()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(request) = LogsRequest::parse(&bytes) {
            for record in request.records() {
                let _ = (read_record(record, true), record.severity().name());
            }
        }
    }
}

/// A request of one record with these bytes.
fn around(record: &[u8]) -> Vec<u8> {
    [2, 2, 1].iter().fold(record.to_vec(), |inner, field| {
        let mut outer = Vec::new();
        scouter_span::wire::len_delimited(&mut outer, *field, &inner);
        outer
    })
}

#[test]
fn what_is_wrong_is_named() {
    for (record, message, field) in [
        (&b"\x08\x01"[..], "LogRecord", 1),
        (b"\x12\x00", "LogRecord", 2),
        (b"\x28\x01", "LogRecord", 5),
        (b"\x32\x02\x08\x01", "KeyValue", 1),
        (b"\x40\x01", "LogRecord", 8),
        (b"\x48\x01", "LogRecord", 9),
        (b"\x50\x01", "LogRecord", 10),
        (b"\x58\x01", "LogRecord", 11),
    ] {
        let error = LogsRequest::parse(&around(record)).unwrap_err();
        assert_eq!(error, WireError::WrongType { message, field }, "{record:?}");
    }
    for (record, field) in [(&b"\x1a\x01\xff"[..], 3), (b"\x62\x01\xff", 12)] {
        let error = LogsRequest::parse(&around(record)).unwrap_err();
        assert_eq!(error, WireError::NotUtf8 { message: "LogRecord", field });
    }
    let error = LogsRequest::parse(b"\x08\x01").unwrap_err();
    assert_eq!(error, WireError::WrongType { message: "ExportLogsServiceRequest", field: 1 });
}

#[test]
fn severities_have_the_names_of_the_data_model() {
    let names = [0, 1, 9, 12, 17, 24, 25, -1].map(|number| Severity(number).name());
    assert_eq!(names, ["", "TRACE", "INFO", "INFO4", "ERROR", "FATAL4", "", ""]);
    assert_eq!(Severity::INFO.to_string(), "INFO");
}
