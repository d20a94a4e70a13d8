//! Traces / Trace / Context interaction, and Traces / Tracer.

use std::sync::{Arc, Mutex};

use opentelemetry::trace::{
    Span as _, SpanKind as ApiKind, TraceContextExt, Tracer as _, get_active_span, mark_span_as_active,
};
use opentelemetry::{Context, KeyValue};
use scouter_span::{SamplingDecision, SpanKind};

use crate::Both;
use crate::plugins::asking;

#[test]
fn m009_the_active_span_is_got_from_a_context() {
    let both = Both::new();
    let span = both.api.start("x");
    let id = span.span_context().span_id();
    let context = Context::new().with_span(span);
    assert_eq!(context.span().span_context().span_id(), id);
    assert!(context.has_active_span() && !Context::new().has_active_span());
    assert_eq!(scouter_span::otel::active_span_context(&context).unwrap().span_id.to_bytes(), id.to_bytes());
}

#[test]
fn m010_the_active_span_is_set_in_a_context() {
    let both = Both::new();
    // A span of this crate's own kind becomes active too.
    let own = both.own().span("own").start();
    let id = own.context().span_id;
    let _attached = Context::new().with_span(scouter_span::otel::Span::from(own)).attach();
    assert_eq!(Context::current().span().span_context().span_id().to_bytes(), id.to_bytes());
}

#[test]
fn m011_tracers_create_spans() {
    let both = Both::new();
    both.own().span("own").kind(SpanKind::Client).start().end();
    both.api.span_builder("api").with_kind(ApiKind::Client).start(&both.api).end();
    for span in both.spans() {
        assert_eq!(
            (span.kind(), span.parent_span_id.len()),
            (opentelemetry_proto::tonic::trace::v1::span::SpanKind::Client, 0)
        );
    }
    assert_eq!(both.names(), ["own", "api"]);
}

#[test]
fn m012_attributes_at_creation_are_preferred_because_samplers_see_them() {
    let documentation = include_str!("../../src/tracer/mod.rs");
    assert!(documentation.contains("Preferred to setting the same later: samplers and processors see it."));

    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&seen);
    let both = Both::sampling(asking(move |input| {
        notes.lock().unwrap().push(format!("{:?}", input.attributes));
        SamplingDecision::RecordAndSample.into()
    }));
    both.own().span("own").attributes(&[("a", 1.into())]).start().set_attribute("late", true);
    both.api.span_builder("api").with_attributes([KeyValue::new("a", 1)]).start(&both.api);
    assert_eq!(*seen.lock().unwrap(), [r#"[("a", I64(1))]"#; 2]);
    assert_eq!(both.spans()[0].attributes.len(), 2);
}

#[test]
fn m013_the_active_span_is_got_from_the_current_context() {
    let both = Both::new();
    let _active = mark_span_as_active(both.api.start("x"));
    get_active_span(|span| span.set_attribute(KeyValue::new("a", 1)));
    drop(_active);
    assert_eq!(both.spans()[0].attributes.len(), 1);
}

#[test]
fn m014_a_span_is_marked_active() {
    let both = Both::new();
    both.api.in_span("outer", |outer| {
        let id = outer.span().span_context().span_id();
        let active = mark_span_as_active(both.api.start("inner"));
        assert_ne!(Context::current().span().span_context().span_id(), id);
        drop(active);
        assert_eq!(Context::current().span().span_context().span_id(), id);
    });
    assert_eq!(both.names(), ["inner", "outer"]);
}

#[test]
fn m015_tracers_are_safe_for_concurrent_calls() {
    let both = Both::new();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..100 {
                    both.own().span("own").start().end();
                    both.api.start("api").end();
                }
            });
        }
    });
    assert_eq!(both.spans().len(), 1600);
    assert_eq!(both.fixture.provider.counters().ended.get(), 1600);
}
