//! Recording: a span's OTLP bytes as they grow.
//!
//! The buffer begins with room for the tag and length that make the span an element of `ScopeSpans.spans`, then fields of
//! fixed size at fixed places, then whatever the span is given, in the order it is given. [`Recording::seal`] adds what is
//! only known at the end and writes tag and length.

mod attributes;
pub(crate) mod pool;

use std::ops::Range;

use crate::context::{SpanContext, TraceFlags};
use crate::id::SpanId;
use crate::limits::SpanLimits;
use crate::value::Attribute;
use crate::view::{SpanKind, StatusCode};
use crate::wire::field::{event, link, scope_spans, span, status};
use crate::wire::{fill_varint, fixed32, fixed64, len_delimited, nested, uint, varint_len};

use attributes::AttributeIndex;
pub(crate) use attributes::Defaults;

/// One tag byte and the longest length of a buffer whose offsets fit 32 bits.
const HEAD: usize = 6;

/// How a buffer begins: the room for tag and length, then the fields of fixed size in the order in which every span has them.
const START: [u8; 60] = {
    let mut bytes = [0; 60];
    bytes[TRACE_ID.start - 2] = (span::TRACE_ID << 3 | 2) as u8;
    bytes[TRACE_ID.start - 1] = 16;
    bytes[SPAN_ID.start - 2] = (span::SPAN_ID << 3 | 2) as u8;
    bytes[SPAN_ID.start - 1] = 8;
    bytes[START_TIME.start - 1] = (span::START_TIME << 3 | 1) as u8;
    bytes[END_TIME.start - 1] = (span::END_TIME << 3 | 1) as u8;
    // Field 16 is the first whose tag takes two bytes.
    bytes[FLAGS.start - 2] = (span::FLAGS << 3 | 5) as u8 | 0x80;
    bytes[FLAGS.start - 1] = (span::FLAGS >> 4) as u8;
    bytes[KIND - 1] = (span::KIND << 3) as u8;
    bytes
};
const TRACE_ID: Range<usize> = HEAD + 2..HEAD + 18;
const SPAN_ID: Range<usize> = HEAD + 20..HEAD + 28;
const START_TIME: Range<usize> = HEAD + 29..HEAD + 37;
const END_TIME: Range<usize> = HEAD + 38..HEAD + 46;
const FLAGS: Range<usize> = HEAD + 48..HEAD + 52;
const KIND: usize = HEAD + 53;

/// The two bits above the W3C flags (`trace.proto`, `SpanFlags`): whether it is known if the parent is remote, and whether it is.
const REMOTE_KNOWN: u32 = 0x100;
const REMOTE: u32 = 0x200;

/// The span that a link leads to. Unlike a [`SpanContext`] it may have ids of zeros, which a link may have too (trace API,
/// "Link": a link to an invalid span context is kept if it has attributes or a trace state).
#[derive(Clone, Copy, Debug)]
pub struct LinkTarget<'a> {
    /// The trace, in the order of bytes of the header.
    pub trace_id: [u8; 16],
    /// The span, likewise.
    pub span_id: [u8; 8],
    /// The W3C flags.
    pub flags: TraceFlags,
    /// Whether it came from another process.
    pub is_remote: bool,
    /// The vendors' entries, as in the `tracestate` header.
    pub trace_state: &'a str,
}

/// A span's growing bytes, and what is needed to change them.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    buffer: Vec<u8>,
    attributes: AttributeIndex,
    /// The name field, with its tag.
    name: Range<usize>,
    events: u32,
    links: u32,
    dropped_attributes: u32,
    dropped_events: u32,
    dropped_links: u32,
    status: StatusCode,
    status_message: String,
    /// Where the finished element begins; 0 while the span is open, because the tag cannot stand there.
    sealed: usize,
}

impl<'a> From<&'a SpanContext> for LinkTarget<'a> {
    fn from(context: &'a SpanContext) -> Self {
        Self {
            trace_id: context.trace_id.to_bytes(),
            span_id: context.span_id.to_bytes(),
            flags: context.flags,
            is_remote: context.is_remote,
            trace_state: context.trace_state.as_str(),
        }
    }
}

const fn flags(flags: TraceFlags, remote: bool) -> u32 {
    flags.bits() as u32 | REMOTE_KNOWN | if remote { REMOTE } else { 0 }
}

impl Recording {
    /// Makes the recording that of a new span.
    #[inline(always)]
    pub(crate) fn begin(
        &mut self,
        name: &str,
        kind: SpanKind,
        context: &SpanContext,
        parent: Option<(SpanId, bool)>,
        start_time: u64,
        defaults: &Defaults,
    ) {
        self.reset();
        let buffer = &mut self.buffer;
        buffer.reserve(512);
        buffer.extend_from_slice(&START);
        let remote = parent.is_some_and(|(_, remote)| remote);
        if let Some(fixed) = buffer.first_chunk_mut::<{ START.len() }>() {
            fixed[TRACE_ID].copy_from_slice(&context.trace_id.to_bytes());
            fixed[SPAN_ID].copy_from_slice(&context.span_id.to_bytes());
            fixed[START_TIME].copy_from_slice(&start_time.to_le_bytes());
            fixed[FLAGS].copy_from_slice(&flags(context.flags, remote).to_le_bytes());
            fixed[KIND] = kind as u8;
        }
        if let Some((id, _)) = parent {
            buffer.extend_from_slice(&[(span::PARENT_SPAN_ID << 3 | 2) as u8, 8]);
            buffer.extend_from_slice(&id.to_bytes());
        }
        if !context.trace_state.is_empty() {
            len_delimited(buffer, span::TRACE_STATE, context.trace_state.as_str().as_bytes());
        }
        let start = buffer.len();
        len_delimited(buffer, span::NAME, name.as_bytes());
        self.name = start..buffer.len();
        self.attributes.adopt(buffer, defaults);
        self.dropped_attributes = defaults.dropped;
    }

    fn reset(&mut self) {
        self.buffer.clear();
        self.attributes.clear();
        self.events = 0;
        self.links = 0;
        self.dropped_attributes = 0;
        self.dropped_events = 0;
        self.dropped_links = 0;
        self.status = StatusCode::Unset;
        self.status_message.clear();
        self.sealed = 0;
    }

    pub(crate) const fn is_open(&self) -> bool {
        self.sealed == 0
    }

    /// The `Span` message so far. While the span is open, end time, status and dropped counts are not in it yet.
    pub(crate) fn message(&self) -> &[u8] {
        self.buffer.get(HEAD..).unwrap_or_default()
    }

    pub(crate) const fn status(&self) -> (StatusCode, &str) {
        (self.status, self.status_message.as_str())
    }

    pub(crate) const fn dropped(&self) -> (u32, u32, u32) {
        (self.dropped_attributes, self.dropped_events, self.dropped_links)
    }

    #[inline(always)]
    pub(crate) fn set_attribute(&mut self, attribute: &impl Attribute, limits: &SpanLimits) {
        if !self.attributes.set(&mut self.buffer, attribute, limits) {
            self.dropped_attributes += 1;
        }
    }

    /// Adds an event, of which the caller has left out so many attributes already.
    pub(crate) fn add_event(
        &mut self,
        name: &str,
        time: u64,
        attributes: &[impl Attribute],
        left_out: u32,
        limits: &SpanLimits,
    ) {
        if self.events >= limits.events {
            self.dropped_events += 1;
            return;
        }
        self.events += 1;
        nested(&mut self.buffer, span::EVENTS, |out| {
            fixed64(out, event::TIME, time);
            len_delimited(out, event::NAME, name.as_bytes());
            let dropped = write_limited(out, event::ATTRIBUTES, attributes, limits.event_attributes, limits);
            if dropped + left_out > 0 {
                uint(out, event::DROPPED_ATTRIBUTES_COUNT, u64::from(dropped + left_out));
            }
        });
    }

    /// Adds a link, of which the caller has left out so many attributes already.
    pub(crate) fn add_link(
        &mut self,
        to: &LinkTarget<'_>,
        attributes: &[impl Attribute],
        left_out: u32,
        limits: &SpanLimits,
    ) {
        if self.links >= limits.links {
            self.dropped_links += 1;
            return;
        }
        self.links += 1;
        nested(&mut self.buffer, span::LINKS, |out| {
            len_delimited(out, link::TRACE_ID, &to.trace_id);
            len_delimited(out, link::SPAN_ID, &to.span_id);
            if !to.trace_state.is_empty() {
                len_delimited(out, link::TRACE_STATE, to.trace_state.as_bytes());
            }
            let dropped = write_limited(out, link::ATTRIBUTES, attributes, limits.link_attributes, limits);
            if dropped + left_out > 0 {
                uint(out, link::DROPPED_ATTRIBUTES_COUNT, u64::from(dropped + left_out));
            }
            fixed32(out, link::FLAGS, flags(to.flags, to.is_remote));
        });
    }

    /// Status precedence of the trace API, "Set Status": Ok is final, Unset changes nothing, only Error has words.
    pub(crate) fn set_status(&mut self, code: StatusCode, message: &str) {
        if code == StatusCode::Unset || self.status == StatusCode::Ok {
            return;
        }
        self.status = code;
        self.status_message.clear();
        if code == StatusCode::Error {
            self.status_message.push_str(message);
        }
    }

    pub(crate) fn update_name(&mut self, name: &str) {
        let buffer = &mut self.buffer;
        let (old, end) = (self.name.clone(), buffer.len());
        let width = varint_len(name.len() as u64);
        let new = old.start..old.start + 1 + width + name.len();
        buffer.resize(end.max(end - old.len() + new.len()), 0);
        buffer.copy_within(old.end..end, new.end);
        buffer.truncate(end - old.len() + new.len());
        let (length, text) = buffer[new.start + 1..new.end].split_at_mut(width);
        fill_varint(length, name.len() as u64);
        text.copy_from_slice(name.as_bytes());
        self.attributes.shift(old.len(), new.len());
        self.name = new;
    }

    /// Writes the end time. The recording stays open.
    #[inline]
    pub(crate) fn set_end_time(&mut self, end_time: u64) {
        if let Some(fixed) = self.buffer.first_chunk_mut::<{ START.len() }>() {
            // A clock that was set back must not give a span that ends before it begins.
            let start_time = u64::from_le_bytes(fixed[START_TIME].try_into().unwrap_or_default());
            fixed[END_TIME].copy_from_slice(&end_time.max(start_time).to_le_bytes());
        }
    }

    /// Ends the recording: nothing can be added afterwards.
    #[inline(always)]
    pub(crate) fn seal(&mut self, end_time: u64) {
        self.set_end_time(end_time);
        let buffer = &mut self.buffer;
        for (field, dropped) in [
            (span::DROPPED_ATTRIBUTES_COUNT, self.dropped_attributes),
            (span::DROPPED_EVENTS_COUNT, self.dropped_events),
            (span::DROPPED_LINKS_COUNT, self.dropped_links),
        ] {
            if dropped > 0 {
                uint(buffer, field, u64::from(dropped));
            }
        }
        if self.status != StatusCode::Unset {
            nested(buffer, span::STATUS, |out| {
                if !self.status_message.is_empty() {
                    len_delimited(out, status::MESSAGE, self.status_message.as_bytes());
                }
                uint(out, status::CODE, self.status as u64);
            });
        }
        let length = (buffer.len() - HEAD) as u64;
        let width = varint_len(length);
        let start = HEAD - width - 1;
        buffer[start] = (scope_spans::SPANS << 3 | 2) as u8;
        fill_varint(&mut buffer[start + 1..HEAD], length);
        self.sealed = start;
    }

    /// How much memory it holds on to, in bytes.
    fn capacity(&self) -> usize {
        self.buffer.capacity() + self.status_message.capacity() + self.attributes.capacity()
    }

    /// The finished element: tag, length, message.
    pub(crate) fn element(&self) -> &[u8] {
        if self.is_open() { &[] } else { &self.buffer[self.sealed..] }
    }
}

/// Writes the attributes of the first keys up to the limit, without empty keys. Of equal keys the last value counts, in the
/// place of the first. Returns how many it left out.
#[inline]
fn write_limited(out: &mut Vec<u8>, field: u32, attributes: &[impl Attribute], limit: u32, limits: &SpanLimits) -> u32 {
    let mut written = 0;
    let mut dropped = 0;
    let mut repeated = false;
    for (at, attribute) in attributes.iter().enumerate() {
        let key = attribute.key();
        let same = |other: &&_| Attribute::key(*other) == key;
        if key.is_empty() {
            dropped += 1;
        } else if repeated && attributes[..at].iter().any(|earlier| same(&earlier)) {
            // Written in the place of the first.
        } else if written < limit {
            written += 1;
            let last = attributes[at + 1..].iter().rfind(same);
            repeated |= last.is_some();
            last.unwrap_or(attribute).write(out, field, limits.attribute_value_length);
        } else {
            repeated = true;
            dropped += 1;
        }
    }
    dropped
}
