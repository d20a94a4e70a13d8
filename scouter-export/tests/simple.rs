//! Destinations that get each span at once, beside others that get batches.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use common::*;
use scouter_export::{DropReason, FlushError};
use scouter_span::{Ratio, Scope, TraceId};
use scouter_transport::Signal;

#[test]
fn a_simple_destination_does_not_wait_for_the_batch_of_the_other() {
    let (simple, batched) = (memory(), memory());
    let rig = Rig::new(batches_of(10), [to("batched", &batched), to("simple", &simple).simple(true)]);
    for number in 1..=9 {
        let start = Instant::now();
        rig.spans(1);
        wait(simple.until_received(number));
        // A worker that nobody wakes looks every five seconds.
        assert!(start.elapsed() < Duration::from_secs(4));
    }
    assert_eq!(batched.received(), 0);
    rig.spans(1);
    wait(batched.until_received(1));
    wait(simple.until_received(10));
    assert_eq!(batched.payloads()[0].items, 10);
    assert!(simple.payloads().iter().all(|payload| payload.items == 1 && ids(payload).len() == 1));
    assert_eq!(all_ids(&simple), all_ids(&batched));
    let stats = rig.until("settled", |stats| stats.destinations.iter().all(|to| to.exported == 10));
    assert_eq!((stats.destinations[0].requests, stats.destinations[1].requests), (1, 10));
}

#[test]
fn every_span_comes_once_to_both_however_fast_they_end() {
    let (simple, batched) = (memory(), memory());
    let rig = Rig::new(batches_of(64), [to("simple", &simple).simple(true), to("batched", &batched)]);
    let other = rig.provider.tracer(Scope::new("other", "2", "https://schema", &[]));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    rig.spans(1);
                    other.span("span").start().end();
                }
            });
        }
    });
    rig.pipeline.flush(SOON).unwrap();
    let [first, second] = [&simple, &batched].map(all_ids);
    let [once, twice] = [&first, &second].map(|ids| ids.iter().collect::<HashSet<_>>());
    assert_eq!((first.len(), second.len(), once.len()), (6000, 6000, 6000));
    assert_eq!(once, twice);
    assert!(simple.payloads().iter().all(|payload| payload.items == 1));
    for payload in simple.payloads() {
        let request = decode(&payload);
        let scopes = &request.resource_spans[0].scope_spans;
        assert!(request.resource_spans[0].resource.is_some() && scopes.len() == 1);
        let other = scopes[0].scope.as_ref().unwrap().name == "other";
        assert_eq!(scopes[0].schema_url, if other { "https://schema" } else { "" });
    }
}

#[test]
fn a_pipeline_of_simple_destinations_holds_nothing_back() {
    let (first, second) = (memory(), memory());
    let rig = Rig::new(batches_of(1000), [to("a", &first).simple(true), to("b", &second).simple(true)]);
    for number in 1..=5 {
        rig.spans(1);
        wait(first.until_received(number));
        wait(second.until_received(number));
        rig.until("moved on", |stats| stats.pending == 0);
    }
}

#[test]
fn a_simple_destination_thins_by_trace_too() {
    let half = memory();
    let ratio = Ratio::new(0.5).unwrap();
    let rig = Rig::new(batches_of(1000), [to("half", &half).simple(true).sample_ratio(ratio), to("all", &memory())]);
    rig.spans(400);
    rig.pipeline.flush(SOON).unwrap();
    assert!(all_ids(&half).iter().all(|(trace, _)| ratio.contains(trace.parse::<TraceId>().unwrap())));
    let stats = rig.stats();
    assert_eq!(stats.destinations[0].exported + stats.destinations[0].thinned, 400);
    assert!(stats.destinations[0].thinned > 100 && stats.destinations[0].exported > 100);
}

#[test]
fn a_simple_destination_that_hangs_keeps_its_bound_and_the_equation() {
    let (hanging, good) = (memory(), memory());
    hanging.hold();
    let config = scouter_export::BatchConfig { max_queue_size: 100, max_concurrent_exports: 3, ..batches_of(10) };
    let rig = Rig::new(config, [to("hanging", &hanging).simple(true), to("good", &good)]);
    for round in 1..=30 {
        rig.spans(10);
        wait(good.until_received(round));
        rig.until("exported", |stats| stats.destinations[1].exported == round * 10);
    }
    let stats = rig.stats();
    let hung = &stats.destinations[0];
    assert_eq!((hung.queued, hung.dropped[DropReason::QueueFull], hung.in_flight, hung.waiting()), (100, 200, 3, 97));
    let short = std::time::Duration::from_millis(20);
    assert_eq!(rig.pipeline.shutdown(short), Err(FlushError::Timeout { signal: Signal::Traces, remaining: 100 }));
    let stats = rig.until("counted", |stats| stats.destinations[0].queued == 0);
    let hung = &stats.destinations[0];
    assert_eq!((hung.dropped[DropReason::Shutdown], hung.failed[DropReason::Shutdown]), (100, 3));
    assert_eq!((hung.submitted, hung.waiting_bytes), (3, 0));
}
