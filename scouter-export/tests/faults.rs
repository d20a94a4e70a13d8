//! What happens when receivers, transports or reporters fail.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::*;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use prost::Message;
use scouter_export::{BatchConfig, Destination, DropReason, ErrorKind, Pipeline, Worker};
use scouter_span::scope::ScopeId;
use scouter_span::{FinishedSpan, SpanSink, TraceId};
use scouter_transport::{Error, ErrorKind as TransportErrorKind, RetryPolicy, Transport};

#[test]
fn a_hanging_destination_holds_nobody_up() {
    let (good, hanging) = (memory(), memory());
    hanging.hold();
    let config = BatchConfig { max_queue_size: 100, ..batches_of(10) };
    let rig = Rig::new(config, [to("hanging", &hanging), to("good", &good)]);
    for round in 1..=50 {
        rig.spans(10);
        wait(good.until_received(round));
        rig.until("exported", |stats| stats.destinations[1].exported == round * 10);
    }
    let stats = rig.stats();
    let (hung, fine) = (&stats.destinations[0], &stats.destinations[1]);
    assert_eq!((fine.exported, fine.dropped.total()), (500, 0));
    // Its own bound is kept: what it has no room for is lost for it alone.
    assert_eq!((hung.exported, hung.queued, hung.dropped[DropReason::QueueFull]), (0, 100, 400));
    hanging.release();
    rig.pipeline.flush(SOON).unwrap();
    let stats = rig.stats();
    assert_eq!((stats.destinations[0].exported, stats.destinations[0].queued), (100, 0));
    assert_eq!(stats.destinations[0].waiting_bytes, 0);
}

#[test]
fn a_full_queue_turns_new_spans_away() {
    let memory = memory();
    memory.hold();
    let rig = Rig::new(BatchConfig { max_queue_size: 64, ..batches_of(16) }, [to("a", &memory)]);
    rig.spans(64);
    wait(memory.until_waiting(4));
    rig.until("moved on", |stats| stats.pending == 0);
    rig.spans(36);
    let stats = rig.stats();
    assert_eq!((stats.ended, stats.destinations[0].queued), (100, 64));
    assert_eq!(stats.destinations[0].dropped[DropReason::QueueFull], 36);
    memory.release();
    rig.pipeline.flush(SOON).unwrap();
    rig.spans(16);
    rig.pipeline.flush(SOON).unwrap();
    assert_eq!(rig.stats().destinations[0].exported, 80);
    let reports = rig.reports.0.lock().unwrap();
    assert_eq!(reports[0].reason, Some(DropReason::QueueFull));
    assert_eq!(reports.len(), 1, "at most one a minute");
}

#[test]
fn bytes_bound_the_queue_too() {
    let memory = memory();
    memory.hold();
    let rig = Rig::new(BatchConfig { max_queue_bytes: 10_000, ..batches_of(1) }, [to("a", &memory)]);
    for _ in 0..100 {
        let mut span = rig.tracer.span("span").start();
        span.set_attribute("text", "x".repeat(900).as_str());
        span.end();
    }
    let stats = rig.stats();
    assert!((5..=10).contains(&stats.destinations[0].queued), "{stats:?}");
    assert_eq!(stats.destinations[0].queued + stats.destinations[0].dropped[DropReason::QueueFull], 100);
}

#[test]
fn what_can_be_sent_again_is_until_the_receiver_is_back() {
    let down = Arc::new(AtomicBool::new(true));
    let receiver = Scripted::new({
        let down = Arc::clone(&down);
        move |_, _| if down.load(Ordering::Relaxed) { Err(unavailable()) } else { Ok(Duration::ZERO) }
    });
    let patient = RetryPolicy::new().initial_backoff(Duration::from_millis(1)).max_backoff(Duration::from_millis(5));
    let rig = Rig::new(batches_of(100), [to("a", &receiver).retry(patient)]);
    rig.spans(10_000);
    rig.until("tried", |stats| stats.destinations[0].retries > 20);
    let stats = rig.stats();
    assert_eq!((stats.destinations[0].exported, stats.destinations[0].queued), (0, 10_000));
    assert!(stats.destinations[0].last_error.as_deref().is_some_and(|error| error.contains("as told")));
    down.store(false, Ordering::Relaxed);
    rig.pipeline.flush(SOON).unwrap();
    let stats = rig.stats();
    assert_eq!((stats.destinations[0].exported, stats.destinations[0].dropped.total()), (10_000, 0));
    assert_eq!(all_ids(&receiver.memory).len(), 10_000);
}

#[test]
fn the_retry_window_ends() {
    let receiver = Scripted::new(|_, _| Err(unavailable()));
    let rig = Rig::new(batches_of(5), [to("a", &receiver)]);
    rig.spans(5);
    let stats = rig.until("given up", |stats| stats.destinations[0].dropped[DropReason::RetriesExhausted] == 5);
    assert_eq!((stats.destinations[0].requests, stats.destinations[0].retries), (3, 2));
    assert_eq!(stats.destinations[0].latency.count, 3);
}

#[test]
fn what_is_refused_for_good_is_not_sent_again() {
    let receiver = Scripted::new(|number, _| match number {
        0 => Err(Error::new(TransportErrorKind::Refused, "bad token")),
        _ => Ok(Duration::ZERO),
    });
    let rig = Rig::new(batches_of(5), [to("a", &receiver)]);
    rig.spans(5);
    let stats = rig.until("refused", |stats| stats.destinations[0].dropped[DropReason::Refused] == 5);
    assert_eq!((stats.destinations[0].requests, stats.destinations[0].retries), (1, 0));
    rig.spans(5);
    rig.until("exported", |stats| stats.destinations[0].exported == 5);
}

#[test]
fn partial_success_is_counted_and_reported() {
    let memory = memory();
    let partial = ExportTracePartialSuccess { rejected_spans: 2, error_message: "too old".to_owned() };
    memory.answer_with(ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec());
    let rig = Rig::new(batches_of(5), [to("a", &memory)]);
    rig.spans(5);
    let stats = rig.until("settled", |stats| stats.destinations[0].queued == 0);
    assert_eq!((stats.destinations[0].exported, stats.destinations[0].dropped[DropReason::Rejected]), (3, 2));
    assert_eq!(stats.destinations[0].requests, 1);
    let reports = rig.reports.0.lock().unwrap();
    assert!(reports[0].message.contains("too old") && reports[0].dropped == 2, "{reports:?}");
}

#[test]
fn a_panic_in_a_transport_costs_its_batch_only() {
    let receiver = Scripted::new(|number, _| {
        assert!(number != 0, "the first send fails badly");
        Ok(Duration::ZERO)
    });
    let good = memory();
    let rig = Rig::new(batches_of(5), [to("bad", &receiver), to("good", &good)]);
    rig.spans(5);
    rig.until("lost", |stats| stats.destinations[0].dropped[DropReason::Internal] == 5);
    rig.spans(5);
    let stats = rig.until("exported", |stats| stats.destinations[0].exported == 5);
    assert_eq!(stats.panics, 1);
    rig.pipeline.flush(SOON).unwrap();
    assert_eq!(rig.stats().destinations[1].exported, 10);
    assert_eq!(rig.pipeline.shutdown(SOON), Ok(()));
}

#[test]
fn spans_of_an_unknown_scope_are_counted() {
    let memory = memory();
    let rig = Rig::new(batches_of(2), [to("a", &memory)]);
    let trace_id = TraceId::from_int(1).unwrap();
    // A tracer would have registered it.
    rig.pipeline.accept(FinishedSpan { bytes: &[0x12, 0], scope: ScopeId(77), trace_id });
    rig.spans(2);
    wait(memory.until_received(1));
    let stats = rig.pipeline.stats();
    assert_eq!((stats.destinations[0].dropped[DropReason::Internal], stats.pending), (1, 0));
}

#[test]
fn builders_refuse_what_cannot_work() {
    let worker = Worker::start().unwrap();
    let memory = memory();
    let kind = |builder: scouter_export::PipelineBuilder| builder.build(&worker).map(drop).unwrap_err().kind();
    assert_eq!(kind(Pipeline::builder(resource())), ErrorKind::Config);
    let twice = Pipeline::builder(resource()).destination(to("a", &memory)).destination(to("a", &memory));
    assert_eq!(kind(twice), ErrorKind::Config);
    let hasty = to("a", &memory).export_timeout(Duration::ZERO);
    assert_eq!(kind(Pipeline::builder(resource()).destination(hasty)), ErrorKind::Config);
    let broken = || Err::<Arc<dyn Transport>, _>(Error::new(TransportErrorKind::Config, "no such host"));
    assert_eq!(kind(Pipeline::builder(resource()).destination(Destination::new("a", broken))), ErrorKind::Destination);
    let panicking = Destination::new("a", || panic!("a factory's bug"));
    assert_eq!(kind(Pipeline::builder(resource()).destination(panicking)), ErrorKind::Destination);
}

/// What can be wrong with a destination, from its first request on.
fn troubles() -> Vec<(&'static str, Scripted)> {
    let patience = Duration::from_secs(3600);
    vec![
        ("slow", Scripted::new(|_, _| Ok(NEVER))),
        ("down", Scripted::new(|_, _| Err(Error::new(TransportErrorKind::Unreachable, "nobody there")))),
        ("busy", Scripted::new(move |_, _| Err(unavailable().with_retry_after(patience)))),
        ("refusing", Scripted::new(|_, _| Err(Error::new(TransportErrorKind::Refused, "no")))),
        ("narrow", Scripted::new(|_, _| Err(Error::new(TransportErrorKind::TooLarge, "no")))),
        ("broken", Scripted::new(|_, _| panic!("a transport's bug"))),
    ]
}

#[test]
fn no_trouble_of_one_destination_holds_the_other_up() {
    let forever = RetryPolicy::new().max_elapsed(NEVER * 2).initial_backoff(NEVER).max_backoff(NEVER);
    for simple in [false, true] {
        for (name, bad) in troubles() {
            let good = memory();
            let first = to(name, &bad).retry(forever.clone()).simple(simple);
            let rig = Rig::new(batches_of(10), [first, to("good", &good)]);
            for round in 1..=30 {
                rig.spans(10);
                // Nothing has changed for the bad one meanwhile: what holds it up would hold this up for ever.
                wait(good.until_received(round));
            }
            rig.until("exported", |stats| stats.destinations[1].exported == 300);
            let stats = rig.until("tried", |stats| stats.destinations[0].requests > 0);
            assert_eq!((stats.destinations[0].exported, stats.destinations[1].dropped.total()), (0, 0), "{name}");
            // Nor is the end of one held up by the other.
            let _ = rig.pipeline.shutdown(Duration::from_millis(5));
        }
    }
}

#[test]
fn one_is_flushed_while_the_other_is_not() {
    let (good, hanging) = (memory(), memory());
    hanging.hold();
    let rig = Rig::new(batches_of(1000), [to("hanging", &hanging), to("good", &good)]);
    rig.spans(3);
    let flush = rig.pipeline.begin_flush();
    wait(good.until_received(1));
    hanging.release();
    assert_eq!(flush.wait(SOON), Ok(()));
}
