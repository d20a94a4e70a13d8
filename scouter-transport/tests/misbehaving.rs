//! Both protocols against a receiver that does everything wrong: what is tried again, what is not, and that the next
//! request goes through.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod receiver;

use std::time::Duration;

use receiver::status::rpc_status;
use receiver::{Act, Receiver, Speaks};
use scouter_transport::grpc::{Grpc, GrpcConfig};
use scouter_transport::http::{Http, HttpConfig};
use scouter_transport::{Endpoint, Error, ErrorKind, Payload, Retry, RetryPolicy, Transport};
use tokio::task::JoinSet;

/// Patient, apart from the few rows that hang.
const PATIENT: Duration = Duration::from_secs(30);

fn transport(speaks: Speaks, receiver: &Receiver, timeout: Duration) -> Box<dyn Transport> {
    let endpoint = Endpoint::from_user(&receiver.url()).unwrap();
    match speaks {
        Speaks::Http => Box::new(Http::new(HttpConfig::new(endpoint).timeout(timeout)).unwrap()),
        Speaks::Grpc => Box::new(Grpc::new(GrpcConfig::new(endpoint).timeout(timeout)).unwrap()),
    }
}

/// Large enough that it does not arrive in one piece.
fn payload() -> Payload {
    Payload::traces(vec![b's'; 200_000], 1)
}

fn policy() -> RetryPolicy {
    RetryPolicy::new().initial_backoff(Duration::from_millis(2)).max_backoff(Duration::from_millis(20))
}

fn hangs(act: &Act) -> bool {
    matches!(act, Act::HangAtConnect | Act::HangBeforeAnswer | Act::HangInAnswer)
}

/// One bad answer alone, then twice in a row under retries.
async fn judge(speaks: Speaks, act: Act, kind: ErrorKind) -> Error {
    let timeout = if hangs(&act) { Duration::from_secs(1) } else { PATIENT };
    let receiver = Receiver::start(speaks, vec![act.clone()]).await;
    let alone = transport(speaks, &receiver, timeout);
    let error = alone.send(payload()).await.unwrap_err();
    assert_eq!(error.kind(), kind, "{speaks:?} {act:?}: {error}");
    assert_eq!(receiver.acts(), 1, "{speaks:?} {act:?}: a transport alone tries once");
    alone.send(payload()).await.unwrap_or_else(|error| panic!("{speaks:?} after {act:?}: {error}"));
    assert_eq!(receiver.accepted().len(), 1, "{speaks:?} after {act:?}");

    let receiver = Receiver::start(speaks, vec![act.clone(), act.clone()]).await;
    let retry = Retry::new(transport(speaks, &receiver, timeout), policy());
    let outcome = retry.send(payload()).await;
    if kind.is_retryable() {
        outcome.unwrap_or_else(|error| panic!("{speaks:?} {act:?} twice: {error}"));
        assert_eq!(receiver.acts(), 3, "{speaks:?} {act:?}: two tries for nothing, and one");
    } else {
        assert_eq!(outcome.unwrap_err().kind(), kind);
        assert_eq!(receiver.acts(), 1, "{speaks:?} {act:?} must not be tried again");
        // The next payload meets the second act, the one after it a receiver that is well again.
        retry.send(payload()).await.unwrap_err();
        retry.send(payload()).await.unwrap_or_else(|error| panic!("{speaks:?} after {act:?}: {error}"));
    }
    assert_eq!(receiver.accepted().len(), 1, "{speaks:?} {act:?}: taken in once");
    error
}

fn status(status: u16) -> Act {
    Act::Status(status, Vec::new(), Vec::new())
}

fn page(status: u16) -> Act {
    let headers = vec![("content-type", "text/html; charset=utf-8".to_owned())];
    Act::Status(status, headers, b"<html><h1>Bad Gateway</h1></html>".to_vec())
}

#[tokio::test]
async fn broken_connections_are_tried_again_on_both_protocols() {
    for speaks in [Speaks::Http, Speaks::Grpc] {
        for act in [
            Act::ResetAtConnect,
            Act::ResetInRequest,
            Act::ResetBeforeAnswer,
            Act::CloseBeforeAnswer,
            Act::ResetInAnswer,
            Act::CloseInAnswer,
        ] {
            judge(speaks, act, ErrorKind::Dropped).await;
        }
    }
    judge(Speaks::Grpc, Act::GoAway, ErrorKind::Dropped).await;
}

#[tokio::test]
async fn silence_ends_with_the_timeout_and_is_tried_again_on_both_protocols() {
    let mut rows = JoinSet::new();
    for speaks in [Speaks::Http, Speaks::Grpc] {
        for act in [Act::HangAtConnect, Act::HangBeforeAnswer, Act::HangInAnswer] {
            rows.spawn(judge(speaks, act, ErrorKind::Timeout));
        }
    }
    rows.join_all().await;
}

#[tokio::test]
async fn http_statuses_are_tried_again_as_otlp_says_on_both_protocols() {
    use ErrorKind::{Refused, Throttled, TooLarge, Unavailable};
    for (code, kind) in [
        (429, Throttled),
        (502, Unavailable),
        (503, Unavailable),
        (504, Unavailable),
        (400, Refused),
        (401, Refused),
        (403, Refused),
        (404, Refused),
        (405, Refused),
        (408, Refused),
        (413, TooLarge),
        (415, Refused),
        (500, Refused),
        (501, Refused),
    ] {
        for speaks in [Speaks::Http, Speaks::Grpc] {
            let error = judge(speaks, status(code), kind).await;
            assert!(error.to_string().contains(&format!("HTTP status {code}")), "{error}");
        }
    }
}

#[tokio::test]
async fn grpc_codes_are_tried_again_as_otlp_says() {
    use ErrorKind::{Refused, Throttled, TooLarge, Unavailable};
    for (code, message, delay, kind) in [
        (1, "cancelled", None, Unavailable),
        (2, "unknown", None, Refused),
        (3, "invalid", None, Refused),
        (4, "late", None, Unavailable),
        (5, "not found", None, Refused),
        (6, "exists", None, Refused),
        (7, "denied", None, Refused),
        (8, "exhausted for good", None, Refused),
        (8, "exhausted for now", Some(Duration::from_millis(1)), Throttled),
        (8, "grpc: received message larger than max (5 vs. 4)", None, TooLarge),
        (9, "precondition", None, Refused),
        (10, "aborted", None, Unavailable),
        (11, "out of range", None, Unavailable),
        (12, "unimplemented", None, Refused),
        (13, "internal", None, Refused),
        (14, "unavailable", None, Unavailable),
        (14, "unavailable", Some(Duration::from_millis(1)), Unavailable),
        (15, "lost", None, Unavailable),
        (16, "unauthenticated", None, Refused),
    ] {
        let error = judge(Speaks::Grpc, Act::Verdict(code, message, delay), kind).await;
        assert!(error.to_string().ends_with(message), "{error}");
        assert_eq!(error.retry_after(), delay);
    }
}

#[tokio::test]
async fn what_is_no_receiver_is_named_and_not_asked_again() {
    for (speaks, words) in [
        (Speaks::Http, "is this a port of gRPC or TLS?"),
        (Speaks::Grpc, "the answer is not HTTP/2, which gRPC needs: is this the port of OTLP over HTTP?"),
    ] {
        let error = judge(speaks, Act::OtherProtocol, ErrorKind::BadResponse).await;
        assert!(error.to_string().ends_with(words), "{error}");
    }
    for (speaks, words) in [(Speaks::Http, "the answer is an HTML page"), (Speaks::Grpc, "not gRPC: is this")] {
        let error = judge(speaks, page(200), ErrorKind::BadResponse).await;
        assert!(error.to_string().contains(words), "{error}");
    }
    judge(Speaks::Http, Act::Nonsense, ErrorKind::BadResponse).await;
    judge(Speaks::Grpc, Act::Nonsense, ErrorKind::Refused).await;
}

#[tokio::test]
async fn http_at_a_port_of_grpc_says_so() {
    let receiver = Receiver::start(Speaks::Grpc, Vec::new()).await;
    let error = transport(Speaks::Http, &receiver, PATIENT).send(payload()).await.unwrap_err();
    assert!(error.to_string().ends_with("is this a port of gRPC or TLS?"), "{error}");
}

#[tokio::test]
async fn an_error_page_is_not_repeated_word_by_word() {
    let error = judge(Speaks::Http, page(502), ErrorKind::Unavailable).await;
    assert!(error.to_string().ends_with("HTTP status 502: the answer is an HTML page"), "{error}");
}

#[tokio::test]
async fn redirections_are_not_followed_on_both_protocols() {
    for speaks in [Speaks::Http, Speaks::Grpc] {
        for code in [301, 302, 307, 308] {
            let place = "https://me:hush@elsewhere.example:4318/v1/traces?key=hush";
            let act = Act::Status(code, vec![("location", place.to_owned())], Vec::new());
            let error = judge(speaks, act, ErrorKind::Refused).await.to_string();
            assert!(error.contains("redirections are not followed"), "{error}");
            assert!(error.contains("`https://elsewhere.example:4318/v1/traces`"), "{error}");
            assert!(!error.contains("hush"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_huge_answer_is_refused_and_not_asked_for_again_on_both_protocols() {
    for speaks in [Speaks::Http, Speaks::Grpc] {
        let error = judge(speaks, Act::Huge, ErrorKind::BadResponse).await;
        assert!(error.to_string().ends_with("the answer is longer than 4 MiB"), "{error}");
    }
}

#[tokio::test]
async fn compressed_answers_are_read() {
    let message = b"\x0a\x02\x08\x03".to_vec();
    for speaks in [Speaks::Http, Speaks::Grpc] {
        let receiver = Receiver::start(speaks, vec![Act::AcceptGzip(message.clone())]).await;
        let receipt = transport(speaks, &receiver, PATIENT).send(payload()).await.unwrap();
        assert_eq!(receipt.body, message, "{speaks:?}");
        // A small answer may stand for a large one.
        let receiver = Receiver::start(speaks, vec![Act::AcceptGzip(vec![0; 5 << 20])]).await;
        let error = transport(speaks, &receiver, PATIENT).send(payload()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadResponse, "{speaks:?}: {error}");
    }
}

#[tokio::test]
async fn a_refusal_says_why_in_every_encoding() {
    for (media_type, body) in [
        ("application/x-protobuf", rpc_status(3, "no such tenant", None)),
        ("application/json", br#"{"code":3,"message":"no such tenant"}"#.to_vec()),
        ("application/json; charset=utf-8", br#""no such tenant""#.to_vec()),
        ("text/plain", b"no such tenant".to_vec()),
    ] {
        let act = Act::Status(400, vec![("content-type", media_type.to_owned())], body);
        let error = judge(Speaks::Http, act, ErrorKind::Refused).await.to_string();
        assert!(error.trim_end_matches('"').ends_with("no such tenant"), "{media_type}: {error}");
    }
}
