//! What every store promises. Each function gets an empty store; `suite!` runs them all on one kind of store.

use std::collections::BTreeSet;
use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::any_value::Value as Recorded;
use scouter_client::TraceFilters;
use scouter_server::store::{Signal, Store, StoreErrorKind, Written};
use scouter_span::view::{SpanKind, StatusCode};
use serde_json::json;

use crate::traffic::{BASE, Given, everything, message, request, text, trace_id};

/// Makes a test of each function here. `$fresh` makes something that holds an empty store and has `open`.
macro_rules! suite {
    (in $module:ident: $fresh:expr, [$($name:ident),* $(,)?]) => {$(
        #[tokio::test]
        async fn $name() {
            let fresh = $fresh;
            $crate::$module::$name(fresh.open()).await;
        }
    )*};
    ($fresh:expr) => {
        $crate::conformance::suite!(in conformance: $fresh, [
            a_trace_comes_back_whole,
            everything_said_of_a_span_comes_back,
            what_is_unknown_is_not_found,
            a_span_is_stored_once,
            spans_with_invalid_ids_are_passed_over,
            an_empty_request_is_fine,
            bytes_that_are_no_request_are_refused,
            a_refused_request_costs_no_other,
            a_trace_grows_with_every_delivery,
            writers_at_the_same_time_lose_nothing,
            large_and_many_spans_come_back,
            attributes_are_found_exactly,
            pages_end_and_bad_cursors_are_named,
            services_are_listed,
            a_closed_store_says_so,
        ]);
        $crate::conformance::suite!(in records: $fresh, [
            everything_said_of_a_record_comes_back,
            records_of_other_tools_are_records,
            a_record_is_stored_once,
            an_empty_request_of_records_is_fine_and_another_signal_is_not,
            records_are_found_by_what_they_are,
            pages_of_records_are_stable,
            pages_have_no_holes_while_records_arrive,
            ids_of_the_same_millisecond_are_told_apart,
            a_session_may_have_any_number_of_records,
            tags_are_counted,
            large_and_many_records_come_back,
        ]);
    };
}
pub(crate) use suite;

async fn write(store: &Arc<dyn Store>, spans: &[Given]) -> (u64, u64) {
    let written = store.write(Signal::Traces, request(spans)).await.unwrap();
    (written.stored, written.duplicates)
}

async fn found(store: &Arc<dyn Store>, filters: TraceFilters) -> Vec<String> {
    store.search(filters).await.unwrap().items.into_iter().map(|trace| trace.trace_id.to_string()).collect()
}

pub(crate) async fn a_trace_comes_back_whole(store: Arc<dyn Store>) {
    let spans = [Given::new(1, 3, Some(2)), Given::new(1, 1, None), Given::new(2, 9, None), Given::new(1, 2, Some(1))];
    assert_eq!(write(&store, &spans).await, (4, 0));
    let trace = store.trace(trace_id(1)).await.unwrap().unwrap();
    let seen: Vec<_> = trace.spans.iter().map(|span| (span.name.as_str(), span.depth, span.orphan)).collect();
    assert_eq!(seen, [("span 1", 0, false), ("span 2", 1, false), ("span 3", 2, false)]);
    assert_eq!((trace.summary.span_count, trace.summary.root_name.as_str()), (3, "span 1"));
    let page = store.search(TraceFilters::default()).await.unwrap();
    assert_eq!(page.items[1], trace.summary);
    assert_eq!(page.items.iter().map(|trace| trace.trace_id).collect::<Vec<_>>(), [trace_id(2), trace_id(1)]);
    assert_eq!(store.spans(TraceFilters::trace(trace_id(1))).await.unwrap(), trace.spans);
}

pub(crate) async fn everything_said_of_a_span_comes_back(store: Arc<dyn Store>) {
    store.write(Signal::Traces, everything()).await.unwrap();
    let trace = store.trace(trace_id(1)).await.unwrap().unwrap();
    let span = &trace.spans[0];
    assert_eq!(
        (span.kind, span.status.code, span.status.message.as_str()),
        (SpanKind::Client, StatusCode::Error, "no luck")
    );
    assert_eq!((span.trace_state.as_str(), span.flags, span.orphan), ("vendor=1", 0x101, true));
    assert_eq!((span.start_time, span.end_time, span.duration_ns), (BASE, BASE + 5, 5));
    assert_eq!((span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count), (2, 4, 6));
    let attributes = json!({
        "text": "<b>é</b>", "int": i64::MIN, "double": 0.1, "not a number": "NaN", "bytes": "+/8=",
        "list": [i64::MAX, null], "map": {"inner": true}, "scouter.tag.env": "prod", "scouter.entity": "entity-1",
    });
    assert_eq!(serde_json::Value::Object(span.attributes.clone()), attributes);
    assert_eq!(json!(span.resource), json!({"service.name": "shop", "host.name": "h1"}));
    assert_eq!((span.scope.name.as_str(), span.scope.version.as_str()), ("library", "2.0"));
    assert_eq!(
        (span.scope.schema_url.as_str(), json!(span.scope.attributes)),
        ("https://example.com/scope", json!({"k": "v"}))
    );
    let (event, link) = (&span.events[0], &span.links[0]);
    assert_eq!((event.time, event.name.as_str(), event.dropped_attributes_count), (BASE + 2, "exception", 3));
    assert_eq!((link.trace_id, link.span_id.map(|id| id.to_int()), link.flags), (Some(trace_id(2)), Some(7), 1));
    assert_eq!((json!(event.attributes), json!(link.attributes)), (json!({"k": "v"}), json!({"k": "v"})));
    for (key, value) in span.attributes.iter().chain(&span.resource) {
        let attributes = [(key.clone(), value.clone())].into_iter().collect();
        let filters = TraceFilters { attributes, ..TraceFilters::default() };
        assert_eq!(found(&store, filters).await.len(), 1, "{key} = {value}");
    }
}

pub(crate) async fn what_is_unknown_is_not_found(store: Arc<dyn Store>) {
    write(&store, &[Given::new(1, 1, None)]).await;
    assert_eq!(store.trace(trace_id(2)).await.unwrap(), None);
    for filters in [
        TraceFilters { service_name: Some("nobody".to_owned()), ..TraceFilters::default() },
        TraceFilters { span_name: Some("nothing".to_owned()), ..TraceFilters::default() },
        TraceFilters { tags: [("no".to_owned(), "tag".to_owned())].into(), ..TraceFilters::default() },
        TraceFilters { entity_uid: Some("no-one".to_owned()), ..TraceFilters::default() },
        TraceFilters { trace_ids: Some(vec![]), ..TraceFilters::default() },
        TraceFilters { end_time: Some(0), ..TraceFilters::default() },
    ] {
        assert!(found(&store, filters.clone()).await.is_empty(), "{filters:?}");
        assert!(store.spans(filters).await.unwrap().is_empty());
    }
}

pub(crate) async fn a_span_is_stored_once(store: Arc<dyn Store>) {
    let spans = [Given::new(1, 1, None), Given::new(1, 2, Some(1))];
    assert_eq!(write(&store, &spans).await, (2, 0));
    let before = store.trace(trace_id(1)).await.unwrap();
    assert_eq!(write(&store, &spans).await, (0, 2));
    // A span with the same ids and another content changes nothing, neither alone nor next to a new one.
    let other =
        Given { name: "other".to_owned(), service: "other".to_owned(), status: 2, start: 5, ..spans[1].clone() };
    let other = other.with("scouter.tag.t", text("v"));
    assert_eq!(write(&store, std::slice::from_ref(&other)).await, (0, 1));
    assert_eq!(store.trace(trace_id(1)).await.unwrap(), before);
    assert_eq!(store.search(TraceFilters::default()).await.unwrap().items, [before.unwrap().summary]);
    assert_eq!(write(&store, &[other, Given::new(1, 3, Some(1)), Given::new(1, 3, Some(1))]).await, (1, 2));
    assert_eq!(store.trace(trace_id(1)).await.unwrap().unwrap().spans.len(), 3);
    assert!(store.services().await.unwrap().contains(&"shop".to_owned()));
    let by_tag = TraceFilters { tags: [("t".to_owned(), "v".to_owned())].into(), ..TraceFilters::default() };
    assert!(found(&store, by_tag).await.is_empty());
}

pub(crate) async fn spans_with_invalid_ids_are_passed_over(store: Arc<dyn Store>) {
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    let good = (trace_id(1).to_bytes().to_vec(), 1u64.to_be_bytes().to_vec());
    let ids = [good.clone(), (vec![0; 16], good.1.clone()), (good.0.clone(), vec![1; 7]), (vec![], vec![])];
    let spans = ids.map(|(trace_id, span_id)| Span { trace_id, span_id, ..Span::default() }).to_vec();
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let written =
        store.write(Signal::Traces, message(vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }])).await;
    assert_eq!(written.unwrap(), Written { stored: 1, duplicates: 0 });
    let span = store.trace(trace_id(1)).await.unwrap().unwrap().spans.remove(0);
    assert_eq!((span.name.as_str(), span.service_name.as_str(), span.start_time), ("", "", 0));
}

pub(crate) async fn an_empty_request_is_fine(store: Arc<dyn Store>) {
    assert_eq!(store.write(Signal::Traces, bytes::Bytes::new()).await.unwrap(), Written::default());
    assert!(found(&store, TraceFilters::default()).await.is_empty());
}

pub(crate) async fn bytes_that_are_no_request_are_refused(store: Arc<dyn Store>) {
    let error = store.write(Signal::Traces, bytes::Bytes::from_static(&[0x0a, 0xff])).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (StoreErrorKind::InvalidRequest, false));
}

pub(crate) async fn a_refused_request_costs_no_other(store: Arc<dyn Store>) {
    let bad = store.write(Signal::Traces, bytes::Bytes::from_static(&[0x0a, 0xff]));
    let good = store.write(Signal::Traces, request(&[Given::new(1, 1, None)]));
    let (bad, good) = tokio::join!(bad, good);
    assert!(bad.is_err());
    assert_eq!(good.unwrap().stored, 1);
}

pub(crate) async fn a_trace_grows_with_every_delivery(store: Arc<dyn Store>) {
    // Children first, from other services, each earlier than what was there: everything about the trace has to move.
    let other = |id, service: &str, status| {
        let start = BASE + 10_000_000 - id * 1_000_000;
        Given { service: service.to_owned(), status, start, ..Given::new(1, id, (id < 4).then_some(id + 1)) }
    };
    for (span, services) in [
        (other(1, "c", 0), vec!["c"]),
        (other(2, "b", 2), vec!["b", "c"]),
        (other(3, "a", 0), vec!["a", "b", "c"]),
        (other(4, "c", 0), vec!["a", "b", "c"]),
    ] {
        write(&store, std::slice::from_ref(&span)).await;
        let trace = store.trace(trace_id(1)).await.unwrap().unwrap();
        assert_eq!(trace.summary.services, services);
        assert_eq!((trace.summary.start_time, trace.summary.root_span_id.to_int()), (span.start, span.id));
        for service in services {
            let filters = TraceFilters { service_name: Some(service.to_owned()), ..TraceFilters::default() };
            assert_eq!(store.search(filters).await.unwrap().items, std::slice::from_ref(&trace.summary), "{service}");
        }
    }
}

pub(crate) async fn writers_at_the_same_time_lose_nothing(store: Arc<dyn Store>) {
    let writers = (0..8u64).map(|writer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let mut stored = 0;
            for round in 0..25u64 {
                // Half of what each writer sends, its neighbour sends too.
                let shared = Given::new(1000 + (writer / 2) * 100 + round, 1, None);
                let own = Given::new(writer * 100 + round, 1, None);
                stored += write(&store, &[shared, own]).await.0;
            }
            stored
        })
    });
    let mut stored = 0;
    for writer in writers.collect::<Vec<_>>() {
        stored += writer.await.unwrap();
    }
    assert_eq!(stored, 8 * 25 + 4 * 25);
    let filters = TraceFilters { limit: Some(1000), ..TraceFilters::default() };
    let ids: BTreeSet<_> = found(&store, filters).await.into_iter().collect();
    assert_eq!(ids.len(), 300);
}

pub(crate) async fn large_and_many_spans_come_back(store: Arc<dyn Store>) {
    let large = "x".repeat(1 << 20);
    let span = |trace: u64, id: u64| {
        let noise: String =
            (0..20u64).map(|n| format!("{:x}", (id * 31 + n).wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
        Given::new(trace, id, (id > 1).then_some(1))
            .with("noise", text(&noise))
            .with("id", Recorded::IntValue(id as i64))
    };
    assert_eq!(write(&store, &[span(1, 1).with("large", text(&large)), span(1, 2)]).await, (2, 0));
    for part in 0..4 {
        let spans: Vec<_> = (1..=1000).map(|id| span(2, part * 1000 + id)).collect();
        assert_eq!(write(&store, &spans).await, (1000, 0));
    }
    let trace = store.trace(trace_id(1)).await.unwrap().unwrap();
    assert_eq!(trace.spans[0].attributes["large"], large);
    let trace = store.trace(trace_id(2)).await.unwrap().unwrap();
    assert_eq!(trace.spans.len(), 4000);
    assert!(trace.spans.iter().all(|span| span.attributes["id"] == span.span_id.to_int()));
    let filters =
        TraceFilters { attributes: [("id".to_owned(), json!(3456))].into_iter().collect(), ..Default::default() };
    assert_eq!(found(&store, filters).await, [trace_id(2).to_string()]);
}

pub(crate) async fn attributes_are_found_exactly(store: Arc<dyn Store>) {
    write(
        &store,
        &[
            Given::new(1, 1, None).with("k", Recorded::IntValue(200)),
            Given::new(2, 1, None).with("k", text("200")),
            Given::new(3, 1, None).with("k", Recorded::DoubleValue(200.0)),
            // The last value of a key counts.
            Given::new(4, 1, None).with("k", Recorded::IntValue(200)).with("k", Recorded::IntValue(1)),
            // A span's own value hides its resource's.
            Given { resource: vec![("k".to_owned(), Recorded::IntValue(200))], ..Given::new(5, 1, None) },
            Given { resource: vec![("k".to_owned(), Recorded::IntValue(200))], ..Given::new(6, 1, None) }
                .with("k", text("no")),
            // Two spans that each have a half are not one that has both.
            Given::new(7, 1, None).with("k", Recorded::IntValue(200)),
            Given::new(7, 2, None).with("l", Recorded::BoolValue(true)),
            Given::new(8, 1, None).with("k", Recorded::IntValue(200)).with("l", Recorded::BoolValue(true)),
        ],
    )
    .await;
    let ids = |ids: &[u64]| ids.iter().map(|id| trace_id(*id).to_string()).collect::<Vec<_>>();
    let by = |attributes: serde_json::Value| TraceFilters {
        attributes: attributes.as_object().unwrap().clone(),
        ..TraceFilters::default()
    };
    assert_eq!(found(&store, by(json!({"k": 200}))).await, ids(&[8, 7, 5, 3, 1]));
    assert_eq!(found(&store, by(json!({"k": "200"}))).await, ids(&[2]));
    assert_eq!(found(&store, by(json!({"k": 200, "l": true}))).await, ids(&[8]));
    assert_eq!(found(&store, by(json!({"service.name": "shop", "k": 1}))).await, ids(&[4]));
    assert!(found(&store, by(json!({"k": null}))).await.is_empty());
}

pub(crate) async fn pages_end_and_bad_cursors_are_named(store: Arc<dyn Store>) {
    // All begin at the same time: the order among them must hold from page to page all the same.
    let spans: Vec<_> = (1..=10).map(|trace| Given { start: BASE, ..Given::new(trace, 1, None) }).collect();
    write(&store, &spans).await;
    let mut filters = TraceFilters { limit: Some(5), ..TraceFilters::default() };
    let first = store.search(filters.clone()).await.unwrap();
    filters.cursor = first.next_cursor.clone();
    let second = store.search(filters.clone()).await.unwrap();
    assert_eq!((first.items.len(), second.items.len(), second.next_cursor), (5, 5, None));
    let ids: BTreeSet<_> = first.items.iter().chain(&second.items).map(|trace| trace.trace_id).collect();
    assert_eq!(ids.len(), 10);
    filters.cursor = Some("no such place".to_owned());
    let error = store.search(filters).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::InvalidFilter);
    assert_eq!(error.filter().map(|filter| filter.field.as_str()), Some("cursor"));
    let error = store.spans(TraceFilters { limit: Some(0), ..TraceFilters::default() }).await.unwrap_err();
    assert_eq!(error.filter().map(|filter| filter.field.as_str()), Some("limit"));
}

pub(crate) async fn services_are_listed(store: Arc<dyn Store>) {
    assert!(store.services().await.unwrap().is_empty());
    for (trace, service) in [(1, "shop"), (2, "bank"), (3, "shop"), (4, ""), (5, "cart")] {
        write(&store, &[Given { service: service.to_owned(), ..Given::new(trace, 1, None) }]).await;
    }
    assert_eq!(store.services().await.unwrap(), ["bank", "cart", "shop"]);
}

pub(crate) async fn a_closed_store_says_so(store: Arc<dyn Store>) {
    write(&store, &[Given::new(1, 1, None)]).await;
    store.close().await.unwrap();
    store.close().await.unwrap();
    let error = store.write(Signal::Traces, request(&[Given::new(2, 1, None)])).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Closed);
    assert_eq!(store.trace(trace_id(1)).await.unwrap_err().kind(), StoreErrorKind::Closed);
}
