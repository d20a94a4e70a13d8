//! The copies of ended spans that a process keeps for itself.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use common::*;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use scouter_export::{CaptureLimit, DropReason};
use scouter_span::{Scope, TraceId};
use scouter_transport::Payload;

/// The ids in what a capture answered.
fn captured(request: Vec<u8>) -> Vec<(String, String)> {
    ids(&Payload::traces(request, 0))
}

#[test]
fn everything_that_ended_before_is_drained_with_its_headers() {
    let memory = memory();
    let rig = Rig::new(batches_of(1000), [to("a", &memory)]);
    let capture = rig.pipeline.capture();
    rig.spans(3);
    assert!(!capture.is_enabled() && capture.drain().is_empty());
    capture.enable(CaptureLimit::default());
    assert!(capture.is_enabled());
    let other = rig.provider.tracer(Scope::new("other", "2", "https://schema", &[]));
    rig.spans(2);
    other.span("span").start().end();
    let request = ExportTraceServiceRequest::decode(capture.drain().as_slice()).unwrap();
    assert_eq!(request.resource_spans.len(), 1);
    let resource = &request.resource_spans[0];
    assert_eq!(resource.resource.as_ref().unwrap().attributes[0].key, "service.name");
    let scopes: Vec<_> = resource
        .scope_spans
        .iter()
        .map(|group| (group.scope.as_ref().unwrap().name.as_str(), group.schema_url.as_str(), group.spans.len()))
        .collect();
    assert_eq!(scopes, [("scope", "", 2), ("other", "https://schema", 1)]);
    assert!(capture.drain().is_empty());
    // What is captured is a copy: the destination gets all of them.
    rig.pipeline.flush(SOON).unwrap();
    assert_eq!(all_ids(&memory).len(), 6);
}

#[test]
fn spans_of_other_threads_are_seen_once_their_end_has_returned() {
    let rig = Rig::new(batches_of(1000), [to("a", &memory())]);
    let capture = rig.pipeline.capture();
    capture.enable(CaptureLimit::default());
    let done = AtomicBool::new(false);
    let (sender, ended) = std::sync::mpsc::channel();
    let seen = std::thread::scope(|scope| {
        let done = &done;
        let reader = scope.spawn(move || {
            let mut seen = HashSet::new();
            loop {
                let last = done.load(Ordering::Acquire);
                let before: Vec<String> = ended.try_iter().collect();
                for (_, span) in captured(capture.drain()) {
                    assert!(seen.insert(span), "no span is drained twice");
                }
                assert!(before.iter().all(|span| seen.contains(span)), "an ended span is missing");
                if last {
                    return seen;
                }
            }
        });
        let writers: Vec<_> = (0..4)
            .map(|_| {
                let sender = sender.clone();
                let rig = &rig;
                scope.spawn(move || {
                    for _ in 0..2000 {
                        let mut span = rig.tracer.span("span").start();
                        let id = span.context().span_id.to_string();
                        span.end();
                        sender.send(id).unwrap();
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, Ordering::Release);
        reader.join().unwrap()
    });
    assert_eq!((seen.len(), capture.dropped()), (8000, 0));
}

#[test]
fn traces_are_copied_and_stay() {
    let rig = Rig::new(batches_of(1000), [to("a", &memory())]);
    let capture = rig.pipeline.capture();
    capture.enable(CaptureLimit::default());
    let mut traces = Vec::new();
    for _ in 0..5 {
        let mut parent = rig.tracer.span("parent").start();
        rig.tracer.span("child").parent(Some(parent.context())).start().end();
        traces.push(parent.context().trace_id);
        parent.end();
    }
    for _ in 0..2 {
        let got = captured(capture.by_trace_ids(&traces[1..3]));
        let expected: HashSet<_> = traces[1..3].iter().map(TraceId::to_string).collect();
        assert_eq!(got.len(), 4);
        assert!(got.iter().all(|(trace, _)| expected.contains(trace)));
    }
    assert!(capture.by_trace_ids(&[TraceId::from_int(7).unwrap()]).is_empty());
    assert!(capture.by_trace_ids(&[]).is_empty());
    assert_eq!(captured(capture.drain()).len(), 10);
}

#[test]
fn it_is_bounded_in_spans_and_bytes_and_counts_what_it_leaves_out() {
    let memory = memory();
    let rig = Rig::new(batches_of(1000), [to("a", &memory)]);
    let capture = rig.pipeline.capture();
    capture.enable(CaptureLimit { spans: 10, ..CaptureLimit::default() });
    rig.spans(25);
    assert_eq!(capture.dropped(), 15);
    assert_eq!(captured(capture.drain()).len(), 10);
    rig.spans(1);
    assert_eq!(captured(capture.drain()).len(), 1);

    capture.enable(CaptureLimit { bytes: 1000, ..CaptureLimit::default() });
    for _ in 0..100 {
        let mut span = rig.tracer.span("span").start();
        span.set_attribute("text", "x".repeat(200).as_str());
        span.end();
    }
    let kept = capture.drain();
    assert!((1..5).contains(&captured(kept.clone()).len()) && kept.len() < 1200);
    assert_eq!(capture.dropped(), 115 - captured(kept).len() as u64);
    // None of this costs the destination anything.
    rig.pipeline.flush(SOON).unwrap();
    assert_eq!(rig.stats().destinations[0].exported, 126);
}

#[test]
fn disabling_lets_go_and_enabling_begins_empty() {
    let rig = Rig::new(batches_of(1000), [to("a", &memory())]);
    let capture = rig.pipeline.capture();
    capture.enable(CaptureLimit::default());
    rig.spans(4);
    // Again: only the limit changes.
    capture.enable(CaptureLimit { spans: 5, ..CaptureLimit::default() });
    rig.spans(4);
    assert_eq!((captured(capture.drain()).len(), capture.dropped()), (5, 3));
    rig.spans(1);
    capture.disable();
    rig.spans(1);
    assert!(!capture.is_enabled() && capture.drain().is_empty());
    capture.enable(CaptureLimit::default());
    assert!(capture.drain().is_empty());
    rig.spans(2);
    assert_eq!(captured(capture.drain()).len(), 2);
}

#[test]
fn it_keeps_what_the_pipeline_turns_away() {
    let rig = Rig::new(batches_of(1000), [to("a", &memory())]);
    rig.pipeline.capture().enable(CaptureLimit::default());
    rig.pipeline.shutdown(SOON).unwrap();
    rig.spans(2);
    assert_eq!(rig.stats().destinations[0].dropped[DropReason::Shutdown], 2);
    assert_eq!(captured(rig.pipeline.capture().drain()).len(), 2);
}
