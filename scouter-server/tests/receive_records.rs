//! Records over HTTP and gRPC, with the rules that hold for spans.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

#[path = "store/said.rs"]
mod said;
mod support;
#[path = "store/traffic.rs"]
mod traffic;

use bytes::Bytes;
use http::Method;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use prost::Message;
use said::{Said, said};
use serde_json::{Value, json};
use support::TestServer;
use support::client::{Answer, JSON, PROTOBUF, call, frame, grpc};
use support::memory::Behaviour;
use support::request::{gzip, zip_bomb};
use tonic::Code;
use tonic::codec::CompressionEncoding;

const EXPORT: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

async fn post(server: &TestServer, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
    call(server, Method::POST, "/v1/logs", headers, body.into()).await
}

fn two() -> Bytes {
    said(&[Said { trace: Some(1), span: Some(2), ..Said::new(1) }, Said { trace: None, ..Said::new(2) }])
}

fn two_in_json() -> String {
    serde_json::to_string(&ExportLogsServiceRequest::decode(two()).unwrap()).unwrap()
}

#[tokio::test]
async fn records_are_stored_unchanged_and_answered_with_nothing_more() {
    let server = TestServer::start().await;
    let (plain, packed) = ([("content-type", PROTOBUF)], [("content-type", PROTOBUF), ("content-encoding", "gzip")]);
    for answer in [post(&server, &plain, two()).await, post(&server, &packed, gzip(&two())).await] {
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, PROTOBUF), "{answer:?}");
        assert_eq!(answer.body, "");
    }
    let in_json = [("content-type", "application/json; charset=utf-8")];
    let answer = post(&server, &in_json, two_in_json().to_uppercase_ids()).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, JSON), "{answer:?}");
    assert_eq!(answer.json(), json!({}));
    let packed = [("content-type", JSON), ("content-encoding", "gzip")];
    assert_eq!(post(&server, &packed, gzip(two_in_json().as_bytes())).await.status, 200);
    let sent = ExportLogsServiceRequest::decode(two()).unwrap();
    let stored = server.store.requests();
    assert_eq!(stored[..2], [two(), two()]);
    for bytes in &stored {
        assert_eq!(ExportLogsServiceRequest::decode(bytes.clone()).unwrap(), sent);
    }
    assert_eq!((server.store.records(), server.store.spans()), (8, 0));
    assert_eq!(server.metric("scouter_server_records_received_total").await, 8.0);
    assert_eq!(server.metric("scouter_server_records_stored_total").await, 8.0);
    assert_eq!(server.metric("scouter_server_spans_received_total").await, 0.0);
    assert_eq!(server.metric("scouter_server_requests_total{protocol=\"http/json\",status=\"ok\"}").await, 2.0);
    server.assert_unharmed().await;
}

trait UppercaseIds {
    fn to_uppercase_ids(self) -> String;
}

impl UppercaseIds for String {
    /// The ids of the same request in upper case, which OTLP allows as well.
    fn to_uppercase_ids(self) -> String {
        let mut json: Value = serde_json::from_str(&self).unwrap();
        let record = &mut json["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
        for id in ["traceId", "spanId"] {
            record[id] = record[id].as_str().unwrap().to_uppercase().into();
        }
        json.to_string()
    }
}

#[tokio::test]
async fn ids_that_are_none_cost_a_record_its_trace_and_nothing_else() {
    let server = TestServer::start().await;
    let body = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [
        {"traceId": "abcd", "spanId": ""}, {"traceId": "0".repeat(32)}, {},
    ]}]}]});
    let answer = post(&server, &[("content-type", JSON)], body.to_string()).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({})));
    assert_eq!(server.store.records(), 3);
}

#[tokio::test]
async fn empty_requests_and_unknown_fields_are_fine() {
    let server = TestServer::start().await;
    assert_eq!(post(&server, &[("content-type", PROTOBUF)], "").await.status, 200);
    for body in
        ["{}", r#"{"resourceLogs":[]}"#, r#"{"new": {"x": [1]}, "resourceLogs": [{"other": null, "scopeLogs": []}]}"#]
    {
        assert_eq!(post(&server, &[("content-type", JSON)], body).await.status, 200, "{body}");
    }
    assert!(server.store.requests().is_empty(), "nothing to write");
    let mut more = two().to_vec();
    // Field 1000, a varint.
    more.extend([0xc0, 0x3e, 5]);
    assert_eq!(post(&server, &[("content-type", PROTOBUF)], more).await.status, 200);
    assert_eq!(server.store.records(), 2);
}

#[tokio::test]
async fn what_is_no_request_of_records_is_refused_in_words() {
    let server = TestServer::start_with(|config| config.max_request_bytes = 1 << 20).await;
    let spans = support::request::encode(&support::request::with_spans(1));
    for (content_type, body, status, words) in [
        (PROTOBUF, spans, 400, "not an ExportLogsServiceRequest in protobuf"),
        (PROTOBUF, Bytes::from_static(&[0x0a, 0xff]), 400, "not an ExportLogsServiceRequest in protobuf"),
        (JSON, Bytes::from_static(b"{"), 400, "not an ExportLogsServiceRequest in JSON"),
        (JSON, br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"traceId":"x"}]}]}]}"#[..].into(), 400, "traceId"),
        ("text/plain", two(), 415, "text/plain"),
        (PROTOBUF, vec![0; (1 << 20) + 1].into(), 413, "1048576"),
    ] {
        let answer = post(&server, &[("content-type", content_type)], body).await;
        assert_eq!(answer.status.as_u16(), status, "{words}: {answer:?}");
        assert!(String::from_utf8_lossy(&answer.body).contains(words), "{answer:?}");
    }
    let packed = [("content-type", PROTOBUF), ("content-encoding", "gzip")];
    assert_eq!(post(&server, &packed, zip_bomb(8)).await.status, 413);
    assert_eq!(post(&server, &packed, two()).await.status, 400, "a gzip header on a plain body");
    let answer = call(&server, Method::GET, "/v1/logs", &[], Bytes::new()).await;
    assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "POST"));
    assert_eq!(server.store.records(), 0);
    server.assert_unharmed().await;
}

/// A record whose body has lists in lists, so many of them.
fn nested(levels: usize) -> ExportLogsServiceRequest {
    let mut body = AnyValue { value: Some(any_value::Value::IntValue(1)) };
    for _ in 0..levels {
        body = AnyValue { value: Some(any_value::Value::ArrayValue(ArrayValue { values: vec![body] })) };
    }
    let record = LogRecord { body: Some(body), ..LogRecord::default() };
    let scope_logs = vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }];
    ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }] }
}

#[tokio::test]
async fn bodies_that_are_nested_too_deep_are_refused_however_they_come() {
    let server = TestServer::start().await;
    let mut accepted = Vec::new();
    for levels in [0, 1, 35, 200, 1000] {
        let request = nested(levels);
        let protobuf: Bytes = request.encode_to_vec().into();
        let as_json: Bytes = serde_json::to_vec(&request).unwrap().into();
        let status = async |content_type, body: &Bytes| {
            let answer = post(&server, &[("content-type", content_type)], body.clone()).await;
            assert!(answer.status == 200 || answer.body.len() < 1000, "{answer:?}");
            answer.status.as_u16()
        };
        let grpc = grpc(&server, EXPORT, &[], frame(0, &protobuf)).await;
        let statuses = [status(PROTOBUF, &protobuf).await, status(JSON, &as_json).await];
        assert!(statuses == [200, 200] || statuses == [400, 400], "{levels}: {statuses:?}");
        assert_eq!(grpc.header("grpc-status"), if statuses[0] == 200 { "0" } else { "3" }, "{levels}");
        accepted.extend((statuses[0] == 200).then_some(levels));
    }
    assert_eq!(accepted, [0, 1, 35]);
    assert_eq!(server.store.records(), 3 * accepted.len());
    // Deep where nobody looks, and not even closed.
    let open = format!(
        "{}{}",
        r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":"#,
        r#"{"arrayValue":{"values":["#.repeat(100_000)
    );
    assert_eq!(post(&server, &[("content-type", JSON)], open).await.status, 400);
    server.assert_unharmed().await;
}

#[tokio::test]
async fn grpc_refuses_records_that_are_too_large_packed_or_not() {
    let server = TestServer::start_with(|config| config.max_request_bytes = 1 << 20).await;
    let packed = [("grpc-encoding", "gzip")];
    for (flag, headers, body) in [(0, &[][..], Bytes::from(vec![0; (1 << 20) + 1])), (1, &packed[..], zip_bomb(64))] {
        let answer = grpc(&server, EXPORT, headers, frame(flag, &body)).await;
        assert_eq!(answer.header("grpc-status"), (Code::ResourceExhausted as i32).to_string(), "{answer:?}");
    }
    assert_eq!(server.store.records(), 0);
    server.assert_unharmed().await;
}

#[tokio::test]
async fn a_store_that_fails_asks_for_another_try() {
    let server = TestServer::start().await;
    server.store.behave(Behaviour::Fail);
    let answer = post(&server, &[("content-type", PROTOBUF)], two()).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"), "{answer:?}");
    let answer = grpc(&server, EXPORT, &[], frame(0, &two())).await;
    assert_eq!(answer.header("grpc-status"), "14", "{answer:?}");
    assert_eq!(server.metric("scouter_server_records_rejected_total{reason=\"store_error\"}").await, 4.0);
    server.store.behave(Behaviour::Store);
    server.assert_unharmed().await;
}

#[tokio::test]
async fn a_token_is_asked_for() {
    let token = scouter_server::Token::new("s3cret").unwrap();
    let server = TestServer::start_with(|config| config.tokens = vec![token]).await;
    assert_eq!(post(&server, &[("content-type", PROTOBUF)], two()).await.status, 401);
    let headers = [("content-type", PROTOBUF), ("authorization", "Bearer s3cret")];
    assert_eq!(post(&server, &headers, two()).await.status, 200);
    assert_eq!(grpc(&server, EXPORT, &[], frame(0, &two())).await.header("grpc-status"), "16");
    assert_eq!(call(&server, Method::GET, "/api/v1/records", &[], Bytes::new()).await.status, 401);
}

#[tokio::test]
async fn grpc_takes_records() {
    let server = TestServer::start().await;
    let client = LogsServiceClient::connect(server.uri("")).await.unwrap();
    let mut client = client.send_compressed(CompressionEncoding::Gzip).accept_compressed(CompressionEncoding::Gzip);
    let sent = ExportLogsServiceRequest::decode(two()).unwrap();
    let answer = client.export(sent.clone()).await.unwrap().into_inner();
    assert_eq!(answer, ExportLogsServiceResponse::default());
    assert_eq!(client.export(ExportLogsServiceRequest::default()).await.unwrap().into_inner(), answer);
    assert_eq!(server.store.requests(), [two()]);
    assert_eq!(server.metric("scouter_server_requests_total{protocol=\"grpc\",status=\"ok\"}").await, 2.0);
    let answer = grpc(&server, EXPORT, &[], frame(0, &[0x0a, 0xff])).await;
    assert_eq!(answer.header("grpc-status"), (Code::InvalidArgument as i32).to_string(), "{answer:?}");
    server.assert_unharmed().await;
}
