//! Spans for tests, encoded by `opentelemetry-proto`, so that nothing of this project checks itself.

#![allow(dead_code, reason = "several test programs use parts of this")]

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;
use scouter_span::TraceId;

/// 2024-01-01T00:00:00Z.
pub(crate) const BASE: u64 = 1_704_067_200_000_000_000;

/// Attributes in the order they travel.
pub(crate) type Pairs = Vec<(String, Value)>;

/// A span before it is encoded. Ids are small numbers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Given {
    pub(crate) trace: u64,
    pub(crate) id: u64,
    pub(crate) parent: Option<u64>,
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) start: u64,
    pub(crate) duration: u64,
    pub(crate) status: i32,
    pub(crate) attributes: Pairs,
    pub(crate) resource: Pairs,
}

impl Given {
    pub(crate) fn new(trace: u64, id: u64, parent: Option<u64>) -> Self {
        Self {
            trace,
            id,
            parent,
            service: "shop".to_owned(),
            name: format!("span {id}"),
            start: BASE + trace * 1_000_000_000 + id * 1_000_000,
            duration: 1_000_000,
            status: 0,
            attributes: Vec::new(),
            resource: Vec::new(),
        }
    }

    pub(crate) fn with(mut self, key: &str, value: Value) -> Self {
        self.attributes.push((key.to_owned(), value));
        self
    }

    fn encode(&self) -> Span {
        Span {
            trace_id: trace_id(self.trace).to_bytes().to_vec(),
            span_id: self.id.to_be_bytes().to_vec(),
            parent_span_id: self.parent.map(|parent| parent.to_be_bytes().to_vec()).unwrap_or_default(),
            name: self.name.clone(),
            kind: 2,
            start_time_unix_nano: self.start,
            end_time_unix_nano: self.start + self.duration,
            attributes: self.attributes.iter().map(pair).collect(),
            status: (self.status != 0).then(|| Status { code: self.status, message: String::new() }),
            ..Span::default()
        }
    }
}

pub(crate) fn trace_id(number: u64) -> TraceId {
    // Neighbouring traces get ids that are far apart, as real ones do.
    let high = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    TraceId::from_int(u128::from(high) << 64 | u128::from(number)).unwrap()
}

pub(crate) fn text(value: &str) -> Value {
    Value::StringValue(value.to_owned())
}

pub(crate) fn pair((key, value): &(String, Value)) -> KeyValue {
    KeyValue { key: key.clone(), value: Some(AnyValue { value: Some(value.clone()) }), ..KeyValue::default() }
}

/// The spans as one request, grouped by service and resource as a sender would.
pub(crate) fn request(spans: &[Given]) -> Bytes {
    let mut groups: Vec<(Pairs, Vec<Span>)> = Vec::new();
    for span in spans {
        let mut resource = vec![("service.name".to_owned(), text(&span.service))];
        resource.extend(span.resource.iter().cloned());
        match groups.iter_mut().find(|(known, _)| *known == resource) {
            Some((_, group)) => group.push(span.encode()),
            None => groups.push((resource, vec![span.encode()])),
        }
    }
    let groups = groups.into_iter().map(|(resource, spans)| ResourceSpans {
        resource: Some(Resource { attributes: resource.iter().map(pair).collect(), ..Resource::default() }),
        scope_spans: vec![ScopeSpans {
            scope: Some(InstrumentationScope {
                name: "tests".to_owned(),
                version: "1".to_owned(),
                ..Default::default()
            }),
            spans,
            schema_url: String::new(),
        }],
        schema_url: "https://example.com/schema".to_owned(),
    });
    message(groups.collect())
}

pub(crate) fn message(resource_spans: Vec<ResourceSpans>) -> Bytes {
    ExportTraceServiceRequest { resource_spans }.encode_to_vec().into()
}

/// One span with everything OTLP can say about it.
pub(crate) fn everything() -> Bytes {
    let values = ArrayValue { values: vec![AnyValue { value: Some(Value::IntValue(i64::MAX)) }, AnyValue::default()] };
    let map = KeyValueList { values: vec![pair(&("inner".to_owned(), Value::BoolValue(true)))] };
    let attributes = [
        ("text".to_owned(), text("<b>é</b>")),
        ("int".to_owned(), Value::IntValue(i64::MIN)),
        ("double".to_owned(), Value::DoubleValue(0.1)),
        ("not a number".to_owned(), Value::DoubleValue(f64::NAN)),
        ("bytes".to_owned(), Value::BytesValue(vec![0xfb, 0xff])),
        ("list".to_owned(), Value::ArrayValue(values)),
        ("map".to_owned(), Value::KvlistValue(map)),
        ("scouter.tag.env".to_owned(), text("prod")),
        ("scouter.entity".to_owned(), text("entity-1")),
    ];
    let few: Vec<KeyValue> = vec![pair(&("k".to_owned(), text("v")))];
    let span = Span {
        trace_id: trace_id(1).to_bytes().to_vec(),
        span_id: 1u64.to_be_bytes().to_vec(),
        trace_state: "vendor=1".to_owned(),
        parent_span_id: 99u64.to_be_bytes().to_vec(),
        flags: 0x101,
        name: "everything".to_owned(),
        kind: 3,
        start_time_unix_nano: BASE,
        end_time_unix_nano: BASE + 5,
        attributes: attributes.iter().map(pair).collect(),
        dropped_attributes_count: 2,
        events: vec![Event {
            time_unix_nano: BASE + 2,
            name: "exception".to_owned(),
            attributes: few.clone(),
            dropped_attributes_count: 3,
        }],
        dropped_events_count: 4,
        links: vec![Link {
            trace_id: trace_id(2).to_bytes().to_vec(),
            span_id: 7u64.to_be_bytes().to_vec(),
            trace_state: "other=2".to_owned(),
            attributes: few.clone(),
            dropped_attributes_count: 5,
            flags: 1,
        }],
        dropped_links_count: 6,
        status: Some(Status { code: 2, message: "no luck".to_owned() }),
    };
    let service = [("service.name".to_owned(), text("shop")), ("host.name".to_owned(), text("h1"))];
    message(vec![ResourceSpans {
        resource: Some(Resource { attributes: service.iter().map(pair).collect(), ..Resource::default() }),
        scope_spans: vec![ScopeSpans {
            scope: Some(InstrumentationScope {
                name: "library".to_owned(),
                version: "2.0".to_owned(),
                attributes: few,
                dropped_attributes_count: 0,
            }),
            spans: vec![span],
            schema_url: "https://example.com/scope".to_owned(),
        }],
        schema_url: "https://example.com/resource".to_owned(),
    }])
}
