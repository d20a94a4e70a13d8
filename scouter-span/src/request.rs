//! Batches: finished spans, or log records, behind their resource and scope headers. Both have the same frame: what is said of
//! spans here holds for records, and what comes out is an `ExportLogsServiceRequest` then.

use crate::id::TraceId;
use crate::resource::Resource;
use crate::scope::Scope;
use crate::wire::field::{request, resource_spans, scope_spans};
use crate::wire::{Reader, WireType, len_delimited, tag, varint, varint_len};

/// The finished spans of one scope.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a> {
    /// Who recorded them.
    pub scope: &'a Scope,
    /// The spans' [`bytes`](crate::sink::FinishedSpan::bytes), one after the other.
    pub spans: &'a [u8],
}

/// The size of a one-byte tag, a length and that many bytes; nothing for nothing.
fn field_len(content: usize) -> usize {
    if content == 0 { 0 } else { message_len(content) }
}

/// As [`field_len`], for a message that is there even when it is empty.
fn message_len(content: usize) -> usize {
    1 + varint_len(content as u64) + content
}

fn scope_spans_len(group: &Group<'_>) -> usize {
    message_len(group.scope.encoded().len()) + group.spans.len() + field_len(group.scope.schema_url().len())
}

fn resource_spans_len(resource: &Resource, groups: &[Group<'_>]) -> usize {
    let scopes: usize = groups.iter().map(|group| message_len(scope_spans_len(group))).sum();
    message_len(resource.encoded().len()) + scopes + field_len(resource.schema_url().len())
}

/// How many bytes [`encode`] appends.
pub fn encoded_len(resource: &Resource, groups: &[Group<'_>]) -> usize {
    message_len(resource_spans_len(resource, groups))
}

/// Appends an `ExportTraceServiceRequest` of one resource. Every length is known beforehand, so spans are copied once.
pub fn encode(out: &mut Vec<u8>, resource: &Resource, groups: &[Group<'_>]) {
    let length = resource_spans_len(resource, groups);
    out.reserve(message_len(length));
    tag(out, request::RESOURCE_SPANS, WireType::Len);
    varint(out, length as u64);
    len_delimited(out, resource_spans::RESOURCE, resource.encoded());
    for group in groups {
        tag(out, resource_spans::SCOPE_SPANS, WireType::Len);
        varint(out, scope_spans_len(group) as u64);
        len_delimited(out, scope_spans::SCOPE, group.scope.encoded());
        out.extend_from_slice(group.spans);
        if !group.scope.schema_url().is_empty() {
            len_delimited(out, scope_spans::SCHEMA_URL, group.scope.schema_url().as_bytes());
        }
    }
    if !resource.schema_url().is_empty() {
        len_delimited(out, resource_spans::SCHEMA_URL, resource.schema_url().as_bytes());
    }
}

/// The elements of concatenated finished spans, each with its tag and length.
pub fn spans(concatenated: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    let mut reader = Reader::new(concatenated);
    std::iter::from_fn(move || {
        let start = reader.position();
        reader.next()?.ok()?;
        concatenated.get(start..reader.position())
    })
}

/// The trace of one element of [`spans`]. Recording writes it first, so it stands right behind tag and length. `None` for a
/// record of no trace, which begins with its time.
pub fn trace_id(element: &[u8]) -> Option<TraceId> {
    let span = Reader::new(element).next()?.ok()?.value.bytes()?;
    let id = Reader::new(span).next()?.ok()?.value.bytes()?;
    TraceId::from_slice(id).ok()
}
