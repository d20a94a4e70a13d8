//! OTLP bytes as the SDK's spans.

use opentelemetry::trace::{Event, Link, SpanContext, SpanId, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use scouter_span::otel::{system_time, to_key_value};
use scouter_span::view::{self, Attributes, SpanView, TraceRequest};
use scouter_span::wire::WireError;

use super::encode::REMOTE;

/// The spans of one resource.
#[derive(Clone, Debug)]
pub struct ResourceBatch {
    /// What produced them.
    pub resource: Resource,
    /// The spans, by scope.
    pub spans: Vec<SpanData>,
}

/// Reads an `ExportTraceServiceRequest`. A span whose ids are none is left out.
///
/// # Errors
/// The first place at which the bytes are no such message.
pub fn decode(request: &[u8]) -> Result<Vec<ResourceBatch>, WireError> {
    let request = TraceRequest::parse(request)?;
    Ok(request.resource_spans().map(batch).collect())
}

fn batch(group: view::ResourceSpans<'_>) -> ResourceBatch {
    let spans = group.scope_spans().flat_map(|group| {
        let scope = to_scope(group.scope(), group.schema_url());
        group.spans().filter_map(move |view| span(&view, &scope)).collect::<Vec<_>>()
    });
    ResourceBatch { resource: to_resource(group.resource().attributes(), group.schema_url()), spans: spans.collect() }
}

pub(super) fn to_resource(given: Attributes<'_>, schema_url: &str) -> Resource {
    let builder = Resource::builder_empty();
    match schema_url {
        "" => builder.with_attributes(attributes(given)).build(),
        schema_url => builder.with_schema_url(attributes(given), schema_url.to_owned()).build(),
    }
}

pub(super) fn to_scope(scope: view::Scope<'_>, schema_url: &str) -> InstrumentationScope {
    let mut builder = InstrumentationScope::builder(scope.name().to_owned());
    if !scope.version().is_empty() {
        builder = builder.with_version(scope.version().to_owned());
    }
    if !schema_url.is_empty() {
        builder = builder.with_schema_url(schema_url.to_owned());
    }
    builder.with_attributes(attributes(scope.attributes())).build()
}

/// One span, without valid ids none.
pub(super) fn span(view: &SpanView<'_>, scope: &InstrumentationScope) -> Option<SpanData> {
    let (trace_id, span_id) = (view.trace_id().ok()?, view.span_id().ok()?);
    let mut events = SpanEvents::default();
    events.events = view.events().map(event).collect();
    events.dropped_count = view.dropped_events_count();
    let mut links = SpanLinks::default();
    links.links = view.links().map(link).collect();
    links.dropped_count = view.dropped_links_count();
    Some(SpanData {
        span_context: context(trace_id.into(), span_id.into(), view.flags(), false, view.trace_state()),
        parent_span_id: view.parent_span_id().map_or(SpanId::INVALID, SpanId::from),
        parent_span_is_remote: view.flags() & REMOTE != 0,
        span_kind: view.kind().into(),
        name: view.name().to_owned().into(),
        start_time: system_time(view.start_time()),
        end_time: system_time(view.end_time()),
        attributes: attributes(view.attributes()),
        dropped_attributes_count: view.dropped_attributes_count(),
        events,
        links,
        status: Status::from(view.status()),
        instrumentation_scope: scope.clone(),
    })
}

fn event(event: view::Event<'_>) -> Event {
    let (time, attributes) = (system_time(event.time()), attributes(event.attributes()));
    Event::new(event.name().to_owned(), time, attributes, event.dropped_attributes_count())
}

fn link(link: view::Link<'_>) -> Link {
    let trace_id = link.trace_id().map_or(TraceId::INVALID, TraceId::from);
    let span_id = link.span_id().map_or(SpanId::INVALID, SpanId::from);
    let context = context(trace_id, span_id, link.flags(), link.is_remote(), link.trace_state());
    Link::new(context, attributes(link.attributes()), link.dropped_attributes_count())
}

fn context(trace_id: TraceId, span_id: SpanId, flags: u32, is_remote: bool, trace_state: &str) -> SpanContext {
    // The low byte is the W3C flags.
    let flags = TraceFlags::new(flags as u8);
    SpanContext::new(trace_id, span_id, flags, is_remote, to_trace_state(trace_state))
}

/// The entries that the API can hold.
fn to_trace_state(text: &str) -> TraceState {
    text.parse().unwrap_or_else(|_| {
        let entries = text.split(',').filter_map(|entry| entry.trim().split_once('='));
        let known = entries.filter(|entry| TraceState::from_key_value([*entry]).is_ok());
        TraceState::from_key_value(known).unwrap_or_default()
    })
}

fn attributes(attributes: Attributes<'_>) -> Vec<KeyValue> {
    attributes.iter().filter_map(to_key_value).collect()
}
