//! A span from its start to its end: what it shows while it runs, what it takes in when, and what is counted.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use scouter_span::clock::Clock;
use scouter_span::counters::Counters;
use scouter_span::id::IdGenerator;
use scouter_span::span::Dropped;
use scouter_span::view::ValueView;
use scouter_span::{
    Ratio, Sampler, Scope, Span, SpanContext, SpanId, SpanKind, StatusCode, TraceFlags, TraceId, TraceState, Value,
};
use support::Fixture;

const HOUR: u64 = 3_600_000_000_000;

/// Ids that can be told beforehand.
#[derive(Debug, Default)]
struct Counted(AtomicU64);

impl IdGenerator for Counted {
    fn new_trace_id(&self) -> TraceId {
        TraceId::from_int(u128::from(self.0.fetch_add(1, Ordering::Relaxed)) + 1).unwrap()
    }

    fn new_span_id(&self) -> SpanId {
        SpanId::from_int(self.0.fetch_add(1, Ordering::Relaxed) + 1).unwrap()
    }
}

fn counted(counters: &Counters) -> [u64; 4] {
    [&counters.started, &counters.sampled_out, &counters.ended, &counters.abandoned].map(|counter| counter.get())
}

fn remote(flags: TraceFlags) -> SpanContext {
    let mut context = SpanContext::new(TraceId::from_int(77).unwrap(), SpanId::from_int(78).unwrap(), flags);
    context.is_remote = true;
    context.trace_state = TraceState::parse("vendor=1").unwrap();
    context
}

/// Sets, adds and renames; without effect on a span that is not open.
fn touch(span: &mut Span) {
    let to = span.context().clone();
    span.set_attribute("late", true);
    span.set_attribute("late.list", &[Value::Bool(true)][..]);
    span.add_event("late", &[]);
    span.add_event_at("late", 1, &[]);
    span.add_link(&to, &[]);
    span.set_status(StatusCode::Error, "late");
    span.update_name("late");
}

#[test]
fn a_live_span_reads_as_it_stands() {
    let fixture = Fixture::with(|builder| builder.clock(Clock::Custom(|| 17)));
    let mut span = fixture.tracer.span("one").kind(SpanKind::Server).start();
    span.set_attribute("a", 1);
    span.add_event("e", &[("n", Value::F64(0.5))]);
    span.update_name("a name of another length");
    span.set_attribute("a", "longer");
    span.set_status(StatusCode::Error, "why");

    let view = span.view().unwrap();
    assert_eq!((view.name(), view.kind()), ("a name of another length", SpanKind::Server));
    assert_eq!((view.start_time(), view.end_time()), (17, 0));
    assert_eq!(view.attributes().get("a"), Some(ValueView::Str("longer")));
    assert_eq!(view.attributes().iter().count(), 1);
    let event = view.events().next().unwrap();
    assert_eq!((event.name(), event.time(), event.attributes().get("n")), ("e", 17, Some(ValueView::F64(0.5))));
    assert_eq!((span.status(), span.dropped()), ((StatusCode::Error, "why"), Dropped::default()));
    assert_eq!((view.trace_id(), view.span_id()), (Ok(span.context().trace_id), Ok(span.context().span_id)));
    assert!(!view.has_status());

    span.end_at(99);
    let view = span.view().unwrap();
    assert_eq!((view.end_time(), view.status().code, view.status().message), (99, StatusCode::Error, "why"));
    assert_eq!(view.attributes().get("a"), Some(ValueView::Str("longer")));
}

#[test]
fn nothing_gets_into_a_span_that_has_ended() {
    let fixture = Fixture::new();
    let mut span = fixture.tracer.span("x").start();
    assert!(span.is_recording());
    span.end();
    assert!(!span.is_recording());
    let before = span.view().unwrap().bytes().to_vec();
    touch(&mut span);
    span.end();
    span.end_at(u64::MAX);
    assert_eq!(span.view().unwrap().bytes(), before);
    assert_eq!((span.status(), span.dropped()), ((StatusCode::Unset, ""), Dropped::default()));
    drop(span);
    assert_eq!(fixture.spans().len(), 1);
    assert_eq!(counted(fixture.provider.counters()), [1, 0, 1, 0]);
}

#[test]
fn dropping_ends_and_abandoning_does_not() {
    let fixture = Fixture::new();
    drop(fixture.tracer.span("dropped").start());
    fixture.tracer.span("abandoned").start().abandon();
    let mut ended = fixture.tracer.span("ended").start();
    ended.end();
    ended.abandon();
    let open = fixture.tracer.span("open").start();
    assert_eq!(counted(fixture.provider.counters()), [4, 0, 2, 1]);
    let names: Vec<_> = fixture.spans().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["dropped", "ended"]);
    drop(open);
}

#[test]
fn a_span_does_not_end_before_it_begins() {
    let fixture = Fixture::with(|builder| builder.clock(Clock::Custom(|| HOUR)));
    fixture.tracer.span("clock set back").start_time(2 * HOUR).start().end();
    fixture.tracer.span("told wrong").start().end_at(1);
    let times: Vec<_> = fixture.spans().iter().map(|s| (s.start_time_unix_nano, s.end_time_unix_nano)).collect();
    assert_eq!(times, [(2 * HOUR, 2 * HOUR), (HOUR, HOUR)]);
}

#[test]
fn status_has_an_order() {
    let fixture = Fixture::new();
    let status = |changes: &[(StatusCode, &str)]| {
        let mut span = fixture.tracer.span("x").start();
        for (code, message) in changes {
            span.set_status(*code, message);
        }
        let (code, message) = span.status();
        (code, message.to_owned())
    };
    use StatusCode::{Error, Ok, Unset};
    assert_eq!(status(&[(Error, "a"), (Error, "b")]), (Error, "b".to_owned()));
    assert_eq!(status(&[(Error, "a"), (Unset, "b")]), (Error, "a".to_owned()));
    assert_eq!(status(&[(Error, "a"), (Ok, "b"), (Error, "c"), (Unset, "d")]), (Ok, String::new()));
    assert_eq!(status(&[(Unset, "a")]), (Unset, String::new()));
}

#[test]
fn an_own_value_replaces_a_default_one() {
    let defaults = [("team", Value::Str("ours")), ("tier", Value::I64(1))];
    let fixture = Fixture::with(|builder| builder.default_attributes(&defaults));
    let mut span = fixture.tracer.span("x").attributes(&[("team", Value::Str("another one"))]).start();
    span.set_attribute("tier", 2);
    let view = span.view().unwrap();
    assert_eq!(view.attributes().iter().count(), 2);
    assert_eq!(view.attributes().get("team"), Some(ValueView::Str("another one")));
    assert_eq!(view.attributes().get("tier"), Some(ValueView::I64(2)));
    // The next one has them again.
    let next = fixture.tracer.span("y").start();
    assert_eq!(next.view().unwrap().attributes().get("team"), Some(ValueView::Str("ours")));
}

#[test]
fn children_take_after_their_parents() {
    let fixture = Fixture::new();
    let parent = remote(TraceFlags::from_bits(0xff));
    let child = fixture.tracer.span("child").parent(Some(&parent)).start();
    let context = child.context();
    assert_eq!((context.trace_id, context.is_remote), (parent.trace_id, false));
    assert_eq!(context.trace_state, parent.trace_state);
    assert_ne!(context.span_id, parent.span_id);
    // Flags that this version does not know travel on.
    assert_eq!(context.flags.bits(), 0xff);
    let view = child.view().unwrap();
    assert_eq!((view.parent_span_id(), view.trace_state()), (Some(parent.span_id), "vendor=1"));
    assert_eq!(view.flags(), 0x3ff);
    let grandchild = fixture.tracer.span("grandchild").parent(Some(context)).start();
    assert_eq!(grandchild.view().unwrap().flags(), 0x1ff);

    let root = fixture.tracer.span("root").start();
    assert_eq!((root.view().unwrap().parent_span_id(), root.context().flags.bits()), (None, 3));
}

#[test]
fn a_span_that_is_not_sampled_has_a_context_and_nothing_else() {
    let fixture = Fixture::new();
    let parent = remote(TraceFlags::RANDOM);
    let attributes = [("a", Value::I64(1))];
    let mut span = fixture.tracer.span("x").parent(Some(&parent)).attributes(&attributes).start();
    assert_eq!((span.context().trace_id, span.context().flags), (parent.trace_id, TraceFlags::RANDOM));
    assert_ne!(span.context().span_id, parent.span_id);
    touch(&mut span);
    assert!(!span.is_recording() && span.view().is_none());
    assert_eq!(span.status(), (StatusCode::Unset, ""));
    span.end();
    drop(span);
    assert!(fixture.kept.spans.lock().unwrap().is_empty());
    assert_eq!(counted(fixture.provider.counters()), [0, 1, 0, 0]);
}

#[test]
fn samplers_decide_for_roots() {
    let ratio = |ratio| Sampler::parent_based(Sampler::TraceIdRatio(Ratio::new(ratio).unwrap()));
    let sampled = |sampler| Fixture::with(|builder| builder.sampler(sampler)).tracer.span("x").start().is_recording();
    assert!(sampled(Sampler::AlwaysOn) && sampled(ratio(1.0)));
    assert!(!sampled(Sampler::AlwaysOff) && !sampled(ratio(0.0)));
}

#[test]
fn a_closed_provider_records_nothing_new() {
    let fixture = Fixture::new();
    let mut open = fixture.tracer.span("open").start();
    fixture.provider.close();
    assert!(fixture.provider.is_closed() && !fixture.tracer.is_enabled());
    assert!(!fixture.tracer.span("late").start().is_recording());
    assert!(!fixture.provider.tracer(Scope::new("later", "", "", &[])).span("later").start().is_recording());
    assert!(open.is_recording());
    open.end();
    assert_eq!(fixture.spans().len(), 1);
}

#[test]
fn ids_and_time_come_from_where_they_are_told_to() {
    let fixture =
        Fixture::with(|builder| builder.ids(Arc::new(Counted::default())).clock(Clock::Custom(|| 1_700_000_000)));
    let root = fixture.tracer.span("root").start();
    assert_eq!((root.context().trace_id.to_int(), root.context().span_id.to_int()), (1, 2));
    // These ids are not random, and the flag does not say so.
    assert_eq!(root.context().flags, TraceFlags::SAMPLED);
    let child = fixture.tracer.span("child").parent(Some(root.context())).start();
    assert_eq!((child.context().trace_id.to_int(), child.context().span_id.to_int()), (1, 3));
    assert_eq!(child.view().unwrap().start_time(), 1_700_000_000);
}

#[test]
fn spans_end_on_other_threads_and_are_all_there() {
    const THREADS: usize = 8;
    const SPANS: usize = 200;
    let fixture = Fixture::new();
    let (give, take) = std::sync::mpsc::channel::<Span>();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (give, tracer) = (give.clone(), &fixture.tracer);
            scope.spawn(move || {
                for number in 0..SPANS {
                    let mut span = tracer.span("x").start();
                    span.set_attribute("number", (thread * SPANS + number) as i64);
                    give.send(span).unwrap();
                }
            });
        }
        drop(give);
        for mut span in take {
            span.set_attribute("ended", "elsewhere");
        }
    });
    let spans = fixture.spans();
    let ids: std::collections::HashSet<_> = spans.iter().map(|span| &span.span_id).collect();
    assert_eq!((spans.len(), ids.len()), (THREADS * SPANS, THREADS * SPANS));
    assert!(spans.iter().all(|span| span.attributes.len() == 2));
    let all = (THREADS * SPANS) as u64;
    assert_eq!(counted(fixture.provider.counters()), [all, 0, all, 0]);
}
