//! Tokens, failures, counters and the orderly end.

mod support;

use std::sync::Arc;

use http::Method;
use scouter_server::{Config, Server, ServerErrorKind, Token};
use support::TestServer;
use support::client::{EXPORT, JSON, PROTOBUF, call, frame, get, grpc, post, post_protobuf};
use support::memory::{Behaviour, MemoryStore};
use support::request::{self, encode};
use tokio::net::TcpStream;

#[tokio::test]
async fn ingest_and_api_ask_for_a_token_when_there_is_one() {
    let server = TestServer::start_with(|config| config.tokens = vec![Token::new("s3cret").unwrap()]).await;
    let body = encode(&request::with_spans(1));
    for authorization in ["", "Bearer", "Bearer wrong", "Basic s3cret", "s3cret"] {
        let headers = [("content-type", PROTOBUF), ("authorization", authorization)];
        let answer = call(&server, Method::POST, "/v1/traces", &headers, body.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.header("www-authenticate")), (401, "Bearer"), "{answer:?}");
        assert_eq!(answer.header("content-type"), PROTOBUF);
        assert!(String::from_utf8_lossy(&answer.body).contains("authorization: Bearer <token>"), "{answer:?}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("s3cret"));
        let answer = grpc(&server, EXPORT, &[("authorization", authorization)], frame(0, &body)).await;
        assert_eq!((answer.status.as_u16(), answer.header("grpc-status")), (200, "16"), "{answer:?}");
        let answer = call(&server, Method::GET, "/api/v1/services", &headers[1..], "".into()).await;
        assert_eq!(answer.status, 401, "{answer:?}");
    }
    let answer = post(&server, JSON, "{}").await;
    assert_eq!((answer.status.as_u16(), answer.json()["code"].as_i64()), (401, Some(16)));
    assert_eq!(server.store.spans(), 0);

    let right = [("content-type", PROTOBUF), ("authorization", "Bearer s3cret")];
    assert_eq!(call(&server, Method::POST, "/v1/traces", &right, body.clone()).await.status, 200);
    assert_eq!(grpc(&server, EXPORT, &right[1..], frame(0, &body)).await.header("grpc-status"), "0");
    assert_eq!(call(&server, Method::GET, "/api/v1/services", &right[1..], "".into()).await.status, 200);
    for open in ["/healthz", "/metrics", "/"] {
        assert_eq!(get(&server, open).await.status, 200, "{open}");
    }
}

#[tokio::test]
async fn what_the_store_could_not_keep_is_not_acknowledged() {
    let server = TestServer::start().await;
    let body = encode(&request::with_spans(4));
    server.store.behave(Behaviour::Fail);
    let answer = post_protobuf(&server, body.clone()).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"), "{answer:?}");
    assert!(!String::from_utf8_lossy(&answer.body).contains("secret"), "{answer:?}");
    assert_eq!(server.metric("scouter_server_store_errors_total").await, 1.0);
    assert_eq!(server.metric("scouter_server_spans_rejected_total{reason=\"store_error\"}").await, 4.0);

    server.store.behave(Behaviour::Store);
    assert_eq!(post_protobuf(&server, body).await.status, 200);
    assert_eq!(server.store.spans(), 4);
    // received = stored + duplicate + rejected
    assert_eq!(server.metric("scouter_server_spans_received_total").await, 8.0);
    assert_eq!(server.metric("scouter_server_spans_stored_total").await, 4.0);
    server.assert_unharmed().await;
}

#[tokio::test]
async fn a_panic_costs_one_answer() {
    let server = TestServer::start().await;
    server.store.behave(Behaviour::Panic);
    let answer = post(&server, JSON, serde_json::to_vec(&request::with_spans(1)).unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.json()["code"].as_i64()), (500, Some(13)), "{answer:?}");
    assert_eq!(server.metric("scouter_server_panics_total").await, 1.0);
    server.store.behave(Behaviour::Store);
    server.assert_unharmed().await;
}

#[tokio::test]
async fn stopping_finishes_what_has_begun_and_closes_the_store() {
    let server = TestServer::start().await;
    let addr = server.addr;
    server.store.behave(Behaviour::Wait);
    let uri = server.uri("/v1/traces");
    let request = http::Request::post(uri).header("content-type", PROTOBUF);
    let request = request.body(encode(&request::with_spans(2)).into()).unwrap();
    let answer = tokio::spawn(support::client::send(request));
    server.store.write_began().await;
    let (store, served) = server.stop();
    while TcpStream::connect(addr).await.is_ok() {}
    assert!(!store.is_closed(), "a request is still being handled");
    store.release(1);
    assert_eq!(answer.await.unwrap().status, 200);
    served.await.unwrap().unwrap();
    assert!(store.is_closed());
    assert_eq!(store.spans(), 2);
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let server = TestServer::start_with(|config| config.shutdown_timeout = std::time::Duration::from_millis(50)).await;
    server.store.behave(Behaviour::Wait);
    let request = http::Request::post(server.uri("/v1/traces")).header("content-type", PROTOBUF);
    let request = request.body(encode(&request::with_spans(2)).into()).unwrap();
    let sending = tokio::spawn(support::client::client().request(request));
    server.store.write_began().await;
    let (store, served) = server.stop();
    served.await.unwrap().unwrap();
    assert!(store.is_closed());
    assert!(sending.await.unwrap().is_err(), "nothing was acknowledged");
}

#[tokio::test]
async fn settings_that_cannot_work_are_named() {
    let store = Arc::new(MemoryStore::default());
    let mut config = Config::new("unused");
    config.listen.set_port(0);
    config.max_in_flight_bytes = config.max_request_bytes;
    let error = Server::bind_with_store(config.clone(), store.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ServerErrorKind::Config);
    assert!(error.to_string().contains("max_in_flight_bytes"), "{error}");

    let server = TestServer::start().await;
    config.max_in_flight_bytes *= 2;
    config.listen = server.addr;
    let error = Server::bind_with_store(config, store).await.unwrap_err();
    assert_eq!(error.kind(), ServerErrorKind::Listen);
    assert!(error.to_string().contains(&server.addr.to_string()), "{error}");
}
