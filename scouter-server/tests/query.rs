//! The JSON API, asked over a socket by the client and by hand.

#![expect(clippy::unwrap_used, reason = "a helper of a test stops the test as the test itself would")]

#[path = "store/said.rs"]
mod said;
#[path = "store/traffic.rs"]
mod traffic;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use said::{Said, said};
use scouter_client::{Client, ClientConfig, ErrorKind, RecordFilters, TagFilters, TraceFilters};
use scouter_server::query;
use scouter_server::store::{EmbeddedConfig, Signal, Store, open};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;
use traffic::{Given, everything, request, text, trace_id};

/// A store with a few traces.
async fn store() -> (TempDir, Arc<dyn Store>) {
    let directory = tempfile::tempdir().unwrap();
    let store = open(EmbeddedConfig::new(directory.path())).unwrap();
    let bank = |given: Given| Given { service: "bank".to_owned(), ..given };
    let spans = [
        Given::new(2, 1, None).with("scouter.tag.env", text("prod")),
        bank(Given::new(2, 2, Some(1))).with("http.route", text("/a b?c=d&e")),
        bank(Given { status: 2, ..Given::new(2, 3, Some(2)) }),
        Given::new(3, 1, None),
    ];
    store.write(Signal::Traces, everything()).await.unwrap();
    store.write(Signal::Traces, request(&spans)).await.unwrap();
    let records = [
        Said { trace: Some(2), span: Some(2), ..Said::new(1).with("scouter.entity", text("entity-2")) },
        Said { event: "scouter.record.spc".to_owned(), ..Said::new(2).with("scouter.tag.env", text("prod")) },
        Said::new(3),
    ];
    store.write(Signal::Logs, said(&records)).await.unwrap();
    (directory, store)
}

async fn serve(store: &Arc<dyn Store>) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = query::router(Arc::clone(store));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn client(address: SocketAddr) -> Client {
    Client::new(ClientConfig { uri: format!("http://{address}"), ..ClientConfig::default() }).unwrap()
}

async fn ask(store: &Arc<dyn Store>, method: &str, path: &str, body: &str) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(path).body(Body::from(body.to_owned())).unwrap();
    let response = query::router(Arc::clone(store)).oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn the_client_gets_what_the_store_has() {
    let (_directory, store) = store().await;
    let client = client(serve(&store).await);
    for number in 1..=3 {
        let trace = client.trace(trace_id(number)).await.unwrap();
        assert!(trace.is_some());
        assert_eq!(trace, store.trace(trace_id(number)).await.unwrap());
    }
    assert_eq!(client.trace(trace_id(9)).await.unwrap(), None);
    assert_eq!(client.services().await.unwrap(), ["bank", "shop"]);
    for filters in [
        TraceFilters::default(),
        TraceFilters { limit: Some(2), ..TraceFilters::default() },
        TraceFilters { service_name: Some("bank".to_owned()), has_errors: Some(true), ..TraceFilters::default() },
        TraceFilters {
            attributes: [("double".to_owned(), json!(0.1))].into_iter().collect(),
            ..TraceFilters::default()
        },
        TraceFilters {
            attributes: [("int".to_owned(), json!(i64::MIN))].into_iter().collect(),
            ..TraceFilters::default()
        },
    ] {
        let page = client.search(&filters).await.unwrap();
        assert!(!page.items.is_empty(), "{filters:?}");
        assert_eq!(page, store.search(filters.clone()).await.unwrap());
        assert_eq!(client.spans(&filters).await.unwrap(), store.spans(filters).await.unwrap());
    }
}

#[tokio::test]
async fn the_client_gets_the_records_and_tags_the_store_has() {
    let (_directory, store) = store().await;
    let client = client(serve(&store).await);
    let mut bodies = Vec::new();
    let mut filters = RecordFilters { limit: Some(2), ..RecordFilters::default() };
    loop {
        let page = client.records(&filters).await.unwrap();
        assert_eq!(page, store.records(filters.clone()).await.unwrap());
        bodies.extend(page.items.into_iter().map(|record| record.body));
        filters.cursor = page.next_cursor;
        if filters.cursor.is_none() {
            break;
        }
    }
    assert_eq!(bodies, [3, 2, 1]);
    let of_trace = client.records(&RecordFilters::trace(trace_id(2))).await.unwrap().items;
    assert_eq!((of_trace.len(), of_trace[0].span_id.map(|id| id.to_int())), (1, Some(2)));
    let tags = client.tags(&TagFilters::default()).await.unwrap();
    assert_eq!(tags, store.tags(TagFilters::default()).await.unwrap());
    let [tag] = tags.as_slice() else { panic!("one tag, not {tags:?}") };
    assert_eq!((tag.key.as_str(), tag.value.as_str(), tag.traces, tag.records), ("env", "prod", 2, 1));
}

#[tokio::test]
async fn a_url_asks_for_records_and_tags_as_a_body_does() {
    let (_directory, store) = store().await;
    for (path, url, body, found) in [
        ("records", "", "", 3),
        ("records", "?kind=spc&name=", r#"{"kind": "spc"}"#, 1),
        ("records", "?entity_uid=entity-2&limit=5", r#"{"entity_uid": "entity-2", "limit": 5}"#, 1),
        ("records", "?tags=%7B%22env%22:%22prod%22%7D", r#"{"tags": {"env": "prod"}}"#, 1),
        ("tags", "", "{}", 1),
        ("tags", "?key=env&value_prefix=pr", r#"{"key": "env", "value_prefix": "pr"}"#, 1),
        ("tags", "?key=team", r#"{"key": "team"}"#, 0),
    ] {
        let path = format!("/api/v1/{path}");
        let (status, by_url) = ask(&store, "GET", &format!("{path}{url}"), "").await;
        assert_eq!(status, StatusCode::OK, "{url} {by_url}");
        assert_eq!(by_url, ask(&store, "POST", &path, body).await.1, "{url}");
        let items = if path.ends_with("tags") { &by_url } else { &by_url["items"] };
        assert_eq!(items.as_array().map(Vec::len), Some(found), "{url} {by_url}");
    }
}

#[tokio::test]
async fn a_url_asks_what_a_body_asks() {
    let (_directory, store) = store().await;
    for (url, body, found) in [
        ("", "", 3),
        ("?service_name=bank&span_name=&has_errors=true", r#"{"service_name": "bank", "has_errors": true}"#, 1),
        ("?status_code=ERROR&limit=1", r#"{"status_code": 2, "limit": 1}"#, 1),
        (
            "?attributes=%7B%22http.route%22%3A%22/a+b%3Fc%3Dd%26e%22%7D",
            r#"{"attributes": {"http.route": "/a b?c=d&e"}}"#,
            1,
        ),
        ("?tags=%7B%22env%22:%22prod%22%7D", r#"{"tags": {"env": "prod"}}"#, 2),
        ("?entity_uid=entity-1", r#"{"entity_uid": "entity-1"}"#, 1),
        ("?min_duration_ms=2.5", r#"{"min_duration_ms": 2.5}"#, 1),
    ] {
        let (status, by_url) = ask(&store, "GET", &format!("/api/v1/traces/search{url}"), "").await;
        assert_eq!(status, StatusCode::OK, "{url} {by_url}");
        assert_eq!(by_url, ask(&store, "POST", "/api/v1/traces/search", body).await.1, "{url}");
        assert_eq!(by_url["items"].as_array().map(Vec::len), Some(found), "{url} {by_url}");
    }
}

#[tokio::test]
async fn answers_are_not_to_be_kept() {
    let (_directory, store) = store().await;
    for path in ["/api/v1/traces/search", "/api/v1/services", "/api/v1/records", "/api/v1/tags"] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = query::router(Arc::clone(&store)).oneshot(request).await.unwrap();
        assert_eq!(response.headers()["cache-control"], "no-store", "{path}: the next answer may have more");
    }
}

#[tokio::test]
async fn bad_questions_are_answered_with_what_is_wrong() {
    let (_directory, store) = store().await;
    let search = "/api/v1/traces/search";
    for (method, path, body, kind, field, value) in [
        ("GET", "/api/v1/traces/xyz", "", "invalid_filter", "trace_id", "\"xyz\""),
        ("GET", "/api/v1/traces/search?limit=many", "", "invalid_filter", "limit", "\"many\""),
        ("GET", "/api/v1/traces/search?limit=1&limit=2", "", "invalid_filter", "limit", "2"),
        ("POST", search, r#"{"limit": 1001}"#, "invalid_filter", "limit", "1001"),
        ("POST", search, r#"{"servce": "x"}"#, "invalid_filter", "servce", "\"x\""),
        ("POST", search, r#"{"cursor": "here"}"#, "invalid_filter", "cursor", "\"here\""),
        ("GET", "/api/v1/records?span_id=xyz", "", "invalid_filter", "span_id", "\"xyz\""),
        ("POST", "/api/v1/records", r#"{"cursor": "here"}"#, "invalid_filter", "cursor", "\"here\""),
        ("POST", "/api/v1/tags", r#"{"limit": 10001}"#, "invalid_filter", "limit", "10001"),
        ("GET", "/api/v1/tags?tag=x", "", "invalid_filter", "tag", "\"x\""),
        ("POST", "/api/v1/spans/search", r#"{"min_duration_ms": -1}"#, "invalid_filter", "min_duration_ms", "-1.0"),
    ] {
        let (status, answer) = ask(&store, method, path, body).await;
        let error = &answer["error"];
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path} {body} {answer}");
        assert_eq!(
            (error["kind"].as_str(), error["field"].as_str(), error["value"].as_str()),
            (Some(kind), Some(field), Some(value))
        );
        let expected = error["expected"].as_str().unwrap();
        assert!(!expected.is_empty() && error["message"].as_str().unwrap().contains(expected), "{answer}");
    }
    for body in ["{", "[]", "7", "\u{fffd}"] {
        let (status, answer) = ask(&store, "POST", search, body).await;
        assert_eq!(
            (status, answer["error"]["kind"].as_str()),
            (StatusCode::BAD_REQUEST, Some("invalid_body")),
            "{body}"
        );
    }
    assert_eq!(ask(&store, "POST", search, &" ".repeat(3 << 20)).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let (status, answer) = ask(&store, "GET", &format!("/api/v1/traces/{}", trace_id(9)), "").await;
    assert_eq!((status, answer["error"]["kind"].as_str()), (StatusCode::NOT_FOUND, Some("not_found")));
    for (method, path) in [("POST", "/api/v1/services"), ("DELETE", search), ("GET", "/api/v1/spans/search")] {
        assert_eq!(ask(&store, method, path, "").await.0, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
    }
    store.close().await.unwrap();
    assert_eq!(ask(&store, "GET", "/api/v1/services", "").await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn the_client_says_what_went_wrong() {
    let (_directory, store) = store().await;
    let address = serve(&store).await;
    let bad = TraceFilters { cursor: Some("here".to_owned()), ..TraceFilters::default() };
    let error = client(address).search(&bad).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::BadRequest, false));
    assert!(error.to_string().starts_with("cursor: \"here\" cannot be used"), "{error}");

    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = free.local_addr().unwrap();
    let config =
        ClientConfig { uri: format!("http://{silent}"), timeout: Duration::from_millis(50), ..Default::default() };
    let error = Client::new(config).unwrap().services().await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Timeout, true));
    drop(free);
    let error = client(silent).services().await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unreachable, true));
    assert!(error.to_string().contains(&silent.to_string()) && std::error::Error::source(&error).is_some(), "{error}");
}

#[tokio::test]
async fn the_client_sends_its_token() {
    use axum::http::HeaderMap;
    use axum::routing::get;
    let router = axum::Router::new().route(
        "/below/api/v1/services",
        get(|headers: HeaderMap| async move {
            match headers.get("authorization").map(|value| value.as_bytes()) {
                Some(b"Bearer s3cret") => (StatusCode::OK, r#"["a"]"#),
                _ => (StatusCode::UNAUTHORIZED, "{}"),
            }
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/below/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let asked = async |token: Option<&str>| {
        let token = token.map(str::to_owned);
        Client::new(ClientConfig { uri: uri.clone(), token, ..ClientConfig::default() }).unwrap().services().await
    };
    assert_eq!(asked(Some("s3cret")).await.unwrap(), ["a"]);
    assert_eq!(asked(None).await.unwrap_err().kind(), ErrorKind::Unauthorized);
}
