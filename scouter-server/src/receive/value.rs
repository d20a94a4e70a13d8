//! What receivers that fetch from brokers ask of a message's value before it goes to the store.

use scouter_client::record::UID_ATTRIBUTE;
use scouter_span::view::{LogsRequest, TraceRequest, ValueView};

use crate::store::Signal;

/// How a value is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Protobuf,
    Json,
    /// Something that is not spoken here.
    Other,
}

impl Encoding {
    /// What a message says of its value with a content type. Without a word it is protobuf, unless it plainly is JSON.
    pub(super) fn of(content: Option<&[u8]>, value: &[u8]) -> Self {
        let Some(content) = content.filter(|content| !content.trim_ascii().is_empty()) else {
            // No request in protobuf begins with this byte: it would be field 15 with a wire type that is a group's.
            return if value.first() == Some(&b'{') { Self::Json } else { Self::Protobuf };
        };
        let content = content.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let is = |name: &str| content.eq_ignore_ascii_case(name.as_bytes());
        if is("application/x-protobuf") || is("application/protobuf") || is("application/octet-stream") {
            Self::Protobuf
        } else if is("application/json") {
            Self::Json
        } else {
            Self::Other
        }
    }
}

/// Whether a request may be stored as a part of another. Nothing of it must be rejected. And its records must have ids of their
/// own: the store knows others by the request they came in, which has to be the same when they are delivered again.
pub(super) fn is_joinable(signal: Signal, request: &[u8]) -> bool {
    match signal {
        Signal::Traces => TraceRequest::parse(request)
            .is_ok_and(|request| request.spans().all(|span| span.trace_id().is_ok() && span.span_id().is_ok())),
        Signal::Logs => LogsRequest::parse(request).is_ok_and(|request| {
            request.records().all(|record| record.attributes().get(UID_ATTRIBUTE).is_some_and(is_uid))
        }),
    }
}

fn is_uid(value: ValueView<'_>) -> bool {
    matches!(value, ValueView::Str(uid) if !uid.is_empty())
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
    use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
    use prost::Message as _;

    use super::*;

    #[test]
    fn the_encoding_is_told_or_seen() {
        for (content, value, expected) in [
            (None, &b"\x0a\x00"[..], Encoding::Protobuf),
            (None, b"", Encoding::Protobuf),
            (None, b"{}", Encoding::Json),
            (Some(" "), b"{}", Encoding::Json),
            (Some("application/x-protobuf"), b"{}", Encoding::Protobuf),
            (Some("application/octet-stream"), b"{}", Encoding::Protobuf),
            (Some("Application/JSON; charset=utf-8"), b"", Encoding::Json),
            (Some("text/plain"), b"\x0a\x00", Encoding::Other),
        ] {
            assert_eq!(Encoding::of(content.map(str::as_bytes), value), expected, "{content:?}");
        }
    }

    #[test]
    fn records_without_an_id_of_their_own_stay_in_their_request() {
        let record = |uid: Option<&str>| {
            let value = |uid: &str| Some(AnyValue { value: Some(any_value::Value::StringValue(uid.to_owned())) });
            let attribute = |uid| KeyValue { key: UID_ATTRIBUTE.to_owned(), value: value(uid), ..KeyValue::default() };
            LogRecord { attributes: uid.map(attribute).into_iter().collect(), ..LogRecord::default() }
        };
        let joinable = |uids: &[Option<&str>]| {
            let log_records = uids.iter().map(|uid| record(*uid)).collect();
            let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
            let resource_logs = vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }];
            is_joinable(Signal::Logs, &ExportLogsServiceRequest { resource_logs }.encode_to_vec())
        };
        assert!(joinable(&[]) && joinable(&[Some("a"), Some("b")]));
        assert!(!joinable(&[None]) && !joinable(&[Some("a"), Some("")]) && !joinable(&[Some("a"), None]));
        assert!(is_joinable(Signal::Traces, b"\x0a\x00\x0a\x00") && !is_joinable(Signal::Logs, b"\xff"));
    }
}
