//! The rows of OpenTelemetry's compliance matrix about OTLP exporters that need the whole way, from a span to what a receiver
//! sees and what is counted here.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

#[path = "../../scouter-transport/tests/receiver/mod.rs"]
mod receiver;
mod support;

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message as _;
use receiver::{Act, Receiver, Speaks};
use scouter::export::{DestinationStats, DropReason, FlushError};
use scouter::span::Scope;
use scouter::transport::memory::Memory;
use scouter::transport::{Compression, ContentType, Endpoint};
use scouter::{Collector, Connection, Protocol, Scouter};
use support::{PATIENT, Told, settings, spans, started};

const BOTH: [Speaks; 2] = [Speaks::Http, Speaks::Grpc];

fn collector(name: &str, speaks: Speaks, receiver: &Receiver) -> Collector {
    let protocol = match speaks {
        Speaks::Http => Protocol::Http,
        Speaks::Grpc => Protocol::Grpc,
    };
    Collector::new(name, Connection::new(protocol, Endpoint::from_user(&receiver.url()).unwrap()))
}

/// Scouter with this one collector, and who is told what goes wrong.
fn to(collector: Collector) -> (Scouter, Arc<Told>) {
    let (mut settings, told) = (settings(&[]), Arc::new(Told::default()));
    settings.collectors.push(collector);
    settings.reporter = told.clone();
    (started(settings, &Memory::default()), told)
}

fn record(scouter: &Scouter, count: usize) {
    for _ in 0..count {
        scouter.tracer("t").span("s").start().end();
    }
}

/// Waits without keeping the receivers from their work.
fn flush(scouter: &Scouter, timeout: Duration) -> Result<(), FlushError> {
    tokio::task::block_in_place(|| scouter.flush(timeout))
}

fn stats(scouter: &Scouter, name: &str) -> DestinationStats {
    let stats = scouter.stats().unwrap();
    stats.destinations.into_iter().find(|destination| destination.name == name).unwrap()
}

fn decoded(receiver: &Receiver) -> Vec<ExportTraceServiceRequest> {
    let accepted = receiver.accepted();
    accepted.iter().map(|seen| ExportTraceServiceRequest::decode(&seen.message()[..]).unwrap()).collect()
}

/// OTLP, "Multi-Destination Exporting": queues, acknowledgements and retries of each destination are its own.
#[tokio::test(flavor = "multi_thread")]
async fn m150_destinations_do_not_wait_for_each_other() {
    let http = Receiver::start(Speaks::Http, vec![Act::HangBeforeAnswer]).await;
    let grpc = Receiver::start(Speaks::Grpc, Vec::new()).await;
    let json = Receiver::start(Speaks::Http, Vec::new()).await;
    let mut settings = settings(&[]);
    let mut first = collector("first", Speaks::Http, &http);
    first.connection.headers.push(("x-tenant".to_owned(), "a".to_owned()));
    first.connection.compression = Compression::Gzip;
    let mut second = collector("second", Speaks::Grpc, &grpc);
    second.connection.headers.push(("x-tenant".to_owned(), "b".to_owned()));
    let mut third = collector("third", Speaks::Http, &json);
    third.connection.content = ContentType::Json;
    third.batch = false;
    settings.collectors = vec![first, second, third];
    let memory = Memory::default();
    let scouter = started(settings, &memory);
    record(&scouter, 3);

    // The first hangs. The others have everything all the same.
    assert!(matches!(flush(&scouter, Duration::from_millis(300)), Err(FlushError::Timeout { remaining: 3, .. })));
    assert_eq!(spans(&decoded(&grpc)).len(), 3);
    assert_eq!(json.accepted().len(), 3, "one request for each span");
    let seen: ExportTraceServiceRequest = serde_json::from_slice(&json.accepted()[0].message()).unwrap();
    assert_eq!(spans(&[seen]).len(), 1);
    assert_eq!(memory.received(), 1);

    // Each with its own headers and compression.
    let (over_http, over_grpc) = (http.requests().remove(0), grpc.requests().remove(0));
    assert_eq!((over_http.header("x-tenant"), over_http.header("content-encoding")), (Some("a"), Some("gzip")));
    assert_eq!((over_grpc.header("x-tenant"), over_grpc.header("grpc-encoding")), (Some("b"), None));
    assert_eq!(over_http.message(), over_grpc.message());
    for name in ["scouter", "second", "third"] {
        assert_eq!(stats(&scouter, name).exported, 3, "{name}");
    }
    assert_eq!(stats(&scouter, "first").exported, 0);
    scouter.begin_shutdown(Duration::ZERO);
}

#[tokio::test(flavor = "multi_thread")]
async fn m151_schema_urls_travel() {
    for speaks in BOTH {
        let receiver = Receiver::start(speaks, Vec::new()).await;
        let mut settings = settings(&[]);
        settings.collectors.push(collector("otel", speaks, &receiver));
        settings.resource_schema_url = "https://example.com/resource".to_owned();
        let scouter = started(settings, &Memory::default());
        let scope = Scope::new("library", "1", "https://example.com/scope", &[]);
        scouter.provider().tracer(scope).span("s").start().end();
        flush(&scouter, PATIENT).unwrap();
        let [request] = decoded(&receiver).try_into().unwrap();
        assert_eq!(request.resource_spans[0].schema_url, "https://example.com/resource");
        assert_eq!(request.resource_spans[0].scope_spans[0].schema_url, "https://example.com/scope");
    }
}

/// Partial success: counted, logged, not repeated.
async fn partial_success(speaks: Speaks, json: bool) {
    let answer = |rejected_spans, error_message: &str| {
        let partial = ExportTracePartialSuccess { rejected_spans, error_message: error_message.to_owned() };
        match json {
            false => Act::Accept(ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec()),
            true if rejected_spans > 0 => {
                Act::AcceptJson(r#"{"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}}"#)
            }
            true => Act::AcceptJson(r#"{"partialSuccess":{"errorMessage":"send less"}}"#),
        }
    };
    let receiver = Receiver::start(speaks, vec![answer(2, "too old")]).await;
    let mut target = collector("otel", speaks, &receiver);
    if json {
        target.connection.content = ContentType::Json;
    }
    let (scouter, told) = to(target.clone());
    record(&scouter, 3);
    let lost = flush(&scouter, PATIENT).unwrap_err();
    assert!(matches!(lost, FlushError::Failed { dropped: 2, .. }), "{lost}");
    let stats = stats(&scouter, "otel");
    assert_eq!((stats.exported, stats.dropped[DropReason::Rejected], stats.requests), (1, 2, 1));
    let expected = "the receiver rejected 2 of 3 spans: too old";
    assert_eq!(told.all(), [(Some(DropReason::Rejected), 2, expected.to_owned())]);

    // A warning without a rejection is logged too.
    receiver.then(answer(0, "send less"));
    let (scouter, told) = to(target);
    record(&scouter, 1);
    flush(&scouter, PATIENT).unwrap();
    assert_eq!(told.all(), [(None, 0, "the receiver took all spans and warns: send less".to_owned())]);
    assert_eq!(receiver.acts(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn m155_partial_success_over_grpc() {
    partial_success(Speaks::Grpc, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn m156_partial_success_over_http() {
    partial_success(Speaks::Http, false).await;
    partial_success(Speaks::Http, true).await;
}

/// A request that is too large for the receiver is sent in halves, once.
#[tokio::test(flavor = "multi_thread")]
async fn m144_a_request_that_is_too_large_is_split_once() {
    for (speaks, act) in [
        (Speaks::Http, Act::Status(413, Vec::new(), Vec::new())),
        (Speaks::Grpc, Act::Verdict(8, "grpc: received message larger than max (9 vs. 8)", None)),
    ] {
        let receiver = Receiver::start(speaks, vec![act.clone()]).await;
        let (scouter, _) = to(collector("otel", speaks, &receiver));
        record(&scouter, 5);
        flush(&scouter, PATIENT).unwrap();
        let sizes: Vec<_> = decoded(&receiver).into_iter().map(|request| spans(&[request]).len()).collect();
        assert_eq!(sizes, [2, 3], "{speaks:?}");

        let receiver = Receiver::start(speaks, vec![act.clone(), act]).await;
        let (scouter, _) = to(collector("otel", speaks, &receiver));
        record(&scouter, 4);
        flush(&scouter, PATIENT).unwrap_err();
        let stats = stats(&scouter, "otel");
        assert_eq!((stats.exported, stats.dropped[DropReason::TooLarge]), (2, 2), "{speaks:?}");
        assert_eq!(receiver.acts(), 3);
    }
}

/// What becomes of the spans of one bad answer, and that the next ones arrive.
async fn judge(speaks: Speaks, act: Act, lost: Option<DropReason>) {
    let receiver = Receiver::start(speaks, vec![act.clone()]).await;
    let mut target = collector("otel", speaks, &receiver);
    let hangs = matches!(act, Act::HangAtConnect | Act::HangBeforeAnswer | Act::HangInAnswer);
    target.connection.timeout = hangs.then_some(Duration::from_millis(300));
    let (scouter, told) = to(target);
    record(&scouter, 3);
    let outcome = flush(&scouter, PATIENT);
    let now = stats(&scouter, "otel");
    match lost {
        None => {
            let seen = (receiver.acts(), receiver.connections(), receiver.requests().len());
            outcome.unwrap_or_else(|error| panic!("{speaks:?} {act:?}: {error}; {seen:?} {now:?}"));
            assert_eq!((now.exported, now.dropped.total()), (3, 0), "{speaks:?} {act:?}");
            // On a busy machine the short time limit of those that hang may be up once more.
            assert!(now.retries == 1 || hangs && now.retries > 1, "{speaks:?} {act:?}: {now:?}");
            assert!(told.all().is_empty());
        }
        Some(reason) => {
            assert!(matches!(outcome, Err(FlushError::Failed { dropped: 3, .. })), "{speaks:?} {act:?}: {outcome:?}");
            assert_eq!((now.exported, now.dropped[reason]), (0, 3), "{speaks:?} {act:?}");
            assert_eq!((now.requests, now.retries), (1, 0), "{speaks:?} {act:?}");
            assert_eq!(told.all().len(), 1);
        }
    }
    record(&scouter, 1);
    flush(&scouter, PATIENT).unwrap();
    let (arrived, expected) = (spans(&decoded(&receiver)).len(), if lost.is_none() { 4 } else { 1 });
    // What came too late for its time limit arrives twice (OTLP, "Duplicate Data").
    assert!(arrived == expected || hangs && arrived > expected, "{speaks:?} after {act:?}: {arrived}");
    let after = stats(&scouter, "otel");
    assert_eq!(after.exported + after.dropped.total(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn m147_what_passes_by_costs_a_retry_and_no_span() {
    let status = |code| Act::Status(code, vec![("retry-after", "0".to_owned())], Vec::new());
    let mut rows = Vec::new();
    for speaks in BOTH {
        rows.extend([429, 502, 503, 504].map(|code| (speaks, status(code))));
        rows.extend(
            [
                Act::ResetAtConnect,
                Act::ResetInRequest,
                Act::ResetBeforeAnswer,
                Act::CloseBeforeAnswer,
                Act::ResetInAnswer,
                Act::CloseInAnswer,
                Act::HangAtConnect,
                Act::HangBeforeAnswer,
                Act::HangInAnswer,
            ]
            .map(|act| (speaks, act)),
        );
    }
    rows.push((Speaks::Grpc, Act::GoAway));
    let short = Some(Duration::from_millis(1));
    for (code, delay) in [(1, None), (4, None), (8, short), (10, None), (11, None), (14, None), (14, short), (15, None)]
    {
        rows.push((Speaks::Grpc, Act::Verdict(code, "for now", delay)));
    }
    let all = rows.into_iter().map(|(speaks, act)| tokio::spawn(judge(speaks, act, None)));
    for row in all.collect::<Vec<_>>() {
        row.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn m148_what_is_final_is_counted_and_not_repeated() {
    let mut rows = Vec::new();
    for speaks in BOTH {
        for code in [400, 401, 403, 404, 408, 500, 501, 307] {
            rows.push((speaks, Act::Status(code, Vec::new(), Vec::new())));
        }
        let page = vec![("content-type", "text/html".to_owned())];
        rows.push((speaks, Act::Status(200, page, b"<html>hello</html>".to_vec())));
        rows.extend([Act::Huge, Act::Nonsense, Act::OtherProtocol].map(|act| (speaks, act)));
    }
    for code in [2, 3, 5, 6, 7, 8, 9, 12, 13, 16] {
        rows.push((Speaks::Grpc, Act::Verdict(code, "for good", None)));
    }
    let all = rows.into_iter().map(|(speaks, act)| tokio::spawn(judge(speaks, act, Some(DropReason::Refused))));
    for row in all.collect::<Vec<_>>() {
        row.await.unwrap();
    }
}

/// OTLP, "Empty Telemetry Envelopes", and the deadline of a shutdown.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_not_sent_and_a_shutdown_ends_in_time() {
    for speaks in BOTH {
        let receiver = Receiver::start(speaks, vec![Act::HangBeforeAnswer]).await;
        let (scouter, _) = to(collector("otel", speaks, &receiver));
        flush(&scouter, PATIENT).unwrap();
        assert_eq!(receiver.connections(), 0, "{speaks:?}: nothing was recorded, so nothing is sent");
        record(&scouter, 2);
        let begun = std::time::Instant::now();
        let error = tokio::task::block_in_place(|| scouter.shutdown(Duration::from_millis(300))).unwrap_err();
        assert!(matches!(error, FlushError::Timeout { .. }), "{speaks:?}: {error}");
        assert!(begun.elapsed() < Duration::from_secs(5));
        // The worker counts at the same moment as the caller's time is up.
        while stats(&scouter, "otel").dropped.total() < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(stats(&scouter, "otel").dropped[DropReason::Shutdown], 2);
    }
}
