//! HTTP against a well behaved receiver.

use std::time::Duration;

use bytes::Bytes;
use scouter_transport::conformance::{self, Arrival, Behaviour, FarEnd};
use scouter_transport::http::{Http, HttpConfig};
use scouter_transport::{BoxFuture, Compression, ContentType, Endpoint, ErrorKind, Payload, Signal, Status, Transport};

use crate::server::Server;

#[derive(Debug)]
struct OverHttp {
    server: Server,
    compression: Compression,
}

impl FarEnd for OverHttp {
    fn transport(&self, timeout: Duration) -> Box<dyn Transport> {
        let url = format!("http://me:pass-word@{}?key=query-key", self.server.address);
        let config = HttpConfig::new(Endpoint::base(&url).unwrap())
            .header("x-api-key", "api-key-value")
            .compression(self.compression)
            .timeout(timeout);
        Box::new(Http::new(config).unwrap())
    }

    fn contents(&self) -> Vec<ContentType> {
        vec![ContentType::Protobuf, ContentType::Json]
    }

    fn secrets(&self) -> Vec<String> {
        ["pass-word", "query-key", "api-key-value", "bWU6cGFzcy13b3Jk"].map(str::to_owned).into()
    }

    fn behave(&self, behaviour: Behaviour) {
        self.server.desk.behave(behaviour);
    }

    fn arrived(&self) -> Vec<Arrival> {
        self.server.desk.arrived()
    }

    fn until_arrived(&self, payloads: usize) -> BoxFuture<'_, ()> {
        Box::pin(self.server.desk.until_arrived(payloads))
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.server.stop())
    }

    fn start(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.server.restart())
    }
}

#[tokio::test]
async fn passes_the_suite() {
    conformance::all(&OverHttp { server: Server::start().await, compression: Compression::None }).await;
}

#[tokio::test]
async fn passes_the_suite_with_gzip() {
    conformance::all(&OverHttp { server: Server::start().await, compression: Compression::Gzip }).await;
}

fn config(server: &Server) -> HttpConfig {
    HttpConfig::new(Endpoint::from_user(&server.url()).unwrap())
}

#[tokio::test]
async fn requests_look_as_otlp_says() {
    let server = Server::start().await;
    let transport = Http::new(
        config(&server).bearer_token("token").header("X-One", "1").header("x-one", "2").compression(Compression::Gzip),
    )
    .unwrap();
    let body = Bytes::from(vec![b'a'; 100_000]);
    transport.send(Payload::traces(body, 7)).await.unwrap();
    transport.send(Payload::logs("{}", 1).with_content(ContentType::Json)).await.unwrap();

    let [traces, logs] = server.desk.requests().try_into().unwrap();
    assert_eq!((traces.path.as_str(), logs.path.as_str()), ("/v1/traces", "/v1/logs"));
    assert_eq!(traces.headers["content-type"], "application/x-protobuf");
    assert_eq!(logs.headers["content-type"], "application/json");
    assert_eq!(traces.headers["content-encoding"], "gzip");
    assert_eq!(traces.headers["content-length"], traces.length.to_string().as_str());
    assert!(traces.length < 2_000, "{} bytes", traces.length);
    assert_eq!(traces.headers["authorization"], "Bearer token");
    assert!(traces.headers["user-agent"].to_str().unwrap().starts_with("OTel-OTLP-Exporter-Scouter/"));
    assert_eq!(traces.headers.get_all("x-one").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(traces.headers["host"], server.address.to_string().as_str());
}

#[tokio::test]
async fn endpoints_decide_the_place() {
    let server = Server::start().await;
    let url = |path: &str| format!("{}{path}", server.url());
    let config = HttpConfig::new(Endpoint::from_user(&url("/own/traces?key=1")).unwrap())
        .signal_endpoint(Signal::Logs, Endpoint::base(&url("/prefix/")).unwrap());
    let transport = Http::new(config).unwrap();
    transport.send(Payload::traces("", 0)).await.unwrap();
    transport.send(Payload::logs("", 0)).await.unwrap();
    let paths: Vec<_> = server.desk.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/own/traces?key=1", "/prefix/v1/logs"]);

    let nowhere = HttpConfig::new(Endpoint::exact(&server.url()).unwrap());
    let error = Http::new(nowhere).unwrap().send(Payload::traces("", 0)).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Refused, Some(Status::Http(404))));
    assert_eq!(error.to_string(), format!("cannot send traces to {}/: HTTP status 404", server.url()));
}

#[tokio::test]
async fn one_connection_serves_sends_in_a_row() {
    let server = Server::start().await;
    let transport = Http::new(config(&server)).unwrap();
    for _ in 0..20 {
        transport.send(Payload::traces("spans", 1)).await.unwrap();
    }
    server.desk.behave(Behaviour::Refuse);
    transport.send(Payload::traces("spans", 1)).await.unwrap_err();
    server.desk.behave(Behaviour::Answer(Bytes::new()));
    transport.send(Payload::logs("records", 1)).await.unwrap();
    assert_eq!(server.desk.connections(), 1);
}

#[tokio::test]
async fn a_refusal_repeats_the_receivers_reason() {
    let server = Server::start().await;
    server.desk.behave(Behaviour::Refuse);
    let transport = Http::new(config(&server)).unwrap();
    let error = transport.send(Payload::traces("spans", 1)).await.unwrap_err();
    let expected = format!("cannot send traces to {}/v1/traces: HTTP status 400: cannot take this: ", server.url());
    assert!(error.to_string().starts_with(&expected), "{error}");
}

#[tokio::test]
async fn an_unknown_host_and_a_refused_port_are_unreachable() {
    // Bound and freed again, so nobody listens there.
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for url in [format!("http://{free}"), "http://no-such-host.invalid:1".to_owned()] {
        let transport = Http::new(HttpConfig::new(Endpoint::base(&url).unwrap())).unwrap();
        let error = transport.send(Payload::traces("spans", 1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
        assert!(error.is_retryable());
        assert!(error.to_string().starts_with(&format!("cannot send traces to {url}/v1/traces: ")), "{error}");
        assert!(std::error::Error::source(&error).is_some());
    }
}

#[test]
fn settings_are_checked_when_made() {
    let config = || HttpConfig::new(Endpoint::base("http://localhost").unwrap());
    for (config, reason) in [
        (config().timeout(Duration::ZERO), "timeout is zero"),
        (config().header("content-type", "x"), "set by the transport"),
        (config().tls(scouter_transport::TlsConfig::new().ca("x")), "CA certificate"),
    ] {
        let error = Http::new(config).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(reason), "{error}");
    }
}
