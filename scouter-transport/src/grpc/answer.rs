//! What a gRPC status means for the payload.

use std::error::Error as _;

use tonic::Code;

use crate::answer::RpcStatus;
use crate::error::{Error, ErrorKind, Status};
use crate::headers::ReadyHeaders;

/// Our error for a call that failed: one of ours that went through tonic, or the far end's verdict.
pub(super) fn error(status: &tonic::Status, headers: &ReadyHeaders) -> Error {
    if let Some(error) = status.source().and_then(|source| source.downcast_ref::<Error>()) {
        return error.clone();
    }
    let delay = RpcStatus::parse(status.details()).and_then(|details| details.retry_delay);
    let kind = kind(status.code(), status.message(), delay.is_some());
    let code = u16::try_from(i32::from(status.code())).unwrap_or(u16::MAX);
    let error = Error::new(kind, headers.quote(status.message())).with_status(Status::Grpc(code));
    match delay {
        Some(delay) => error.with_retry_after(delay),
        None => error,
    }
}

/// The table of the OTLP specification ("Failures" of OTLP/gRPC).
fn kind(code: Code, message: &str, has_retry_info: bool) -> ErrorKind {
    match code {
        Code::ResourceExhausted if has_retry_info => ErrorKind::Throttled,
        // The same payload would never pass, whatever the code says.
        Code::ResourceExhausted | Code::OutOfRange if tells_too_large(message) => ErrorKind::TooLarge,
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => ErrorKind::Unavailable,
        _ => ErrorKind::Refused,
    }
}

/// Whether these are the words of a server whose message limit was passed. gRPC has no code for it; these are what
/// the Go, C++, Python, Java, .NET, JavaScript and Rust servers say, and what Scouter's says.
fn tells_too_large(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["larger than", "too large", "exceeds maximum", "exceeds the maximum", "maximum size", "message size", "size limit"]
        .iter()
        .any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_retried_exactly_as_the_specification_says() {
        let retried: Vec<i32> = (0..=16).filter(|code| kind(Code::from_i32(*code), "", false).is_retryable()).collect();
        // CANCELLED, DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS
        assert_eq!(retried, [1, 4, 10, 11, 14, 15]);
        let retried: Vec<i32> = (0..=16).filter(|code| kind(Code::from_i32(*code), "", true).is_retryable()).collect();
        assert_eq!(retried, [1, 4, 8, 10, 11, 14, 15]);
    }

    #[test]
    fn words_about_size_are_understood() {
        for (code, message) in [
            (Code::ResourceExhausted, "grpc: received message larger than max (5242885 vs. 4194304)"),
            (Code::ResourceExhausted, "gRPC message exceeds maximum size 4194304: 5242885"),
            (Code::ResourceExhausted, "Received message exceeds the maximum configured message size."),
            (Code::OutOfRange, "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes"),
        ] {
            assert_eq!(kind(code, message, false), ErrorKind::TooLarge, "{message}");
        }
        assert_eq!(kind(Code::ResourceExhausted, "quota exceeded", false), ErrorKind::Refused);
        assert_eq!(kind(Code::ResourceExhausted, "too large a load", true), ErrorKind::Throttled);
        assert_eq!(kind(Code::Unavailable, "too large a load", false), ErrorKind::Unavailable);
    }
}
