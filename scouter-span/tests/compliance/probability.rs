//! Traces / Sampling: the part of all traces, and what it writes into the trace state.

use std::sync::Arc;

use opentelemetry::Context;
use opentelemetry::trace::{Span as _, TraceContextExt, Tracer as _};
use scouter_span::sampler::{OtEntry, Randomness, Threshold};
use scouter_span::{Ratio, Sampler, SpanContext, TraceFlags, TraceId};

use crate::plugins::Counting;
use crate::{Both, parent};

fn ratio(ratio: f64) -> Both {
    Both::sampling(Sampler::TraceIdRatio(Ratio::new(ratio).unwrap()))
}

/// A parent whose trace id gives this randomness.
fn random(randomness: u64, flags: TraceFlags, state: &str) -> SpanContext {
    let trace_id = TraceId::from_int(1 << 100 | u128::from(randomness)).unwrap();
    SpanContext { trace_id, ..parent(flags, true, state) }
}

#[test]
fn m062_a_ratio_writes_its_threshold_into_tracestate() {
    let both = ratio(0.5);
    let mut sampled = 0;
    for _ in 0..200 {
        let own = both.own().span("own").start();
        let admitted = Threshold::parse("8").unwrap().admits(Randomness::of(own.context().trace_id));
        assert_eq!(own.is_recording(), admitted);
        assert_eq!(own.context().trace_state.as_str(), if admitted { "ot=th:8" } else { "" });
        let api = both.api.start("api");
        assert_eq!(api.span_context().trace_state().header(), if api.is_recording() { "ot=th:8" } else { "" });
        sampled += usize::from(admitted) + usize::from(api.is_recording());
    }
    assert!((120..280).contains(&sampled), "{sampled} of 400");
    assert!(both.spans().iter().all(|span| span.trace_state == "ot=th:8"));
}

#[test]
fn the_last_56_bits_are_compared_with_the_threshold() {
    // th:e666 for a tenth: sampled from e6660000000000 on, whatever the parent's flag says.
    let both = ratio(0.1);
    for (randomness, expected) in
        [(0xe6_6600_0000_0000, true), (0xe6_65ff_ffff_ffff, false), (0xff_ffff_ffff_ffff, true), (0, false)]
    {
        for flags in [TraceFlags::NONE, TraceFlags::SAMPLED] {
            let parent = random(randomness, flags, "");
            assert_eq!(both.own().span("x").parent(Some(&parent)).start().is_recording(), expected, "{randomness:x}");
        }
    }
    assert!(Ratio::new(0.1).unwrap().contains(random(0xe6_6600_0000_0000, TraceFlags::NONE, "").trace_id));
}

#[test]
fn explicit_randomness_stands_above_the_trace_id_and_travels_on() {
    let both = ratio(0.5);
    let cases = [
        ("ot=rv:7fffffffffffff", false, "ot=rv:7fffffffffffff"),
        ("ot=rv:80000000000000", true, "ot=th:8;rv:80000000000000"),
        ("v=1,ot=a:b;th:c;rv:80000000000000,w=2", true, "ot=th:8;a:b;rv:80000000000000,v=1,w=2"),
        ("v=1,ot=th:c;rv:10000000000000,w=2", false, "ot=rv:10000000000000,v=1,w=2"),
        // Not explicit randomness: the trace id's counts.
        ("ot=rv:8", true, "ot=th:8;rv:8"),
        ("ot=th:8,v=1", true, "ot=th:8,v=1"),
    ];
    for (state, expected, after) in cases {
        let parent = random(0x90_0000_0000_0000, TraceFlags::SAMPLED, state);
        let own = both.own().span("x").parent(Some(&parent)).start();
        assert_eq!((own.is_recording(), own.context().trace_state.as_str()), (expected, after), "{state}");
        let api = both.api.start_with_context("x", &Context::new().with_remote_span_context((&parent).into()));
        assert_eq!((api.is_recording(), api.span_context().trace_state().header().as_str()), (expected, after));
    }
}

#[test]
fn smaller_parts_are_subsets_of_larger_ones() {
    let parts: Vec<_> = [0.001, 0.01, 0.1, 0.3, 0.9, 1.0].map(ratio).into_iter().collect();
    for number in 0..500_u64 {
        // Numbers that are spread over all of them.
        let parent = random(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 8, TraceFlags::NONE, "");
        let sampled = parts.iter().map(|part| part.own().span("x").parent(Some(&parent)).start().is_recording());
        assert!(sampled.is_sorted(), "{number}");
    }
}

#[test]
fn all_and_nothing_are_parts_too() {
    let all = ratio(1.0);
    assert_eq!(all.own().span("x").start().context().trace_state.as_str(), "ot=th:0");
    let nothing = ratio(0.0);
    let most = random(0xff_ffff_ffff_ffff, TraceFlags::SAMPLED, "ot=th:8");
    let span = nothing.own().span("x").parent(Some(&most)).start();
    assert_eq!((span.is_recording(), span.context().trace_state.as_str()), (false, ""));
    // What everybody means by sampling everything needs no threshold.
    let plain = Both::sampling(Sampler::ratio(Ratio::ALL));
    assert_eq!(plain.own().span("x").start().context().trace_state.as_str(), "");
}

#[test]
fn children_keep_the_threshold_of_their_root() {
    let both = Both::sampling(Sampler::ratio(Ratio::new(0.5).unwrap()));
    let parent = random(0x90_0000_0000_0000, TraceFlags::SAMPLED, "ot=th:c");
    let child = both.own().span("x").parent(Some(&parent)).start();
    assert_eq!((child.is_recording(), child.context().trace_state.as_str()), (true, "ot=th:c"));
}

#[test]
fn roots_whose_id_is_not_random_get_explicit_randomness() {
    let ids = Arc::new(Counting::default());
    let both = Both::with(|builder| builder.ids(ids).sampler(Sampler::TraceIdRatio(Ratio::new(0.5).unwrap())));
    let mut recorded = 0;
    for _ in 0..100 {
        let root = both.own().span("root").start();
        let entry = OtEntry::of(&root.context().trace_state);
        let randomness = entry.randomness().unwrap();
        assert_eq!(root.is_recording(), Threshold::parse("8").unwrap().admits(randomness));
        assert_eq!(entry.threshold().is_some(), root.is_recording());
        let child = both.own().span("child").parent(Some(root.context())).start();
        assert_eq!(child.context().trace_state, root.context().trace_state);
        assert_eq!(child.is_recording(), root.is_recording());
        recorded += usize::from(root.is_recording());
    }
    assert!((20..80).contains(&recorded), "{recorded} of 100");
}
