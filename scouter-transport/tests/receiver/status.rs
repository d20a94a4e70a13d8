//! `google.rpc.Status`, as refusals carry it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
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

/// The encoded status.
pub(crate) fn rpc_status(code: i32, message: &str, delay: Option<Duration>) -> Vec<u8> {
    let retry_info = delay.map(|delay| {
        let retry_delay =
            Some(Delay { seconds: delay.as_secs().cast_signed(), nanos: delay.subsec_nanos().cast_signed() });
        let value = RetryInfo { retry_delay }.encode_to_vec();
        Any { type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(), value }
    });
    RpcStatus { code, message: message.to_owned(), details: retry_info.into_iter().collect() }.encode_to_vec()
}

/// As `grpc-status-details-bin` carries it.
pub(super) fn details(code: i32, message: &str, delay: Option<Duration>) -> String {
    BASE64.encode(rpc_status(code, message, delay))
}
