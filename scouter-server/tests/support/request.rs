//! Requests as other people's code builds them.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

pub fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// A span with ids nobody else has.
pub fn span(name: &str) -> Span {
    let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    let mut trace_id = [0xab; 16];
    trace_id[8..].copy_from_slice(&id.to_be_bytes());
    Span {
        trace_id: trace_id.to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        name: name.into(),
        kind: 2,
        start_time_unix_nano: 1_700_000_000_000_000_000,
        end_time_unix_nano: 1_700_000_000_001_000_000,
        attributes: vec![
            attribute("http.method", Value::StringValue("GET".into())),
            attribute("n", Value::IntValue(-1)),
        ],
        ..Span::default()
    }
}

pub fn of(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let resource = Resource {
        attributes: vec![attribute("service.name", Value::StringValue("hello".into()))],
        ..Resource::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
            schema_url: String::new(),
        }],
    }
}

pub fn with_spans(count: usize) -> ExportTraceServiceRequest {
    of((0..count).map(|n| span(&format!("span {n}"))).collect())
}

pub fn encode(request: &ExportTraceServiceRequest) -> Bytes {
    request.encode_to_vec().into()
}

/// A request of exactly so many bytes, with one span.
pub fn of_size(bytes: usize) -> Bytes {
    let mut request = with_spans(1);
    let pad = |request: &mut ExportTraceServiceRequest, length| {
        request.resource_spans[0].schema_url = "x".repeat(length);
        request.encoded_len()
    };
    // The padding's own length and the messages' around it take a few bytes more the longer they are.
    let mut length = bytes - pad(&mut request, 0) - 16;
    while pad(&mut request, length) < bytes {
        length += 1;
    }
    assert_eq!(request.encoded_len(), bytes);
    encode(&request)
}

pub fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap().into()
}

/// So many mebibytes of zeros, packed.
pub fn zip_bomb(mebibytes: usize) -> Bytes {
    let zeros = vec![0; 1 << 20];
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    for _ in 0..mebibytes {
        encoder.write_all(&zeros).unwrap();
    }
    encoder.finish().unwrap().into()
}
