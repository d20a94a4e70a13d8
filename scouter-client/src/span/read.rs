//! From OTLP bytes to the record.

use scouter_span::id::IdError;
use scouter_span::view::{self, ValueView};

use super::json::attributes;
use super::{Event, Link, Scope, Span, Status};

impl Span {
    /// Reads a span with the resource and scope it belongs to. Its place in the tree is not known yet: see
    /// [`tree::arrange`](crate::tree::arrange).
    ///
    /// # Errors
    /// The span's trace or span id is not an id.
    pub fn read(
        span: view::SpanView<'_>,
        resource: view::Resource<'_>,
        scope: view::Scope<'_>,
        schema_url: &str,
    ) -> Result<Self, IdError> {
        let status = span.status();
        Ok(Self {
            trace_id: span.trace_id()?,
            span_id: span.span_id()?,
            parent_span_id: span.parent_span_id(),
            trace_state: span.trace_state().to_owned(),
            flags: span.flags(),
            name: span.name().to_owned(),
            kind: span.kind(),
            service_name: service_name(resource).to_owned(),
            start_time: span.start_time(),
            end_time: span.end_time(),
            duration_ns: span.end_time().saturating_sub(span.start_time()),
            status: Status { code: status.code, message: status.message.to_owned() },
            attributes: attributes(span.attributes()),
            dropped_attributes_count: span.dropped_attributes_count(),
            events: span.events().map(Event::from).collect(),
            dropped_events_count: span.dropped_events_count(),
            links: span.links().map(Link::from).collect(),
            dropped_links_count: span.dropped_links_count(),
            resource: attributes(resource.attributes()),
            scope: Scope {
                name: scope.name().to_owned(),
                version: scope.version().to_owned(),
                attributes: attributes(scope.attributes()),
                schema_url: schema_url.to_owned(),
            },
            depth: 0,
            path: Vec::new(),
            children: Vec::new(),
            orphan: false,
        })
    }
}

impl From<view::Event<'_>> for Event {
    fn from(event: view::Event<'_>) -> Self {
        Self {
            time: event.time(),
            name: event.name().to_owned(),
            attributes: attributes(event.attributes()),
            dropped_attributes_count: event.dropped_attributes_count(),
        }
    }
}

impl From<view::Link<'_>> for Link {
    fn from(link: view::Link<'_>) -> Self {
        Self {
            trace_id: link.trace_id().ok(),
            span_id: link.span_id().ok(),
            trace_state: link.trace_state().to_owned(),
            attributes: attributes(link.attributes()),
            dropped_attributes_count: link.dropped_attributes_count(),
            flags: link.flags(),
        }
    }
}

/// The resource's `service.name` when it is text, else `""`.
pub fn service_name(resource: view::Resource<'_>) -> &str {
    match resource.attributes().get("service.name") {
        Some(ValueView::Str(name)) => name,
        _ => "",
    }
}
