//! What no sender can do to the server: fill its memory, hold its room, hang it up.

mod support;

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use support::TestServer;
use support::client::{self, EXPORT, JSON, PROTOBUF, call, frame, grpc, post, post_gzip, post_protobuf};
use support::memory::Behaviour;
use support::request::{self, encode, gzip};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const MIB: usize = 1024 * 1024;

fn head(headers: &str) -> Vec<u8> {
    format!("POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n{headers}\r\n\r\n")
        .into_bytes()
}

#[tokio::test]
async fn ten_mebibytes_are_accepted_however_they_come() {
    let server = TestServer::start().await;
    let body = request::of_size(10 * MIB);
    assert_eq!(post_protobuf(&server, body.clone()).await.status, 200);
    assert_eq!(post_gzip(&server, PROTOBUF, gzip(&body)).await.status, 200);
    assert_eq!(grpc(&server, EXPORT, &[], frame(0, &body)).await.header("grpc-status"), "0");
    let answer = grpc(&server, EXPORT, &[("grpc-encoding", "gzip")], frame(1, &gzip(&body))).await;
    assert_eq!(answer.header("grpc-status"), "0");
    assert_eq!(server.store.requests(), [body.clone(), body.clone(), body.clone(), body]);
    let mut json = serde_json::to_value(request::with_spans(1)).unwrap();
    json["resourceSpans"][0]["schemaUrl"] = "x".repeat(10 * MIB).into();
    assert_eq!(post(&server, JSON, json.to_string()).await.status, 200);
    server.assert_unharmed().await;
}

#[tokio::test]
async fn the_limit_is_exact_before_and_after_decompression() {
    let server = TestServer::start_with(|config| config.max_request_bytes = 20_000).await;
    let (fits, over) = (request::of_size(20_000), request::of_size(20_001));
    assert_eq!(post_protobuf(&server, fits.clone()).await.status, 200);
    assert_eq!(post_gzip(&server, PROTOBUF, gzip(&fits)).await.status, 200);
    for answer in [post_protobuf(&server, over.clone()).await, post_gzip(&server, PROTOBUF, gzip(&over)).await] {
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (413, ""), "{answer:?}");
        assert_eq!(answer.header("content-type"), PROTOBUF);
    }
    let answer = post(&server, JSON, " ".repeat(20_001)).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (413, JSON));
    assert_eq!(answer.json()["code"], 8);

    // Chunked, so that no length is announced.
    let mut bytes = head("transfer-encoding: chunked\r\nconnection: close");
    for piece in over.chunks(3000) {
        bytes.extend(format!("{:x}\r\n", piece.len()).bytes());
        bytes.extend(piece);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    let answer = client::raw(server.addr, &bytes, |_| false).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    server.assert_unharmed().await;
}

#[tokio::test]
async fn a_body_of_a_hundred_megabytes_is_refused_and_the_connection_stays() {
    let server = TestServer::start().await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(&head("content-length: 100000000")).await.unwrap();
    let piece = vec![0; 1_000_000];
    for _ in 0..100 {
        stream.write_all(&piece).await.unwrap();
    }
    let answer = client::read_until(&mut stream, |text| text.contains("--max-request-bytes")).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let answer = client::read_until(&mut stream, |text| text.ends_with("ok\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(server.metric("scouter_server_bytes_total{stage=\"wire\"}").await, 0.0, "nothing of it was kept");

    let answer = grpc(&server, EXPORT, &[], frame(0, &vec![0; 100_000_000])).await;
    assert_eq!(answer.header("grpc-status"), "8");
    server.assert_unharmed().await;
}

#[tokio::test]
async fn a_sender_that_asks_first_is_told_before_it_sends() {
    let server = TestServer::start().await;
    let head = head("content-length: 100000000\r\nexpect: 100-continue");
    let answer = client::raw(server.addr, &head, |text| text.contains("--max-request-bytes")).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn overload_is_refused_with_a_time_to_try_again() {
    let server = TestServer::start_with(|config| {
        config.max_request_bytes = 10_000;
        config.max_in_flight_bytes = 20_000;
    })
    .await;
    server.store.behave(Behaviour::Wait);
    let bodies = [request::of_size(10_000), request::of_size(9_900)];
    let waiting =
        async { tokio::join!(post_protobuf(&server, bodies[0].clone()), post_protobuf(&server, bodies[1].clone())) };
    let refused = async {
        while server.metric("scouter_server_in_flight_bytes").await < 19_900.0 {}
        let body = encode(&request::with_spans(1));
        for answer in [post_protobuf(&server, body.clone()).await, post_gzip(&server, PROTOBUF, gzip(&body)).await] {
            assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"), "{answer:?}");
        }
        assert_eq!(client::get(&server, "/healthz").await.status, 200);
        server.store.release(2);
    };
    let ((first, second), ()) = tokio::join!(waiting, refused);
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (200, 200));
    server.store.behave(Behaviour::Store);
    server.assert_unharmed().await;
    assert_eq!(
        server.metric("scouter_server_requests_total{protocol=\"http/protobuf\",status=\"overloaded\"}").await,
        2.0
    );
}

#[tokio::test]
async fn a_sender_that_goes_away_leaves_its_room_when_the_store_is_done() {
    let server = TestServer::start().await;
    server.store.behave(Behaviour::Wait);
    let body = encode(&request::with_spans(2));
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(&head(&format!("content-length: {}", body.len()))).await.unwrap();
    stream.write_all(&body).await.unwrap();
    server.store.write_began().await;
    drop(stream);
    while server.metric("scouter_server_connections_open").await > 1.0 {}
    assert_eq!(server.metric("scouter_server_in_flight_bytes").await, body.len() as f64, "the store still holds it");
    server.store.behave(Behaviour::Store);
    server.store.release(1);
    while server.metric("scouter_server_in_flight_bytes").await > 0.0 {}
    assert_eq!(server.store.spans(), 2);
    server.assert_unharmed().await;
}

#[tokio::test]
async fn a_sender_that_falls_silent_is_given_up() {
    let server = TestServer::start_with(|config| config.idle_timeout = Duration::from_millis(50)).await;
    let mut bytes = head("content-length: 1000");
    bytes.extend([0; 10]);
    let answer = client::raw(server.addr, &bytes, |_| false).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    server.assert_unharmed().await;
}

#[tokio::test]
async fn answers_stay_small_whatever_is_sent() {
    let server = TestServer::start().await;
    let mut sent = request::with_spans(100_000);
    for span in &mut sent.resource_spans[0].scope_spans[0].spans {
        span.span_id.clear();
    }
    let answer = post_protobuf(&server, encode(&sent)).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.len() < 1000, "{answer:?}");
    let body =
        format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{{\"traceId\":\"{}\"}}]}}]}}]}}", "x".repeat(MIB));
    let answer = post(&server, JSON, body).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.len() < 1000, "{} bytes", answer.body.len());
    let path = format!("/{}", "x".repeat(10_000));
    let answer = call(&server, Method::POST, &path, &[("content-type", PROTOBUF)], Bytes::new()).await;
    assert!(answer.body.len() < 1000, "{} bytes", answer.body.len());
}
