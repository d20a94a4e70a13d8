//! Databases that earlier servers wrote, and what happens to them.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use scouter_client::{RecordFilters, TagFilters, TraceFilters};
use scouter_server::store::{EmbeddedConfig, Signal, open};

use crate::embedded::Fresh;
use crate::said::{Said, said};
use crate::traffic::{Given, request, text};

/// Set in the program that is killed: the directory to open.
const DIRECTORY: &str = "SCOUTER_TEST_FORMAT_DIRECTORY";

/// A database that the first version wrote: 40 traces of 5 spans.
const VERSION_1: &[u8] = include_bytes!("version-1.db.zst");

/// A database that the second version wrote: 40 traces of one span, 2000 records in 4 blocks. Record `n` is called `r{n % 300}`, its
/// session `s{n % 7}`.
const VERSION_2: &[u8] = include_bytes!("version-2.db.zst");

fn with(database: &[u8]) -> Fresh {
    let fresh = Fresh::new();
    std::fs::create_dir(fresh.config().directory).unwrap();
    std::fs::write(fresh.config().directory.join("spans.db"), zstd::decode_all(database).unwrap()).unwrap();
    fresh
}

fn version(fresh: &Fresh) -> i64 {
    fresh.database().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

fn called(record_id: &str) -> RecordFilters {
    RecordFilters { record_id: Some(record_id.to_owned()), ..RecordFilters::default() }
}

fn of_session(session_id: &str) -> RecordFilters {
    RecordFilters { session_id: Some(session_id.to_owned()), limit: Some(1000), ..RecordFilters::default() }
}

#[tokio::test]
async fn a_database_of_the_first_version_goes_on() {
    let fresh = with(VERSION_1);
    assert_eq!(version(&fresh), 1);
    for round in 0..2 {
        let store = fresh.open();
        assert_eq!(version(&fresh), 3);
        let page = store.search(TraceFilters { limit: Some(1000), ..TraceFilters::default() }).await.unwrap();
        assert_eq!(page.items.len(), 40 + round);
        assert!(page.items[round..].iter().all(|trace| trace.span_count == 5));
        assert_eq!(store.services().await.unwrap()[..2], ["service 0", "service 1"]);
        let failed =
            TraceFilters { has_errors: Some(true), entity_uid: Some("entity-1".to_owned()), ..Default::default() };
        assert_eq!(store.spans(failed).await.unwrap().len(), 10);
        let tags =
            store.tags(TagFilters { value_prefix: Some("t".to_owned()), ..TagFilters::default() }).await.unwrap();
        assert_eq!((tags[0].value.as_str(), tags[0].traces, tags[0].records), ("test", 20, 0));
        let new = Given::new(1000, 1, None);
        let written = store.write(Signal::Traces, request(&[new])).await.unwrap();
        assert_eq!(written.stored, u64::from(round == 0));
        let written = store.write(Signal::Logs, said(&[Said::new(1), Said::new(2)])).await.unwrap();
        assert_eq!((written.stored, written.duplicates), if round == 0 { (2, 0) } else { (0, 2) });
        assert_eq!(store.records(RecordFilters::default()).await.unwrap().items.len(), 2);
        store.close().await.unwrap();
    }
}

async fn check_version_2(fresh: &Fresh, round: usize) {
    let store = fresh.open();
    assert_eq!(version(fresh), 3);
    let page = store.search(TraceFilters { limit: Some(1000), ..TraceFilters::default() }).await.unwrap();
    assert_eq!(page.items.len(), 40);
    let bodies = async |filters| -> Vec<i64> {
        store.records(filters).await.unwrap().items.iter().map(|record| record.body.as_i64().unwrap()).collect()
    };
    assert_eq!(bodies(called("r17")).await, [1817, 1517, 1217, 917, 617, 317, 17]);
    let session: Vec<i64> = (0..2000).rev().filter(|n| n % 7 == 3).collect();
    assert_eq!(bodies(of_session("s3")).await, session);
    let named = fresh.database().query_row("SELECT count(*) FROM record_names", [], |row| row.get::<_, i64>(0));
    assert_eq!(named.unwrap(), 4 + round as i64, "one for each block");
    let again = Said { body: 5, ..Said::new(1999) }.with("scouter.record.id", text("r17"));
    assert_eq!(store.write(Signal::Logs, said(&[again])).await.unwrap().duplicates, 1);
    let new = Said::new(5000 + round as i64).with("scouter.record.id", text("new"));
    assert_eq!(store.write(Signal::Logs, said(&[new])).await.unwrap().stored, 1);
    assert_eq!(bodies(called("new")).await.len(), 1 + round);
    store.close().await.unwrap();
}

#[tokio::test]
async fn records_of_the_second_version_are_found_by_their_names() {
    let fresh = with(VERSION_2);
    assert_eq!(version(&fresh), 2);
    for round in 0..2 {
        check_version_2(&fresh, round).await;
    }
}

/// The part of the next test that is killed. Does nothing unless that test has started it.
#[test]
fn opens_until_it_is_killed() {
    #[expect(clippy::disallowed_methods, reason = "the other test tells it what to do through the environment")]
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    println!("\nopening");
    let _store = open(EmbeddedConfig::new(directory)).unwrap();
    println!("\nopened");
    loop {
        thread::park();
    }
}

#[tokio::test]
async fn a_database_that_was_being_brought_up_loses_nothing_to_kill_9() {
    for round in 0..24 {
        let fresh = with(VERSION_2);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["formats::opens_until_it_is_killed", "--exact", "--nocapture"])
            .env(DIRECTORY, fresh.config().directory)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line == "opening"));
        // Somewhere in the middle: no event tells where.
        thread::sleep(Duration::from_micros(1500 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!([2, 3].contains(&version(&fresh)), "all of it or nothing");
        check_version_2(&fresh, 0).await;
    }
}

#[tokio::test]
async fn a_named_record_is_found_without_looking_at_the_others() {
    let fresh = with(VERSION_2);
    drop(fresh.open());
    // Going by their other filters every block might have it; whoever looks finds them unreadable.
    let spoil = "UPDATE record_block SET data = x'00', bloom = x'ffffffff'";
    assert_eq!(fresh.database().execute(spoil, []).unwrap(), 4);
    let store = fresh.open();
    let new = [
        Said { trace: Some(1), ..Said::new(9000) }.with("scouter.record.id", text("rare")),
        Said::new(9001).with("session.id", text("rare")),
    ];
    assert_eq!(store.write(Signal::Logs, said(&new)).await.unwrap().stored, 2);
    for filters in [called("rare"), of_session("rare")] {
        assert_eq!(store.records(filters).await.unwrap().items.len(), 1);
    }
    for nothing in ["r", "rarer", ""] {
        assert!(store.records(called(nothing)).await.unwrap().items.is_empty());
    }
    let both = RecordFilters { session_id: Some("nobody".to_owned()), ..called("r17") };
    assert!(store.records(both).await.unwrap().items.is_empty(), "a block has to have both");
    store.records(called("r17")).await.unwrap_err();
    store.records(RecordFilters { alias: Some("x".to_owned()), ..RecordFilters::default() }).await.unwrap_err();
}
