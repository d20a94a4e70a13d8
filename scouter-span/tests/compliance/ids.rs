//! Ids: rows of Traces / Sampling that are about them.

use std::sync::Arc;

use opentelemetry::Context;
use opentelemetry::trace::{Span as _, TraceContextExt, Tracer as _};
use scouter_span::id::IdGenerator;
use scouter_span::{Sampler, SpanId, TraceFlags, TraceId};

use crate::plugins::{Counting, asking};
use crate::{Both, parent};

#[test]
fn m056_spans_that_are_not_recorded_have_ids_of_their_own() {
    let state = "a=1";
    let remote = parent(TraceFlags::RANDOM, true, state);
    for sampler in [Sampler::AlwaysOff, asking(|_| scouter_span::SamplingDecision::Drop.into())] {
        let both = Both::sampling(sampler);
        let own = both.own().span("own").parent(Some(&remote)).start();
        assert!(own.context().span_id != remote.span_id && !own.is_recording());
        assert_eq!((own.context().trace_id, own.context().flags), (remote.trace_id, TraceFlags::RANDOM));
        assert_eq!(own.context().trace_state.as_str(), state);
        let api = both.api.start_with_context("api", &Context::new().with_remote_span_context((&remote).into()));
        assert!(api.span_context().is_valid());
        assert_ne!(api.span_context().span_id().to_bytes(), remote.span_id.to_bytes());
        assert_ne!(both.own().span("a").start().context().trace_id, both.own().span("b").start().context().trace_id);
        assert_eq!(both.fixture.provider.counters().sampled_out.get(), 4);
    }
}

#[test]
fn m057_ids_come_from_the_generator() {
    let ids = Arc::new(Counting::default());
    // Samplers see the trace id that the span will have, and spans that are dropped take ids too.
    let sampler = asking(|input| scouter_span::SamplingDecision::sampled(input.trace_id.to_int() % 2 == 0).into());
    let both = Both::with(|builder| builder.ids(ids.clone()).sampler(sampler));
    let seen: Vec<_> = (0..4).map(|_| both.own().span("own").start().context().clone()).collect();
    let numbers: Vec<_> = seen.iter().map(|context| (context.trace_id.to_int(), context.span_id.to_int())).collect();
    assert_eq!(numbers, [(1, 1), (2, 2), (3, 3), (4, 4)]);
    let child = both.own().span("child").parent(Some(&seen[1])).start();
    assert_eq!((child.context().trace_id.to_int(), child.context().span_id.to_int()), (2, 5));
    let api = both.api.start("api");
    assert_eq!(api.span_context().trace_id(), opentelemetry::trace::TraceId::from(5));
    assert_eq!(api.span_context().span_id(), opentelemetry::trace::SpanId::from(6));
}

#[test]
fn generators_that_panic_give_way_to_random_ids() {
    #[derive(Debug)]
    struct Failing;
    impl IdGenerator for Failing {
        fn new_trace_id(&self) -> TraceId {
            panic!("a generator of the tests fails")
        }
        fn new_span_id(&self) -> SpanId {
            panic!("a generator of the tests fails")
        }
    }
    let both = Both::with(|builder| builder.ids(Arc::new(Failing)));
    let root = both.own().span("root").start();
    let child = both.own().span("child").parent(Some(root.context())).start();
    assert_ne!(root.context().span_id, child.context().span_id);
    assert!(root.context().flags.is_random());
    assert_eq!(both.fixture.provider.counters().plugin_failures.get(), 3);
}

#[test]
fn a_closed_provider_asks_no_generator() {
    let ids = Arc::new(Counting::default());
    let both = Both::with(|builder| builder.ids(ids.clone()));
    both.fixture.provider.close();
    assert!(!both.own().span("x").start().is_recording());
    both.fixture.provider.add_processor(Arc::new(crate::plugins::Hooks::default()));
    assert!(!both.api.start("x").is_recording());
    assert_eq!(ids.spans.load(std::sync::atomic::Ordering::Relaxed), 0);
}
