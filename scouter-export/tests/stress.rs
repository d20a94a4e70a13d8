//! The equation at every look: threads that end spans, destinations that fail and hang, forks and a shutdown, all at once.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;
#[path = "common/process.rs"]
mod process;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use common::*;
use process::{alone, in_child, join};
use scouter_export::{BatchConfig, CaptureLimit, Destination, DropReason, Stats};
use scouter_span::Ratio;
use scouter_transport::{BoxFuture, Error, ErrorKind, Payload, Receipt, Transport};

const WRITERS: usize = 4;
const FORKS: usize = 6;
const BUG: &str = "a transport's bug";

/// Answers as chance has it, and keeps nothing.
#[derive(Debug, Default)]
struct Moody {
    chance: AtomicU64,
    taken: Arc<AtomicU64>,
}

impl Transport for Moody {
    fn send(&self, payload: Payload) -> BoxFuture<'_, Result<Receipt, Error>> {
        // Numbers without a pattern, from the golden ratio.
        let number = self.chance.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let number = (number ^ (number >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 56;
        Box::pin(async move {
            match number % 16 {
                0 => return Err(unavailable()),
                1 => return Err(Error::new(ErrorKind::Refused, "no")),
                2 if payload.items > 8 => return Err(Error::new(ErrorKind::TooLarge, "no")),
                3 => panic!("{BUG}"),
                4 | 5 => tokio::time::sleep(Duration::from_micros(number * 10)).await,
                6 => tokio::task::yield_now().await,
                _ => {}
            }
            self.taken.fetch_add(u64::from(payload.items), Ordering::Relaxed);
            Ok(Receipt::default())
        })
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }
}

/// Takes everything and answers nothing.
#[derive(Debug)]
struct Silent;

impl Transport for Silent {
    fn send(&self, _: Payload) -> BoxFuture<'_, Result<Receipt, Error>> {
        Box::pin(std::future::pending())
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(std::future::pending())
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(std::future::pending())
    }
}

/// Everything that holds at any moment.
fn assert_holds(now: &Stats, before: &Stats) {
    assert_sums(now);
    for (to, before) in now.destinations.iter().zip(&before.destinations) {
        assert!(to.settled() >= before.settled() && to.submitted >= before.submitted, "{now:#?} after {before:#?}");
        assert!(to.requests >= before.requests && to.retries >= before.retries, "{now:#?} after {before:#?}");
        assert!(to.submitted >= to.exported + to.failed.total(), "{to:#?}");
        assert!(to.in_flight <= to.queued, "{to:#?}");
        for reason in DropReason::ALL {
            assert!(to.failed[reason] <= to.dropped[reason], "{to:#?}");
        }
    }
}

fn watch(rig: &Rig, done: &AtomicBool) -> u64 {
    let (mut before, mut looks) = (rig.pipeline.stats(), 0);
    while !done.load(Ordering::Relaxed) {
        let now = rig.pipeline.stats();
        assert_holds(&now, &before);
        (before, looks) = (now, looks + 1);
    }
    looks
}

/// Ends spans in all ways there are.
fn write(rig: &Rig, number: usize) {
    let mut parent = rig.tracer.span("parent").start();
    for child in 0..number % 5 {
        let mut span = rig.tracer.span("child").parent(Some(parent.context())).start();
        span.set_attribute("child", child as i64);
        match child {
            0 => drop(span),
            1 => span.abandon(),
            _ => span.end(),
        }
    }
    parent.end();
}

fn storm(taken: &Arc<AtomicU64>) {
    let moody = |name: &'static str, taken: &Arc<AtomicU64>| {
        let taken = Arc::clone(taken);
        Destination::new(name, move || {
            Ok(Arc::new(Moody { taken: Arc::clone(&taken), ..Moody::default() }) as Arc<dyn Transport>)
        })
        .export_timeout(NEVER)
        .retry(quick())
    };
    let config = BatchConfig {
        max_queue_size: 2000,
        max_export_batch_size: 50,
        scheduled_delay: Duration::from_millis(1),
        ..BatchConfig::default()
    };
    let silent = Destination::new("silent", || Ok(Arc::new(Silent) as Arc<dyn Transport>)).export_timeout(NEVER);
    let other = Arc::default();
    let rig = Rig::new(
        config,
        [
            moody("moody", taken),
            silent,
            moody("simple", &other).simple(true),
            moody("thin", &other).sample_ratio(Ratio::new(0.3).unwrap()),
        ],
    );
    rig.pipeline.capture().enable(CaptureLimit { spans: 1000, bytes: 100_000 });
    let (done, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    let looks = std::thread::scope(|scope| {
        let watchers: Vec<_> = (0..2).map(|_| scope.spawn(|| watch(&rig, &done))).collect();
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| {
                scope.spawn(|| {
                    let mut number = 0;
                    while !stop.load(Ordering::Relaxed) {
                        write(&rig, number);
                        number += 1;
                    }
                })
            })
            .collect();
        for _ in 0..FORKS {
            let before = rig.pipeline.stats().started;
            rig.until("gone on", |stats| stats.started > before + 2000);
            let _ = rig.pipeline.flush(Duration::from_millis(2));
            rig.pipeline.capture().drain();
            join(in_child(|| child(&rig)));
        }
        // The threads go on while the pipeline ends.
        let _ = rig.pipeline.shutdown(Duration::from_millis(50));
        let ended = rig.pipeline.stats().ended;
        rig.until("gone on", |stats| stats.ended > ended + 1000);
        stop.store(true, Ordering::Relaxed);
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        let settled = |stats: &Stats| stats.live == 0 && stats.destinations.iter().all(|to| to.queued == 0);
        rig.until("settled", settled);
        done.store(true, Ordering::Relaxed);
        watchers.into_iter().map(|watcher| watcher.join().unwrap()).sum::<u64>()
    });
    assert!(looks > 100, "{looks}");
    let stats = rig.stats();
    assert_eq!(stats.destinations[0].exported, taken.load(Ordering::Relaxed));
    assert!(stats.panics > 0 && stats.destinations[0].dropped[DropReason::Refused] > 0, "{stats:#?}");
    assert!(stats.destinations.iter().all(|to| to.in_flight == 0 && to.waiting_bytes == 0), "{stats:#?}");
    assert_eq!(stats.destinations[1].exported, 0);
}

/// A copy of all that in the middle of it, with this thread only.
fn child(rig: &Rig) {
    let first = rig.pipeline.stats();
    assert_holds(&first, &first);
    assert_eq!((first.ended, first.pending, first.destinations[0].exported), (0, 0, 0));
    assert!(rig.pipeline.capture().drain().is_empty());
    let mut before = first;
    for number in 0..300 {
        write(rig, number);
        let now = rig.pipeline.stats();
        assert_holds(&now, &before);
        before = now;
    }
    assert!(!rig.pipeline.capture().drain().is_empty());
    let _ = rig.pipeline.flush(Duration::from_millis(5));
    assert_holds(&rig.pipeline.stats(), &before);
    let _ = rig.pipeline.shutdown(Duration::from_millis(5));
    write(rig, 3);
    let settled = rig.until("settled", |stats| stats.destinations.iter().all(|to| to.queued == 0));
    assert_holds(&settled, &before);
}

const ALONE: &str = "SCOUTER_TEST_STRESS";

#[test]
#[expect(clippy::disallowed_methods, reason = "the test is told through the environment that it runs alone")]
fn the_equation_holds_at_every_look() {
    if std::env::var_os(ALONE).is_some() {
        // Printing a panic takes a lock of the standard library, and a child of this moment would find it locked for ever.
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if panic.payload_as_str() != Some(BUG) {
                print(panic);
            }
        }));
        storm(&Arc::default());
        return;
    }
    alone("the_equation_holds_at_every_look", ALONE, "1");
}
