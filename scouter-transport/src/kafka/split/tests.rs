//! Spans in are spans out, whatever the request.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;

use super::*;

fn id(number: u8) -> Vec<u8> {
    match number {
        0 => Vec::new(),
        1 => vec![0; 16],
        _ => vec![number; 16],
    }
}

fn span(trace: u8, span: u64, name: usize) -> Span {
    Span {
        trace_id: id(trace),
        span_id: span.to_be_bytes().to_vec(),
        name: "n".repeat(name),
        start_time_unix_nano: span,
        ..Span::default()
    }
}

fn resource(name: &str) -> Option<Resource> {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(name.to_owned())) });
    let attribute = KeyValue { key: "service.name".to_owned(), value, ..KeyValue::default() };
    Some(Resource { attributes: vec![attribute], ..Resource::default() })
}

/// Resources of scopes of `(trace, length of the name)`.
fn request(shape: &[Vec<Vec<(u8, usize)>>]) -> ExportTraceServiceRequest {
    let mut number = 0;
    let mut next = |(trace, name): &(u8, usize)| {
        number += 1;
        span(*trace, number, *name)
    };
    let mut resource_spans = Vec::new();
    for (at, scopes) in shape.iter().enumerate() {
        let mut scope_spans = Vec::new();
        for (place, spans) in scopes.iter().enumerate() {
            let scope = InstrumentationScope { name: format!("scope {place}"), ..InstrumentationScope::default() };
            scope_spans.push(ScopeSpans {
                scope: Some(scope),
                spans: spans.iter().map(&mut next).collect(),
                schema_url: format!("schema {place}"),
            });
        }
        let schema_url = if at % 2 == 0 { String::new() } else { "schema".to_owned() };
        resource_spans.push(ResourceSpans { resource: resource(&at.to_string()), scope_spans, schema_url });
    }
    ExportTraceServiceRequest { resource_spans }
}

/// Every span with everything around it, in their order.
fn flat(request: &ExportTraceServiceRequest) -> Vec<(Option<Resource>, String, ScopeSpans)> {
    let mut all = Vec::new();
    for of_resource in &request.resource_spans {
        for of_scope in &of_resource.scope_spans {
            for span in &of_scope.spans {
                let alone = ScopeSpans { spans: vec![span.clone()], ..of_scope.clone() };
                all.push((of_resource.resource.clone(), of_resource.schema_url.clone(), alone));
            }
        }
    }
    all
}

fn written(split: &Split<'_>) -> Vec<(Message, Vec<u8>)> {
    let write = |message: &Message| {
        let mut out = Vec::new();
        split.write(message, &mut out);
        (*message, out)
    };
    split.messages().iter().map(write).collect()
}

fn valid(trace_id: &[u8]) -> Option<[u8; 16]> {
    trace_id.try_into().ok().filter(|id| *id != [0; 16])
}

fn shapes() -> impl Strategy<Value = Vec<Vec<Vec<(u8, usize)>>>> {
    vec(vec(vec((0..6u8, 0..300usize), 0..8), 0..4), 0..4)
}

proptest! {
    #[test]
    fn spans_in_are_spans_out(shape in shapes(), max in 1..2_000usize) {
        let request = request(&shape);
        let bytes = request.encode_to_vec();
        let mut expected = flat(&request);
        let Some(split) = Split::new(&bytes, Signal::Traces, max) else {
            prop_assert!(expected.is_empty());
            return Ok(());
        };
        let mut found = Vec::new();
        for (message, bytes) in written(&split) {
            let spans = flat(&ExportTraceServiceRequest::decode(&bytes[..]).unwrap());
            prop_assert_eq!(spans.len(), message.items());
            prop_assert!(bytes.len() <= max || spans.len() == 1, "{} bytes are more than {max}", bytes.len());
            for (_, _, alone) in &spans {
                prop_assert_eq!(valid(&alone.spans[0].trace_id), message.trace_id);
            }
            found.extend(spans);
        }
        // What belongs to one trace keeps its order.
        let order = |all: &[(Option<Resource>, String, ScopeSpans)], trace: u8| -> Vec<u64> {
            let spans = all.iter().map(|(_, _, alone)| &alone.spans[0]).filter(|span| span.trace_id == id(trace));
            spans.map(|span| span.start_time_unix_nano).collect()
        };
        for trace in 0..6 {
            prop_assert_eq!(order(&found, trace), order(&expected, trace));
        }
        let key = |entry: &(Option<Resource>, String, ScopeSpans)| entry.2.spans[0].start_time_unix_nano;
        found.sort_by_key(key);
        expected.sort_by_key(key);
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn without_a_bound_a_trace_is_one_message(shape in shapes()) {
        let bytes = request(&shape).encode_to_vec();
        let messages = Split::new(&bytes, Signal::Traces, usize::MAX).map_or(0, |split| split.messages().len());
        let traces: std::collections::HashSet<_> = shape.iter().flatten().flatten().map(|(trace, _)| valid(&id(*trace))).collect();
        prop_assert_eq!(messages, traces.len());
    }

    #[test]
    fn garbage_never_panics(bytes: Vec<u8>, max: usize) {
        for signal in Signal::ALL {
            if let Some(split) = Split::new(&bytes, signal, max) {
                written(&split);
            }
        }
    }

    #[test]
    fn broken_requests_never_panic(shape in shapes(), at: proptest::sample::Index, byte: u8) {
        let mut bytes = request(&shape).encode_to_vec();
        prop_assume!(!bytes.is_empty());
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Some(split) = Split::new(&bytes, Signal::Traces, 500) {
            let items: usize = split.messages().iter().map(Message::items).sum();
            prop_assert!(items > 0);
            written(&split);
        }
    }
}

#[test]
fn records_go_by_their_trace_and_those_without_go_together() {
    let record = |trace: u8, text: &str| LogRecord {
        trace_id: id(trace),
        body: Some(AnyValue { value: Some(any_value::Value::StringValue(text.to_owned())) }),
        ..LogRecord::default()
    };
    let log_records = vec![record(7, "a"), record(0, "b"), record(8, "c"), record(7, "d"), record(0, "e")];
    let scope_logs = vec![ScopeLogs { log_records: log_records.clone(), ..ScopeLogs::default() }];
    let resource_logs = vec![ResourceLogs { resource: resource("r"), scope_logs, ..ResourceLogs::default() }];
    let bytes = ExportLogsServiceRequest { resource_logs }.encode_to_vec();
    let split = Split::new(&bytes, Signal::Logs, 1_000).unwrap();
    let mut found = Vec::new();
    for (message, bytes) in written(&split) {
        let request = ExportLogsServiceRequest::decode(&bytes[..]).unwrap();
        assert_eq!(request.resource_logs[0].resource, resource("r"));
        found.push((message.trace_id, request.resource_logs[0].scope_logs[0].log_records.clone()));
    }
    let [a, b, c, d, e] = <[LogRecord; 5]>::try_from(log_records).unwrap();
    assert_eq!(found, [(Some([7; 16]), vec![a, d]), (None, vec![b, e]), (Some([8; 16]), vec![c])]);
}

#[test]
fn what_holds_nothing_or_cannot_be_read_is_not_split() {
    let whole = request(&[vec![vec![(5, 3)]]]).encode_to_vec();
    assert_eq!(Split::new(&whole, Signal::Traces, 10).map(|split| split.messages().len()), Some(1));
    // Nothing, no span in the frames, cut short, a varint where frames stand, an end of a group.
    let cases: [&[u8]; 6] = [&[], &[0x0a, 0], &whole[..whole.len() - 1], &[0x08, 1], &[0x0a, 2, 0x10, 1], &[0x0c]];
    for bytes in cases {
        assert!(Split::new(bytes, Signal::Traces, 10).is_none(), "{bytes:?}");
    }
}
