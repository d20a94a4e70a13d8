//! started = live + exported + thinned + dropped + queued, at every destination and moment, whatever goes wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::*;
use scouter_export::{BatchConfig, DropReason};
use scouter_span::Ratio;
use scouter_transport::{Error, ErrorKind};

const THREADS: usize = 4;
const SPANS: usize = 25_000;

/// Every kind of trouble in turn.
fn troubled() -> Scripted {
    Scripted::new(|number, payload| match number % 11 {
        1 => Err(unavailable()),
        3 => Err(Error::new(ErrorKind::Refused, "no")),
        5 if payload.items > 8 => Err(Error::new(ErrorKind::TooLarge, "no")),
        7 => panic!("a transport's bug"),
        9 => Ok(Duration::from_millis(2)),
        _ => Ok(Duration::ZERO),
    })
}

#[test]
fn the_sums_are_right_while_everything_goes_wrong() {
    let (bad, thin, small) = (troubled(), memory(), memory());
    let config = BatchConfig {
        max_queue_size: 1024,
        max_export_batch_size: 100,
        scheduled_delay: Duration::from_millis(1),
        ..BatchConfig::default()
    };
    let ratio = Ratio::new(0.3).unwrap();
    let rig = Rig::new(config, [to("bad", &bad), to("thin", &thin).sample_ratio(ratio), to("small", &small)]);
    let done = AtomicBool::new(false);
    let snapshots = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut snapshots = 0u64;
            let mut last = rig.stats();
            while !done.load(Ordering::Relaxed) {
                let now = rig.stats();
                for (now, last) in now.destinations.iter().zip(&last.destinations) {
                    assert!(now.settled() >= last.settled(), "fates do not change");
                }
                last = now;
                snapshots += 1;
            }
            snapshots
        });
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    for number in 0..SPANS {
                        let span = rig.tracer.span("span").start();
                        if number % 100 == 0 {
                            span.abandon()
                        } else {
                            drop(span)
                        }
                        if number % 5000 == 0 {
                            // Its outcome depends on the faults.
                            let _ = rig.pipeline.flush(Duration::from_millis(20));
                        }
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        let _ = rig.pipeline.flush(SOON);
        done.store(true, Ordering::Relaxed);
        watcher.join().unwrap()
    });
    assert!(snapshots > 100, "{snapshots}");

    let stats = rig.stats();
    assert_eq!((stats.started, stats.live, stats.pending), ((THREADS * SPANS) as u64, 0, 0));
    for to in &stats.destinations {
        assert_eq!((to.queued, to.waiting_bytes), (0, 0), "{to:?}");
        assert_eq!(to.dropped[DropReason::NeverEnded], (THREADS * SPANS / 100) as u64);
    }
    assert!(stats.panics > 0 && stats.destinations[0].dropped[DropReason::Refused] > 0, "{stats:#?}");
    let received = [all_ids(&bad.memory), all_ids(&thin), all_ids(&small)].map(|ids| ids.len() as u64);
    for (to, received) in stats.destinations.iter().zip(received) {
        assert_eq!(to.exported, received, "{}", to.name);
    }
}
