//! The receivers: each turns what arrives on its protocol into one protobuf message for [`ingest`](crate::ingest).

mod background;
mod body;
mod grpc;
mod http;
pub(crate) mod kafka;
pub(crate) mod rabbitmq;
mod refusal;
mod response;
#[cfg(any(feature = "kafka", feature = "rabbitmq"))]
mod value;

use std::time::Duration;

use ::http::HeaderMap;
use axum::Router;
use axum::extract::Request;
use axum::response::Response;

use self::http::Encoding;
use crate::ingest::Ingest;
use crate::metrics::{Outcome, Protocol};

pub(crate) use background::Background;
#[cfg(any(feature = "kafka", feature = "rabbitmq"))]
pub(crate) use background::Stop;
pub(crate) use body::Lent;
pub(crate) use refusal::Refusal;

/// What every receiver needs.
#[derive(Clone, Debug)]
pub(crate) struct Receiver {
    pub(crate) ingest: Ingest,
    /// The longest body, before and after decompression, in bytes.
    pub(crate) max_request_bytes: usize,
    /// How long a sender may be silent in the middle of a request.
    pub(crate) idle_timeout: Duration,
}

/// Marks an answer with how the request ended, so that it is counted once, wherever it was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended(pub(crate) Outcome);

/// The paths on which telemetry arrives.
pub(crate) fn router(receiver: Receiver) -> Router {
    Router::new().merge(http::router(receiver.clone())).merge(grpc::router(receiver))
}

/// Whether a path is one on which telemetry arrives.
pub(crate) fn is_ingest(path: &str) -> bool {
    http::is_signal(path) || grpc::is_service(path)
}

/// The protocol a request speaks, told by its content type.
pub(crate) fn protocol(headers: &HeaderMap) -> Protocol {
    if grpc::is_grpc(headers) {
        return Protocol::Grpc;
    }
    match http::encoding(headers) {
        Some(Encoding::Protobuf) => Protocol::HttpProtobuf,
        Some(Encoding::Json) => Protocol::HttpJson,
        None => Protocol::HttpOther,
    }
}

/// The answer that refuses a request, in its own protocol and encoding.
pub(crate) fn refuse(protocol: Protocol, refusal: &Refusal) -> Response {
    match protocol {
        Protocol::Grpc => grpc::refuse(refusal),
        Protocol::HttpProtobuf => http::refuse(Some(Encoding::Protobuf), refusal),
        Protocol::HttpJson => http::refuse(Some(Encoding::Json), refusal),
        Protocol::HttpOther => http::refuse(None, refusal),
    }
}

/// The answer to a request for which there is nothing here.
pub(crate) async fn not_found(request: Request) -> Response {
    let (path, protocol) = (request.uri().path(), protocol(request.headers()));
    refuse(protocol, &Refusal::Unimplemented(format!("there is nothing at {path}")))
}

/// The answer to a method that a path does not take. The router adds which ones it does.
pub(crate) async fn wrong_method(request: Request) -> Response {
    let (method, path) = (request.method(), request.uri().path());
    refuse(protocol(request.headers()), &Refusal::WrongMethod(format!("{path} does not take {method}")))
}
