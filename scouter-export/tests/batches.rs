//! What is sent, and when.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::*;
use scouter_export::{BatchConfig, DropReason};
use scouter_span::{Ratio, Scope, TraceId};
use scouter_transport::{Error, ErrorKind};

#[test]
fn a_full_batch_goes_without_delay() {
    let memory = memory();
    let rig = Rig::new(batches_of(10), [to("a", &memory)]);
    rig.spans(10);
    wait(memory.until_received(1));
    rig.spans(25);
    wait(memory.until_received(3));
    let stats = rig.until("exported", |stats| stats.destinations[0].exported == 30);
    assert_eq!((stats.ended, stats.pending, stats.destinations[0].queued), (35, 5, 5));
    assert!(memory.payloads().iter().all(|payload| payload.items == 10 && ids(payload).len() == 10));
}

#[test]
fn no_batch_waits_between_fast_and_slow_times() {
    let memory = memory();
    let rig = Rig::new(batches_of(64), [to("a", &memory)]);
    for round in 1..=300 {
        let start = Instant::now();
        // Enough at once to have the worker look by itself, or so few that it waits to be called.
        if round % 3 == 0 {
            for _ in 0..64 {
                rig.spans(1);
                std::thread::yield_now();
            }
        } else {
            rig.spans(64);
        }
        wait(memory.until_received(round));
        // A worker that nobody wakes looks every five seconds.
        assert!(start.elapsed() < Duration::from_secs(4));
    }
}

#[test]
fn the_delay_counts_from_the_first_span() {
    let memory = memory();
    let delay = Duration::from_millis(60);
    let rig = Rig::new(BatchConfig { scheduled_delay: delay, ..BatchConfig::default() }, [to("a", &memory)]);
    for round in 1..=2 {
        let start = Instant::now();
        rig.spans(3);
        wait(memory.until_received(round));
        assert!(start.elapsed() >= delay);
    }
    assert_eq!(memory.payloads()[1].items, 3);
}

#[test]
fn a_batch_stays_below_its_bytes() {
    let memory = memory();
    let config = BatchConfig { max_export_batch_bytes: 4096, scheduled_delay: NEVER, ..BatchConfig::default() };
    let rig = Rig::new(config, [to("a", &memory)]);
    let text = "x".repeat(1000);
    for _ in 0..8 {
        let mut span = rig.tracer.span("span").start();
        span.set_attribute("text", text.as_str());
        span.end();
    }
    let mut large = rig.tracer.span("large").start();
    large.set_attribute("text", text.repeat(10).as_str());
    large.end();
    rig.pipeline.flush(SOON).unwrap();
    let sizes: Vec<_> = memory.payloads().iter().map(|payload| payload.items).collect();
    assert_eq!(sizes, [3, 3, 2, 1]);
}

#[test]
fn destinations_share_one_encoding() {
    let (first, second) = (memory(), memory());
    let rig = Rig::new(batches_of(10), [to("a", &first), to("b", &second)]);
    rig.spans(30);
    rig.pipeline.flush(SOON).unwrap();
    let (first, second) = (first.payloads(), second.payloads());
    assert_eq!((first.len(), second.len()), (3, 3));
    for (first, second) in first.iter().zip(&second) {
        // The same place in memory: there was no second encoding, nor a copy.
        assert_eq!(first.body.as_ptr(), second.body.as_ptr());
        assert_eq!(first.body, second.body);
    }
}

#[test]
fn spans_stand_under_their_resource_and_scope() {
    let memory = memory();
    let rig = Rig::new(batches_of(100), [to("a", &memory)]);
    let other = rig.provider.tracer(Scope::new("other", "2", "https://schema", &[]));
    for number in 0..20 {
        let tracer = if number % 2 == 0 { &rig.tracer } else { &other };
        tracer.span("span").start().end();
    }
    rig.pipeline.flush(SOON).unwrap();
    let request = decode(&memory.payloads()[0]);
    let resource = request.resource_spans[0].resource.as_ref().unwrap();
    assert_eq!(resource.attributes[0].key, "service.name");
    let scopes = &request.resource_spans[0].scope_spans;
    let read: Vec<_> = scopes
        .iter()
        .map(|group| (group.scope.as_ref().unwrap().name.as_str(), group.schema_url.as_str(), group.spans.len()))
        .collect();
    assert_eq!(read, [("scope", "", 10), ("other", "https://schema", 10)]);
}

#[test]
fn a_destination_thins_by_trace_and_keeps_traces_whole() {
    let (all, half) = (memory(), memory());
    let ratio = Ratio::new(0.5).unwrap();
    let rig = Rig::new(batches_of(64), [to("all", &all), to("half", &half).sample_ratio(ratio)]);
    for _ in 0..200 {
        let mut parent = rig.tracer.span("parent").start();
        for _ in 0..3 {
            rig.tracer.span("child").parent(Some(parent.context())).start().end();
        }
        parent.end();
    }
    rig.pipeline.flush(SOON).unwrap();
    let kept = |(trace, _): &(String, String)| ratio.contains(trace.parse::<TraceId>().unwrap());
    let expected: HashSet<_> = all_ids(&all).into_iter().filter(kept).collect();
    let got: HashSet<_> = all_ids(&half).into_iter().collect();
    assert_eq!(got, expected);
    assert!((200..600).contains(&got.len()), "{}", got.len());
    let stats = rig.stats();
    assert_eq!((stats.destinations[0].exported, stats.destinations[0].thinned), (800, 0));
    assert_eq!(stats.destinations[1].exported, got.len() as u64);
    assert_eq!(stats.destinations[1].thinned, 800 - got.len() as u64);
}

#[test]
fn a_batch_too_large_for_the_receiver_is_split_once() {
    let limit = |most: u32| {
        Scripted::new(move |_, payload| match payload.items > most {
            true => Err(Error::new(ErrorKind::TooLarge, "too large")),
            false => Ok(Duration::ZERO),
        })
    };
    let (half, quarter) = (limit(6), limit(3));
    let rig = Rig::new(batches_of(11), [to("half", &half), to("quarter", &quarter)]);
    let other = rig.provider.tracer(Scope::new("other", "", "", &[]));
    rig.spans(3);
    (0..8).for_each(|_| other.span("span").start().end());
    rig.until("settled", |stats| stats.destinations.iter().all(|to| to.queued == 0));
    let payloads = half.memory.payloads();
    assert_eq!(payloads.iter().map(|payload| payload.items).collect::<Vec<_>>(), [5, 6]);
    let scopes: Vec<_> = payloads.iter().map(|payload| decode(payload).resource_spans[0].scope_spans.len()).collect();
    assert_eq!(scopes, [2, 1]);
    let unique: HashSet<_> = all_ids(&half.memory).into_iter().collect();
    assert_eq!(unique.len(), 11);
    assert!(decode(&payloads[1]).resource_spans[0].resource.is_some());

    let stats = rig.stats();
    assert_eq!((stats.destinations[0].exported, stats.destinations[0].requests), (11, 3));
    assert_eq!(stats.destinations[0].retries, 0);
    assert_eq!(stats.destinations[1].dropped[DropReason::TooLarge], 11);
    assert_eq!(stats.destinations[1].requests, 3);
    assert!(Arc::strong_count(&rig.reports) > 0 && !rig.reports.0.lock().unwrap().is_empty());
}
