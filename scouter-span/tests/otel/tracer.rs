//! Providers, tracers, scopes, contexts and parents.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{
    Event, Link, Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, TraceContextExt, TraceFlags, TraceId,
    TraceState, Tracer as _, TracerProvider as _, get_active_span, mark_span_as_active,
};
use opentelemetry::{Context, InstrumentationScope, KeyValue, global};
use opentelemetry_proto::tonic::common::v1::any_value::Value as V;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind as ProtoKind;
use scouter_span::id::IdGenerator;
use scouter_span::{Sampler, request};

use crate::support::{Fixture, decode};
use crate::{Api, sorted};

fn remote(flags: u8) -> SpanContext {
    let state = TraceState::from_key_value([("vendor", "1"), ("other", "2")]).unwrap();
    SpanContext::new(TraceId::from(7), SpanId::from(8), TraceFlags::new(flags), true, state)
}

fn time(nanoseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanoseconds)
}

/// M001 to M005: a provider gives tracers, and a tracer's scope has a name, a version, a schema URL and attributes.
#[test]
fn the_scope_is_what_the_tracer_was_asked_for() {
    let api = Api::new();
    let scope = InstrumentationScope::builder("lib")
        .with_version("1.2.3")
        .with_schema_url("https://opentelemetry.io/schemas/1.30.0")
        .with_attributes([KeyValue::new("team", "a"), KeyValue::new("team", "b"), KeyValue::new("tier", 1)])
        .build();
    let tracer = api.provider.tracer_with_scope(scope);
    tracer.start("x").end();

    let scopes = api.fixture.kept.scopes.lock().unwrap();
    let spans = api.fixture.kept.spans.lock().unwrap();
    let group = request::Group { scope: scopes.last().unwrap(), spans: &spans };
    let mut bytes = Vec::new();
    request::encode(&mut bytes, api.fixture.provider.resource(), &[group]);
    let seen = &decode(&bytes).resource_spans[0].scope_spans[0];
    let scope = seen.scope.as_ref().unwrap();
    assert_eq!((scope.name.as_str(), scope.version.as_str()), ("lib", "1.2.3"));
    assert_eq!(seen.schema_url, "https://opentelemetry.io/schemas/1.30.0");
    assert_eq!(sorted(&scope.attributes), [("team", &V::StringValue("b".into())), ("tier", &V::IntValue(1))]);
    assert_eq!(seen.spans[0].name, "x");
    assert_eq!(tracer.tracer().scope(), &*scopes[scopes.len() - 1]);
}

/// M006, M015, M032, M050: provider, tracer, spans and events are safe for concurrent calls.
#[test]
fn everything_may_be_used_from_several_threads() {
    const THREADS: i64 = 8;
    const SPANS: i64 = 50;
    let api = Api::new();
    let shared = Context::new().with_span(api.tracer.start("shared"));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (api, shared) = (&api, shared.clone());
            scope.spawn(move || {
                let tracer = api.provider.tracer("own");
                for number in 0..SPANS {
                    shared.span().add_event("from a thread", vec![KeyValue::new("thread", thread)]);
                    let _one = api.tracer.start_with_context("one", &shared);
                    tracer.start_with_context("two", &shared).set_attribute(KeyValue::new("number", number));
                }
                shared.span().set_attribute(KeyValue::new(format!("thread.{thread}"), true));
            });
        }
    });
    drop(shared);
    let spans = api.spans();
    assert_eq!(spans.len() as i64, 2 * THREADS * SPANS + 1);
    let shared = spans.last().unwrap();
    assert_eq!(shared.attributes.len() as i64, THREADS);
    assert_eq!(shared.events.len() as i64 + i64::from(shared.dropped_events_count), THREADS * SPANS);
    assert!(spans[..spans.len() - 1].iter().all(|span| span.parent_span_id == shared.span_id));
}

/// M009, M010, M013, M014, M021: the active span is got, set and marked, and is the parent where none is given.
#[test]
fn the_active_span_is_the_parent() {
    let api = Api::new();
    let outer = api.tracer.start("outer");
    let outer_id = outer.span_context().span_id();
    let guard = mark_span_as_active(outer);
    get_active_span(|span| {
        assert_eq!(span.span_context().span_id(), outer_id);
        assert!(span.is_recording());
        span.set_attribute(KeyValue::new("a", 1));
    });
    api.tracer.in_span("inner", |context| {
        assert_eq!(Context::current().span().span_context(), context.span().span_context());
        api.tracer.span_builder("innermost").start(&api.tracer);
    });
    assert_eq!(Context::current().span().span_context().span_id(), outer_id);
    drop(guard);
    assert!(!Context::current().has_active_span());

    let spans = api.spans();
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["innermost", "inner", "outer"]);
    assert_eq!(spans[0].parent_span_id, spans[1].span_id);
    assert_eq!(spans[1].parent_span_id, spans[2].span_id);
    assert!(spans[2].parent_span_id.is_empty());
    assert!(spans.iter().all(|span| span.trace_id == spans[0].trace_id));
    assert_eq!(spans[2].attributes.len(), 1);
}

/// M011, M020, M022, M023: a parent comes in a context only; without one in it the span is a root.
#[test]
fn the_parent_comes_in_the_context() {
    let api = Api::new();
    let first = api.tracer.start_with_context("first", &Context::new());
    let context = Context::new().with_span(api.tracer.start("given"));
    let _active = Context::new().with_remote_span_context(remote(1)).attach();
    let root = api.tracer.start_with_context("root", &Context::new());
    let child = api.tracer.build_with_context(SpanBuilder::from_name("child"), &context);
    let given = context.span().span_context().clone();
    assert_eq!(child.span_context().trace_id(), given.trace_id());
    assert_ne!(root.span_context().trace_id(), first.span_context().trace_id());
    assert_ne!(root.span_context().trace_id(), TraceId::from(7));
    drop((first, root, child, context));
    let spans = api.spans();
    let parents: Vec<_> = spans.iter().map(|span| (span.name.as_str(), span.parent_span_id.clone())).collect();
    let given = given.span_id().to_bytes().to_vec();
    let expected = [("first", vec![]), ("root", vec![]), ("child", given), ("given", vec![])];
    assert_eq!(parents, expected);
}

/// M016 to M019: contexts are valid, know whether they are remote, carry the trace state on and say that ids are random.
#[test]
fn remote_parents_are_carried_on() {
    let api = Api::new();
    let context = Context::new().with_remote_span_context(remote(1));
    let child = api.tracer.start_with_context("child", &context);
    let seen = child.span_context();
    assert!(seen.is_valid() && seen.is_sampled() && !seen.is_remote());
    assert_eq!((seen.trace_id(), seen.trace_flags()), (TraceId::from(7), TraceFlags::SAMPLED));
    assert_eq!(seen.trace_state(), remote(1).trace_state());
    assert_ne!(seen.span_id(), SpanId::from(8));
    drop(child);
    let span = api.span();
    assert_eq!(span.parent_span_id, SpanId::from(8).to_bytes());
    assert_eq!(span.trace_state, "vendor=1,other=2");
    assert_eq!(span.flags, 0x301);

    let root = api.tracer.start_with_context("root", &Context::new());
    assert_eq!(root.span_context().trace_flags(), TraceFlags::new(3));
}

/// A context that holds an invalid span context holds no parent.
#[test]
fn invalid_parents_are_none() {
    let api = Api::new();
    for (trace, span) in [(0, 0), (7, 0), (0, 8)] {
        let state = TraceState::default();
        let parent = SpanContext::new(TraceId::from(trace), SpanId::from(span), TraceFlags::SAMPLED, true, state);
        let root = api.tracer.start_with_context("x", &Context::new().with_remote_span_context(parent));
        assert!(root.span_context().is_valid());
        assert_ne!(root.span_context().trace_id(), TraceId::from(trace));
    }
    assert!(api.spans().iter().all(|span| span.parent_span_id.is_empty() && span.flags == 0x103));
}

/// M029, M056: a span that is not recorded has a new span id, and otherwise the context of its parent.
#[test]
fn spans_that_are_not_recorded_keep_the_context() {
    let api = Api::new();
    let context = Context::new().with_remote_span_context(remote(2));
    let mut span = api.tracer.start_with_context("x", &context);
    assert!(!span.is_recording());
    span.set_attribute(KeyValue::new("a", 1));
    span.add_event("e", vec![]);
    let seen = span.span_context().clone();
    assert_eq!((seen.trace_id(), seen.trace_flags()), (TraceId::from(7), TraceFlags::new(2)));
    assert_eq!(seen.trace_state(), remote(2).trace_state());
    assert!(seen.span_id() != SpanId::from(8) && seen.is_valid());
    let below = api.tracer.start_with_context("below", &context.with_span(span));
    assert!(!below.is_recording());
    assert_eq!(below.span_context().trace_id(), TraceId::from(7));
    drop(below);

    let off = Api::over(Fixture::with(|builder| builder.sampler(Sampler::AlwaysOff)));
    let root = off.tracer.start("x");
    assert!(!root.is_recording() && root.span_context().is_valid());
    drop(root);
    assert!(api.fixture.kept.spans.lock().unwrap().is_empty());
}

/// Where telemetry is suppressed, spans are as if nothing was installed.
#[test]
fn suppressed_spans_carry_the_active_context_on() {
    let api = Api::new();
    let silent = Context::new().with_telemetry_suppressed();
    let mut span = api.tracer.start_with_context("x", &silent);
    assert!(!span.span_context().is_valid() && !span.is_recording() && span.span().is_none());
    span.set_attribute(KeyValue::new("a", 1));
    span.add_event("e", vec![]);
    span.add_event_with_timestamp("e", time(1), vec![]);
    span.add_link(remote(1), vec![]);
    span.set_status(opentelemetry::trace::Status::Ok);
    span.update_name("y");
    span.end();
    span.end_with_timestamp(time(1));

    let below = silent.with_remote_span_context(remote(1));
    assert_eq!(api.tracer.start_with_context("x", &below).span_context(), &remote(1));
    assert_eq!(api.tracer.build_with_context(SpanBuilder::from_name("x"), &below).span_context(), &remote(1));
    assert!(api.fixture.kept.spans.lock().unwrap().is_empty());
    assert_eq!(api.fixture.provider.counters().sampled_out.get(), 0);
}

/// M012, M026, M045: what a builder holds is there from the start.
#[test]
fn every_field_of_a_builder_is_honoured() {
    let api = Api::new();
    let mut builder = SpanBuilder::from_name("built".to_owned())
        .with_kind(SpanKind::Producer)
        .with_start_time(time(1_000))
        .with_attributes([KeyValue::new("a", 1), KeyValue::new("b", "two"), KeyValue::new("a", "again")])
        .with_links(vec![Link::new(remote(1), vec![KeyValue::new("l", true)], 3), Link::with_context(remote(0))]);
    builder.events = Some(vec![Event::new("e", time(1_500), vec![KeyValue::new("n", 0.5)], 2)]);
    let mut span = api.tracer.build_with_context(builder, &Context::new());
    span.end_with_timestamp(time(2_000));

    let span = api.span();
    assert_eq!((span.name.as_str(), span.kind()), ("built", ProtoKind::Producer));
    assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (1_000, 2_000));
    let expected = [("a", &V::StringValue("again".into())), ("b", &V::StringValue("two".into()))];
    assert_eq!(sorted(&span.attributes), expected);
    assert_eq!((span.links.len(), span.events.len()), (2, 1));
    assert_eq!((span.links[0].flags, span.links[1].flags), (0x301, 0x300));
    assert_eq!(span.links[0].trace_state, "vendor=1,other=2");
    assert_eq!(sorted(&span.links[0].attributes), [("l", &V::BoolValue(true))]);
    assert_eq!(span.links[0].dropped_attributes_count, 3);
    let event = &span.events[0];
    assert_eq!((event.name.as_str(), event.time_unix_nano, event.dropped_attributes_count), ("e", 1_500, 2));
    assert_eq!(sorted(&event.attributes), [("n", &V::DoubleValue(0.5))]);
}

#[test]
fn every_kind_is_exported_as_itself() {
    let api = Api::new();
    let kinds = [
        (SpanKind::Internal, ProtoKind::Internal),
        (SpanKind::Server, ProtoKind::Server),
        (SpanKind::Client, ProtoKind::Client),
        (SpanKind::Producer, ProtoKind::Producer),
        (SpanKind::Consumer, ProtoKind::Consumer),
    ];
    for (kind, _) in &kinds {
        api.tracer.span_builder("x").with_kind(kind.clone()).start(&api.tracer);
    }
    api.tracer.span_builder("x").start(&api.tracer);
    let seen: Vec<_> = api.spans().iter().map(|span| span.kind()).collect();
    let expected: Vec<_> = kinds.into_iter().map(|(_, kind)| kind).chain([ProtoKind::Internal]).collect();
    assert_eq!(seen, expected);
}

/// M057: ids come from the generator that was set.
#[test]
fn ids_come_from_the_generator() {
    #[derive(Debug)]
    struct Fixed;
    impl IdGenerator for Fixed {
        fn new_trace_id(&self) -> scouter_span::TraceId {
            scouter_span::TraceId::from_int(5).unwrap()
        }
        fn new_span_id(&self) -> scouter_span::SpanId {
            scouter_span::SpanId::from_int(6).unwrap()
        }
    }
    let api = Api::over(Fixture::with(|builder| builder.ids(Arc::new(Fixed))));
    let span = api.tracer.start("x");
    assert_eq!(span.span_context().trace_id(), TraceId::from(5));
    assert_eq!(span.span_context().span_id(), SpanId::from(6));
    assert_eq!(span.span_context().trace_flags(), TraceFlags::SAMPLED);
}

/// M007 in part: a provider that is closed records nothing new.
#[test]
fn a_closed_provider_gives_spans_that_do_nothing() {
    let api = Api::new();
    api.provider.provider().close();
    assert!(!api.tracer.start("x").is_recording());
    assert!(!api.provider.tracer("later").start("x").is_recording());
}

/// The global provider hands everything on, through its boxes.
#[test]
fn the_provider_can_be_the_global_one() {
    let api = Api::new();
    global::set_tracer_provider(api.provider.clone());
    let tracer = global::tracer("anyone");
    tracer.in_span("outer", |context| {
        context.span().set_attribute(KeyValue::new("a", 1));
        let mut inner = tracer.start("inner");
        inner.add_event_with_timestamp("e", time(5), vec![KeyValue::new("n", 1)]);
        inner.update_name("renamed");
        inner.end_with_timestamp(time(u64::MAX));
    });
    let spans = api.spans();
    assert_eq!((spans[0].name.as_str(), spans[1].name.as_str()), ("renamed", "outer"));
    assert_eq!(spans[0].parent_span_id, spans[1].span_id);
    assert_eq!((spans[0].events[0].time_unix_nano, spans[1].attributes.len()), (5, 1));
    assert!(spans[0].end_time_unix_nano > spans[1].end_time_unix_nano);
}
