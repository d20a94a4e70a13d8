//! The rows of OpenTelemetry's compliance matrix about OTLP exporters, as far as a transport decides them. Those that
//! need the pipeline as well are in the compliance tests of `scouter`.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod receiver;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use prost::Message as _;
use receiver::{Act, Receiver, Speaks};
use scouter_transport::grpc::{Grpc, GrpcConfig};
use scouter_transport::http::{Http, HttpConfig};
use scouter_transport::{
    Compression, ContentType, Endpoint, Error, ErrorKind, Payload, Receipt, Retry, RetryPolicy, Transport,
};

const BOTH: [Speaks; 2] = [Speaks::Http, Speaks::Grpc];

#[derive(Clone, Copy, Debug, Default)]
struct With {
    gzip: bool,
    json: bool,
    max_request_bytes: Option<usize>,
}

fn transport(speaks: Speaks, url: &str, with: With) -> Box<dyn Transport> {
    let endpoint = Endpoint::from_user(url).unwrap();
    let compression = if with.gzip { Compression::Gzip } else { Compression::None };
    let content = if with.json { ContentType::Json } else { ContentType::Protobuf };
    let bytes = with.max_request_bytes.unwrap_or(64 << 20);
    match speaks {
        Speaks::Http => {
            let config = HttpConfig::new(endpoint).compression(compression).content(content).max_request_bytes(bytes);
            Box::new(Http::new(config.header("x-tenant", "a").bearer_token("token")).unwrap())
        }
        Speaks::Grpc => {
            let config = GrpcConfig::new(endpoint).compression(compression).max_request_bytes(bytes);
            Box::new(Grpc::new(config.header("x-tenant", "a").bearer_token("token")).unwrap())
        }
    }
}

async fn sent(speaks: Speaks, with: With, payload: Payload) -> (Result<Receipt, Error>, Receiver) {
    let receiver = Receiver::start(speaks, Vec::new()).await;
    let outcome = transport(speaks, &receiver.url(), with).send(payload).await;
    (outcome, receiver)
}

/// One span in an `ExportTraceServiceRequest`.
const REQUEST: &[u8] = b"\x0a\x0b\x12\x09\x12\x07\x2a\x01s\x30\x02\x60\x00";

fn traces() -> Payload {
    Payload::traces(REQUEST, 1)
}

#[tokio::test]
async fn m140_otlp_over_grpc() {
    let (outcome, receiver) = sent(Speaks::Grpc, With::default(), traces()).await;
    outcome.unwrap();
    let [seen] = receiver.accepted().try_into().unwrap();
    assert_eq!(seen.path, "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
    assert_eq!(seen.header("content-type"), Some("application/grpc"));
    assert_eq!(seen.header("te"), Some("trailers"));
    assert_eq!((seen.header("x-tenant"), seen.header("authorization")), (Some("a"), Some("Bearer token")));
    assert_eq!(seen.message(), REQUEST);
}

#[tokio::test]
async fn m141_otlp_over_http_in_protobuf() {
    let (outcome, receiver) = sent(Speaks::Http, With::default(), traces()).await;
    outcome.unwrap();
    let [seen] = receiver.accepted().try_into().unwrap();
    assert_eq!(seen.path, "/v1/traces");
    assert_eq!(seen.header("content-type"), Some("application/x-protobuf"));
    assert_eq!(seen.header("content-encoding"), None);
    assert_eq!((seen.header("x-tenant"), seen.header("authorization")), (Some("a"), Some("Bearer token")));
    assert_eq!(seen.message(), REQUEST);
}

#[tokio::test]
async fn m142_otlp_over_http_in_json() {
    let with = With { json: true, ..With::default() };
    let (outcome, receiver) = sent(Speaks::Http, with, traces()).await;
    outcome.unwrap();
    let [seen] = receiver.accepted().try_into().unwrap();
    assert_eq!(seen.header("content-type"), Some("application/json"));
    let json = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"s","kind":2}]}]}]}"#;
    assert_eq!(seen.message(), json);

    // Logs too, compressed too; and what is no request cannot be written.
    let logs = Payload::logs(&b"\x0a\x08\x12\x06\x12\x04\x1a\x02ok"[..], 1);
    let (outcome, receiver) = sent(Speaks::Http, With { gzip: true, ..with }, logs).await;
    outcome.unwrap();
    let [seen] = receiver.accepted().try_into().unwrap();
    assert_eq!((seen.path.as_str(), seen.header("content-encoding")), ("/v1/logs", Some("gzip")));
    assert_eq!(seen.message(), br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityText":"ok"}]}]}]}"#);
    let (outcome, receiver) = sent(Speaks::Http, with, Payload::traces("spans", 1)).await;
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!(receiver.acts(), 0);
}

#[tokio::test]
async fn m143_gzip() {
    let body = Bytes::from(vec![b'a'; 100_000]);
    for (speaks, header) in [(Speaks::Http, "content-encoding"), (Speaks::Grpc, "grpc-encoding")] {
        let with = With { gzip: true, ..With::default() };
        let (outcome, receiver) = sent(speaks, with, Payload::traces(body.clone(), 1)).await;
        outcome.unwrap();
        let [seen] = receiver.accepted().try_into().unwrap();
        assert_eq!(seen.header(header), Some("gzip"));
        assert!(seen.body.len() < 2_000, "{} bytes", seen.body.len());
        assert_eq!(seen.message(), body);
    }
}

#[tokio::test]
async fn m144_the_request_size_is_limited_before_compression() {
    for speaks in BOTH {
        for gzip in [false, true] {
            let with = With { gzip, max_request_bytes: Some(1000), ..With::default() };
            let (outcome, receiver) = sent(speaks, with, Payload::traces(vec![b'a'; 1001], 1)).await;
            let error = outcome.unwrap_err();
            assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::TooLarge, false));
            assert!(error.to_string().contains("1001 bytes, more than the 1000 that may be sent"), "{error}");
            assert_eq!(receiver.connections(), 0, "nothing is sent of it");
            let (outcome, _receiver) = sent(speaks, with, Payload::traces(vec![b'a'; 1000], 1)).await;
            outcome.unwrap();
        }
    }
    // JSON is longer than what it is made from, and its own length counts.
    let with = With { json: true, max_request_bytes: Some(REQUEST.len()), ..With::default() };
    let (outcome, _receiver) = sent(Speaks::Http, with, traces()).await;
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn m145_the_response_size_is_limited() {
    for speaks in BOTH {
        let receiver = Receiver::start(speaks, vec![Act::Huge]).await;
        let transport = transport(speaks, &receiver.url(), With::default());
        let error = transport.send(traces()).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::BadResponse, false));
        transport.send(traces()).await.unwrap();
    }
}

#[tokio::test]
async fn m146_sends_overlap_and_connections_are_reused() {
    for speaks in BOTH {
        let receiver = Receiver::start(speaks, vec![Act::HangBeforeAnswer]).await;
        let transport = Arc::new(transport(speaks, &receiver.url(), With::default()));
        let first = tokio::spawn({
            let transport = Arc::clone(&transport);
            async move { transport.send(traces()).await }
        });
        receiver.until_acts(1).await;
        // The first has no answer yet.
        for _ in 0..5 {
            transport.send(traces()).await.unwrap();
        }
        assert!(!first.is_finished());
        first.abort();
        let connections = if speaks == Speaks::Http { 2 } else { 1 };
        assert_eq!(receiver.connections(), connections, "{speaks:?}");
    }
}

/// Waits of a policy whose own backoff is out of the way.
async fn waits(speaks: Speaks, act: Act) -> Vec<Duration> {
    let receiver = Receiver::start(speaks, vec![act]).await;
    let waits = Arc::new(Mutex::new(Vec::new()));
    let policy = RetryPolicy::new().initial_backoff(Duration::ZERO).max_elapsed(Duration::from_secs(60));
    let retry = Retry::new(transport(speaks, &receiver.url(), With::default()), policy).on_retry({
        let waits = Arc::clone(&waits);
        move |retrying| waits.lock().unwrap().push(retrying.wait)
    });
    retry.send(traces()).await.unwrap();
    let waits = waits.lock().unwrap();
    waits.clone()
}

#[tokio::test]
async fn m147_retryable_responses_are_tried_again_with_backoff() {
    for (speaks, act) in
        [(Speaks::Http, Act::Status(503, Vec::new(), Vec::new())), (Speaks::Grpc, Act::Verdict(14, "busy", None))]
    {
        let receiver = Receiver::start(speaks, vec![act; 6]).await;
        let waits = Arc::new(Mutex::new(Vec::new()));
        let policy =
            RetryPolicy::new().initial_backoff(Duration::from_millis(4)).max_backoff(Duration::from_millis(40));
        let with = With { gzip: true, ..With::default() };
        let retry = Retry::new(transport(speaks, &receiver.url(), with), policy).with_seed(7).on_retry({
            let waits = Arc::clone(&waits);
            move |retrying| waits.lock().unwrap().push(retrying.wait)
        });
        retry.send(Payload::traces(vec![b'x'; 5000], 1)).await.unwrap();
        let waits = waits.lock().unwrap().clone();
        assert_eq!(waits.len(), 6);
        for (at, wait) in waits.iter().enumerate() {
            assert!(*wait <= Duration::from_millis((4 << at).min(40)), "{waits:?}");
        }
        assert!(waits.windows(2).any(|pair| pair[0] != pair[1]), "jitter: {waits:?}");
        let bodies: Vec<_> = receiver.requests().into_iter().map(|seen| seen.body).collect();
        assert!(bodies.len() == 7 && bodies.iter().all(|body| *body == bodies[0]), "every try sends the same bytes");
    }
}

#[tokio::test]
async fn m148_other_responses_are_final() {
    for (speaks, act) in
        [(Speaks::Http, Act::Status(400, Vec::new(), Vec::new())), (Speaks::Grpc, Act::Verdict(3, "bad", None))]
    {
        let receiver = Receiver::start(speaks, vec![act]).await;
        let retry = Retry::new(transport(speaks, &receiver.url(), With::default()), RetryPolicy::new());
        assert_eq!(retry.send(traces()).await.unwrap_err().kind(), ErrorKind::Refused);
        assert_eq!(receiver.acts(), 1);
        retry.send(traces()).await.unwrap();
    }
}

#[tokio::test]
async fn m149_throttling_is_obeyed() {
    let after = |status, value: &str| Act::Status(status, vec![("retry-after", value.to_owned())], Vec::new());
    for status in [429, 502, 503, 504] {
        assert_eq!(waits(Speaks::Http, after(status, "0")).await, [Duration::ZERO]);
        assert_eq!(waits(Speaks::Http, after(status, "1")).await, [Duration::from_secs(1)]);
    }
    // A date, counted from the answer's own.
    let headers = [("date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("retry-after", "Sun, 06 Nov 1994 08:49:38 GMT")];
    let headers = headers.map(|(name, value)| (name, value.to_owned())).into();
    assert_eq!(waits(Speaks::Http, Act::Status(503, headers, Vec::new())).await, [Duration::from_secs(1)]);
    // Without it, or with one that says nothing, the own backoff counts.
    for act in [after(429, "soon"), Act::Status(429, Vec::new(), Vec::new())] {
        assert_eq!(waits(Speaks::Http, act).await, [Duration::ZERO]);
    }

    let delay = Duration::from_millis(300);
    for code in [8, 14] {
        assert_eq!(waits(Speaks::Grpc, Act::Verdict(code, "slow down", Some(delay))).await, [delay]);
    }
    assert_eq!(waits(Speaks::Grpc, Act::Verdict(14, "slow down", None)).await, [Duration::ZERO]);
    // Nobody waits for what would not be tried again: exhausted without RetryInfo is final.
    let receiver = Receiver::start(Speaks::Grpc, vec![Act::Verdict(8, "quota", None)]).await;
    let retry = Retry::new(transport(Speaks::Grpc, &receiver.url(), With::default()), RetryPolicy::new());
    assert_eq!(retry.send(traces()).await.unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!(receiver.acts(), 1);
}

#[tokio::test]
async fn m154_the_user_agent_names_the_exporter() {
    let ours = concat!("OTel-OTLP-Exporter-Scouter/", env!("CARGO_PKG_VERSION"));
    for speaks in BOTH {
        let (outcome, receiver) = sent(speaks, With::default(), traces()).await;
        outcome.unwrap();
        assert!(receiver.accepted()[0].header("user-agent").unwrap().starts_with(ours));
    }
}

/// What the pipeline counts and logs is in the answer of both protocols, and the request is not repeated.
#[tokio::test]
async fn m155_m156_partial_success_comes_back_and_is_not_tried_again() {
    let partial = ExportTracePartialSuccess { rejected_spans: 3, error_message: "too old".to_owned() };
    let answer = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    let json = r#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"too old"}}"#;
    for (speaks, act) in [
        (Speaks::Grpc, Act::Accept(answer.clone())),
        (Speaks::Http, Act::Accept(answer.clone())),
        (Speaks::Http, Act::AcceptJson(json)),
    ] {
        let receiver = Receiver::start(speaks, vec![act]).await;
        let retry = Retry::new(transport(speaks, &receiver.url(), With::default()), RetryPolicy::new());
        assert_eq!(retry.send(traces()).await.unwrap().body, answer, "{speaks:?}");
        assert_eq!(receiver.acts(), 1);
    }
}
