//! Exporters of the SDK as destinations.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use scouter_export::{DropReason, FlushError, sdk};
use scouter_span::{Scope, StatusCode};

use super::Keeper;
use super::common::*;

#[test]
fn an_exporter_gets_what_other_destinations_get() {
    let (keeper, memory) = (Keeper::default(), memory());
    let made = keeper.clone();
    let rig = Rig::new(batches_of(10), [sdk::destination("sdk", move || Ok(made.clone())), to("memory", &memory)]);
    let other = rig.provider.tracer(Scope::new("other", "2", "https://schema", &[]));
    for _ in 0..25 {
        let mut span = rig.tracer.span("parent").start();
        span.set_attribute("number", 7);
        span.set_status(StatusCode::Error, "no");
        other.span("child").parent(Some(span.context())).start().end();
        span.end();
    }
    rig.pipeline.flush(SOON).unwrap();
    let expected = memory.payloads().iter().flat_map(|payload| sdk::decode(&payload.body).unwrap()).collect::<Vec<_>>();
    let expected: Vec<_> = expected.into_iter().flat_map(|batch| batch.spans).collect();
    assert_eq!(keeper.spans(), expected);
    let kept = keeper.0.lock().unwrap();
    assert_eq!((kept.batches.len(), kept.flushes, kept.resources.len()), (5, 1, 1));
    let name = kept.resources[0].get(&"service.name".into());
    assert_eq!(name.unwrap().as_str(), "test");
    drop(kept);
    rig.pipeline.shutdown(SOON).unwrap();
    assert_eq!(keeper.0.lock().unwrap().shutdowns.len(), 1);
    assert_eq!(rig.stats().destinations[0].exported, 50);
}

#[test]
fn what_an_exporter_fails_is_counted_and_not_sent_again() {
    let keeper = Keeper::default();
    keeper.0.lock().unwrap().answers.push(OTelSdkError::InternalFailure("disk full".into()));
    let made = keeper.clone();
    let rig = Rig::new(batches_of(5), [sdk::destination("sdk", move || Ok(made.clone()))]);
    rig.spans(5);
    let stats = rig.until("refused", |stats| stats.destinations[0].dropped[DropReason::Refused] == 5);
    assert!(stats.destinations[0].last_error.as_deref().unwrap().contains("disk full"));
    rig.spans(5);
    rig.pipeline.flush(SOON).unwrap();
    assert_eq!((rig.stats().destinations[0].exported, keeper.0.lock().unwrap().batches.len()), (5, 2));
}

#[test]
fn an_exporter_that_cannot_be_made_is_tried_with_the_next_batch() {
    let tries = Arc::new(AtomicUsize::new(0));
    let keeper = Keeper::default();
    let (made, counted) = (keeper.clone(), Arc::clone(&tries));
    let make = move || match counted.fetch_add(1, Ordering::Relaxed) {
        0 => Err("no such folder".into()),
        _ => Ok(made.clone()),
    };
    let rig = Rig::new(batches_of(5), [sdk::destination("sdk", make)]);
    rig.spans(5);
    let Err(FlushError::Failed { dropped: 5, reason, .. }) = rig.pipeline.flush(SOON) else { panic!("it is told") };
    assert!(reason.contains("no such folder"), "{reason}");
    rig.spans(10);
    rig.pipeline.flush(SOON).unwrap();
    assert_eq!((keeper.spans().len(), tries.load(Ordering::Relaxed)), (10, 2));
}

/// Blocks its thread in every export until it is let go, and panics when it is told to.
#[derive(Debug)]
struct Blocking {
    begun: Sender<usize>,
    go: Mutex<Receiver<bool>>,
    inside: AtomicUsize,
}

impl SpanExporter for Blocking {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        assert_eq!(self.inside.fetch_add(1, Ordering::SeqCst), 0, "exports never overlap");
        self.begun.send(batch.len()).unwrap();
        let fine = self.go.lock().unwrap().recv().unwrap_or(true);
        self.inside.fetch_sub(1, Ordering::SeqCst);
        assert!(fine, "an exporter's bug");
        Ok(())
    }
}

#[test]
fn an_exporter_that_blocks_holds_nobody_up() {
    let (begun, begins) = channel();
    let (go, wait_for) = channel();
    let exporter = Mutex::new(Some(Blocking { begun, go: Mutex::new(wait_for), inside: AtomicUsize::new(0) }));
    let blocking = sdk::destination("blocking", move || exporter.lock().unwrap().take().ok_or_else(|| "once".into()));
    let good = memory();
    let rig = Rig::new(batches_of(5), [blocking, to("good", &good)]);
    rig.spans(5);
    assert_eq!(begins.recv_timeout(SOON), Ok(5));
    // The exporter sits on its thread, and all of this goes on meanwhile.
    for round in 2..=20 {
        rig.spans(5);
        wait(good.until_received(round));
    }
    assert_eq!(rig.stats().destinations[0].exported, 0);
    go.send(false).unwrap();
    rig.until("lost", |stats| stats.destinations[0].dropped[DropReason::Internal] == 5);
    assert_eq!(rig.stats().panics, 1);
    drop(go);
    rig.pipeline.flush(SOON).unwrap();
    rig.until("exported", |stats| stats.destinations[0].exported == 95);
}

/// Needs the runtime that exporters over tonic need, and makes one of its own as those over blocking clients do.
#[derive(Debug)]
struct Networked(Keeper);

impl SpanExporter for Networked {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        tokio::spawn(async {}).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_micros(10)).await;
        let own = tokio::runtime::Builder::new_current_thread().build().unwrap();
        own.block_on(async {});
        self.0.export(batch).await
    }
}

#[test]
fn exporters_find_a_runtime_and_may_have_their_own() {
    let keeper = Keeper::default();
    let made = keeper.clone();
    let rig = Rig::new(batches_of(5), [sdk::destination("sdk", move || Ok(Networked(made.clone())))]);
    rig.spans(8);
    rig.pipeline.flush(SOON).unwrap();
    assert_eq!(keeper.spans().len(), 8);
    assert_eq!(rig.stats().panics, 0);
}
