//! Flush, shutdown, drop.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::*;
use scouter_export::{BatchConfig, DropReason, FlushError, Worker};
use scouter_transport::{RetryPolicy, Signal};

const SHORT: Duration = Duration::from_millis(50);

#[test]
fn flush_covers_every_span_ended_before() {
    let (first, second) = (memory(), memory());
    let rig = Rig::new(batches_of(1000), [to("a", &first), to("b", &second)]);
    for round in 1..=20 {
        rig.spans(7);
        rig.pipeline.flush(SOON).unwrap();
        assert_eq!((all_ids(&first).len(), all_ids(&second).len()), (round * 7, round * 7));
    }
    // Nothing to send is sent as nothing.
    rig.pipeline.flush(SOON).unwrap();
    assert_eq!(first.received(), 20);
}

#[test]
fn flush_says_when_the_time_was_too_short() {
    let (good, hanging) = (memory(), memory());
    hanging.hold();
    let rig = Rig::new(batches_of(1000), [to("good", &good), to("hanging", &hanging)]);
    rig.spans(3);
    let start = Instant::now();
    assert_eq!(rig.pipeline.flush(SHORT), Err(FlushError::Timeout { signal: Signal::Traces, remaining: 3 }));
    assert!(start.elapsed() >= SHORT && start.elapsed() < SOON / 4);
    assert_eq!(good.received(), 1);
    // The spans are not lost for that.
    hanging.release();
    rig.pipeline.flush(SOON).unwrap();
    assert_eq!(rig.stats().destinations[1].exported, 3);
}

#[test]
fn flush_says_what_was_lost() {
    let receiver = Scripted::new(|_, _| Err(unavailable()));
    let rig = Rig::new(batches_of(1000), [to("a", &receiver)]);
    rig.spans(3);
    let Err(FlushError::Failed { destination, dropped, reason, .. }) = rig.pipeline.flush(SOON) else {
        panic!("it is told")
    };
    assert_eq!((destination.as_str(), dropped), ("a", 3));
    assert!(reason.contains("as told"), "{reason}");
    // That was then.
    assert_eq!(rig.pipeline.flush(SOON), Ok(()));
}

#[test]
fn shutdown_sends_what_there_is_and_takes_nothing_more() {
    let memory = memory();
    let rig = Rig::new(batches_of(1000), [to("a", &memory)]);
    rig.spans(5);
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| rig.pipeline.shutdown(SOON))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    rig.spans(2);
    assert_eq!((rig.pipeline.shutdown(SOON), rig.pipeline.flush(SOON)), (Ok(()), Ok(())));
    let stats = rig.stats();
    assert_eq!((stats.destinations[0].exported, stats.destinations[0].queued), (5, 0));
    assert_eq!(stats.destinations[0].dropped[DropReason::Shutdown], 2);
    assert_eq!(memory.received(), 1);
}

#[test]
fn shutdown_ends_in_time_and_counts_what_is_left() {
    let hanging = memory();
    hanging.hold();
    let config = BatchConfig { max_concurrent_exports: 2, ..batches_of(1) };
    let rig = Rig::new(config, [to("a", &hanging)]);
    rig.spans(5);
    let start = Instant::now();
    assert_eq!(rig.pipeline.shutdown(10 * SHORT), Err(FlushError::Timeout { signal: Signal::Traces, remaining: 5 }));
    assert!(start.elapsed() < SOON / 4);
    let stats = rig.stats();
    assert_eq!((stats.destinations[0].queued, stats.destinations[0].dropped[DropReason::Shutdown]), (0, 5));
    assert_eq!(rig.pipeline.shutdown(SOON), Err(FlushError::Timeout { signal: Signal::Traces, remaining: 5 }));
    assert_eq!(hanging.received(), 0);
}

#[test]
fn shutdown_while_spans_end_loses_none_uncounted() {
    let memory = memory();
    let rig = Rig::new(BatchConfig::default(), [to("a", &memory)]);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| rig.spans(20_000));
        }
        rig.until("begun", |stats| stats.ended > 1000);
        rig.pipeline.shutdown(SOON).unwrap();
    });
    let stats = rig.stats();
    let to = &stats.destinations[0];
    assert_eq!((stats.started, stats.live, to.queued), (60_000, 0, 0));
    assert_eq!(to.exported + to.dropped[DropReason::Shutdown] + to.dropped[DropReason::QueueFull], 60_000);
    assert_eq!(all_ids(&memory).len() as u64, to.exported);
}

#[test]
fn dropping_the_last_handle_sends_what_there_is() {
    let memory = memory();
    let rig = Rig::new(batches_of(1000), [to("a", &memory)]);
    rig.spans(5);
    drop(rig);
    assert_eq!(all_ids(&memory).len(), 5);
}

#[test]
fn pipelines_share_a_worker_and_end_by_themselves() {
    let worker = Worker::start().unwrap();
    let (first, second) = (memory(), memory());
    let one = Rig::on(&worker, batches_of(1000), [to("a", &first)]);
    let other = Rig::on(&worker, batches_of(1000), [to("a", &second)]);
    one.spans(1);
    other.spans(2);
    one.pipeline.shutdown(SOON).unwrap();
    drop(worker);
    other.spans(2);
    other.pipeline.flush(SOON).unwrap();
    assert_eq!((all_ids(&first).len(), all_ids(&second).len()), (1, 4));
    assert_eq!(one.stats().destinations[0].queued, 0);
}

#[test]
fn the_worker_does_not_wait_for_itself() {
    let slot: Arc<std::sync::OnceLock<Arc<scouter_export::Pipeline>>> = Arc::default();
    let (answers, answer) = std::sync::mpsc::channel();
    let receiver = Scripted::new({
        let slot = Arc::clone(&slot);
        move |_, _| {
            let pipeline = slot.get().unwrap();
            answers.send((pipeline.flush(SOON), pipeline.shutdown(SOON))).unwrap();
            Ok(Duration::ZERO)
        }
    });
    let rig = Rig::new(batches_of(1), [to("a", &receiver)]);
    slot.set(Arc::clone(&rig.pipeline)).unwrap();
    rig.spans(1);
    assert_eq!(answer.recv_timeout(SOON), Ok((Err(FlushError::OnWorker), Err(FlushError::OnWorker))));
    rig.pipeline.flush(SOON).unwrap();
    assert_eq!(receiver.sends.load(Ordering::Relaxed), 1);
}

#[test]
fn abandoned_and_unsampled_spans_have_their_place() {
    let memory = memory();
    let rig = Rig::new(batches_of(1000), [to("a", &memory)]);
    let open = rig.tracer.span("open").start();
    rig.tracer.span("abandoned").start().abandon();
    rig.spans(1);
    let stats = rig.stats();
    assert_eq!((stats.started, stats.live, stats.ended), (3, 1, 1));
    assert_eq!(stats.destinations[0].dropped[DropReason::NeverEnded], 1);
    drop(open);
    rig.pipeline.flush(SOON).unwrap();
    assert_eq!(rig.stats().destinations[0].exported, 2);
}

#[test]
fn a_receiver_that_asks_for_patience_moves_no_deadline() {
    let hour = Duration::from_secs(3600);
    let busy = Scripted::new(move |_, _| Err(unavailable().with_retry_after(hour)));
    let patient = RetryPolicy::new().max_elapsed(hour * 2);
    let rig = Rig::new(batches_of(5), [to("a", &busy).retry(patient)]);
    rig.spans(7);
    assert_eq!(rig.pipeline.flush(SHORT), Err(FlushError::Timeout { signal: Signal::Traces, remaining: 7 }));
    // It was tried once, and waits as it was told.
    assert_eq!(rig.stats().destinations[0].requests, 2);
    let start = Instant::now();
    assert_eq!(rig.pipeline.shutdown(SHORT), Err(FlushError::Timeout { signal: Signal::Traces, remaining: 7 }));
    assert!(start.elapsed() < SOON / 4);
    rig.until("counted", |stats| stats.destinations[0].dropped[DropReason::Shutdown] == 7);
    assert_eq!(busy.sends.load(Ordering::Relaxed), 2);
}

#[test]
fn a_receiver_that_asks_for_more_patience_than_there_is_is_given_up() {
    let hour = Duration::from_secs(3600);
    let busy = Scripted::new(move |_, _| Err(unavailable().with_retry_after(hour)));
    let rig = Rig::new(batches_of(5), [to("a", &busy).retry(RetryPolicy::new().max_elapsed(hour / 2))]);
    rig.spans(5);
    let stats = rig.until("given up", |stats| stats.destinations[0].queued == 0);
    assert_eq!(stats.destinations[0].dropped[DropReason::RetriesExhausted], 5);
    assert_eq!(stats.destinations[0].requests, 1);
}

#[test]
fn several_flushes_wait_side_by_side() {
    let memory = memory();
    memory.hold();
    let worker = Worker::start().unwrap();
    let rigs: Vec<_> = (0..3).map(|_| Rig::on(&worker, batches_of(1000), [to("a", &memory)])).collect();
    rigs.iter().for_each(|rig| rig.spans(1));
    let begun: Vec<_> = rigs.iter().map(|rig| rig.pipeline.begin_flush()).collect();
    // All of them are under way before anyone waits for the first.
    wait(memory.until_waiting(3));
    memory.release();
    assert!(begun.into_iter().all(|flush| flush.wait(SOON).is_ok()));
}
