//! The SDK's spans as OTLP bytes.

use opentelemetry::trace::{Event, Link, SpanContext, Status};
use opentelemetry::{Array, KeyValue, Value as ApiValue};
use opentelemetry_sdk::trace::SpanData;
use scouter_span::otel::unix_nanoseconds;
use scouter_span::wire::field::{event, link, scope_spans, span, status};
use scouter_span::wire::{fixed32, fixed64, len_delimited, nested, uint, write_attribute};
use scouter_span::{Resource, SpanKind, StatusCode, Value};

/// Bits of the flags of spans and links (`trace.proto`, `SpanFlags`).
pub(super) const REMOTE_KNOWN: u32 = 0x100;
pub(super) const REMOTE: u32 = 0x200;

/// Appends a span as one element of `ScopeSpans.spans`, as [`FinishedSpan::bytes`](scouter_span::FinishedSpan::bytes) wants
/// it.
pub fn encode(out: &mut Vec<u8>, data: &SpanData) {
    nested(out, scope_spans::SPANS, |out| write_span(out, data));
}

/// The SDK's resource as ours.
pub fn resource(resource: &opentelemetry_sdk::Resource) -> Resource {
    let mut attributes: Vec<_> =
        resource.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect();
    // The SDK keeps them in no order; a fixed one makes equal resources equal bytes.
    attributes.sort_by(|first, second| first.key.cmp(&second.key));
    let schema_url = resource.schema_url().unwrap_or_default();
    with_values(&attributes, |attributes| Resource::new(attributes, schema_url))
}

/// Hands attributes of the API on as ours.
pub(super) fn with_values<T>(attributes: &[KeyValue], work: impl FnOnce(&[(&str, Value<'_>)]) -> T) -> T {
    let arrays: Vec<_> = attributes.iter().map(|attribute| elements(&attribute.value)).collect();
    let values = attributes.iter().zip(&arrays);
    let values: Vec<_> =
        values.map(|(attribute, array)| (attribute.key.as_str(), value(&attribute.value, array))).collect();
    work(&values)
}

fn write_span(out: &mut Vec<u8>, data: &SpanData) {
    let context = &data.span_context;
    len_delimited(out, span::TRACE_ID, &context.trace_id().to_bytes());
    len_delimited(out, span::SPAN_ID, &context.span_id().to_bytes());
    write_trace_state(out, span::TRACE_STATE, context);
    if data.parent_span_id != opentelemetry::trace::SpanId::INVALID {
        len_delimited(out, span::PARENT_SPAN_ID, &data.parent_span_id.to_bytes());
    }
    len_delimited(out, span::NAME, data.name.as_bytes());
    uint(out, span::KIND, SpanKind::from(data.span_kind.clone()) as u64);
    fixed64(out, span::START_TIME, unix_nanoseconds(data.start_time));
    fixed64(out, span::END_TIME, unix_nanoseconds(data.end_time));
    write_attributes(out, span::ATTRIBUTES, &data.attributes);
    write_count(out, span::DROPPED_ATTRIBUTES_COUNT, data.dropped_attributes_count);
    for event in &data.events.events {
        nested(out, span::EVENTS, |out| write_event(out, event));
    }
    write_count(out, span::DROPPED_EVENTS_COUNT, data.events.dropped_count);
    for link in &data.links.links {
        nested(out, span::LINKS, |out| write_link(out, link));
    }
    write_count(out, span::DROPPED_LINKS_COUNT, data.links.dropped_count);
    write_status(out, &data.status);
    fixed32(out, span::FLAGS, flags(context, data.parent_span_is_remote));
}

fn write_event(out: &mut Vec<u8>, event: &Event) {
    fixed64(out, event::TIME, unix_nanoseconds(event.timestamp));
    len_delimited(out, event::NAME, event.name.as_bytes());
    write_attributes(out, event::ATTRIBUTES, &event.attributes);
    write_count(out, event::DROPPED_ATTRIBUTES_COUNT, event.dropped_attributes_count);
}

fn write_link(out: &mut Vec<u8>, link: &Link) {
    let context = &link.span_context;
    len_delimited(out, link::TRACE_ID, &context.trace_id().to_bytes());
    len_delimited(out, link::SPAN_ID, &context.span_id().to_bytes());
    write_trace_state(out, link::TRACE_STATE, context);
    write_attributes(out, link::ATTRIBUTES, &link.attributes);
    write_count(out, link::DROPPED_ATTRIBUTES_COUNT, link.dropped_attributes_count);
    fixed32(out, link::FLAGS, flags(context, context.is_remote()));
}

fn write_status(out: &mut Vec<u8>, status: &Status) {
    let (code, message) = match status {
        Status::Unset => return,
        Status::Ok => (StatusCode::Ok, ""),
        Status::Error { description } => (StatusCode::Error, &**description),
    };
    nested(out, span::STATUS, |out| {
        if !message.is_empty() {
            len_delimited(out, status::MESSAGE, message.as_bytes());
        }
        uint(out, status::CODE, code as u64);
    });
}

fn write_trace_state(out: &mut Vec<u8>, field: u32, context: &SpanContext) {
    if context.trace_state().into_iter().len() > 0 {
        len_delimited(out, field, context.trace_state().header().as_bytes());
    }
}

fn write_attributes(out: &mut Vec<u8>, field: u32, attributes: &[KeyValue]) {
    for attribute in attributes {
        let array = elements(&attribute.value);
        write_attribute(out, field, attribute.key.as_str(), value(&attribute.value, &array), usize::MAX);
    }
}

fn write_count(out: &mut Vec<u8>, field: u32, count: u32) {
    if count > 0 {
        uint(out, field, u64::from(count));
    }
}

fn flags(context: &SpanContext, remote: bool) -> u32 {
    u32::from(context.trace_flags().to_u8()) | REMOTE_KNOWN | if remote { REMOTE } else { 0 }
}

/// A value of the API as ours. `elements` are those of an array.
fn value<'a>(value: &'a ApiValue, elements: &'a Elements<'a>) -> Value<'a> {
    match (value, elements) {
        (ApiValue::Bool(value), _) => Value::Bool(*value),
        (ApiValue::I64(value), _) => Value::I64(*value),
        (ApiValue::F64(value), _) => Value::F64(*value),
        (ApiValue::String(text), _) => Value::Str(text.as_str()),
        (_, Elements::Array(values)) => Value::Array(values),
        (_, Elements::Text(text)) => Value::Str(text),
        _ => Value::Empty,
    }
}

/// What stands behind a value that is no scalar.
enum Elements<'a> {
    None,
    Array(Vec<Value<'a>>),
    /// A kind that later versions of the API add.
    Text(String),
}

fn elements(value: &ApiValue) -> Elements<'_> {
    match value {
        ApiValue::Bool(_) | ApiValue::I64(_) | ApiValue::F64(_) | ApiValue::String(_) => Elements::None,
        ApiValue::Array(Array::Bool(values)) => {
            Elements::Array(values.iter().map(|value| Value::Bool(*value)).collect())
        }
        ApiValue::Array(Array::I64(values)) => Elements::Array(values.iter().map(|value| Value::I64(*value)).collect()),
        ApiValue::Array(Array::F64(values)) => Elements::Array(values.iter().map(|value| Value::F64(*value)).collect()),
        ApiValue::Array(Array::String(values)) => {
            Elements::Array(values.iter().map(|value| Value::Str(value.as_str())).collect())
        }
        other => Elements::Text(other.as_str().into_owned()),
    }
}
