//! Random records and spans in random deliveries, asked for by random filters: the store answers what the model answers.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use proptest::prelude::*;
use scouter_client::{RecordFilters, Tag, TagFilters};
use scouter_server::store::{Signal, Store};
use scouter_span::SpanId;

use crate::embedded::Fresh;
use crate::model::Model;
use crate::properties;
use crate::said::{Heard, Said, said};
use crate::traffic::{BASE, Pairs, request, text, trace_id};

fn attributes() -> impl Strategy<Value = Pairs> {
    let key = prop::sample::select(vec![
        "scouter.entity",
        "scouter.space",
        "scouter.name",
        "scouter.version",
        "scouter.alias",
        "scouter.record.id",
        "session.id",
        "scouter.tag.t",
        "scouter.tag.u",
        "k",
    ]);
    let number = (0..3i64).prop_map(|number| ("k".to_owned(), Value::IntValue(number)));
    let texts = (key, 0..3u8).prop_map(|(key, value)| (key.to_owned(), text(&format!("v{value}"))));
    prop::collection::vec(prop_oneof![4 => texts, 1 => number], 0..7)
}

fn record() -> impl Strategy<Value = Said> {
    let ids = (prop::option::of(0..40u8), prop::option::of(0..4u64), prop::option::of(1..4u64));
    (any::<i64>(), ids, 0..20u64, 0..20u64, 0..4u8, 0..3u8, attributes()).prop_map(
        |(body, (uid, trace, span), time, observed, event, service, attributes)| Said {
            body,
            uid: uid.map(|uid| format!("{uid}")),
            time: if time == 0 { 0 } else { BASE + time },
            observed: if observed == 0 { 0 } else { BASE + observed },
            trace,
            span,
            event: ["", "scouter.record.spc", "scouter.record.custom", "login"][usize::from(event)].to_owned(),
            service: format!("service {service}"),
            attributes,
        },
    )
}

fn maybe_text() -> impl Strategy<Value = Option<String>> {
    prop::option::weighted(0.12, (0..4u8).prop_map(|value| format!("v{value}")))
}

fn record_filters() -> impl Strategy<Value = RecordFilters> {
    let ids = (prop::option::weighted(0.2, 0..5u64), prop::option::weighted(0.2, 1..5u64));
    let texts = [(); 7].map(|()| maybe_text());
    let event = (
        prop::option::weighted(0.1, prop::sample::select(vec!["", "login", "scouter.record.spc"])),
        prop::option::weighted(0.15, prop::sample::select(vec!["spc", "custom", "psi"])),
        prop::option::weighted(0.15, 0..4u8),
    );
    let times = (prop::option::weighted(0.2, 0..21u64), prop::option::weighted(0.2, 0..21u64));
    let value = prop_oneof![
        (0..4i64).prop_map(serde_json::Value::from),
        (0..4u8).prop_map(|value| serde_json::Value::from(format!("v{value}")))
    ];
    let content = (
        prop::collection::btree_map(
            prop::sample::select(vec!["t", "u"]).prop_map(str::to_owned),
            (0..4u8).prop_map(|value| format!("v{value}")),
            0..2,
        ),
        prop::collection::vec((prop::sample::select(vec!["k", "session.id"]), value), 0..2),
    );
    (ids, texts, event, times, content).prop_map(
        |((trace, span), texts, (event, kind, service), (from, to), (tags, attributes))| {
            let [entity_uid, space, name, version, alias, record_id, session_id] = texts;
            let mut filters = RecordFilters {
                trace_id: trace.map(trace_id),
                span_id: span.and_then(SpanId::from_int),
                entity_uid,
                space,
                name,
                version,
                alias,
                record_id,
                session_id,
                event_name: event.map(str::to_owned),
                kind: kind.map(str::to_owned),
                service_name: service.map(|service| format!("service {service}")),
                start_time: from.map(|step| BASE + step),
                end_time: to.map(|step| BASE + step),
                tags,
                attributes: attributes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
                ..RecordFilters::default()
            };
            if filters.start_time > filters.end_time && filters.end_time.is_some() {
                std::mem::swap(&mut filters.start_time, &mut filters.end_time);
            }
            filters
        },
    )
}

fn tag_filters() -> impl Strategy<Value = TagFilters> {
    let of = (
        prop::option::weighted(0.3, 0..5u64),
        maybe_text(),
        prop::option::weighted(0.3, 0..21u64),
        prop::option::weighted(0.3, 0..21u64),
    );
    let which = (
        prop::option::weighted(0.3, prop::sample::select(vec!["t", "u", "x"])),
        prop::option::weighted(0.3, prop::sample::select(vec!["v", "v1", "w"])),
        prop::option::weighted(0.3, 1..5u32),
    );
    (of, which)
        .prop_map(|((trace, entity_uid, from, to), (key, prefix, limit))| {
            let (from, to) = if to.is_some() && from > to { (to, from) } else { (from, to) };
            TagFilters {
                key: key.map(str::to_owned),
                value_prefix: prefix.map(str::to_owned),
                entity_uid,
                trace_id: trace.map(trace_id),
                // Spans' starts are half milliseconds apart, records' times nanoseconds: both kinds of bounds are met.
                start_time: from.map(|step| BASE + step * if step % 2 == 0 { 500_000 } else { 1 }),
                end_time: to.map(|step| BASE + 1 + step * 500_000),
                limit,
            }
        })
        .prop_filter("from before to", |filters| filters.validate().is_ok())
}

async fn all_pages(store: &Arc<dyn Store>, filters: &RecordFilters, limit: u32) -> Vec<i64> {
    let mut found = Vec::new();
    let mut filters = RecordFilters { limit: Some(limit), ..filters.clone() };
    loop {
        let page = store.records(filters.clone()).await.unwrap();
        assert!(page.items.len() <= limit as usize);
        found.extend(page.items.iter().map(|record| record.body.as_i64().unwrap()));
        match page.next_cursor {
            Some(cursor) => filters.cursor = Some(cursor),
            None => return found,
        }
    }
}

/// The tags of both models as the API answers them.
fn expected_tags(spans: &Model, records: &Heard, filters: &TagFilters) -> Vec<Tag> {
    let mut counts: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
    for (tag, count) in spans.tags(filters) {
        counts.entry(tag).or_default().0 = count;
    }
    for (tag, count) in records.tags(filters) {
        counts.entry(tag).or_default().1 = count;
    }
    let tags = counts.into_iter().map(|((key, value), (traces, records))| Tag { key, value, traces, records });
    let mut tags: Vec<Tag> = tags
        .filter(|tag| filters.key.as_ref().is_none_or(|key| *key == tag.key))
        .filter(|tag| filters.value_prefix.as_ref().is_none_or(|prefix| tag.value.starts_with(prefix)))
        .collect();
    tags.sort_by_key(|tag| {
        (tag.key.clone(), Reverse(tag.traces + tag.records), Reverse(tag.traces), tag.value.clone())
    });
    tags.truncate(filters.limit.unwrap_or(1000) as usize);
    tags
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn records_and_tags_are_what_the_model_says(
        deliveries in prop::collection::vec((prop::collection::vec(record(), 0..8), 0..4usize), 1..8),
        spans in prop::collection::vec(properties::given(), 0..20),
        asked in prop::collection::vec((record_filters(), 1..6u32), 12),
        tags in prop::collection::vec(tag_filters(), 6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let fresh = Fresh::new();
        let mut store = fresh.open();
        let (mut heard, mut model) = (Heard::default(), Model::default());
        for (records, again) in &deliveries {
            for _ in 0..=(*again / 3) {
                let written = runtime.block_on(store.write(Signal::Logs, said(records))).unwrap();
                let new = heard.add(records);
                prop_assert_eq!((written.stored, written.stored + written.duplicates), (new, records.len() as u64));
            }
            if *again == 1 {
                runtime.block_on(store.close()).unwrap();
                store = fresh.open();
            }
        }
        for span in &spans {
            // One by one: a request has its spans by service, and of two with the same ids the first counts.
            runtime.block_on(store.write(Signal::Traces, request(std::slice::from_ref(span)))).unwrap();
            model.add(span);
        }
        for (filters, limit) in &asked {
            let found = runtime.block_on(all_pages(&store, filters, *limit));
            prop_assert_eq!(found, heard.search(filters), "{:?}", filters);
        }
        for filters in &tags {
            let found = runtime.block_on(store.tags(filters.clone())).unwrap();
            prop_assert_eq!(found, expected_tags(&model, &heard, filters), "{:?}", filters);
        }
    }
}
