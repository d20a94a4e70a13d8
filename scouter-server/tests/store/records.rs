//! What every store promises of records and tags.

use std::collections::BTreeMap;
use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use scouter_client::{Entity, Record, RecordFilters, Tag, TagFilters};
use scouter_server::store::{Signal, Store, StoreErrorKind, Written};
use scouter_span::SpanId;
use serde_json::json;

use crate::said::{Said, said};
use crate::traffic::{BASE, Given, request, text, trace_id};

async fn write(store: &Arc<dyn Store>, records: &[Said]) -> (u64, u64) {
    let written = store.write(Signal::Logs, said(records)).await.unwrap();
    (written.stored, written.duplicates)
}

async fn bodies(store: &Arc<dyn Store>, filters: RecordFilters) -> Vec<i64> {
    store.records(filters).await.unwrap().items.iter().map(|record| record.body.as_i64().unwrap()).collect()
}

pub(crate) async fn everything_said_of_a_record_comes_back(store: Arc<dyn Store>) {
    let given = Said {
        trace: Some(3),
        span: Some(7),
        observed: 5,
        ..Said::new(1)
            .with("scouter.entity", text("e"))
            .with("scouter.space", text("s"))
            .with("scouter.name", text("n"))
            .with("scouter.version", text("1.0"))
            .with("scouter.alias", text("a"))
            .with("scouter.record.id", text("r"))
            .with("session.id", text("x"))
            .with("scouter.tag.env", text("prod"))
            .with("scouter.tag.n", Value::IntValue(5))
            .with("other", Value::DoubleValue(0.1))
    };
    assert_eq!(write(&store, std::slice::from_ref(&given)).await, (1, 0));
    let page = store.records(RecordFilters::default()).await.unwrap();
    assert_eq!(page.next_cursor, None);
    let entity =
        Entity { uid: "e".into(), space: "s".into(), name: "n".into(), version: "1.0".into(), alias: "a".into() };
    let expected = Record {
        time: BASE + 1_000_000,
        observed_time: 5,
        event_name: "scouter.record.custom".into(),
        kind: Some("custom".into()),
        trace_id: Some(trace_id(3)),
        span_id: SpanId::from_int(7),
        flags: 1,
        entity: Some(entity),
        record_id: Some("r".into()),
        session_id: Some("x".into()),
        tags: [("env".to_owned(), "prod".to_owned()), ("n".to_owned(), "5".to_owned())].into(),
        body: json!(1),
        attributes: json!({
            "log.record.uid": "uid 1", "scouter.entity": "e", "scouter.space": "s", "scouter.name": "n", "scouter.version": "1.0",
            "scouter.alias": "a", "scouter.record.id": "r", "session.id": "x", "scouter.tag.env": "prod", "scouter.tag.n": 5,
            "other": 0.1,
        })
        .as_object()
        .unwrap()
        .clone(),
        dropped_attributes_count: 0,
        severity_number: 9,
        severity_text: "INFO".into(),
        service_name: "shop".into(),
        resource: json!({"service.name": "shop"}).as_object().unwrap().clone(),
        scope: scouter_client::Scope { name: "queue".into(), schema_url: "https://example.com/schema".into(), ..Default::default() },
    };
    assert_eq!(page.items, std::slice::from_ref(&expected));
    // What is read is what travels.
    let json = serde_json::to_value(&expected).unwrap();
    assert_eq!((&json["trace_id"], &json["kind"]), (&json!(trace_id(3).to_string()), &json!("custom")));
    assert_eq!(serde_json::from_value::<Record>(json).unwrap(), expected);
}

pub(crate) async fn records_of_other_tools_are_records(store: Arc<dyn Store>) {
    let plain = Said { uid: None, event: String::new(), time: 0, observed: BASE, ..Said::new(1) };
    assert_eq!(write(&store, &[plain.clone(), plain]).await, (2, 0), "two of one request are two");
    let page =
        store.records(RecordFilters { event_name: Some(String::new()), ..RecordFilters::default() }).await.unwrap();
    assert_eq!(page.items.len(), 2);
    let record = &page.items[0];
    assert_eq!((record.time, record.kind.as_ref(), record.entity.as_ref(), record.trace_id), (BASE, None, None, None));
}

pub(crate) async fn a_record_is_stored_once(store: Arc<dyn Store>) {
    let other = |body| Said { uid: None, ..Said::new(body) };
    let batch = [Said::new(1), Said::new(2), other(3), other(3)];
    assert_eq!(write(&store, &batch).await, (4, 0));
    assert_eq!(write(&store, &batch).await, (0, 4), "the same request again");
    assert_eq!(write(&store, &[Said::new(2), Said::new(4)]).await, (1, 1), "one of its records in another request");
    assert_eq!(
        write(&store, &[Said { body: 5, ..Said::new(4) }]).await,
        (0, 1),
        "its id tells a record, whatever else it says"
    );
    assert_eq!(write(&store, &[other(3)]).await, (1, 0), "without an id it is another record in another request");
    assert_eq!(bodies(&store, RecordFilters::default()).await, [4, 3, 3, 3, 2, 1]);
}

pub(crate) async fn ids_of_the_same_millisecond_are_told_apart(store: Arc<dyn Store>) {
    // As time-ordered ids are made by one process that is busy: alike in all but their random part.
    let random = |n: i64| (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let uid = |n| format!("017f22e2-79b0-7{:03x}-8{:03x}-{:012x}", random(n) & 0xfff, n & 0xfff, random(n) >> 16);
    let records: Vec<_> = (0..3000).map(|n| Said { uid: Some(uid(n)), ..Said::new(n) }).collect();
    for part in records.chunks(700) {
        assert_eq!(write(&store, part).await, (part.len() as u64, 0));
    }
    assert_eq!(write(&store, &records).await, (0, 3000));
}

pub(crate) async fn a_session_may_have_any_number_of_records(store: Arc<dyn Store>) {
    for count in [999, 1, 1, 600] {
        let from = bodies(&store, RecordFilters { limit: Some(1), ..RecordFilters::default() }).await;
        let from = from.first().map_or(0, |last| last + 1);
        let of_session = |n: i64| Said::new(n).with("session.id", text("long")).with("scouter.record.id", text("all"));
        let records: Vec<_> = (from..from + count).map(of_session).collect();
        assert_eq!(write(&store, &records).await, (count as u64, 0));
        let all: Vec<i64> = (0..from + count).rev().collect();
        let id = Some("all".to_owned());
        for filters in [
            RecordFilters { session_id: Some("long".to_owned()), ..RecordFilters::default() },
            RecordFilters { record_id: id.clone(), ..RecordFilters::default() },
            RecordFilters { session_id: Some("long".to_owned()), record_id: id, ..RecordFilters::default() },
        ] {
            let (mut found, mut cursor) = (Vec::new(), None);
            loop {
                let page = store.records(RecordFilters { cursor, limit: Some(1000), ..filters.clone() }).await.unwrap();
                found.extend(page.items.iter().map(|record| record.body.as_i64().unwrap()));
                cursor = page.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!(found, all, "{filters:?}");
        }
    }
}

pub(crate) async fn pages_have_no_holes_while_records_arrive(store: Arc<dyn Store>) {
    let at = |n: i64, time: u64| Said { time: BASE + time, ..Said::new(n) };
    let before: Vec<_> = (0..200).map(|n| at(n, n as u64 / 10)).collect();
    write(&store, &before).await;
    let (mut found, mut cursor, mut next) = (Vec::new(), None, 1000);
    loop {
        let page = store.records(RecordFilters { cursor, limit: Some(7), ..RecordFilters::default() }).await.unwrap();
        found.extend(page.items.iter().map(|record| record.body.as_i64().unwrap()));
        // Newer ones, older ones, and ones of the very time at which the page ended.
        let ended = page.items.last().map_or(0, |record| record.time - BASE);
        write(&store, &[at(next, 500), at(next + 1, 0), at(next + 2, ended)]).await;
        next += 3;
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let mut distinct = found.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), found.len(), "none twice");
    found.retain(|&body| body < 1000);
    assert_eq!(found, (0..200).rev().collect::<Vec<_>>(), "all that were there, in their order");
}

pub(crate) async fn an_empty_request_of_records_is_fine_and_another_signal_is_not(store: Arc<dyn Store>) {
    assert_eq!(store.write(Signal::Logs, bytes::Bytes::new()).await.unwrap(), Written::default());
    let error = store.write(Signal::Logs, request(&[Given::new(1, 1, None)])).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (StoreErrorKind::InvalidRequest, false));
    assert!(error.to_string().contains("ExportLogsServiceRequest"), "{error}");
    let bad = store.write(Signal::Logs, bytes::Bytes::from_static(&[0x0a, 0xff]));
    let (bad, good) = tokio::join!(bad, store.write(Signal::Logs, said(&[Said::new(1)])));
    assert_eq!(bad.unwrap_err().kind(), StoreErrorKind::InvalidRequest);
    assert_eq!(good.unwrap().stored, 1);
}

pub(crate) async fn records_are_found_by_what_they_are(store: Arc<dyn Store>) {
    let about = |body, entity: &str| Said::new(body).with("scouter.entity", text(entity));
    let records = [
        Said { trace: Some(1), span: Some(9), ..about(1, "a").with("scouter.tag.env", text("prod")) },
        Said {
            trace: Some(1),
            span: Some(8),
            event: "scouter.record.spc".into(),
            ..about(2, "a").with("scouter.alias", text("x"))
        },
        Said {
            trace: Some(2),
            span: Some(9),
            ..about(3, "b").with("session.id", text("s1")).with("k", Value::IntValue(4))
        },
        Said { service: "bank".into(), event: "login".into(), ..Said::new(4).with("scouter.record.id", text("r4")) },
    ];
    write(&store, &records).await;
    let all = RecordFilters::default;
    let some = |text: &str| Some(text.to_owned());
    for (filters, expected) in [
        (RecordFilters::trace(trace_id(1)), vec![2, 1]),
        (RecordFilters { span_id: SpanId::from_int(9), ..all() }, vec![3, 1]),
        (RecordFilters { span_id: SpanId::from_int(9), ..RecordFilters::trace(trace_id(1)) }, vec![1]),
        (RecordFilters { entity_uid: some("a"), ..all() }, vec![2, 1]),
        (RecordFilters { entity_uid: some("a"), kind: some("spc"), ..all() }, vec![2]),
        (RecordFilters { entity_uid: some("c"), ..all() }, vec![]),
        (RecordFilters { kind: some("custom"), ..all() }, vec![3, 1]),
        (RecordFilters { event_name: some("login"), ..all() }, vec![4]),
        (RecordFilters { kind: some("custom"), event_name: some("login"), ..all() }, vec![]),
        (RecordFilters { alias: some("x"), ..all() }, vec![2]),
        (RecordFilters { session_id: some("s1"), ..all() }, vec![3]),
        (RecordFilters { record_id: some("r4"), ..all() }, vec![4]),
        (RecordFilters { service_name: some("bank"), ..all() }, vec![4]),
        (RecordFilters { tags: [("env".to_owned(), "prod".to_owned())].into(), ..all() }, vec![1]),
        (RecordFilters { attributes: [("k".to_owned(), json!(4.0))].into_iter().collect(), ..all() }, vec![3]),
        (RecordFilters { attributes: [("k".to_owned(), json!("4"))].into_iter().collect(), ..all() }, vec![]),
        (
            RecordFilters { attributes: [("service.name".to_owned(), json!("shop"))].into_iter().collect(), ..all() },
            vec![3, 2, 1],
        ),
        (RecordFilters { start_time: Some(BASE + 2_000_000), end_time: Some(BASE + 4_000_000), ..all() }, vec![3, 2]),
    ] {
        assert_eq!(bodies(&store, filters.clone()).await, expected, "{filters:?}");
    }
}

pub(crate) async fn pages_of_records_are_stable(store: Arc<dyn Store>) {
    let tagged = |body| Said { trace: Some(1), ..Said::new(body).with("scouter.tag.t", text("v")) };
    write(&store, &(0..10).map(|n| tagged(n * 10)).collect::<Vec<_>>()).await;
    let ways = [
        RecordFilters::default(),
        RecordFilters::trace(trace_id(1)),
        RecordFilters { tags: [("t".to_owned(), "v".to_owned())].into(), ..RecordFilters::default() },
    ];
    let mut firsts = Vec::new();
    for filters in &ways {
        let filters = RecordFilters { limit: Some(4), ..filters.clone() };
        let page = store.records(filters.clone()).await.unwrap();
        assert_eq!(page.items.iter().map(|record| record.body.as_i64().unwrap()).collect::<Vec<_>>(), [90, 80, 70, 60]);
        firsts.push((filters, page.next_cursor.unwrap()));
    }
    // Newer ones, one of the time at which the page ended, and an older one.
    let same = Said { time: Said::new(60).time, ..tagged(61) };
    write(&store, &[tagged(99), tagged(65), same, tagged(45)]).await;
    for (filters, cursor) in firsts {
        let mut rest = Vec::new();
        let mut cursor = Some(cursor);
        while let Some(place) = cursor {
            let page = store.records(RecordFilters { cursor: Some(place), ..filters.clone() }).await.unwrap();
            rest.extend(page.items.iter().map(|record| record.body.as_i64().unwrap()));
            cursor = page.next_cursor;
        }
        assert_eq!(rest, [50, 45, 40, 30, 20, 10, 0], "{filters:?}");
    }
    let bad =
        store.records(RecordFilters { cursor: Some("x".to_owned()), ..RecordFilters::default() }).await.unwrap_err();
    assert_eq!((bad.kind(), bad.filter().unwrap().field.as_str()), (StoreErrorKind::InvalidFilter, "cursor"));
    let bad = store.records(RecordFilters { limit: Some(0), ..RecordFilters::default() }).await.unwrap_err();
    assert_eq!(bad.filter().unwrap().field, "limit");
}

fn tag(key: &str, value: &str, traces: u64, records: u64) -> Tag {
    Tag { key: key.to_owned(), value: value.to_owned(), traces, records }
}

pub(crate) async fn tags_are_counted(store: Arc<dyn Store>) {
    let spans = [
        Given::new(1, 1, None).with("scouter.tag.env", text("prod")).with("scouter.entity", text("a")),
        Given::new(1, 2, Some(1)).with("scouter.tag.env", text("prod")),
        Given::new(1, 3, Some(1)).with("scouter.tag.env", text("test")),
        Given::new(2, 1, None).with("scouter.tag.env", text("prod")),
    ];
    store.write(Signal::Traces, request(&spans)).await.unwrap();
    let about = |body, entity: &str| Said { trace: Some(1), ..Said::new(body).with("scouter.entity", text(entity)) };
    let records = [
        about(1, "a").with("scouter.tag.env", text("prod")).with("scouter.tag.team", text("x")),
        about(2, "b").with("scouter.tag.team", text("y")),
        Said { trace: None, ..about(3, "b").with("scouter.tag.team", text("y")) },
    ];
    write(&store, &records).await;
    let all = TagFilters::default;
    let (prod, test) = (tag("env", "prod", 2, 1), tag("env", "test", 1, 0));
    let (x, y) = (tag("team", "x", 0, 1), tag("team", "y", 0, 2));
    for (filters, expected) in [
        (all(), vec![prod.clone(), test.clone(), y.clone(), x.clone()]),
        (TagFilters { limit: Some(3), ..all() }, vec![prod.clone(), test.clone(), y.clone()]),
        (TagFilters { key: Some("team".into()), ..all() }, vec![y.clone(), x.clone()]),
        (TagFilters { key: Some("tea".into()), ..all() }, vec![]),
        (TagFilters { value_prefix: Some("t".into()), ..all() }, vec![test.clone()]),
        (TagFilters { entity_uid: Some("a".into()), ..all() }, vec![tag("env", "prod", 1, 1), test.clone(), x.clone()]),
        (TagFilters { entity_uid: Some("nobody".into()), ..all() }, vec![]),
        (
            TagFilters { trace_id: Some(trace_id(1)), ..all() },
            vec![tag("env", "prod", 1, 1), test.clone(), x, tag("team", "y", 0, 1)],
        ),
        (TagFilters { trace_id: Some(trace_id(9)), ..all() }, vec![]),
        (TagFilters { start_time: Some(BASE + 1_500_000_000), ..all() }, vec![tag("env", "prod", 1, 0)]),
    ] {
        assert_eq!(store.tags(filters.clone()).await.unwrap(), expected, "{filters:?}");
    }
    let bad = store.tags(TagFilters { limit: Some(0), ..all() }).await.unwrap_err();
    assert_eq!(bad.filter().unwrap().field, "limit");
}

pub(crate) async fn large_and_many_records_come_back(store: Arc<dyn Store>) {
    let given = |n: i64| {
        let size = if n % 100 == 0 { 300_000 } else { n as usize % 700 };
        // Not in the order of their times, and a hundred of each time.
        let time = BASE + (n as u64 * 7919 % 2000) / 100 * 1_000_000;
        let trace = Some(n as u64 % 50);
        Said {
            time,
            trace,
            ..Said::new(n).with("large", text(&"x".repeat(size))).with("tenth", Value::IntValue(n % 10))
        }
    };
    let records: Vec<_> = (0..2000).map(given).collect();
    let mut heard = crate::said::Heard::default();
    for part in records.chunks(130) {
        assert_eq!(write(&store, part).await.0, heard.add(part));
    }
    assert_eq!(write(&store, &records[..500]).await, (0, 500), "out of full blocks, too");
    let attributes: serde_json::Map<_, _> = [("tenth".to_owned(), json!(3))].into_iter().collect();
    for filters in [
        RecordFilters::default(),
        RecordFilters { attributes, ..RecordFilters::default() },
        RecordFilters::trace(trace_id(7)),
        RecordFilters {
            start_time: Some(BASE + 3_000_000),
            end_time: Some(BASE + 9_000_000),
            ..RecordFilters::default()
        },
    ] {
        let mut found = Vec::new();
        let mut cursor = None;
        loop {
            let filters = RecordFilters { limit: Some(333), cursor, ..filters.clone() };
            let page = store.records(filters).await.unwrap();
            found.extend(page.items.iter().map(|record| record.body.as_i64().unwrap()));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, heard.search(&filters), "{filters:?}");
    }
    let counts: BTreeMap<_, _> = heard.tags(&TagFilters::default());
    assert!(counts.is_empty() && store.tags(TagFilters::default()).await.unwrap().is_empty());
}
