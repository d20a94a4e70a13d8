//! Traces / SpanContext.

use std::sync::Arc;

use opentelemetry::Context;
use opentelemetry::trace::{Span as _, SpanContext as ApiContext, TraceContextExt, Tracer as _};
use scouter_span::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

use crate::plugins::Counting;
use crate::{Both, parent};

#[test]
fn m016_contexts_are_valid_or_not_there() {
    assert_eq!((TraceId::from_bytes([0; 16]), SpanId::from_bytes([0; 8])), (None, None));
    assert!(SpanContext::try_from(&ApiContext::empty_context()).is_err());
    let both = Both::new();
    assert!(both.api.start("x").span_context().is_valid());
    // Invalid ones are no parents.
    let context = Context::new().with_remote_span_context(ApiContext::empty_context());
    both.api.start_with_context("root", &context).end();
    assert!(both.spans().iter().all(|span| span.parent_span_id.is_empty()));
}

#[test]
fn m017_contexts_know_whether_they_are_remote() {
    let both = Both::new();
    let remote = parent(TraceFlags::SAMPLED, true, "");
    let child = both.own().span("child").parent(Some(&remote)).start();
    assert!(!child.context().is_remote);
    both.own().span("grandchild").parent(Some(child.context())).start().end();
    let api = ApiContext::from(&remote);
    assert!(api.is_remote());
    let child = both.api.start_with_context("api", &Context::new().with_remote_span_context(api));
    assert!(!child.span_context().is_remote());
    drop(child);
    // Bit 8: it is known; bit 9: it is so.
    let flags: Vec<_> = both.spans().iter().map(|span| span.flags >> 8).collect();
    assert_eq!(flags, [1, 3]);
}

#[test]
fn m018_contexts_keep_what_trace_context_lets_travel() {
    let both = Both::new();
    let state = "vendor=1,tenant@system=2,odd= ~!";
    let remote = parent(TraceFlags::from_bits(0b1111_0001), true, state);
    let child = both.own().span("child").parent(Some(&remote)).start();
    assert_eq!((child.context().trace_id, child.context().flags.bits()), (remote.trace_id, 0b1111_0001));
    assert_eq!(child.context().trace_state.as_str(), state);
    assert_ne!(child.context().span_id, remote.span_id);
    for bad in ["A=1", "a", "a=1,a=2", "a=ü"] {
        assert!(TraceState::parse(bad).is_err(), "{bad}");
    }
    assert_eq!(remote.trace_id.to_string(), "00000000000000000000000000000007");
    assert_eq!(remote.span_id.to_string(), "0000000000000008");
}

#[test]
fn m019_roots_say_whether_their_trace_id_is_random() {
    let both = Both::new();
    let root = both.own().span("root").start();
    assert!(root.context().flags.is_random());
    assert!(both.own().span("child").parent(Some(root.context())).start().context().flags.is_random());
    assert_eq!(both.api.start("api").span_context().trace_flags().to_u8(), 3);
    // A parent that does not say so may come from an older level; what it said travels on.
    let older = parent(TraceFlags::SAMPLED, true, "");
    assert!(!both.own().span("child").parent(Some(&older)).start().context().flags.is_random());

    for random in [false, true] {
        let ids = Arc::new(Counting { random, ..Counting::default() });
        let counting = Both::with(|builder| builder.ids(ids));
        assert_eq!(counting.own().span("root").start().context().flags.is_random(), random);
    }
}
