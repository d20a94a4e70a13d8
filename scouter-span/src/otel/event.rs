//! Events and links: into a span, and back from one that is read.

use opentelemetry::KeyValue;
use opentelemetry::trace::{self, Event, Link};

use super::time::{system_time, unix_nanoseconds};
use super::value::to_key_value;
use crate::context::TraceState;
use crate::record::LinkTarget;
use crate::span::Span;
use crate::view;

pub(super) fn add_event(span: &mut Span, event: &Event) {
    let time = unix_nanoseconds(event.timestamp);
    span.record_event(&event.name, Some(time), &event.attributes, event.dropped_attributes_count);
}

pub(super) fn add_link(span: &mut Span, to: &trace::SpanContext, attributes: &[KeyValue], left_out: u32) {
    let trace_state = TraceState::from(to.trace_state());
    if !to.is_valid() && attributes.is_empty() && trace_state.is_empty() {
        return;
    }
    let target = LinkTarget {
        trace_id: to.trace_id().to_bytes(),
        span_id: to.span_id().to_bytes(),
        flags: to.trace_flags().into(),
        is_remote: to.is_remote(),
        trace_state: trace_state.as_str(),
    };
    span.record_link(&target, attributes, left_out);
}

/// The attributes that the API has a place for, and how many it lacks with those that were left out before.
fn attributes(read: view::Attributes<'_>, left_out: u32) -> (Vec<KeyValue>, u32) {
    let mut left_out = left_out;
    let attributes = read.iter().filter_map(|attribute| {
        let converted = to_key_value(attribute);
        left_out += u32::from(converted.is_none());
        converted
    });
    (attributes.collect(), left_out)
}

impl From<view::Event<'_>> for Event {
    /// Attributes that the API has no place for count as dropped.
    fn from(event: view::Event<'_>) -> Self {
        let (attributes, left_out) = attributes(event.attributes(), event.dropped_attributes_count());
        Self::new(event.name().to_owned(), system_time(event.time()), attributes, left_out)
    }
}

impl From<view::Link<'_>> for Link {
    /// Attributes that the API has no place for count as dropped. Ids that are none come out as the invalid ones.
    fn from(link: view::Link<'_>) -> Self {
        let (attributes, left_out) = attributes(link.attributes(), link.dropped_attributes_count());
        let context = trace::SpanContext::new(
            link.trace_id().map_or(trace::TraceId::INVALID, Into::into),
            link.span_id().map_or(trace::SpanId::INVALID, Into::into),
            trace::TraceFlags::new(link.flags() as u8),
            link.is_remote(),
            trace::TraceState::from(&TraceState::parse(link.trace_state()).unwrap_or_default()),
        );
        Self::new(context, attributes, left_out)
    }
}
