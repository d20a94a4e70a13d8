//! From a span that is read back to the API's types.

use std::time::{Duration, UNIX_EPOCH};

use opentelemetry::KeyValue;
use opentelemetry::trace::{
    Event, Link, Span as _, SpanContext, SpanId, Status, TraceFlags, TraceId, TraceState, Tracer as _,
};
use scouter_span::{StatusCode, Value};

use crate::Api;

#[test]
fn events_links_and_status_come_back() {
    let api = Api::new();
    let time = UNIX_EPOCH + Duration::from_nanos(1_700_000_000_123_456_789);
    let attributes = || vec![KeyValue::new("a", 1), KeyValue::new("b", opentelemetry::Value::Array(vec![true].into()))];
    let state = TraceState::from_key_value([("vendor", "1")]).unwrap();
    let to = SpanContext::new(TraceId::from(9), SpanId::from(8), TraceFlags::SAMPLED, true, state);
    let events = vec![Event::new("e", time, attributes(), 2)];
    let links = vec![Link::new(to, attributes(), 4)];
    let builder = api.tracer.span_builder("x").with_events(events.clone()).with_links(links.clone());
    let mut span = builder.start(&api.tracer);
    span.add_link(SpanContext::empty_context(), attributes());
    span.set_status(Status::error("why"));
    span.end();

    let view = span.span().unwrap().view().unwrap();
    assert_eq!(view.events().map(Event::from).collect::<Vec<_>>(), events);
    let nowhere = Link::new(SpanContext::empty_context(), attributes(), 0);
    assert_eq!(view.links().map(Link::from).collect::<Vec<_>>(), [links, vec![nowhere]].concat());
    assert_eq!(Status::from(view.status()), Status::error("why"));
}

/// Values that the API has no place for count as dropped.
#[test]
fn what_does_not_fit_is_counted() {
    let api = Api::new();
    let mut span = api.fixture.tracer.span("x").start();
    let attributes = [("bytes", Value::Bytes(b"x")), ("text", Value::Str("x")), ("null", Value::Empty)];
    span.add_event_at("e", 1, &attributes);
    span.set_status(StatusCode::Ok, "");
    span.end();
    let view = span.view().unwrap();
    let event = Event::from(view.events().next().unwrap());
    assert_eq!(event.attributes, [KeyValue::new("text", "x")]);
    assert_eq!(event.dropped_attributes_count, 2);
    assert_eq!(Status::from(view.status()), Status::Ok);
}
