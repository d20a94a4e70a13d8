//! OTLP over gRPC: `TraceService/Export` and `LogsService/Export`, on the port that serves everything else too.
//!
//! The gRPC framing of one unary call is read here rather than by a generated server: the request's bytes go to the store as
//! they are, so there is nothing to decode; its length and its decompressed length share their limit, their room and their
//! idle time with OTLP/HTTP; and a message that is too long is RESOURCE_EXHAUSTED, which OTLP's senders do not repeat (tonic says
//! OUT_OF_RANGE, which they do).

mod frame;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::{BodyExt, Full};
use tonic::{Code, Status};

use super::body::{Coding, Collector, next_piece};
use super::http::media_type;
use super::{Ended, Receiver, Refusal, response};
use crate::ingest::Accepted;
use crate::metrics::Outcome;
use crate::store::Signal;
use frame::Frame;

const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const LOGS: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
/// Every collector service of OTLP lies below this.
const SERVICES: &str = "/opentelemetry.proto.collector.";

const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const ACCEPTED_ENCODINGS: HeaderValue = HeaderValue::from_static("gzip,identity");

pub(super) fn router(receiver: Receiver) -> Router {
    Router::new().route(TRACES, post(traces)).route(LOGS, post(logs)).with_state(receiver)
}

pub(super) fn is_service(path: &str) -> bool {
    path.starts_with(SERVICES)
}

/// Whether a request speaks gRPC with protobuf messages. (gRPC-Web and gRPC with JSON are other protocols.)
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let media_type = media_type(headers);
    ["application/grpc", "application/grpc+proto"].iter().any(|grpc| media_type.eq_ignore_ascii_case(grpc))
}

async fn traces(State(receiver): State<Receiver>, request: Request) -> Response {
    export(&receiver, Signal::Traces, request).await
}

async fn logs(State(receiver): State<Receiver>, request: Request) -> Response {
    export(&receiver, Signal::Logs, request).await
}

async fn export(receiver: &Receiver, signal: Signal, request: Request) -> Response {
    if !is_grpc(request.headers()) {
        let message = "a gRPC method is called with content-type application/grpc\n";
        let mut response = (StatusCode::UNSUPPORTED_MEDIA_TYPE, message).into_response();
        response.extensions_mut().insert(Ended(Outcome::Unsupported));
        return response;
    }
    match receive(receiver, signal, request).await {
        Ok(accepted) => accept(&accepted),
        Err(refusal) => refuse(&refusal),
    }
}

fn coding(headers: &HeaderMap) -> Result<Coding, Refusal> {
    match headers.get(ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(Coding::Identity),
        Some(b"gzip") => Ok(Coding::Gzip),
        Some(other) => Err(Refusal::Unsupported(format!(
            "grpc-encoding `{}` is not read here; send gzip or identity",
            other.escape_ascii()
        ))),
    }
}

async fn receive(receiver: &Receiver, signal: Signal, request: Request) -> Result<Accepted, Refusal> {
    let coding = coding(request.headers())?;
    let limit = receiver.max_request_bytes;
    let mut frame = Frame::new(limit);
    let mut collector: Option<Collector> = None;
    let mut body = request.into_body();
    while let Some(piece) = next_piece(&mut body, receiver.idle_timeout).await? {
        let piece = frame.take(&piece)?;
        let collector = match (&mut collector, frame.is_compressed()) {
            (Some(collector), _) => collector,
            (_, None) => continue,
            (_, Some(true)) if coding == Coding::Identity => {
                return Err(Refusal::Malformed(
                    "the message is marked compressed, but there is no grpc-encoding".into(),
                ));
            }
            (empty, Some(true)) => empty.insert(Collector::new(coding, limit, &receiver.ingest.room)),
            (empty, Some(false)) => empty.insert(Collector::new(Coding::Identity, limit, &receiver.ingest.room)),
        };
        collector.push(piece).await?;
    }
    frame.finish()?;
    let collector = collector.ok_or_else(|| Refusal::Malformed("the call has no message".into()))?;
    let wire = collector.wire();
    let message = collector.finish()?;
    receiver.ingest.metrics.read_body(wire as u64, message.bytes.len() as u64);
    Ok(receiver.ingest.accept(signal, message).await?)
}

fn accept(accepted: &Accepted) -> Response {
    let message = frame::of(&response::accepted(accepted));
    let trailers = async {
        let mut trailers = HeaderMap::new();
        trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
        Some(Ok(trailers))
    };
    let mut response = Response::new(Body::new(Full::from(message).with_trailers(trailers)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response.headers_mut().insert(ACCEPT_ENCODING, ACCEPTED_ENCODINGS);
    let outcome = if accepted.rejected == 0 { Outcome::Ok } else { Outcome::Partial };
    response.extensions_mut().insert(Ended(outcome));
    response
}

/// A refusal is an answer of headers only, with status 200 of HTTP and the true status of gRPC.
pub(super) fn refuse(refusal: &Refusal) -> Response {
    let (code, message) = (refusal.code(), refusal.message());
    let status = match refusal.retry_after() {
        Some(seconds) => {
            let details = response::status(code, &message, Some(seconds));
            Status::with_details(code, message, details.into())
        }
        None => Status::new(code, message),
    };
    let mut response = status.into_http::<Body>();
    if code == Code::Unimplemented {
        response.headers_mut().insert(ACCEPT_ENCODING, ACCEPTED_ENCODINGS);
    }
    response.extensions_mut().insert(Ended(refusal.outcome()));
    response
}
