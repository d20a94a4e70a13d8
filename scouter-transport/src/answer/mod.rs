//! Reading what a far end answers, as far as HTTP and gRPC share it.

mod retry_after;
mod rpc_status;

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Collected, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{DATE, HeaderMap, LOCATION, RETRY_AFTER};

pub(crate) use self::rpc_status::RpcStatus;
use crate::connection;
use crate::endpoint::showable;
use crate::error::{Error, ErrorKind};

/// The largest answer that is taken (OTLP specification, "OTLP/HTTP Response": 4 MiB).
pub(crate) const LARGEST: usize = 4 * 1024 * 1024;

/// How much of a refusal's body is read for its reason, and how long that may take.
const LARGEST_REASON: usize = 64 * 1024;
const LONGEST_REASON: Duration = Duration::from_secs(1);

/// The whole answer, up to [`LARGEST`].
pub(crate) async fn collect(body: Incoming) -> Result<Collected<Bytes>, Error> {
    Limited::new(body, LARGEST).collect().await.map_err(|error| match error.downcast::<hyper::Error>() {
        Ok(error) => connection::dropped(*error),
        Err(error) if error.is::<LengthLimitError>() => too_long(),
        Err(error) => Error::new(ErrorKind::Dropped, "the answer broke off").with_source(error),
    })
}

/// Whether a request may be sent.
pub(crate) fn check_size(bytes: usize, limit: usize) -> Result<(), Error> {
    if bytes <= limit {
        return Ok(());
    }
    let reason = format!("the request has {bytes} bytes, more than the {limit} that may be sent: it was not sent");
    Err(Error::new(ErrorKind::TooLarge, reason))
}

/// What a redirection says. It is not followed: credentials meant for one place would go to another.
pub(crate) fn redirection(headers: &HeaderMap) -> String {
    let place = headers.get(LOCATION).and_then(|value| value.to_str().ok()).map(showable).unwrap_or_default();
    match place.as_str() {
        "" => "redirections are not followed".to_owned(),
        place => format!("redirections are not followed: if the receiver is at `{place}`, give that as the endpoint"),
    }
}

pub(crate) fn too_long() -> Error {
    Error::new(ErrorKind::BadResponse, "the answer is longer than 4 MiB")
}

/// The beginning of a refusal's body: nothing when it is too long, too slow or broken, as the status says enough.
pub(crate) async fn reason(body: Incoming) -> Bytes {
    match tokio::time::timeout(LONGEST_REASON, Limited::new(body, LARGEST_REASON).collect()).await {
        Ok(Ok(reason)) => reason.to_bytes(),
        Ok(Err(_)) | Err(_) => Bytes::new(),
    }
}

/// What an HTTP status other than success means for the payload (OTLP specification, "Failures").
pub(crate) fn http_kind(status: u16) -> ErrorKind {
    match status {
        429 => ErrorKind::Throttled,
        502..=504 => ErrorKind::Unavailable,
        413 => ErrorKind::TooLarge,
        _ => ErrorKind::Refused,
    }
}

/// The delay of a `Retry-After` header. A date counts from the answer's own `Date`, so that clocks need not agree.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    retry_after::parse(text(RETRY_AFTER)?, text(DATE))
}
