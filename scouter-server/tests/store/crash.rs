//! A server that is killed the moment after it answered has what it answered.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use scouter_client::{RecordFilters, TraceFilters};
use scouter_server::store::{EmbeddedConfig, Signal, open};

use crate::said::{Said, said};
use crate::traffic::{Given, request, text, trace_id};

/// Set in the program that is killed: the directory to write into.
const DIRECTORY: &str = "SCOUTER_TEST_CRASH_DIRECTORY";

fn batch(number: u64) -> bytes::Bytes {
    let spans: Vec<_> = (1..=20)
        .map(|id| Given::new(number, id, (id > 1).then_some(1)).with("batch", text(&number.to_string())))
        .collect();
    request(&spans)
}

/// Some with ids, some without.
fn records(number: u64) -> bytes::Bytes {
    let record = |n: u64| {
        let body = (number * 20 + n) as i64;
        Said { trace: Some(number), uid: n.is_multiple_of(2).then(|| body.to_string()), ..Said::new(body) }
    };
    said(&(0..20).map(record).collect::<Vec<_>>())
}

/// The part of [`what_was_acknowledged_survives_kill_9`] that is killed. Does nothing unless that test has started it.
#[test]
fn writes_until_it_is_killed() {
    #[expect(clippy::disallowed_methods, reason = "the other test tells it what to do through the environment")]
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let store = open(EmbeddedConfig::new(directory)).unwrap();
    for number in 1.. {
        runtime.block_on(store.write(Signal::Traces, batch(number))).unwrap();
        runtime.block_on(store.write(Signal::Logs, records(number))).unwrap();
        println!("\nstored {number}");
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    for answers in [1, 40] {
        let path = directory.path().join(answers.to_string());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["crash::writes_until_it_is_killed", "--exact", "--nocapture"])
            .env(DIRECTORY, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while line.trim_end() != format!("stored {answers}") {
            line.clear();
            assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the writer ended by itself");
        }
        // SIGKILL: nothing in the child gets to run any more.
        child.kill().unwrap();
        child.wait().unwrap();
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        let told =
            rest.lines().filter_map(|line| line.strip_prefix("stored ")).filter_map(|number| number.parse().ok());
        let told: u64 = told.max().unwrap_or(answers);

        let store = open(EmbeddedConfig::new(&path)).unwrap();
        for number in 1..=told {
            let trace = runtime.block_on(store.trace(trace_id(number))).unwrap().unwrap();
            assert_eq!(trace.spans.len(), 20, "trace {number} of {told}");
            let written = runtime.block_on(store.write(Signal::Traces, batch(number))).unwrap();
            assert_eq!((written.stored, written.duplicates), (0, 20));
            let filters = RecordFilters::trace(trace_id(number));
            assert_eq!(runtime.block_on(store.records(filters)).unwrap().items.len(), 20, "records {number} of {told}");
            let written = runtime.block_on(store.write(Signal::Logs, records(number))).unwrap();
            assert_eq!((written.stored, written.duplicates), (0, 20));
        }
        let filters = TraceFilters { limit: Some(1000), ..TraceFilters::default() };
        let traces = runtime.block_on(store.search(filters)).unwrap().items;
        assert!(traces.iter().all(|trace| trace.span_count == 20), "a batch is there whole or not at all");
    }
}
