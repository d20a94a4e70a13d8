//! Span processors: rows of Traces / Span and Traces / Sampling that are about them, and what becomes of one that fails.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::baggage::BaggageExt;
use opentelemetry::trace::{Span as _, TraceContextExt, Tracer as _};
use opentelemetry::{Context, KeyValue};
use scouter_span::clock::Clock;
use scouter_span::{Parent, SamplingDecision, Span, SpanProcessor, TraceFlags};

use crate::plugins::{Hooks, Notes, asking};
use crate::support::Fixture;
use crate::{Both, named, parent, sorted, text};

fn calls() -> Arc<Mutex<Vec<String>>> {
    Arc::default()
}

#[test]
fn m024_processors_get_the_parent_context_when_a_span_starts() {
    let seen = calls();
    let notes = Arc::clone(&seen);
    let hooks = Hooks {
        start: Box::new(move |_, parent| {
            let tenant = parent.context.map(|context| match context.downcast_ref::<Context>() {
                Some(context) => context.baggage().get("tenant").unwrap().to_string(),
                None => context.downcast_ref::<&str>().unwrap().to_string(),
            });
            let parent = parent.span.map(|span| span.span_id.to_int());
            notes.lock().unwrap().push(format!("{parent:?} {tenant:?}"));
        }),
        ..Hooks::default()
    };
    let both = Both::with(|builder| builder.processor(Arc::new(hooks)));
    let remote = parent(TraceFlags::SAMPLED, true, "");
    let context = Context::new().with_baggage([KeyValue::new("tenant", "api")]);
    both.api.start_with_context("root", &context);
    both.api.start_with_context("child", &context.with_remote_span_context((&remote).into()));
    both.own().span("root").start();
    both.own().span("child").parent(Some(&remote)).context(&"own").start();
    let expected = ["None Some(\"api\")", "Some(8) Some(\"api\")", "None None", "Some(8) Some(\"own\")"];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn m036_processors_may_write_until_the_span_has_ended() {
    let hooks = Hooks {
        start: Box::new(|span, _| {
            assert_eq!(span.view().unwrap().attributes().iter().count(), 1);
            span.set_attribute("on_start", true);
        }),
        ending: Box::new(|span| {
            assert!(span.is_recording());
            assert_eq!(span.view().unwrap().end_time(), 70);
            span.set_attribute("on_ending", true);
            span.end_at(90);
            assert!(span.is_recording(), "an end within the end is none");
        }),
        end: Box::new(|span| {
            assert!(!span.is_recording());
            assert_eq!(span.view().unwrap().attributes().iter().count(), 3);
        }),
    };
    let both = Both::with(|builder| builder.clock(Clock::Custom(|| 50)).processor(Arc::new(hooks)));
    both.own().span("own").attributes(&[("a", 1.into())]).start().end_at(70);
    let builder = both.api.span_builder("api").with_attributes([KeyValue::new("a", 1)]);
    builder.start(&both.api).end_with_timestamp(std::time::UNIX_EPOCH + Duration::from_nanos(70));
    assert_eq!(both.fixture.provider.counters().plugin_failures.get(), 0);
    for span in both.spans() {
        let keys: Vec<_> = sorted(&span.attributes).into_iter().map(|(key, _)| key).collect();
        assert_eq!((keys.join(" "), span.end_time_unix_nano), ("a on_ending on_start".to_owned(), 70));
    }
}

#[test]
fn m059_processors_flush_what_has_ended() {
    /// Holds spans until they are flushed, as batching processors do.
    #[derive(Debug, Default)]
    struct Holding(Mutex<Vec<String>>, Mutex<Vec<String>>);
    impl SpanProcessor for Holding {
        fn on_start(&self, _span: &mut Span, _parent: Parent<'_>) {}

        fn on_end(&self, span: &Span) {
            self.0.lock().unwrap().push(span.view().unwrap().name().to_owned());
        }

        fn force_flush(&self, _timeout: Duration) -> bool {
            self.1.lock().unwrap().append(&mut self.0.lock().unwrap());
            true
        }
    }
    let holding = Arc::new(Holding::default());
    let both = Both::with(|builder| builder.processor(holding.clone()));
    both.own().span("one").start().end();
    assert!(holding.1.lock().unwrap().is_empty());
    assert!(both.fixture.provider.force_flush(Duration::from_secs(5)));
    assert_eq!(*holding.1.lock().unwrap(), ["one"]);
    assert!(both.fixture.provider.shutdown(Duration::from_secs(5)), "what has nothing to do has done it");
}

#[test]
fn m061_processors_see_scope_and_resource_of_a_span() {
    let seen = calls();
    let notes = Arc::clone(&seen);
    let hooks = Hooks {
        end: Box::new(move |span| {
            assert!(span.resource().unwrap().view().attributes().is_empty());
            notes.lock().unwrap().push(span.scope().unwrap().view().name().to_owned());
        }),
        ..Hooks::default()
    };
    let both = Both::with(|builder| builder.processor(Arc::new(hooks)));
    both.own().span("x").start().end();
    both.api.start("x").end();
    assert_eq!(*seen.lock().unwrap(), ["test", "api"]);
    let not_sampled = both.own().span("x").parent(Some(&parent(TraceFlags::NONE, true, ""))).start();
    assert!(not_sampled.scope().is_none() && not_sampled.resource().is_none());
}

#[test]
fn processors_are_called_in_their_order() {
    let calls = calls();
    let both = Both::with(|builder| builder.processor(Notes::new("1", &calls)).processor(Notes::new("2", &calls)));
    let tracer = both.own().clone();
    let mut before = tracer.span("a").start();
    both.fixture.provider.add_processor(Notes::new("3", &calls));
    tracer.span("b").start().end();
    before.end();
    let expected = [
        "1 start a",
        "2 start a",
        "1 start b",
        "2 start b",
        "3 start b",
        "1 ending b",
        "2 ending b",
        "3 ending b",
        "1 end b",
        "2 end b",
        "3 end b",
        "1 ending a",
        "2 ending a",
        "3 ending a",
        "1 end a",
        "2 end a",
        "3 end a",
    ];
    assert_eq!(*calls.lock().unwrap(), expected);
    assert_eq!(both.names(), ["b", "a"]);
}

#[test]
fn processors_see_what_is_recorded_and_nothing_else() {
    let calls = calls();
    let sampler = asking(|input| match input.name {
        "drop" => SamplingDecision::Drop.into(),
        "record" => SamplingDecision::RecordOnly.into(),
        _ => SamplingDecision::RecordAndSample.into(),
    });
    let both = Both::with(|builder| builder.sampler(sampler).processor(Notes::new("1", &calls)));
    for name in ["drop", "record", "sample"] {
        both.own().span(name).start().end();
    }
    let record = both.own().span("record").start();
    assert!(record.is_recording() && !record.context().is_sampled());
    record.abandon();
    both.own().span("sample").start().abandon();
    let seen: Vec<_> = calls.lock().unwrap().iter().filter(|call| call.contains(" end ")).cloned().collect();
    assert_eq!(seen, ["1 end record", "1 end sample"]);
    assert_eq!(both.names(), ["sample"]);
    let counters = both.fixture.provider.counters();
    let counts = [&counters.started, &counters.ended, &counters.abandoned, &counters.sampled_out];
    assert_eq!(counts.map(|counter| counter.get()), [2, 1, 1, 3]);
}

#[test]
fn processors_that_panic_are_counted_and_never_felt() {
    let fail = || panic!("a processor of the tests fails");
    let hooks = Hooks {
        start: Box::new(move |_, _| fail()),
        ending: Box::new(move |_| fail()),
        end: Box::new(move |_| fail()),
    };
    let calls = calls();
    let both = Both::with(|builder| builder.processor(Arc::new(hooks)).processor(Notes::new("2", &calls)));
    both.own().span("a").start().end();
    // Not even where the program itself is panicking.
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _span = both.own().span("b").start();
        panic!("a program of the tests fails");
    }));
    assert!(unwound.is_err());
    assert_eq!(both.fixture.provider.counters().plugin_failures.get(), 6);
    assert_eq!(calls.lock().unwrap().len(), 6);
    assert_eq!(both.names(), ["a", "b"]);
}

#[test]
fn processors_may_begin_spans_themselves() {
    let fixture: Arc<Mutex<Option<Fixture>>> = Arc::default();
    let inner = Arc::clone(&fixture);
    let hooks = Hooks {
        end: Box::new(move |span| {
            if let Some(fixture) = inner.lock().unwrap().as_ref()
                && span.view().unwrap().parent_span_id().is_none()
            {
                fixture.tracer.span("about").parent(Some(span.context())).start().end();
            }
        }),
        ..Hooks::default()
    };
    let both = Both::with(|builder| builder.processor(Arc::new(hooks)));
    *fixture.lock().unwrap() = Some(Fixture::new());
    both.own().span("x").start().end();
    let fixture = fixture.lock().unwrap().take().unwrap();
    assert_eq!(fixture.spans()[0].parent_span_id, both.spans()[0].span_id);
}

#[test]
fn attributes_of_processors_replace_and_are_limited_as_any_other() {
    let hooks = Hooks { start: Box::new(|span, _| span.set_attribute("a", "theirs")), ..Hooks::default() };
    let both = Both::with(|builder| builder.processor(Arc::new(hooks)));
    both.own().span("x").attributes(&[("a", "mine".into())]).start().end();
    assert_eq!(sorted(&both.spans()[0].attributes), named(&[("a", text("theirs"))]));
}
