//! OTLP over HTTP as the specification and the shared rules ask for it.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

mod support;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use serde_json::json;
use support::TestServer;
use support::client::{self, Answer, JSON, PROTOBUF, call, get, post, post_gzip, post_protobuf};
use support::request::{self, encode, gzip};

/// `google.rpc.Status`, as far as it is looked at here.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

fn status(answer: &Answer) -> Status {
    match answer.header("content-type") {
        PROTOBUF => Status::decode(answer.body.clone()).unwrap(),
        JSON => {
            let body = answer.json();
            Status {
                code: body["code"].as_i64().unwrap().try_into().unwrap(),
                message: body["message"].as_str().unwrap().into(),
            }
        }
        other => panic!("a status in {other}: {answer:?}"),
    }
}

fn json_request() -> Bytes {
    serde_json::to_vec(&request::with_spans(2)).unwrap().into()
}

#[tokio::test]
async fn protobuf_is_stored_unchanged_and_answered_with_nothing_more() {
    let server = TestServer::start().await;
    let body = encode(&request::with_spans(2));
    let answer = post_protobuf(&server, body.clone()).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, PROTOBUF));
    assert_eq!(answer.body, "");
    assert_eq!(server.store.requests(), [body]);
}

#[tokio::test]
async fn json_is_stored_as_protobuf_and_answered_in_json() {
    let server = TestServer::start().await;
    let sent = request::with_spans(2);
    let answer = post(&server, JSON, serde_json::to_vec(&sent).unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, JSON), "{answer:?}");
    assert_eq!(answer.json(), json!({}));
    let stored = server.store.requests();
    assert_eq!(stored.len(), 1);
    let decoded =
        opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest::decode(stored[0].clone());
    assert_eq!(decoded.unwrap(), sent);
}

#[tokio::test]
async fn gzip_is_read_in_both_encodings() {
    let server = TestServer::start().await;
    let body = encode(&request::with_spans(2));
    assert_eq!(post_gzip(&server, PROTOBUF, gzip(&body)).await.status, 200);
    assert_eq!(server.store.requests(), [body]);
    assert_eq!(post_gzip(&server, JSON, gzip(&json_request())).await.status, 200);
    assert_eq!(server.store.spans(), 4);
}

#[tokio::test]
async fn content_types_may_have_parameters_and_any_case() {
    let server = TestServer::start().await;
    for content_type in ["application/json; charset=utf-8", "application/json;charset=UTF-8", "Application/JSON"] {
        assert_eq!(post(&server, content_type, json_request()).await.status, 200, "{content_type}");
    }
    let answer = post(&server, "application/x-protobuf; charset=utf-8", encode(&request::with_spans(1))).await;
    assert_eq!(answer.status, 200);
    assert_eq!(server.store.spans(), 7);
}

#[tokio::test]
async fn empty_requests_succeed() {
    let server = TestServer::start().await;
    assert_eq!(post_protobuf(&server, "").await.status, 200);
    assert_eq!(post_gzip(&server, PROTOBUF, gzip(b"")).await.status, 200);
    for body in ["{}", r#"{"resourceSpans":[]}"#, r#"{"resourceSpans":[{"scopeSpans":[{"spans":[]}]}]}"#] {
        assert_eq!(post(&server, JSON, body).await.status, 200, "{body}");
    }
    assert!(server.store.requests().is_empty(), "nothing to write");
}

#[tokio::test]
async fn unknown_fields_are_ignored() {
    let server = TestServer::start().await;
    let mut body = encode(&request::with_spans(1)).to_vec();
    // Field 1000, a varint.
    body.extend([0xc0, 0x3e, 5]);
    assert_eq!(post_protobuf(&server, body).await.status, 200);
    let answer = post(&server, JSON, r#"{"newThing": {"x": [1]}, "resourceSpans": [{"other": null}]}"#).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn spans_with_invalid_ids_are_rejected_and_the_others_stored() {
    let server = TestServer::start().await;
    let mut sent = request::with_spans(4);
    let spans = &mut sent.resource_spans[0].scope_spans[0].spans;
    spans[1].trace_id = vec![0; 16];
    spans[2].span_id = vec![1, 2, 3];
    let answer = post_protobuf(&server, encode(&sent)).await;
    assert_eq!(answer.status, 200);
    let partial = ExportTraceServiceResponse::decode(answer.body).unwrap().partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 2);
    assert_eq!(
        partial.error_message,
        "2 spans were rejected; the first: span 1 of the request has no valid trace id: an id must not be all zeros"
    );
    assert_eq!(server.store.spans(), 2);

    let body = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"abcd","spanId":"EEE19B7EC3C1B174"}]}]}]}"#;
    let answer = post(&server, JSON, body).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["partialSuccess"]["rejectedSpans"], "1");
    let message = answer.json()["partialSuccess"]["errorMessage"].as_str().unwrap().to_owned();
    assert!(message.starts_with("1 span was rejected: span 0"), "{message}");

    assert_eq!(server.metric("scouter_server_spans_rejected_total{reason=\"invalid_trace_id\"}").await, 2.0);
    assert_eq!(server.metric("scouter_server_spans_rejected_total{reason=\"invalid_span_id\"}").await, 1.0);
    let requests = "scouter_server_requests_total{protocol=\"http/json\",status=\"partial_success\"}";
    assert_eq!(server.metric(requests).await, 1.0);
}

#[tokio::test]
async fn a_request_that_comes_again_is_answered_alike_and_counted_as_duplicate() {
    let server = TestServer::start().await;
    let body = encode(&request::with_spans(5));
    for _ in 0..2 {
        let answer = post_protobuf(&server, body.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
    }
    assert_eq!(server.store.spans(), 5);
    assert_eq!(server.metric("scouter_server_spans_received_total").await, 10.0);
    assert_eq!(server.metric("scouter_server_spans_stored_total").await, 5.0);
    assert_eq!(server.metric("scouter_server_spans_duplicate_total").await, 5.0);
    assert_eq!(server.metric("scouter_server_ingest_seconds_count").await, 2.0);
}

#[tokio::test]
async fn bodies_that_cannot_be_decoded_get_400_and_a_status_in_their_encoding() {
    let server = TestServer::start().await;
    let valid = encode(&request::with_spans(1));
    let cut = valid.slice(..valid.len() - 1);
    for body in [Bytes::from_static(b"not protobuf"), Bytes::from_static(&[0x0a, 0xff]), cut] {
        let answer = post_protobuf(&server, body).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        assert_eq!(status(&answer).code, 3);
        assert!(status(&answer).message.contains("not an ExportTraceServiceRequest in protobuf"), "{answer:?}");
        let answer = post(&server, JSON, r#"{"resourceSpans": [{"scopeSpans": 5}]}"#).await;
        assert_eq!(answer.status, 400);
        assert_eq!(status(&answer).code, 3);
        assert!(status(&answer).message.contains("ScopeSpans"), "{answer:?}");
        server.assert_unharmed().await;
    }
}

#[tokio::test]
async fn what_claims_to_be_gzip_and_is_not_gets_400() {
    let server = TestServer::start().await;
    for (content_type, body) in [(PROTOBUF, encode(&request::with_spans(1))), (JSON, json_request())] {
        let packed = gzip(&body);
        for bad in [body, packed.slice(..packed.len() / 2), packed.slice(..packed.len() - 1), Bytes::new()] {
            let answer = post_gzip(&server, content_type, bad).await;
            assert_eq!(answer.status, 400, "{answer:?}");
            assert!(status(&answer).message.contains("gzip"), "{answer:?}");
        }
        server.assert_unharmed().await;
    }
}

#[tokio::test]
async fn other_types_and_compressions_get_415() {
    let server = TestServer::start().await;
    let body = encode(&request::with_spans(1));
    for content_type in ["text/plain", "application/octet-stream", "application/x-protobufs", "application/jsonx", ""] {
        let answer = post(&server, content_type, body.clone()).await;
        assert_eq!(answer.status, 415, "{answer:?}");
        assert!(answer.text().contains("application/x-protobuf"), "{answer:?}");
    }
    assert_eq!(call(&server, Method::POST, "/v1/traces", &[], body.clone()).await.status, 415);
    for coding in ["zstd", "deflate", "gzip, gzip", "br"] {
        let headers = [("content-type", PROTOBUF), ("content-encoding", coding)];
        let answer = call(&server, Method::POST, "/v1/traces", &headers, body.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.header("accept-encoding")), (415, "gzip, identity"), "{coding}");
    }
    server.assert_unharmed().await;
    assert_eq!(server.metric("scouter_server_requests_total{protocol=\"http\",status=\"unsupported\"}").await, 6.0);
}

#[tokio::test]
async fn other_methods_get_405_and_other_paths_404() {
    let server = TestServer::start().await;
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH] {
        let headers = [("content-type", PROTOBUF)];
        let answer = call(&server, method.clone(), "/v1/traces", &headers, encode(&request::with_spans(1))).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "POST"), "{answer:?}");
        assert!(status(&answer).message.contains(method.as_str()), "{answer:?}");
    }
    for path in ["/v1/trace", "/v1/traces/", "/v2/traces", "/v1"] {
        let headers = [("content-type", JSON)];
        let answer = call(&server, Method::POST, path, &headers, json_request()).await;
        assert_eq!(answer.status, 404, "{answer:?}");
        assert!(status(&answer).message.contains(path), "{answer:?}");
    }
    server.assert_unharmed().await;
}

#[tokio::test]
async fn signals_that_are_not_stored_are_not_acknowledged() {
    let server = TestServer::start().await;
    for path in ["/v1/metrics", "/v1development/profiles"] {
        for content_type in [PROTOBUF, JSON] {
            let answer = call(&server, Method::POST, path, &[("content-type", content_type)], "{}".into()).await;
            // Not one of the statuses after which a sender tries again.
            assert_eq!(answer.status, 404);
            assert_eq!(status(&answer).code, 12);
            assert!(status(&answer).message.contains(path), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn chunked_bodies_on_a_kept_connection_are_read() {
    let server = TestServer::start().await;
    let mut bytes = Vec::new();
    for _ in 0..3 {
        bytes.extend(b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n");
        bytes.extend(b"transfer-encoding: chunked\r\n\r\n");
        for piece in encode(&request::with_spans(2)).chunks(50) {
            bytes.extend(format!("{:x}\r\n", piece.len()).bytes());
            bytes.extend(piece);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n\r\n");
    }
    // Refused in between, on the same connection, with a body nobody wants.
    bytes.extend(b"POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n");
    bytes.extend(vec![7; 100_000]);
    bytes.extend(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let answers = client::raw(server.addr, &bytes, |_| false).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 4, "{answers}");
    assert_eq!(answers.matches("HTTP/1.1 404 Not Found").count(), 1, "{answers}");
    assert!(answers.ends_with("\r\n\r\nok\n"), "{answers}");
    assert_eq!(server.store.spans(), 6);
    assert_eq!(server.metric("scouter_server_connections_total").await, 2.0);
}

#[tokio::test]
async fn http_2_without_tls_is_spoken_on_the_same_port() {
    let server = TestServer::start().await;
    let request = Request::post(server.uri("/v1/traces")).header("content-type", PROTOBUF);
    let request = request.body(Full::new(encode(&request::with_spans(2)))).unwrap();
    let answer = client::http2(server.addr, request).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(server.store.spans(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_requests_at_once_are_all_stored() {
    let server = std::sync::Arc::new(TestServer::start().await);
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..64 {
        let server = std::sync::Arc::clone(&server);
        tasks.spawn(async move {
            let body = encode(&request::with_spans(100));
            match n % 2 {
                0 => post_protobuf(&server, body).await,
                _ => post_gzip(&server, PROTOBUF, gzip(&body)).await,
            }
        });
    }
    for answer in tasks.join_all().await {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(server.store.spans(), 6400);
    server.assert_unharmed().await;
}

#[tokio::test]
async fn what_is_not_http_harms_nobody() {
    let server = TestServer::start().await;
    let bad: [&[u8]; 6] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnot a settings frame, certainly not one",
    ];
    for bytes in bad {
        let mut stream = tokio::net::TcpStream::connect(server.addr).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, bytes).await.unwrap();
        tokio::io::AsyncWriteExt::shutdown(&mut stream).await.unwrap();
        let answer = client::read_until(&mut stream, |_| false).await;
        assert!(!answer.contains("200 OK"), "{answer}");
        server.assert_unharmed().await;
    }
}

#[tokio::test]
async fn health_metrics_api_and_page_are_on_the_same_port() {
    let server = TestServer::start().await;
    assert_eq!(get(&server, "/healthz").await.text(), "ok\n");
    let metrics = get(&server, "/metrics").await;
    assert_eq!(metrics.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(get(&server, "/api/v1/services").await.status, 200);
    assert_eq!(get(&server, "/").await.status, 200);
}
