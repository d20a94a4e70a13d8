//! Borrowing views of OTLP messages: reading without copying and without a second representation.
//!
//! [`TraceRequest::parse`] and [`LogsRequest::parse`] check a whole message once (lengths, wire types, UTF-8, nesting);
//! after that nothing below it can fail, and nothing is copied. Fields this crate does not know are passed over. Where a
//! message carries a single-valued field twice the last one counts, as protobuf says; where it carries a single-valued
//! *message* twice, the last one counts too, which no encoder of OTLP relies on.

mod check;
mod logs;
mod request;
mod span;
mod value;

pub use logs::{LogRecordView, LogsRequest, ResourceLogs, ScopeLogs, Severity};
pub use request::{Resource, ResourceSpans, Scope, ScopeSpans, TraceRequest};
pub use span::{Event, Link, SpanKind, SpanView, Status, StatusCode};
pub use value::{ArrayView, Attributes, KeyValue, MapView, ValueView};

use crate::wire::{FieldValue, Reader};

/// The last occurrence of a field, as protobuf demands for single-valued fields.
fn last<'a>(bytes: &'a [u8], number: u32) -> Option<FieldValue<'a>> {
    fields(bytes, number).last()
}

/// Every occurrence of a field, in order. Stops where the bytes stop making sense, which checked bytes never do.
fn fields<'a>(bytes: &'a [u8], number: u32) -> impl Iterator<Item = FieldValue<'a>> + Clone {
    Reader::new(bytes).map_while(Result::ok).filter(move |field| field.number == number).map(|field| field.value)
}

fn messages(bytes: &[u8], number: u32) -> impl Iterator<Item = &[u8]> + Clone {
    fields(bytes, number).filter_map(|value| value.bytes())
}

fn bytes(message: &[u8], number: u32) -> &[u8] {
    last(message, number).and_then(|value| value.bytes()).unwrap_or_default()
}

fn text(message: &[u8], number: u32) -> &str {
    str::from_utf8(bytes(message, number)).unwrap_or_default()
}

fn number(message: &[u8], number: u32) -> u64 {
    match last(message, number) {
        Some(FieldValue::Varint(value) | FieldValue::Fixed64(value)) => value,
        Some(FieldValue::Fixed32(value)) => u64::from(value),
        _ => 0,
    }
}
