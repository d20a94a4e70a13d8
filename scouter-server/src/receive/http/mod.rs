//! OTLP over HTTP: `POST /v1/traces` and `/v1/logs`, protobuf and JSON, plain and gzip (OTLP specification, "OTLP/HTTP").

mod json;

#[cfg(any(feature = "kafka", feature = "rabbitmq"))]
pub(super) use self::json::to_protobuf as from_json;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::json;
use tonic::Code;

use super::body::{Coding, Collector, next_piece};
use super::{Ended, Receiver, Refusal, response};
use crate::ingest::{Accepted, Message, off_the_loop};
use crate::metrics::Outcome;
use crate::store::Signal;

/// How a body says what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Protobuf,
    Json,
}

const TRACES: &str = "/v1/traces";
const LOGS: &str = "/v1/logs";
/// Signals OTLP knows and this server does not store. An honest 404 makes senders drop them rather than send them forever.
const OTHER_SIGNALS: [&str; 2] = ["/v1/metrics", "/v1development/profiles"];

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

pub(super) fn router(receiver: Receiver) -> Router {
    let mut router = Router::new().route(TRACES, post(traces)).route(LOGS, post(logs)).with_state(receiver);
    for path in OTHER_SIGNALS {
        router = router.route(path, post(other_signal));
    }
    router
}

pub(super) fn is_signal(path: &str) -> bool {
    path == TRACES || path == LOGS || OTHER_SIGNALS.contains(&path)
}

/// The media type of a `Content-Type`, without parameters such as `charset`.
pub(super) fn media_type(headers: &HeaderMap) -> &str {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

pub(super) fn encoding(headers: &HeaderMap) -> Option<Encoding> {
    let media_type = media_type(headers);
    if media_type.eq_ignore_ascii_case("application/x-protobuf") {
        Some(Encoding::Protobuf)
    } else if media_type.eq_ignore_ascii_case("application/json") {
        Some(Encoding::Json)
    } else {
        None
    }
}

fn coding(headers: &HeaderMap) -> Result<Coding, Refusal> {
    let mut coding = Coding::Identity;
    for value in headers.get_all(CONTENT_ENCODING) {
        match value.to_str().unwrap_or("?").trim().to_ascii_lowercase().as_str() {
            "" | "identity" => {}
            "gzip" | "x-gzip" if coding == Coding::Identity => coding = Coding::Gzip,
            other => {
                return Err(Refusal::Unsupported(format!(
                    "content-encoding `{}` is not read here; send gzip or none",
                    other.escape_debug()
                )));
            }
        }
    }
    Ok(coding)
}

async fn traces(State(receiver): State<Receiver>, request: Request) -> Response {
    export(&receiver, Signal::Traces, request).await
}

async fn logs(State(receiver): State<Receiver>, request: Request) -> Response {
    export(&receiver, Signal::Logs, request).await
}

async fn export(receiver: &Receiver, signal: Signal, request: Request) -> Response {
    let Some(encoding) = encoding(request.headers()) else {
        let media_type = media_type(request.headers());
        let said =
            if media_type.is_empty() { "no content-type".into() } else { format!("content-type `{media_type}`") };
        let refusal =
            Refusal::Unsupported(format!("{said} is not read here; send application/x-protobuf or application/json"));
        return refuse(None, &refusal);
    };
    match receive(receiver, signal, encoding, request).await {
        Ok(accepted) => accept(encoding, &accepted),
        Err(refusal) => refuse(Some(encoding), &refusal),
    }
}

async fn receive(
    receiver: &Receiver,
    signal: Signal,
    encoding: Encoding,
    request: Request,
) -> Result<Accepted, Refusal> {
    let coding = coding(request.headers())?;
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let limit = receiver.max_request_bytes;
    if declared.is_some_and(|declared| declared > limit as u64) {
        return Err(Refusal::TooLarge(limit));
    }
    let mut body = request.into_body();
    let mut collector = Collector::new(coding, limit, &receiver.ingest.room);
    while let Some(piece) = next_piece(&mut body, receiver.idle_timeout).await? {
        collector.push(&piece).await?;
    }
    let wire = collector.wire();
    let mut message = collector.finish()?;
    receiver.ingest.metrics.read_body(wire as u64, message.bytes.len() as u64);
    if encoding == Encoding::Json {
        message = translate(signal, message).await?;
    }
    Ok(receiver.ingest.accept(signal, message).await?)
}

/// The protobuf form of a JSON message, which is never longer: it needs at most as much room again.
async fn translate(signal: Signal, message: Message) -> Result<Message, Refusal> {
    let Message { bytes, mut reservation } = message;
    let length = bytes.len();
    reservation.grow(length).map_err(|_| Refusal::Overloaded)?;
    let translated = off_the_loop(length, move || json::to_protobuf(signal, &bytes)).await;
    let translated = translated
        .map_err(|error| Refusal::Malformed(format!("the body is not an {} in JSON: {error}", signal.request())))?;
    reservation.shrink_to(translated.len());
    Ok(Message { bytes: translated.into(), reservation })
}

async fn other_signal(request: Request) -> Response {
    let path = request.uri().path();
    let refusal = Refusal::Unimplemented(format!(
        "this server does not store what is sent to {path}; it takes {TRACES} and {LOGS}"
    ));
    refuse(encoding(request.headers()), &refusal)
}

fn answer(status: StatusCode, content_type: HeaderValue, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

fn accept(encoding: Encoding, accepted: &Accepted) -> Response {
    let mut response = match encoding {
        Encoding::Protobuf => answer(StatusCode::OK, PROTOBUF, response::accepted(accepted)),
        Encoding::Json => {
            let body = match accepted.rejected {
                0 => json!({}),
                // An int64 is a string in JSON.
                // Records are never rejected, so this is about spans.
                rejected => json!({"partialSuccess": {
                    "rejectedSpans": rejected.to_string(),
                    "errorMessage": accepted.message,
                }}),
            };
            answer(StatusCode::OK, JSON, body.to_string())
        }
    };
    let outcome = if accepted.rejected == 0 { Outcome::Ok } else { Outcome::Partial };
    response.extensions_mut().insert(Ended(outcome));
    response
}

/// A `google.rpc.Status` in the request's encoding, or plain words for a request that speaks neither.
fn status(encoding: Option<Encoding>, status: StatusCode, code: Code, message: &str) -> Response {
    match encoding {
        Some(Encoding::Protobuf) => answer(status, PROTOBUF, response::status(code, message, None)),
        Some(Encoding::Json) => answer(status, JSON, json!({"code": code as i32, "message": message}).to_string()),
        None => (status, format!("{message}\n")).into_response(),
    }
}

pub(super) fn refuse(encoding: Option<Encoding>, refusal: &Refusal) -> Response {
    let mut response = status(encoding, refusal.http(), refusal.code(), &refusal.message());
    let headers = response.headers_mut();
    if let Some(seconds) = refusal.retry_after() {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    match refusal {
        Refusal::Unsupported(_) => {
            headers.insert(ACCEPT, HeaderValue::from_static("application/x-protobuf, application/json"));
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, identity"));
        }
        Refusal::Unauthorized => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        _ => {}
    }
    response.extensions_mut().insert(Ended(refusal.outcome()));
    response
}
