//! Exactly once: the same spans and records in several batches, over every protocol, at the same time, and again after a restart.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

#[path = "store/said.rs"]
mod said;
mod support;
#[path = "store/traffic.rs"]
mod traffic;

use std::path::Path;

use bytes::Bytes;
use http::Request;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use said::{Said, said};
use scouter_server::{Config, Server};
use serde_json::Value;
use support::client::{JSON, PROTOBUF, frame, http2, send};
use tokio::sync::oneshot;
use traffic::{Given, request};

const SERVICES: [(&str, &str); 2] = [
    ("/v1/traces", "/opentelemetry.proto.collector.trace.v1.TraceService/Export"),
    ("/v1/logs", "/opentelemetry.proto.collector.logs.v1.LogsService/Export"),
];

/// Sends one body over HTTP as it is.
async fn post(uri: String, content_type: &str, body: Bytes) {
    let request = Request::post(uri).header("content-type", content_type).body(body.into()).unwrap();
    let answer = send(request).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn in_json(signal: usize, body: &Bytes) -> Bytes {
    let json = match signal {
        0 => serde_json::to_vec(&ExportTraceServiceRequest::decode(body.clone()).unwrap()),
        _ => serde_json::to_vec(&ExportLogsServiceRequest::decode(body.clone()).unwrap()),
    };
    json.unwrap().into()
}

/// Sends everything over every protocol at the same time, in batches that are cut in other places for each.
async fn storm(directory: &Path) -> Value {
    let mut config = Config::new(directory);
    config.listen.set_port(0);
    let server = Server::bind(config).await.unwrap();
    let addr = server.local_addr();
    let (stop, stopped) = oneshot::channel::<()>();
    let served = tokio::spawn(server.serve(async {
        stopped.await.unwrap();
    }));
    let spans: Vec<_> = (0..240).map(|n| Given::new(n / 8 + 1, n % 8 + 1, (n % 8 > 0).then_some(1))).collect();
    let records: Vec<_> = (0..240).map(|n| Said { trace: Some(n / 8 + 1), ..Said::new(n as i64) }).collect();
    let mut sending = tokio::task::JoinSet::new();
    for size in [7, 20, 240] {
        let batches =
            [spans.chunks(size).map(request).collect::<Vec<_>>(), records.chunks(size).map(said).collect::<Vec<_>>()];
        for (signal, batches) in batches.into_iter().enumerate() {
            let (path, method) = SERVICES[signal];
            for body in batches {
                let uri = format!("http://{addr}{path}");
                sending.spawn(post(uri.clone(), PROTOBUF, body.clone()));
                sending.spawn(post(uri, JSON, in_json(signal, &body)));
                sending.spawn(async move {
                    let call = Request::post(format!("http://{addr}{method}"));
                    let call = call.header("te", "trailers").header("content-type", "application/grpc");
                    let answer = http2(addr, call.body(frame(0, &body).into()).unwrap()).await;
                    assert_eq!(answer.header("grpc-status"), "0", "{answer:?}");
                });
            }
        }
    }
    while let Some(sent) = sending.join_next().await {
        sent.unwrap();
    }
    let get =
        async |path: &str| send(Request::get(format!("http://{addr}{path}")).body(Bytes::new().into()).unwrap()).await;
    let traces = get("/api/v1/traces/search?limit=1000").await.json();
    let traces = traces["items"].as_array().unwrap().clone();
    assert_eq!(traces.len(), 30);
    assert!(traces.iter().all(|trace| trace["span_count"] == 8));
    let found = get("/api/v1/records?limit=1000").await.json();
    let bodies: Vec<_> = found["items"].as_array().unwrap().iter().map(|record| record["body"].clone()).collect();
    assert_eq!(bodies, (0..240).rev().map(Value::from).collect::<Vec<_>>());
    let metrics = get("/metrics").await.text();
    let count = |name: &str| -> Value {
        let start = format!("scouter_server_{name}_total ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&start)).unwrap();
        line.parse::<u64>().unwrap().into()
    };
    let counts = ["spans_stored", "spans_duplicate", "records_stored", "records_duplicate"].map(count);
    stop.send(()).unwrap();
    served.await.unwrap().unwrap();
    counts.to_vec().into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_nine_times_at_once_over_three_protocols_is_stored_once() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(storm(directory.path()).await, serde_json::json!([240, 8 * 240, 240, 8 * 240]));
    assert_eq!(storm(directory.path()).await, serde_json::json!([0, 9 * 240, 0, 9 * 240]), "after a restart");
}
