//! What the embedded store promises beyond the suite: its directory, its file, its recovery.

use std::sync::Arc;

use rusqlite::Connection;
use scouter_client::{RecordFilters, TagFilters, TraceFilters};
use scouter_server::store::{EmbeddedConfig, Signal, Store, StoreErrorKind, open};
use tempfile::TempDir;

use crate::conformance::suite;
use crate::said::{Said, said};
use crate::traffic::{Given, request, text, trace_id};

/// A directory of its own, which goes when this does.
pub(crate) struct Fresh(TempDir);

impl Fresh {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn config(&self) -> EmbeddedConfig {
        EmbeddedConfig::new(self.0.path().join("data"))
    }

    pub(crate) fn open(&self) -> Arc<dyn Store> {
        open(self.config()).unwrap()
    }

    /// The database, past the store.
    pub(crate) fn database(&self) -> Connection {
        Connection::open(self.0.path().join("data/spans.db")).unwrap()
    }
}

suite!(Fresh::new());

#[tokio::test]
async fn what_was_answered_is_there_after_reopening() {
    let fresh = Fresh::new();
    let spans: Vec<_> = (1..=500).map(|id| Given::new(id % 7, id, None).with("n", text(&id.to_string()))).collect();
    let store = fresh.open();
    for part in spans.chunks(10) {
        store.write(Signal::Traces, request(part)).await.unwrap();
    }
    let before = store.spans(TraceFilters::default()).await.unwrap();
    drop(store);
    let store = fresh.open();
    assert_eq!(store.spans(TraceFilters::default()).await.unwrap(), before);
    assert_eq!(before.len(), 500);
    let written = store.write(Signal::Traces, request(&spans)).await.unwrap();
    assert_eq!((written.stored, written.duplicates), (0, 500));
    store.write(Signal::Traces, request(&[Given::new(8, 501, None)])).await.unwrap();
    store.close().await.unwrap();
    assert_eq!(fresh.open().spans(TraceFilters::default()).await.unwrap().len(), 501);
}

#[tokio::test]
async fn a_directory_has_one_server() {
    let fresh = Fresh::new();
    let store = fresh.open();
    let error = open(fresh.config()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::InUse);
    let words = error.to_string();
    assert!(words.contains("data") && words.contains("another scouter server"), "{words}");
    store.close().await.unwrap();
    fresh.open();
}

#[test]
fn files_of_others_and_of_the_future_are_refused() {
    let fresh = Fresh::new();
    drop(fresh.open());
    fresh.database().pragma_update(None, "user_version", 99).unwrap();
    let error = open(fresh.config()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::UnknownFormat);
    assert!(error.to_string().contains("format 99"), "{error}");

    let foreign = Fresh::new();
    std::fs::create_dir(foreign.config().directory).unwrap();
    foreign.database().execute_batch("CREATE TABLE mine (x)").unwrap();
    let error = open(foreign.config()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::UnknownFormat);

    let text = Fresh::new();
    std::fs::create_dir(text.config().directory).unwrap();
    std::fs::write(
        text.config().directory.join("spans.db"),
        "not a database, but long enough to look like one".repeat(99),
    )
    .unwrap();
    assert_eq!(open(text.config()).unwrap_err().kind(), StoreErrorKind::Corrupt);
}

#[tokio::test]
async fn records_that_could_not_be_written_leave_nothing_and_cost_nothing() {
    let fresh = Fresh::new();
    let store = fresh.open();
    store.write(Signal::Logs, said(&[Said::new(1)])).await.unwrap();
    let database = fresh.database();
    // Fails behind the records, at the end of the transaction.
    database
        .execute_batch("CREATE TRIGGER no BEFORE UPDATE ON record_block BEGIN SELECT RAISE(ABORT, 'no luck'); END")
        .unwrap();
    let later = [Said { trace: Some(2), ..Said::new(2).with("scouter.tag.t", text("v")) }];
    let error = store.write(Signal::Logs, said(&later)).await.unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("no luck"), "{error}");
    database.execute_batch("DROP TRIGGER no").unwrap();
    assert_eq!(store.records(RecordFilters::default()).await.unwrap().items.len(), 1);
    assert!(store.tags(TagFilters::default()).await.unwrap().is_empty());
    let written = store.write(Signal::Logs, said(&later)).await.unwrap();
    assert_eq!((written.stored, written.duplicates), (1, 0));
    assert_eq!(store.records(RecordFilters::trace(trace_id(2))).await.unwrap().items.len(), 1);
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let fresh = Fresh::new();
    std::fs::write(fresh.config().directory, "a file").unwrap();
    let error = open(fresh.config()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Storage);
    assert!(error.to_string().contains("data"), "{error}");
}

#[tokio::test]
async fn a_write_that_failed_leaves_nothing_and_costs_nothing() {
    let fresh = Fresh::new();
    let store = fresh.open();
    store.write(Signal::Traces, request(&[Given::new(1, 1, None)])).await.unwrap();
    // Fails behind the spans, names and blocks, with which the transaction began.
    let database = fresh.database();
    database
        .execute_batch("CREATE TRIGGER no BEFORE INSERT ON trace BEGIN SELECT RAISE(ABORT, 'no luck'); END")
        .unwrap();
    let later = Given { service: "later".to_owned(), ..Given::new(2, 1, None) }.with("scouter.tag.t", text("v"));
    let error = store.write(Signal::Traces, request(std::slice::from_ref(&later))).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (StoreErrorKind::Storage, true));
    assert!(error.to_string().contains("no luck"), "{error}");
    database.execute_batch("DROP TRIGGER no").unwrap();
    assert_eq!(store.trace(trace_id(2)).await.unwrap(), None);
    assert_eq!(store.write(Signal::Traces, request(&[later])).await.unwrap().stored, 1);
    for trace in [1, 2] {
        assert_eq!(store.trace(trace_id(trace)).await.unwrap().unwrap().spans.len(), 1);
    }
    let by_tag = TraceFilters { tags: [("t".to_owned(), "v".to_owned())].into(), ..TraceFilters::default() };
    assert_eq!(store.search(by_tag).await.unwrap().items[0].root_service, "later");
}

#[tokio::test]
async fn a_request_larger_than_the_room_gets_through() {
    let fresh = Fresh::new();
    let store = open(EmbeddedConfig { queue_bytes: 1000, ..fresh.config() }).unwrap();
    let large = Given::new(1, 1, None).with("large", text(&"x".repeat(100_000)));
    let (one, other) = tokio::join!(
        store.write(Signal::Traces, request(&[large])),
        store.write(Signal::Traces, request(&[Given::new(2, 1, None)]))
    );
    assert_eq!((one.unwrap().stored, other.unwrap().stored), (1, 1));
}

#[tokio::test]
async fn damage_is_told_and_not_passed_on() {
    let fresh = Fresh::new();
    let store = fresh.open();
    store.write(Signal::Traces, request(&[Given::new(1, 1, None)])).await.unwrap();
    fresh.database().execute("UPDATE block SET data = x'00'", []).unwrap();
    assert_eq!(store.trace(trace_id(1)).await.unwrap_err().kind(), StoreErrorKind::Corrupt);
}

#[tokio::test]
async fn what_most_traces_have_is_found_as_exactly_as_what_few_have() {
    let fresh = Fresh::new();
    let store = fresh.open();
    // More than 20 000 traces with one tag, more than 64 blocks with one attribute: no index leads to the few that fit.
    let given = |trace: u64| {
        let given = Given { status: if trace.is_multiple_of(10_000) { 2 } else { 0 }, ..Given::new(trace, 1, None) };
        given.with("scouter.tag.env", text("prod")).with("tenth", text(&(trace % 10).to_string()))
    };
    for first in [1, 10_001, 20_001] {
        let traces = first..(first + 10_000).min(20_101);
        store.write(Signal::Traces, request(&traces.map(given).collect::<Vec<_>>())).await.unwrap();
    }
    let large = "x".repeat(150_000);
    for first in (20_101..20_251).step_by(50) {
        let spans: Vec<_> = (first..first + 50).map(|trace| given(trace).with("large", text(&large))).collect();
        store.write(Signal::Traces, request(&spans)).await.unwrap();
    }
    let attributes = |tenth: &str| [("tenth".to_owned(), tenth.into())].into_iter().collect();
    let tags = || [("env".to_owned(), "prod".to_owned())].into();
    let numbers = async |filters: TraceFilters| {
        let page = store.search(TraceFilters { limit: Some(3), ..filters }).await.unwrap();
        page.items.iter().map(|trace| trace.trace_id.to_int() as u64).collect::<Vec<_>>()
    };
    assert_eq!(numbers(TraceFilters { tags: tags(), ..Default::default() }).await, [20_250, 20_249, 20_248]);
    assert_eq!(
        numbers(TraceFilters { attributes: attributes("7"), ..Default::default() }).await,
        [20_247, 20_237, 20_227]
    );
    let both = TraceFilters { tags: tags(), attributes: attributes("7"), ..Default::default() };
    assert_eq!(numbers(both).await, [20_247, 20_237, 20_227]);
    let failed = || TraceFilters { has_errors: Some(true), ..Default::default() };
    assert_eq!(numbers(failed()).await, [20_000, 10_000]);
    assert_eq!(numbers(TraceFilters { tags: tags(), attributes: attributes("0"), ..failed() }).await, [20_000, 10_000]);
    let none: Vec<u64> = Vec::new();
    assert_eq!(numbers(TraceFilters { tags: tags(), attributes: attributes("7"), ..failed() }).await, none);
    assert_eq!(numbers(TraceFilters { attributes: attributes("10"), ..Default::default() }).await, none);
}
