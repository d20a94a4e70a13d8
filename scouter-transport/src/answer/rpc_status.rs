//! The two things this crate needs from a `google.rpc.Status`: its message and the delay of its `RetryInfo`.
//!
//! HTTP refusals carry it as their body, gRPC refusals in `grpc-status-details-bin`. Reading four fields takes less
//! than a protobuf library would bring along.

use std::time::Duration;

use crate::wire::{Fields, Value};

/// What a `google.rpc.Status` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RpcStatus {
    pub(crate) message: String,
    /// `RetryInfo.retry_delay`. Present without a delay counts as zero.
    pub(crate) retry_delay: Option<Duration>,
}

const RETRY_INFO: &[u8] = b"google.rpc.RetryInfo";

impl RpcStatus {
    /// Reads the protobuf encoding; `None` when it is not one.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut status = Self::default();
        for field in Fields::new(bytes) {
            match field? {
                (2, Value::Bytes(message)) => status.message = String::from_utf8_lossy(message).into_owned(),
                (3, Value::Bytes(any)) => status.retry_delay = retry_info(any)?.or(status.retry_delay),
                _ => {}
            }
        }
        Some(status)
    }
}

/// The delay in an `Any`, if that holds a `RetryInfo`.
fn retry_info(any: &[u8]) -> Option<Option<Duration>> {
    let (mut url, mut value): (&[u8], &[u8]) = (&[], &[]);
    for field in Fields::new(any) {
        match field? {
            (1, Value::Bytes(bytes)) => url = bytes,
            (2, Value::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    if url.rsplit(|byte| *byte == b'/').next() != Some(RETRY_INFO) {
        return Some(None);
    }
    let mut delay = Duration::ZERO;
    for field in Fields::new(value) {
        if let (1, Value::Bytes(bytes)) = field? {
            delay = duration(bytes)?;
        }
    }
    Some(Some(delay))
}

/// A `google.protobuf.Duration`; a negative one counts as zero.
fn duration(bytes: &[u8]) -> Option<Duration> {
    let (mut seconds, mut nanos) = (0, 0);
    for field in Fields::new(bytes) {
        match field? {
            (1, Value::Varint(value)) => seconds = value,
            (2, Value::Varint(value)) => nanos = value,
            _ => {}
        }
    }
    // Negative numbers are those with the highest bit set.
    let seconds = u64::try_from(seconds.cast_signed()).unwrap_or(0);
    let nanos = u64::try_from(nanos.cast_signed()).unwrap_or(0);
    Some(Duration::from_secs(seconds).saturating_add(Duration::from_nanos(nanos)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use prost::Message;

    #[derive(Clone, PartialEq, Message)]
    struct Status {
        #[prost(int32, tag = "1")]
        code: i32,
        #[prost(string, tag = "2")]
        message: String,
        #[prost(message, repeated, tag = "3")]
        details: Vec<Any>,
        #[prost(fixed64, tag = "9")]
        unknown: u64,
    }

    #[derive(Clone, PartialEq, Message)]
    struct Any {
        #[prost(string, tag = "1")]
        type_url: String,
        #[prost(bytes = "vec", tag = "2")]
        value: Vec<u8>,
    }

    #[derive(Clone, PartialEq, Message)]
    struct RetryInfo {
        #[prost(message, optional, tag = "1")]
        retry_delay: Option<Delay>,
    }

    #[derive(Clone, PartialEq, Message)]
    struct Delay {
        #[prost(int64, tag = "1")]
        seconds: i64,
        #[prost(int32, tag = "2")]
        nanos: i32,
    }

    fn encode(message: &str, delay: Option<Option<Delay>>) -> Vec<u8> {
        let mut details = vec![Any { type_url: "type.googleapis.com/google.rpc.DebugInfo".into(), value: vec![1, 2] }];
        if let Some(retry_delay) = delay {
            let value = RetryInfo { retry_delay }.encode_to_vec();
            details.push(Any { type_url: "type.googleapis.com/google.rpc.RetryInfo".into(), value });
        }
        Status { code: 8, message: message.into(), details, unknown: 7 }.encode_to_vec()
    }

    #[test]
    fn no_delay_an_empty_one_and_a_negative_one_differ() {
        assert_eq!(RpcStatus::parse(&encode("a", None)).unwrap().retry_delay, None);
        assert_eq!(RpcStatus::parse(&encode("a", Some(None))).unwrap().retry_delay, Some(Duration::ZERO));
        let negative = Some(Some(Delay { seconds: -5, nanos: -1 }));
        assert_eq!(RpcStatus::parse(&encode("a", negative)).unwrap().retry_delay, Some(Duration::ZERO));
        assert_eq!(RpcStatus::parse(b""), Some(RpcStatus::default()));
        assert_eq!(RpcStatus::parse(b"<html>"), None);
    }

    proptest! {
        #[test]
        fn reads_what_a_protobuf_library_writes(message in ".{0,20}", seconds in 0..i64::MAX, nanos in 0..1_000_000_000i32) {
            let status = RpcStatus::parse(&encode(&message, Some(Some(Delay { seconds, nanos })))).unwrap();
            let delay = Duration::new(seconds.cast_unsigned(), nanos.cast_unsigned());
            prop_assert_eq!(status, RpcStatus { message, retry_delay: Some(delay) });
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = RpcStatus::parse(&bytes);
        }

        #[test]
        fn a_cut_message_never_panics(cut in 0..200usize) {
            let bytes = encode("message", Some(Some(Delay { seconds: 1, nanos: 2 })));
            let _ = RpcStatus::parse(&bytes[..cut.min(bytes.len())]);
        }
    }
}
