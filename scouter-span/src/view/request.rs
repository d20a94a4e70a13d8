//! `ExportTraceServiceRequest` and what stands between it and its spans.

use super::span::SpanView;
use super::value::Attributes;
use super::{bytes, check, messages, number, text};
use crate::wire::WireError;
use crate::wire::field::{request, resource, resource_spans, scope, scope_spans};

/// A checked `ExportTraceServiceRequest`, which is also a checked `TracesData`.
#[derive(Clone, Copy, Debug)]
pub struct TraceRequest<'a>(&'a [u8]);

/// The spans of one resource.
#[derive(Clone, Copy, Debug)]
pub struct ResourceSpans<'a>(&'a [u8]);

/// What produced spans or log records: a process, a service.
#[derive(Clone, Copy, Debug)]
pub struct Resource<'a>(&'a [u8]);

/// The spans of one instrumentation scope within a resource.
#[derive(Clone, Copy, Debug)]
pub struct ScopeSpans<'a>(&'a [u8]);

/// The library or component that recorded spans, or log records.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a>(&'a [u8]);

impl<'a> TraceRequest<'a> {
    /// Checks a whole message.
    ///
    /// # Errors
    /// The first place at which the bytes are not an `ExportTraceServiceRequest`. Ids are not looked at: OTLP wants a
    /// receiver to reject single spans for them, not the message.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, WireError> {
        check::trace_request(bytes)?;
        Ok(Self(bytes))
    }

    /// The message's bytes.
    pub const fn bytes(&self) -> &'a [u8] {
        self.0
    }

    /// The spans by resource, in the sender's order.
    pub fn resource_spans(&self) -> impl Iterator<Item = ResourceSpans<'a>> + Clone + use<'a> {
        messages(self.0, request::RESOURCE_SPANS).map(ResourceSpans)
    }

    /// Every span of the message, in the sender's order.
    pub fn spans(&self) -> impl Iterator<Item = SpanView<'a>> + Clone + use<'a> {
        self.resource_spans().flat_map(|resource| resource.scope_spans()).flat_map(|scope| scope.spans())
    }
}

impl<'a> ResourceSpans<'a> {
    /// The resource; without attributes when the sender left it out.
    pub fn resource(&self) -> Resource<'a> {
        Resource(bytes(self.0, resource_spans::RESOURCE))
    }

    /// Where the resource's attribute names are defined, `""` when not said.
    pub fn schema_url(&self) -> &'a str {
        text(self.0, resource_spans::SCHEMA_URL)
    }

    /// The spans by scope.
    pub fn scope_spans(&self) -> impl Iterator<Item = ScopeSpans<'a>> + Clone + use<'a> {
        messages(self.0, resource_spans::SCOPE_SPANS).map(ScopeSpans)
    }
}

impl<'a> Resource<'a> {
    /// A `Resource` message that was checked before, for example one from a store.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The message's bytes.
    pub const fn bytes(&self) -> &'a [u8] {
        self.0
    }

    /// Its attributes.
    pub const fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.0, resource::ATTRIBUTES)
    }

    /// How many attributes the sender left out.
    pub fn dropped_attributes_count(&self) -> u32 {
        number(self.0, resource::DROPPED_ATTRIBUTES_COUNT) as u32
    }
}

impl<'a> ScopeSpans<'a> {
    /// The scope; nameless when the sender left it out.
    pub fn scope(&self) -> Scope<'a> {
        Scope(bytes(self.0, scope_spans::SCOPE))
    }

    /// Where the spans' attribute names are defined, `""` when not said.
    pub fn schema_url(&self) -> &'a str {
        text(self.0, scope_spans::SCHEMA_URL)
    }

    /// The spans.
    pub fn spans(&self) -> impl Iterator<Item = SpanView<'a>> + Clone + use<'a> {
        messages(self.0, scope_spans::SPANS).map(SpanView::new)
    }
}

impl<'a> Scope<'a> {
    /// An `InstrumentationScope` message that was checked before.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The message's bytes.
    pub const fn bytes(&self) -> &'a [u8] {
        self.0
    }

    /// Its name.
    pub fn name(&self) -> &'a str {
        text(self.0, scope::NAME)
    }

    /// Its version, `""` when not said.
    pub fn version(&self) -> &'a str {
        text(self.0, scope::VERSION)
    }

    /// Its attributes.
    pub const fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.0, scope::ATTRIBUTES)
    }

    /// How many attributes the sender left out.
    pub fn dropped_attributes_count(&self) -> u32 {
        number(self.0, scope::DROPPED_ATTRIBUTES_COUNT) as u32
    }
}
