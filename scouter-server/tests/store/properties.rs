//! Random spans in random deliveries, searched by random filters: the store finds what the model finds.

use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::any_value::Value as Recorded;
use proptest::prelude::*;
use scouter_client::{TraceFilters, TraceSummary};
use scouter_server::store::{Signal, Store};
use scouter_span::view::StatusCode;
use serde_json::Value;

use crate::embedded::Fresh;
use crate::model::{Expected, Model};
use crate::traffic::{BASE, Given, request, text, trace_id};

fn recorded() -> impl Strategy<Value = Recorded> {
    prop_oneof![
        (0..3i64).prop_map(Recorded::IntValue),
        (0..3i64).prop_map(|value| Recorded::DoubleValue(value as f64 / 2.0)),
        any::<bool>().prop_map(Recorded::BoolValue),
        (0..3u8).prop_map(|value| text(&value.to_string())),
    ]
}

fn attributes() -> impl Strategy<Value = Vec<(String, Recorded)>> {
    let key = prop::sample::select(vec!["a", "b", "host"]).prop_map(str::to_owned);
    let tag = (prop::sample::select(vec!["scouter.tag.t", "scouter.tag.u", "scouter.entity"]), 0..3u8)
        .prop_map(|(key, value)| (key.to_owned(), text(&format!("v{value}"))));
    prop::collection::vec(prop_oneof![(key, recorded()), tag], 0..4)
}

pub(crate) fn given() -> impl Strategy<Value = Given> {
    let place = (0..12u64, 1..8u64, prop::option::of(1..8u64));
    let look = (0..3u8, 0..3u8, 0..40u64, 0..6u64, 0..3i32);
    let resource = prop::option::of(recorded());
    (place, look, attributes(), resource).prop_map(|((trace, id, parent), look, attributes, resource)| Given {
        trace,
        id,
        parent,
        service: format!("service {}", look.0),
        name: format!("name {}", look.1),
        start: BASE + look.2 * 500_000,
        duration: look.3 * 500_000,
        status: look.4,
        attributes,
        resource: resource.map(|value| ("host".to_owned(), value)).into_iter().collect(),
    })
}

fn filters() -> impl Strategy<Value = TraceFilters> {
    let often = |strategy: BoxedStrategy<u64>| prop::option::weighted(0.25, strategy);
    let value = recorded().prop_map(|value| match value {
        Recorded::IntValue(value) => Value::from(value),
        Recorded::DoubleValue(value) => Value::from(value),
        Recorded::BoolValue(value) => Value::from(value),
        Recorded::StringValue(value) => Value::from(value),
        other => panic!("{other:?} is not recorded"),
    });
    let traces = (often((0..14u64).boxed()), prop::option::weighted(0.1, prop::collection::vec(0..14u64, 0..6)));
    let span = (often((0..4u64).boxed()), often((0..4u64).boxed()), often((0..3u64).boxed()));
    let trace = (prop::option::weighted(0.25, any::<bool>()), often((0..40u64).boxed()), often((0..40u64).boxed()));
    let lasts = (often((0..12u64).boxed()), often((0..12u64).boxed()));
    let key = prop::sample::select(vec!["a", "b", "host", "service.name"]);
    let content = (
        prop::collection::vec((key, value), 0..2),
        prop::collection::vec((prop::sample::select(vec!["t", "u"]), 0..4u8), 0..2),
        prop::option::weighted(0.2, 0..4u8),
    );
    (traces, span, trace, lasts, content).prop_map(|(traces, span, trace, lasts, content)| {
        let mut filters = TraceFilters {
            trace_id: traces.0.filter(|number| number % 2 == 0).map(trace_id),
            trace_ids: traces.1.map(|ids| ids.into_iter().map(trace_id).collect()),
            service_name: span.0.map(|number| format!("service {number}")),
            span_name: span.1.map(|number| format!("name {number}")),
            status_code: span.2.map(StatusCode::from_number),
            has_errors: trace.0,
            start_time: trace.1.map(|step| BASE + step * 500_000),
            end_time: trace.2.map(|step| BASE + step * 500_000),
            min_duration_ms: lasts.0.map(|step| step as f64 / 2.0),
            max_duration_ms: lasts.1.map(|step| step as f64 / 2.0),
            attributes: content.0.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            tags: content.1.into_iter().map(|(key, value)| (key.to_owned(), format!("v{value}"))).collect(),
            entity_uid: content.2.map(|value| format!("v{value}")),
            ..TraceFilters::default()
        };
        if filters.start_time > filters.end_time && filters.end_time.is_some() {
            std::mem::swap(&mut filters.start_time, &mut filters.end_time);
        }
        if filters.min_duration_ms > filters.max_duration_ms && filters.max_duration_ms.is_some() {
            std::mem::swap(&mut filters.min_duration_ms, &mut filters.max_duration_ms);
        }
        filters
    })
}

fn seen(trace: &TraceSummary) -> Expected {
    Expected {
        id: trace.trace_id,
        start: trace.start_time,
        duration: trace.duration_ns,
        spans: trace.span_count,
        errors: trace.error_count,
        root: trace.root_span_id.to_int(),
    }
}

/// Every page after the other. Panics where a page is not as long as it says, or pages do not end.
async fn all_pages(store: &Arc<dyn Store>, filters: &TraceFilters, limit: u32) -> Vec<Expected> {
    let mut filters = TraceFilters { limit: Some(limit), ..filters.clone() };
    let mut found = Vec::new();
    loop {
        let page = store.search(filters.clone()).await.unwrap();
        found.extend(page.items.iter().map(seen));
        match page.next_cursor {
            Some(_) => assert_eq!(page.items.len(), limit as usize, "only the last page is short"),
            None => return found,
        }
        assert!(found.len() < 100, "pages do not end");
        filters.cursor = page.next_cursor;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_store_finds_what_the_model_finds(
        deliveries in prop::collection::vec(prop::collection::vec(given(), 0..12), 1..8),
        searches in prop::collection::vec((filters(), 1..6u32), 25),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let fresh = Fresh::new();
        let store = fresh.open();
        let mut model = Model::default();
        for spans in &deliveries {
            let written = runtime.block_on(store.write(Signal::Traces, request(spans))).unwrap();
            // The sender's order decides which of two spans with one id is kept, but services go together.
            let mut sent: Vec<&Given> = Vec::new();
            for span in spans {
                let first = |other: &Given| other.service == span.service && other.resource == span.resource;
                let at = sent.iter().rposition(|other| first(other)).map_or(sent.len(), |at| at + 1);
                sent.insert(at, span);
            }
            let stored = sent.iter().filter(|span| model.add(span)).count() as u64;
            prop_assert_eq!((written.stored, written.duplicates), (stored, spans.len() as u64 - stored));
        }
        for (filters, limit) in &searches {
            let expected = model.search(filters);
            let mut found = runtime.block_on(all_pages(&store, filters, *limit));
            prop_assert!(found.is_sorted_by_key(|trace| std::cmp::Reverse(trace.start)), "newest first");
            found.sort_by_key(|trace| (std::cmp::Reverse(trace.start), trace.id));
            prop_assert_eq!(&found, &expected, "{:?}", filters);
            let spans = runtime.block_on(store.spans(filters.clone())).unwrap();
            prop_assert_eq!(spans.len() as u64, expected.iter().map(|trace| trace.spans).sum::<u64>());
        }
    }
}
