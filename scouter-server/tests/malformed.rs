//! Whatever bytes come: an answer of 2xx or 4xx, no panic, nothing left in flight.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

#[path = "store/said.rs"]
mod said;
mod support;
#[path = "store/traffic.rs"]
mod traffic;

use bytes::Bytes;
use http::Method;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use support::TestServer;
use support::client::{EXPORT, JSON, PROTOBUF, call, frame, grpc, post, post_gzip};
use support::request::{self, gzip};
use tokio::runtime::Runtime;

/// A change to a body.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize),
    Cut(Index),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (at(), 0..8u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        (at(), vec(any::<u8>(), 1..12)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (at(), 1..20usize).prop_map(|(at, count)| Change::Remove(at, count)),
        (at(), 1..40usize).prop_map(|(at, count)| Change::Repeat(at, count)),
        at().prop_map(Change::Cut),
    ]
}

fn changed(body: &[u8], changes: &[Change]) -> Bytes {
    let mut body = body.to_vec();
    for change in changes {
        if body.is_empty() {
            break;
        }
        let length = body.len();
        match change {
            Change::Set(at, byte) => body[at.index(length)] = *byte,
            Change::Flip(at, bit) => body[at.index(length)] ^= 1 << bit,
            Change::Insert(at, bytes) => drop(body.splice(at.index(length)..at.index(length), bytes.iter().copied())),
            Change::Remove(at, count) => drop(body.drain(at.index(length)..(at.index(length) + count).min(length))),
            Change::Repeat(at, count) => {
                let part = body[at.index(length)..(at.index(length) + count).min(length)].to_vec();
                body.splice(at.index(length)..at.index(length), part);
            }
            Change::Cut(at) => body.truncate(at.index(length)),
        }
    }
    body.into()
}

#[test]
fn changed_requests_are_answered() {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(TestServer::start());
    let sent = request::with_spans(3);
    let protobuf = request::encode(&sent);
    let json = serde_json::to_vec(&sent).unwrap();
    let records = said::said(&[said::Said { trace: Some(1), span: Some(2), ..said::Said::new(1) }, said::Said::new(2)]);
    let decoded = <ExportLogsServiceRequest as prost::Message>::decode(records.clone()).unwrap();
    let records_in_json = serde_json::to_vec(&decoded).unwrap();
    let strategy = (0..7usize, vec(change(), 0..6));
    let mut runner = TestRunner::new(Config { cases: 1000, failure_persistence: None, ..Config::default() });
    runner
        .run(&strategy, |(way, changes)| {
            runtime.block_on(async {
                let answer = match way {
                    0 => post(&server, PROTOBUF, changed(&protobuf, &changes)).await,
                    1 => post(&server, JSON, changed(&json, &changes)).await,
                    2 => post_gzip(&server, PROTOBUF, changed(&gzip(&protobuf), &changes)).await,
                    3 => post_gzip(&server, PROTOBUF, gzip(&changed(&protobuf, &changes))).await,
                    4 => {
                        let body = changed(&records, &changes);
                        call(&server, Method::POST, "/v1/logs", &[("content-type", PROTOBUF)], body).await
                    }
                    5 => {
                        let body = changed(&records_in_json, &changes);
                        call(&server, Method::POST, "/v1/logs", &[("content-type", JSON)], body).await
                    }
                    _ => grpc(&server, EXPORT, &[], changed(&frame(0, &protobuf), &changes)).await,
                };
                let refused = answer.status.is_client_error() || ["3", "8"].contains(&answer.header("grpc-status"));
                prop_assert!(answer.status.is_success() || refused, "{answer:?}");
                if !answer.header("grpc-status").is_empty() {
                    prop_assert!(answer.header("grpc-status") == "0" || refused, "{answer:?}");
                }
                Ok(())
            })
        })
        .unwrap();
    runtime.block_on(async {
        assert_eq!(server.metric("scouter_server_panics_total").await, 0.0);
        server.assert_unharmed().await;
    });
}
