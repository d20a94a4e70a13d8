//! Answers in JSON, as the protobuf that a [`Receipt`](crate::Receipt) promises.

use serde_json::Value;

use crate::wire::write_varint;

/// Tags of `Export*ServiceResponse.partial_success`, and of the count and the message in it, which are the same for
/// every signal.
const PARTIAL_SUCCESS: u8 = 0x0a;
const REJECTED: u8 = 0x08;
const ERROR_MESSAGE: u8 = 0x12;

/// The protobuf of an `Export*ServiceResponse`. Whatever else the JSON is, the status has said that all is well.
pub(crate) fn to_protobuf(json: &[u8]) -> Vec<u8> {
    let answer: Value = serde_json::from_slice(json).unwrap_or_default();
    let Some(partial) = answer.get("partialSuccess").and_then(Value::as_object) else { return Vec::new() };
    let rejected = ["rejectedSpans", "rejectedLogRecords"].iter().find_map(|name| integer(partial.get(*name)?));
    let message = partial.get("errorMessage").and_then(Value::as_str).unwrap_or_default();
    let mut content = Vec::new();
    if let Some(rejected) = rejected.filter(|rejected| *rejected != 0) {
        content.push(REJECTED);
        write_varint(&mut content, rejected.cast_unsigned());
    }
    if !message.is_empty() {
        content.push(ERROR_MESSAGE);
        write_varint(&mut content, message.len() as u64);
        content.extend_from_slice(message.as_bytes());
    }
    let mut out = vec![PARTIAL_SUCCESS];
    write_varint(&mut out, content.len() as u64);
    out.append(&mut content);
    out
}

/// The message of a `google.rpc.Status`; empty when there is none.
pub(crate) fn message(json: &[u8]) -> String {
    let status: Value = serde_json::from_slice(json).unwrap_or_default();
    status.get("message").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// An `int64`, as string or as number.
fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::String(digits) => digits.parse().ok(),
        value => value.as_i64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
    use prost::Message as _;

    #[test]
    fn partial_success_is_the_same_in_protobuf() {
        for (json, rejected_spans, error_message) in [
            (r#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"too old"}}"#, 3, "too old"),
            (r#"{"partialSuccess":{"rejectedLogRecords":300}}"#, 300, ""),
            (r#"{"partialSuccess":{"rejectedSpans":-1,"unknown":[]}}"#, -1, ""),
            (r#"{"partialSuccess":{}}"#, 0, ""),
        ] {
            let read = ExportTraceServiceResponse::decode(&to_protobuf(json.as_bytes())[..]).unwrap();
            let expected = ExportTracePartialSuccess { rejected_spans, error_message: error_message.to_owned() };
            assert_eq!(read.partial_success, Some(expected), "{json}");
        }
        for json in ["", "{}", "[]", "fine", r#"{"partialSuccess":null}"#] {
            assert!(to_protobuf(json.as_bytes()).is_empty(), "{json}");
        }
    }

    #[test]
    fn a_status_has_a_message_or_not() {
        assert_eq!(message(br#"{"code":3,"message":"no"}"#), "no");
        assert_eq!(message(b"{}"), "");
        assert_eq!(message(b"<html>"), "");
    }
}
