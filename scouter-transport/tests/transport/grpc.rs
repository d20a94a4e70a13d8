//! gRPC against a tonic server, and against what is none.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use scouter_transport::conformance::{self, Arrival, Behaviour, FarEnd};
use scouter_transport::grpc::{Grpc, GrpcConfig};
use scouter_transport::{BoxFuture, Compression, ContentType, Endpoint, Error, ErrorKind, Payload, Status, Transport};
use tokio::net::TcpListener;

use crate::server::{Server, rpc_status};

#[derive(Debug)]
struct OverGrpc {
    server: Server,
    compression: Compression,
}

impl FarEnd for OverGrpc {
    fn transport(&self, timeout: Duration) -> Box<dyn Transport> {
        let url = format!("http://me:pass-word@{}", self.server.address);
        let config = GrpcConfig::new(Endpoint::from_user(&url).unwrap())
            .header("x-api-key", "api-key-value")
            .compression(self.compression)
            .timeout(timeout);
        Box::new(Grpc::new(config).unwrap())
    }

    fn contents(&self) -> Vec<ContentType> {
        vec![ContentType::Protobuf]
    }

    fn secrets(&self) -> Vec<String> {
        ["pass-word", "api-key-value", "bWU6cGFzcy13b3Jk"].map(str::to_owned).into()
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
    conformance::all(&OverGrpc { server: Server::start().await, compression: Compression::None }).await;
}

#[tokio::test]
async fn passes_the_suite_with_gzip() {
    conformance::all(&OverGrpc { server: Server::start().await, compression: Compression::Gzip }).await;
}

fn transport(url: &str) -> Grpc {
    Grpc::new(GrpcConfig::new(Endpoint::from_user(url).unwrap())).unwrap()
}

#[tokio::test]
async fn calls_look_as_otlp_says() {
    let server = Server::start().await;
    let config = GrpcConfig::new(Endpoint::from_user(&server.url()).unwrap())
        .bearer_token("token")
        .header("X-One", "1")
        .compression(Compression::Gzip)
        .timeout(Duration::from_secs(30));
    let transport = Grpc::new(config).unwrap();
    transport.send(Payload::traces(vec![b'a'; 100_000], 1)).await.unwrap();
    transport.send(Payload::logs("records", 1)).await.unwrap();

    let [traces, logs] = server.desk.requests().try_into().unwrap();
    assert!(traces.path.ends_with("/opentelemetry.proto.collector.trace.v1.TraceService/Export"), "{}", traces.path);
    assert!(logs.path.ends_with("/opentelemetry.proto.collector.logs.v1.LogsService/Export"), "{}", logs.path);
    assert_eq!(traces.headers["content-type"], "application/grpc");
    assert_eq!(traces.headers["te"], "trailers");
    assert_eq!(traces.headers["grpc-encoding"], "gzip");
    assert_eq!(traces.headers["grpc-timeout"], "30000000u");
    assert_eq!(traces.headers["authorization"], "Bearer token");
    assert_eq!(traces.headers["x-one"], "1");
    let agents: Vec<_> = traces.headers.get_all("user-agent").iter().collect();
    assert_eq!(agents.len(), 1);
    assert!(agents[0].to_str().unwrap().starts_with("OTel-OTLP-Exporter-Scouter/"));
    assert!(traces.length < 2_000, "{} bytes", traces.length);
    assert_eq!(server.desk.connections(), 1);
}

#[tokio::test]
async fn json_is_told_to_go_elsewhere() {
    let server = Server::start().await;
    let payload = Payload::traces("{}", 1).with_content(ContentType::Json);
    let error = transport(&server.url()).send(payload).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(server.desk.requests().is_empty());
}

#[test]
fn settings_are_checked_when_made() {
    let error = Grpc::new(GrpcConfig::new(Endpoint::from_user("http://me:pw@h:4317/v1/traces").unwrap())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let expected = "endpoint `http://h:4317/v1/traces` has a path, which gRPC does not use: write it as http://h:4317";
    assert_eq!(error.to_string(), expected);
    let endless = GrpcConfig::new(Endpoint::from_user("http://h").unwrap()).timeout(Duration::ZERO);
    assert_eq!(Grpc::new(endless).unwrap_err().kind(), ErrorKind::Config);
}

/// What a raw HTTP/2 receiver answers.
#[derive(Clone, Debug, Default)]
struct Raw {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
    trailers: Vec<(&'static str, String)>,
}

/// A receiver that answers every call alike.
async fn raw(answer: Raw) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = answer.clone();
                async move {
                    request.collect().await?;
                    let mut response = Response::builder().status(answer.status);
                    for (name, value) in &answer.headers {
                        response = response.header(*name, value);
                    }
                    let trailers: HeaderMap = answer
                        .trailers
                        .iter()
                        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                        .collect();
                    let body =
                        Full::new(answer.body).with_trailers(async { (!trailers.is_empty()).then_some(Ok(trailers)) });
                    Ok::<_, hyper::Error>(response.body(Box::pin(body)).unwrap())
                }
            });
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
        }
    });
    url
}

async fn failure(answer: Raw) -> Error {
    transport(&raw(answer).await).send(Payload::traces("spans", 1)).await.unwrap_err()
}

fn verdict(code: i32, message: &str, details: Option<String>) -> Raw {
    let mut headers = vec![
        ("content-type", "application/grpc".to_owned()),
        ("grpc-status", code.to_string()),
        ("grpc-message", message.to_owned()),
    ];
    headers.extend(details.map(|details| ("grpc-status-details-bin", details)));
    Raw { status: 200, headers, ..Raw::default() }
}

#[tokio::test]
async fn statuses_become_kinds() {
    let retry = |seconds| {
        use base64_of_test::encode;
        encode(&rpc_status(8, "", Some(Duration::from_secs(seconds))).encode_to_vec())
    };
    for (code, message, details, kind, delay) in [
        (8, "quota%20exceeded", None, ErrorKind::Refused, None),
        (8, "slow down", Some(retry(3)), ErrorKind::Throttled, Some(3)),
        (8, "message larger than max", None, ErrorKind::TooLarge, None),
        (14, "busy", Some(retry(0)), ErrorKind::Unavailable, Some(0)),
        (14, "busy", Some("not base64 !".to_owned()), ErrorKind::Unavailable, None),
        (4, "", None, ErrorKind::Unavailable, None),
        (16, "who are you", None, ErrorKind::Refused, None),
        (12, "", None, ErrorKind::Refused, None),
    ] {
        let error = failure(verdict(code, message, details)).await;
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(error.retry_after(), delay.map(Duration::from_secs), "{error}");
        assert_eq!(error.status(), Some(Status::Grpc(u16::try_from(code).unwrap())), "{error}");
        assert!(error.to_string().ends_with(&message.replace("%20", " ")), "{error}");
    }
}

/// Base64 as gRPC writes it: without padding.
mod base64_of_test {
    pub(super) fn encode(bytes: &[u8]) -> String {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for chunk in bytes.chunks(3) {
            let number =
                chunk.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
            for letter in 0..=chunk.len() {
                text.push(char::from(LETTERS[(number >> (18 - 6 * letter)) as usize & 63]));
            }
        }
        text
    }
}

#[tokio::test]
async fn answers_that_are_no_grpc_are_understood() {
    let plain = |status: u16, headers: Vec<(&'static str, String)>| Raw { status, headers, ..Raw::default() };
    let error = failure(plain(503, vec![("retry-after", "9".to_owned())])).await;
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Unavailable, Some(Duration::from_secs(9))));
    assert_eq!(error.status(), Some(Status::Http(503)));
    assert_eq!(failure(plain(404, Vec::new())).await.kind(), ErrorKind::Refused);

    // Half an answer: a message and no status after it.
    let half = Raw { status: 200, body: Bytes::from_static(&[0, 0, 0, 0, 0]), ..Raw::default() };
    let error = failure(half).await;
    assert_eq!(error.kind(), ErrorKind::Dropped, "{error}");
    assert!(error.is_retryable());

    let mut frame = vec![0; 5 * 1024 * 1024];
    frame[1..5].copy_from_slice(&(5u32 * 1024 * 1024 - 5).to_be_bytes());
    let trailers = vec![("grpc-status", "0".to_owned())];
    let oversize = Raw { status: 200, body: frame.into(), trailers, ..Raw::default() };
    let error = failure(oversize).await;
    assert_eq!(error.kind(), ErrorKind::BadResponse, "{error}");
    assert!(error.to_string().contains("longer than 4 MiB"), "{error}");
}

#[tokio::test]
async fn a_connection_that_hangs_is_left_behind() {
    // The first connection is taken and never read, the second is served.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = Server::start().await;
    let address = server.address;
    tokio::spawn(async move {
        let (silent, _) = listener.accept().await.unwrap();
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = tokio::net::TcpStream::connect(address).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        drop(silent);
    });
    let config = GrpcConfig::new(Endpoint::from_user(&url).unwrap()).timeout(Duration::from_secs(1));
    let transport = Grpc::new(config).unwrap();
    let error = transport.send(Payload::traces("spans", 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    transport.send(Payload::traces("spans", 1)).await.unwrap();
}

#[tokio::test]
async fn a_receiver_that_speaks_no_http2_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            use tokio::io::AsyncWriteExt as _;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
        }
    });
    let error = transport(&url).send(Payload::traces("spans", 1)).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Dropped | ErrorKind::Unreachable), "{error}");
}
