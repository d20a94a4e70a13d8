//! Traces / Span.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext as ApiContext, Status as ApiStatus, TraceContextExt, Tracer as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Status;
use scouter_span::clock::Clock;
use scouter_span::{SpanLimits, StatusCode, TraceFlags, otel};

use crate::{Both, parent};

fn at(nanoseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanoseconds)
}

#[test]
fn m020_a_span_without_a_parent_is_a_root() {
    let both = Both::new();
    let (one, other) = (both.own().span("own").start(), both.own().span("own").start());
    assert_ne!(one.context().trace_id, other.context().trace_id);
    let _active = Context::new().with_remote_span_context((&parent(TraceFlags::SAMPLED, true, "")).into()).attach();
    both.api.start_with_context("api", &Context::new()).end();
    drop((one, other));
    assert!(both.spans().iter().all(|span| span.parent_span_id.is_empty() && span.trace_id != [0; 16]));
}

#[test]
fn m021_the_active_span_is_the_parent_by_default() {
    let both = Both::new();
    both.api.in_span("outer", |_| both.api.start("inner").end());
    let spans = both.spans();
    assert_eq!((&spans[0].parent_span_id, &spans[0].trace_id), (&spans[1].span_id, &spans[1].trace_id));
}

#[test]
fn m022_the_parent_comes_in_a_context() {
    let both = Both::new();
    let context = Context::new().with_span(both.api.start("given"));
    both.api.build_with_context(SpanBuilder::from_name("api"), &context).end();
    let given = otel::active_span_context(&context).unwrap();
    both.own().span("own").parent(Some(&given)).start().end();
    assert!(both.spans().iter().all(|span| span.parent_span_id == given.span_id.to_bytes()));
    assert_eq!(both.spans().len(), 2);
}

#[test]
fn m023_the_api_takes_no_span_as_a_parent() {
    // What it takes: a name or a builder, which has no place for a parent, and a context.
    let _: fn(&otel::Tracer, &'static str, &Context) -> otel::Span = otel::Tracer::start_with_context;
    let _: fn(&otel::Tracer, SpanBuilder, &Context) -> otel::Span = otel::Tracer::build_with_context;
}

#[test]
fn m025_names_change() {
    let both = Both::new();
    both.own().span("own").start().update_name("new");
    let mut span = both.api.start("api");
    span.update_name("a name of another length");
    span.end();
    span.update_name("too late");
    assert_eq!(both.names(), ["new", "a name of another length"]);
}

#[test]
fn m026_the_start_may_be_given() {
    let both = Both::new();
    both.own().span("own").start_time(1_000).start().end();
    both.api.span_builder("api").with_start_time(at(1_000)).start(&both.api).end();
    assert!(both.spans().iter().all(|span| span.start_time_unix_nano == 1_000));
}

#[test]
fn m027_spans_end() {
    let both = Both::with(|builder| builder.clock(Clock::Custom(|| 50)));
    let mut own = both.own().span("own").start();
    own.end();
    own.end();
    let mut api = both.api.start("api");
    api.end();
    drop((own, api));
    drop(both.api.start("dropped"));
    assert_eq!(both.names(), ["own", "api", "dropped"]);
    assert!(both.spans().iter().all(|span| span.end_time_unix_nano == 50));
}

#[test]
fn m028_the_end_may_be_given() {
    let both = Both::with(|builder| builder.clock(Clock::Custom(|| 50)));
    both.own().span("own").start().end_at(70);
    both.api.start("api").end_with_timestamp(at(70));
    assert!(both.spans().iter().all(|span| (span.start_time_unix_nano, span.end_time_unix_nano) == (50, 70)));
}

#[test]
fn m029_spans_say_whether_they_record() {
    let both = Both::new();
    let not_sampled = parent(TraceFlags::NONE, true, "");
    assert!(both.own().span("own").start().is_recording() && both.api.start("api").is_recording());
    assert!(!both.own().span("own").parent(Some(&not_sampled)).start().is_recording());
    let context = Context::new().with_remote_span_context(ApiContext::from(&not_sampled));
    assert!(!both.api.start_with_context("api", &context).is_recording());
}

#[test]
fn m030_spans_that_have_ended_do_not_record() {
    let both = Both::new();
    let (mut own, mut api) = (both.own().span("own").start(), both.api.start("api"));
    own.end();
    api.end();
    assert!(!own.is_recording() && !api.is_recording());
    own.set_attribute("late", 1);
    api.set_attribute(KeyValue::new("late", 1));
    drop((own, api));
    assert!(both.spans().iter().all(|span| span.attributes.is_empty()));
}

#[test]
fn m031_status_is_unset_ok_or_an_error_with_words() {
    let both = Both::new();
    let changes: [&[(StatusCode, &str)]; 5] = [
        &[(StatusCode::Unset, "x")],
        &[(StatusCode::Error, "why"), (StatusCode::Unset, "")],
        &[(StatusCode::Ok, "no words"), (StatusCode::Error, "too late")],
        &[(StatusCode::Error, "first"), (StatusCode::Error, "second")],
        &[(StatusCode::Error, "first"), (StatusCode::Ok, "")],
    ];
    for changes in changes {
        let (mut own, mut api) = (both.own().span("own").start(), both.api.start("api"));
        for (code, words) in changes {
            own.set_status(*code, words);
            api.set_status(match code {
                StatusCode::Unset => ApiStatus::Unset,
                StatusCode::Ok => ApiStatus::Ok,
                StatusCode::Error => ApiStatus::error(*words),
            });
        }
        drop((own, api));
    }
    let status = |code, message: &str| Some(Status { code, message: message.to_owned() });
    let expected = [None, status(2, "why"), status(1, ""), status(2, "second"), status(1, "")];
    let seen: Vec<_> = both.spans().into_iter().map(|span| span.status).collect();
    assert_eq!(seen, expected.into_iter().flat_map(|status| [status.clone(), status]).collect::<Vec<_>>());
}

#[test]
fn m032_spans_are_safe_for_concurrent_calls() {
    let both = Both::new();
    let shared = Context::new().with_span(both.api.start("api"));
    let own = Arc::new(Mutex::new(both.own().span("own").start()));
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (shared, own) = (&shared, &own);
            scope.spawn(move || {
                for _ in 0..50 {
                    shared.span().set_attribute(KeyValue::new(format!("thread.{thread}"), thread));
                    own.lock().unwrap().set_attribute(&format!("thread.{thread}"), thread);
                }
            });
        }
    });
    drop((shared, own));
    assert!(both.spans().iter().all(|span| span.attributes.len() == 8));
}

fn limited(limits: SpanLimits) -> Both {
    let both = Both::with(|builder| builder.limits(limits));
    let to = parent(TraceFlags::NONE, false, "");
    let (mut own, mut api) = (both.own().span("own").start(), both.api.start("api"));
    for number in 0..3_u32 {
        own.set_attribute(&format!("key {number}"), number);
        api.set_attribute(KeyValue::new(format!("key {number}"), i64::from(number)));
        own.add_event("e", &[]);
        api.add_event("e", vec![]);
        own.add_link(&to, &[]);
        api.add_link((&to).into(), vec![]);
    }
    drop((own, api));
    both
}

#[test]
fn m033_events_have_a_limit() {
    for span in limited(SpanLimits { events: 2, ..SpanLimits::default() }).spans() {
        assert_eq!((span.events.len(), span.dropped_events_count), (2, 1));
    }
}

#[test]
fn m034_attributes_have_a_limit() {
    for span in limited(SpanLimits { attributes: 2, ..SpanLimits::default() }).spans() {
        assert_eq!((span.attributes.len(), span.dropped_attributes_count), (2, 1));
    }
}

#[test]
fn m035_links_have_a_limit() {
    for span in limited(SpanLimits { links: 2, ..SpanLimits::default() }).spans() {
        assert_eq!((span.links.len(), span.dropped_links_count), (2, 1));
    }
}
