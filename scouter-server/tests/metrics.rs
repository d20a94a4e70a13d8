//! What `/metrics` says: every counter explained, and numbers that add up whatever happened.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

#[path = "store/said.rs"]
mod said;
mod support;
#[path = "store/traffic.rs"]
mod traffic;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use http::Method;
use said::{Said, said};
use support::TestServer;
use support::client::{EXPORT, JSON, PROTOBUF, call, frame, get, grpc, post_protobuf};
use support::memory::Behaviour;
use support::request::{self, encode};

/// What dashboards and alerts are made of: names change only on purpose.
const FAMILIES: [(&str, &str); 21] = [
    ("scouter_server_bytes_total", "counter"),
    ("scouter_server_connections_open", "gauge"),
    ("scouter_server_connections_total", "counter"),
    ("scouter_server_dead_letters_lost_total", "counter"),
    ("scouter_server_dead_letters_total", "counter"),
    ("scouter_server_in_flight_bytes", "gauge"),
    ("scouter_server_ingest_seconds", "histogram"),
    ("scouter_server_message_bytes_total", "counter"),
    ("scouter_server_messages_received_total", "counter"),
    ("scouter_server_messages_redelivered_total", "counter"),
    ("scouter_server_panics_total", "counter"),
    ("scouter_server_records_duplicate_total", "counter"),
    ("scouter_server_records_received_total", "counter"),
    ("scouter_server_records_rejected_total", "counter"),
    ("scouter_server_records_stored_total", "counter"),
    ("scouter_server_requests_total", "counter"),
    ("scouter_server_spans_duplicate_total", "counter"),
    ("scouter_server_spans_received_total", "counter"),
    ("scouter_server_spans_rejected_total", "counter"),
    ("scouter_server_spans_stored_total", "counter"),
    ("scouter_server_store_errors_total", "counter"),
];

/// The values of `/metrics`, and the type of each family. Fails where the text is not what Prometheus reads.
async fn scrape(server: &TestServer) -> (BTreeMap<String, f64>, BTreeMap<String, String>) {
    let answer = get(server, "/metrics").await;
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let (mut values, mut kinds, mut helped) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    let mut family = String::new();
    for line in answer.text().lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').unwrap();
            assert!(words.ends_with('.') && helped.insert(name.to_owned()), "{line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(helped.contains(name), "{line}");
            assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}: twice");
            family = name.to_owned();
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let own = name.split('{').next().unwrap();
            let rest = own.strip_prefix(family.as_str());
            let is_own = rest.is_some_and(|rest| match kinds[&family].as_str() {
                "histogram" => ["_bucket", "_sum", "_count"].contains(&rest),
                _ => rest.is_empty(),
            });
            assert!(is_own, "{line} stands below {family}");
            assert!(values.insert(name.to_owned(), value.parse().unwrap()).is_none(), "{line}: twice");
        }
    }
    (values, kinds)
}

#[tokio::test]
async fn every_number_is_explained_and_there_from_the_start() {
    let server = TestServer::start().await;
    let (values, kinds) = scrape(&server).await;
    let kinds: Vec<_> = kinds.iter().map(|(name, kind)| (name.as_str(), kind.as_str())).collect();
    assert_eq!(kinds, FAMILIES);
    for receiver in ["kafka", "rabbitmq"] {
        for name in ["messages_received", "message_bytes", "messages_redelivered", "dead_letters_lost"] {
            assert_eq!(values[&format!("scouter_server_{name}_total{{receiver=\"{receiver}\"}}")], 0.0);
        }
        for reason in ["malformed", "too_large", "unsupported", "rejected"] {
            let labels = format!("receiver=\"{receiver}\",reason=\"{reason}\"");
            assert_eq!(values[&format!("scouter_server_dead_letters_total{{{labels}}}")], 0.0);
        }
    }
}

/// received, stored, duplicate, and rejected for whatever reason.
async fn counts(server: &TestServer, items: &str) -> [f64; 4] {
    let (values, _) = scrape(server).await;
    ["received", "stored", "duplicate", "rejected"].map(|what| {
        let name = format!("scouter_server_{items}_{what}_total");
        values.iter().filter(|(full, _)| full.split('{').next() == Some(&name)).map(|(_, value)| value).sum()
    })
}

#[tokio::test]
async fn what_was_received_is_stored_or_duplicate_or_rejected_whatever_happens() {
    let server = TestServer::start().await;
    let logs = async |content_type: &str, body: Bytes| {
        call(&server, Method::POST, "/v1/logs", &[("content-type", content_type)], body).await.status.as_u16()
    };
    let three = || said(&[Said::new(1), Said::new(2), Said { trace: Some(1), ..Said::new(3) }]);
    let mut bad = request::with_spans(4);
    let spans = &mut bad.resource_spans[0].scope_spans[0].spans;
    spans[0].trace_id = vec![0; 16];
    spans[1].span_id = vec![1];
    let good = encode(&request::with_spans(5));
    assert_eq!(post_protobuf(&server, good.clone()).await.status, 200);
    assert_eq!(grpc(&server, EXPORT, &[], frame(0, &good)).await.header("grpc-status"), "0");
    assert_eq!(post_protobuf(&server, encode(&bad)).await.status, 200);
    assert_eq!(logs(PROTOBUF, three()).await, 200);
    // What cannot be decoded has no items that could be counted.
    assert_eq!(logs(PROTOBUF, Bytes::from_static(&[0x0a, 0xff])).await, 400);
    assert_eq!(logs(JSON, Bytes::from_static(b"{")).await, 400);
    assert_eq!(counts(&server, "spans").await, [14.0, 7.0, 5.0, 2.0]);
    assert_eq!(counts(&server, "records").await, [3.0, 3.0, 0.0, 0.0]);
    for (behaviour, status) in [(Behaviour::Fail, 503), (Behaviour::Panic, 500)] {
        server.store.behave(behaviour);
        assert_eq!(post_protobuf(&server, encode(&bad)).await.status, status);
        assert_eq!(logs(PROTOBUF, three()).await, status);
    }
    assert_eq!(counts(&server, "spans").await, [22.0, 7.0, 5.0, 10.0]);
    assert_eq!(counts(&server, "records").await, [9.0, 3.0, 0.0, 6.0]);
    server.store.behave(Behaviour::Store);
    server.assert_unharmed().await;
}
