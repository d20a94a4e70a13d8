//! Traces / Sampling: what is dropped is recorded all the same.

use std::sync::{Arc, Mutex};

use opentelemetry::trace::{Span as _, Tracer as _};
use scouter_span::{Ratio, Sampler, SamplingDecision, SamplingResult, ShouldSample, TraceFlags};

use crate::plugins::{Notes, asking};
use crate::{Both, parent};

#[test]
fn m064_always_record_lets_processors_see_what_is_dropped() {
    let calls: Arc<Mutex<Vec<String>>> = Arc::default();
    let sampler = Sampler::always_record(Sampler::parent_based(Sampler::AlwaysOff));
    let both = Both::with(|builder| builder.sampler(sampler).processor(Notes::new("1", &calls)));
    let mut own = both.own().span("own").start();
    assert!(own.is_recording() && !own.context().is_sampled());
    own.set_attribute("a", 1);
    own.end();
    let mut api = both.api.start("api");
    assert!(api.is_recording() && !api.span_context().is_sampled());
    api.end();
    both.own().span("sampled").parent(Some(&parent(TraceFlags::SAMPLED, true, ""))).start().end();
    assert_eq!(calls.lock().unwrap().iter().filter(|call| call.contains(" end ")).count(), 3);
    assert_eq!(both.names(), ["sampled"]);
    let counters = both.fixture.provider.counters();
    assert_eq!((counters.started.get(), counters.ended.get(), counters.sampled_out.get()), (1, 1, 2));
}

#[test]
fn it_changes_nothing_but_the_decision_to_drop() {
    let answer =
        |decision| SamplingResult { attributes: vec![("a".into(), true.into())], ..SamplingResult::from(decision) };
    for (decision, recorded, sampled) in [
        (SamplingDecision::Drop, true, false),
        (SamplingDecision::RecordOnly, true, false),
        (SamplingDecision::RecordAndSample, true, true),
    ] {
        let both = Both::sampling(Sampler::always_record(asking(move |_| answer(decision))));
        let span = both.own().span("x").start();
        assert_eq!((span.is_recording(), span.context().is_sampled()), (recorded, sampled));
        assert_eq!(span.view().unwrap().attributes().iter().count(), 1);
    }
    let tenth = Sampler::always_record(Sampler::TraceIdRatio(Ratio::new(0.1).unwrap()));
    assert_eq!(tenth.description(), "AlwaysRecord{root:TraceIdRatioBased{0.1}}");
}
