//! A pipeline with nothing to do.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;

use std::fs;
use std::time::{Duration, Instant};

use common::*;
use scouter_export::BatchConfig;

/// How often the worker's thread has gone to sleep so far, and the time it has spent at work.
fn worker() -> (u64, Duration) {
    let tasks = fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let named = |path: &std::path::PathBuf| {
        fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "scouter-worker")
    };
    let path = tasks.into_iter().find(named).expect("there is one worker");
    let status = fs::read_to_string(path.join("status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap();
    let sleeps = line.split_whitespace().last().unwrap().parse().unwrap();
    let schedule = fs::read_to_string(path.join("schedstat")).unwrap();
    let busy = schedule.split_whitespace().next().unwrap().parse().unwrap();
    (sleeps, Duration::from_nanos(busy))
}

#[test]
fn an_idle_pipeline_uses_no_processor() {
    let (batched, simple) = (memory(), memory());
    let rig = Rig::new(BatchConfig::default(), [to("batched", &batched), to("simple", &simple).simple(true)]);
    // A rush first, in which the worker looks by itself every millisecond: it has to stop doing so.
    rig.spans(5000);
    rig.pipeline.flush(SOON).unwrap();
    // It is at rest once it has slept through a tenth of a second. Only time can show that.
    let rest = |length: Duration| {
        let before = worker();
        std::thread::sleep(length);
        let after = worker();
        (after.0 - before.0, after.1 - before.1)
    };
    let start = Instant::now();
    while rest(Duration::from_millis(100)).0 > 0 {
        assert!(start.elapsed() < SOON, "the worker never rests");
    }
    let (sleeps, busy) = rest(Duration::from_millis(500));
    // It looks once in five seconds.
    assert!(sleeps <= 1 && busy < Duration::from_millis(2), "woken {sleeps} times, at work for {busy:?}");
}
