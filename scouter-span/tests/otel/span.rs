//! What a span takes in.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer as _,
};
use opentelemetry::{Array, Context, Key, KeyValue, StringValue, Value};
use opentelemetry_proto::tonic::common::v1::ArrayValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as V;
use opentelemetry_proto::tonic::trace::v1::Status as ProtoStatus;
use scouter_span::SpanLimits;
use scouter_span::clock::Clock;

use crate::support::Fixture;
use crate::{Api, any, sorted};

fn time(nanoseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanoseconds)
}

fn other(span: u64) -> SpanContext {
    SpanContext::new(TraceId::from(9), SpanId::from(span), TraceFlags::SAMPLED, false, TraceState::default())
}

/// M037 to M042, M044: every type of value, keys and texts of any script.
#[test]
fn attributes_of_every_type() {
    let api = Api::new();
    let mut span = api.tracer.start("x");
    span.set_attribute(KeyValue::new("bool", true));
    span.set_attribute(KeyValue::new("double", -0.5));
    span.set_attribute(KeyValue::new("int", i64::MIN));
    span.set_attribute(KeyValue::new("text", "static"));
    span.set_attribute(KeyValue::new(String::from("text.owned"), String::from("owned")));
    span.set_attribute(KeyValue::new(Key::from(Arc::<str>::from("text.shared")), Arc::<str>::from("shared")));
    span.set_attribute(KeyValue::new("клю́ч 🔑", "значение 雪 🎿"));
    span.set_attribute(KeyValue::new("empty", ""));
    span.set_attribute(KeyValue::new("long", "x".repeat(300)));
    span.set_attributes([
        KeyValue::new("bools", Value::Array(Array::Bool(vec![true, false]))),
        KeyValue::new("doubles", Value::Array(vec![0.5, f64::INFINITY].into())),
        KeyValue::new("ints", Value::Array(vec![1_i64, -1].into())),
        KeyValue::new("texts", Value::Array(vec![StringValue::from("é"), StringValue::from("")].into())),
        KeyValue::new("nothing", Value::Array(Vec::<i64>::new().into())),
    ]);
    drop(span);

    let text = |text: &str| V::StringValue(text.to_owned());
    let array = |values: Vec<V>| V::ArrayValue(ArrayValue { values: values.into_iter().map(any).collect() });
    let mut expected = [
        ("bool", V::BoolValue(true)),
        ("double", V::DoubleValue(-0.5)),
        ("int", V::IntValue(i64::MIN)),
        ("text", text("static")),
        ("text.owned", text("owned")),
        ("text.shared", text("shared")),
        ("клю́ч 🔑", text("значение 雪 🎿")),
        ("empty", text("")),
        ("long", text(&"x".repeat(300))),
        ("bools", array(vec![V::BoolValue(true), V::BoolValue(false)])),
        ("doubles", array(vec![V::DoubleValue(0.5), V::DoubleValue(f64::INFINITY)])),
        ("ints", array(vec![V::IntValue(1), V::IntValue(-1)])),
        ("texts", array(vec![text("é"), text("")])),
        ("nothing", array(vec![])),
    ];
    expected.sort_by_key(|(key, _)| *key);
    let expected: Vec<_> = expected.iter().map(|(key, value)| (*key, value)).collect();
    assert_eq!(sorted(&api.span().attributes), expected);
}

/// A key is set once, with whatever it was set to last; one without a name is dropped and counted.
#[test]
fn keys_are_unique() {
    let api = Api::new();
    let mut span = api.tracer.start("x");
    span.set_attribute(KeyValue::new("k", 1));
    span.set_attribute(KeyValue::new("k", Value::Array(vec![1_i64, 2].into())));
    span.set_attribute(KeyValue::new("other", 1));
    span.set_attribute(KeyValue::new("k", "three"));
    span.set_attribute(KeyValue::new("", 1));
    drop(span);
    let span = api.span();
    assert_eq!(sorted(&span.attributes), [("k", &V::StringValue("three".into())), ("other", &V::IntValue(1))]);
    assert_eq!(span.dropped_attributes_count, 1);
}

/// M033 to M035, M058, M060: limits hold and what is beyond is counted.
#[test]
fn limits_hold() {
    let limits = SpanLimits {
        attributes: 2,
        attribute_value_length: 3,
        events: 1,
        links: 1,
        event_attributes: 1,
        link_attributes: 1,
    };
    let api = Api::over(Fixture::with(|builder| builder.limits(limits)));
    let mut span = api.tracer.start("x");
    let three = || vec![KeyValue::new("a", "grüße"), KeyValue::new("b", 1), KeyValue::new("c", 1)];
    span.set_attributes(three());
    span.set_attribute(KeyValue::new("a", Value::Array(vec![StringValue::from("grüße")].into())));
    for _ in 0..3 {
        span.add_event("e", three());
        span.add_link(other(1), three());
    }
    drop(span);
    let span = api.span();
    let cut = V::ArrayValue(ArrayValue { values: vec![any(V::StringValue("grü".into()))] });
    assert_eq!(sorted(&span.attributes), [("a", &cut), ("b", &V::IntValue(1))]);
    let dropped = (span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count);
    assert_eq!(dropped, (1, 2, 2));
    assert_eq!((span.events.len(), span.links.len()), (1, 1));
    assert_eq!(sorted(&span.events[0].attributes), [("a", &V::StringValue("grü".into()))]);
    assert_eq!((span.events[0].dropped_attributes_count, span.links[0].dropped_attributes_count), (2, 2));
}

/// M025, M027 to M030: names change, spans end now, at a time or when they are dropped, and then record no more.
#[test]
fn a_span_ends_once() {
    let api = Api::over(Fixture::with(|builder| builder.clock(Clock::Custom(|| 1_000))));
    let mut now = api.tracer.start("now");
    assert!(now.is_recording());
    now.update_name(Cow::Borrowed("renamed"));
    now.end();
    assert!(!now.is_recording());
    now.update_name("too late");
    now.set_attribute(KeyValue::new("late", 1));
    now.set_attributes([KeyValue::new("late", 1)]);
    now.add_event("late", vec![]);
    now.add_link(other(1), vec![]);
    now.set_status(Status::Ok);
    now.end_with_timestamp(time(9_000));
    drop(now);
    api.tracer.start("at a time").end_with_timestamp(time(2_000));
    drop(api.tracer.start("dropped"));
    let mut early = api.tracer.start("before its start");
    early.end_with_timestamp(UNIX_EPOCH - Duration::from_secs(1));

    let spans = api.spans();
    let ends: Vec<_> = spans.iter().map(|span| (span.name.as_str(), span.end_time_unix_nano)).collect();
    assert_eq!(ends, [("renamed", 1_000), ("at a time", 2_000), ("dropped", 1_000), ("before its start", 1_000)]);
    let renamed = &spans[0];
    assert!(renamed.attributes.is_empty() && renamed.events.is_empty() && renamed.links.is_empty());
    assert!(renamed.status.is_none());
    assert!(spans.iter().all(|span| span.start_time_unix_nano == 1_000));
}

/// M026: times before the epoch are the epoch.
#[test]
fn times_before_the_epoch_are_the_epoch() {
    let api = Api::new();
    let before = UNIX_EPOCH - Duration::from_secs(5);
    let mut span = api.tracer.span_builder("x").with_start_time(before).start(&api.tracer);
    span.add_event_with_timestamp("e", before, vec![]);
    span.end_with_timestamp(before);
    let span = api.span();
    assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano, span.events[0].time_unix_nano), (0, 0, 0));
}

/// M031: Ok is final, Unset changes nothing, and only an error has words.
#[test]
fn status_is_kept_by_precedence() {
    let api = Api::new();
    let error = |message: &'static str| Status::error(message);
    let cases = [
        (vec![], None),
        (vec![Status::Unset], None),
        (vec![Status::Ok], Some((1, ""))),
        (vec![error("b"), error("a")], Some((2, "a"))),
        (vec![error("a"), Status::Unset], Some((2, "a"))),
        (vec![error("a"), Status::Ok], Some((1, ""))),
        (vec![Status::Ok, error("a"), Status::Unset], Some((1, ""))),
    ];
    for (changes, _) in &cases {
        let mut span = api.tracer.start("x");
        changes.iter().for_each(|status| span.set_status(status.clone()));
    }
    for (span, (changes, expected)) in api.spans().into_iter().zip(cases) {
        let expected = expected.map(|(code, message)| ProtoStatus { code, message: message.to_owned() });
        assert_eq!(span.status, expected, "{changes:?}");
    }
}

/// M045 to M047: links at creation and later, in order; one to nowhere is ignored unless it says something.
#[test]
fn links_keep_their_order() {
    let api = Api::new();
    let nowhere = SpanContext::empty_context;
    let lax = TraceState::from_key_value([("a", ""), ("b", "1")]).unwrap();
    let state = SpanContext::new(TraceId::from(9), SpanId::from(3), TraceFlags::default(), true, lax);
    let at_creation = vec![opentelemetry::trace::Link::with_context(other(1))];
    let mut span = api.tracer.span_builder("x").with_links(at_creation).start(&api.tracer);
    span.add_link(other(2), vec![KeyValue::new("why", "because")]);
    span.add_link(nowhere(), vec![]);
    span.add_link(state, vec![]);
    span.add_link(nowhere(), vec![KeyValue::new("to", "nowhere")]);
    drop(span);
    let span = api.span();
    let ids: Vec<_> = span.links.iter().map(|link| link.span_id.last().copied().unwrap()).collect();
    assert_eq!(ids, [1, 2, 3, 0]);
    assert_eq!(sorted(&span.links[1].attributes), [("why", &V::StringValue("because".into()))]);
    assert_eq!((span.links[1].flags, span.links[2].flags), (0x101, 0x300));
    assert_eq!(span.links[2].trace_state, "b=1");
    assert_eq!((&span.links[3].trace_id, span.links[3].attributes.len()), (&vec![0; 16], 1));
    assert_eq!(span.dropped_links_count, 0);
}

/// M048, M049: events in the order in which they were added, whatever their times.
#[test]
fn events_keep_their_order() {
    let api = Api::over(Fixture::with(|builder| builder.clock(Clock::Custom(|| 50))));
    let mut span = api.tracer.start("x");
    span.add_event_with_timestamp("first", time(70), vec![]);
    span.add_event("second", vec![KeyValue::new("a", 1), KeyValue::new("b", 2), KeyValue::new("a", 3)]);
    span.add_event_with_timestamp(String::from("third"), time(60), vec![]);
    drop(span);
    let span = api.span();
    let seen: Vec<_> = span.events.iter().map(|event| (event.name.as_str(), event.time_unix_nano)).collect();
    assert_eq!(seen, [("first", 70), ("second", 50), ("third", 60)]);
    assert_eq!(sorted(&span.events[1].attributes), [("a", &V::IntValue(3)), ("b", &V::IntValue(2))]);
    assert_eq!(span.events[1].dropped_attributes_count, 0);
}

/// M051: an error becomes an event, on the span itself and through a context.
#[test]
fn errors_are_recorded_as_events() {
    let api = Api::new();
    let error = std::io::Error::other("disk on fire");
    let mut span = api.tracer.start("x");
    span.record_error(&error);
    let context = Context::new().with_span(span);
    context.span().record_error(&error);
    drop(context);
    let span = api.span();
    assert_eq!(span.events.len(), 2);
    for event in &span.events {
        assert_eq!(event.name, "exception");
        assert_eq!(sorted(&event.attributes), [("exception.message", &V::StringValue("disk on fire".into()))]);
    }
    assert!(span.status.is_none());
}

/// Spans of this crate's own kind can be made active too.
#[test]
fn own_spans_go_into_contexts() {
    let api = Api::new();
    let own = api.fixture.tracer.span("own").start();
    let context = Context::new().with_span(scouter_span::otel::Span::from(own));
    context.span().set_attribute(KeyValue::new("a", 1));
    let parent = scouter_span::otel::active_span_context(&context).unwrap();
    api.fixture.tracer.span("child").parent(Some(&parent)).start().end();
    drop(context);
    let spans = api.spans();
    assert_eq!((spans[0].name.as_str(), spans[1].name.as_str()), ("child", "own"));
    assert_eq!(spans[0].parent_span_id, spans[1].span_id);
    assert_eq!(spans[1].attributes.len(), 1);
    assert!(scouter_span::otel::active_span_context(&Context::new()).is_none());
}
