//! The few protobuf messages that are answered, written by hand: `ExportTraceServiceResponse`, `ExportLogsServiceResponse`, which is
//! laid out alike, and `google.rpc.Status`.

use scouter_span::wire::{len_delimited, nested, uint};
use tonic::Code;

use crate::ingest::Accepted;

/// An `ExportTraceServiceResponse` or `ExportLogsServiceResponse`: empty on full success, as OTLP asks.
pub(super) fn accepted(accepted: &Accepted) -> Vec<u8> {
    let mut out = Vec::new();
    if accepted.rejected > 0 {
        // ExportTraceServiceResponse.partial_success = 1; ExportTracePartialSuccess { rejected_spans = 1; error_message = 2 }
        nested(&mut out, 1, |out| {
            uint(out, 1, accepted.rejected);
            len_delimited(out, 2, accepted.message.as_bytes());
        });
    }
    out
}

/// A `google.rpc.Status`, with a `google.rpc.RetryInfo` when the sender may try again.
pub(super) fn status(code: Code, message: &str, retry_after: Option<u64>) -> Vec<u8> {
    let mut out = Vec::new();
    // Status { code = 1; message = 2; details = 3 }
    uint(&mut out, 1, code as i32 as u64);
    len_delimited(&mut out, 2, message.as_bytes());
    if let Some(seconds) = retry_after {
        // Any { type_url = 1; value = 2 }; RetryInfo { retry_delay = 1 }; Duration { seconds = 1; nanos = 2 }
        nested(&mut out, 3, |out| {
            len_delimited(out, 1, b"type.googleapis.com/google.rpc.RetryInfo");
            nested(out, 2, |out| nested(out, 1, |out| uint(out, 1, seconds)));
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_success_is_empty() {
        assert!(accepted(&Accepted::default()).is_empty());
    }

    #[test]
    fn retry_info_is_laid_out_as_google_rpc_says() {
        let mut expected = vec![0x08, 14, 0x12, 2, b'n', b'o', 0x1a, 48, 0x0a, 40];
        expected.extend(b"type.googleapis.com/google.rpc.RetryInfo");
        expected.extend([0x12, 4, 0x0a, 2, 0x08, 1]);
        assert_eq!(status(Code::Unavailable, "no", Some(1)), expected);
    }
}
