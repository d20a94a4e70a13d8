//! The API's `Tracer`.

use std::borrow::Cow;
use std::time::SystemTime;

use opentelemetry::Context;
use opentelemetry::trace::{self, SpanBuilder, TraceContextExt};

use super::context::active_span_context;
use super::event::{add_event, add_link};
use super::span::{Span, set_attribute};
use super::time::unix_nanoseconds;
use crate::view::SpanKind;
use crate::{span, tracer};

/// A tracer through the API. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tracer(tracer::Tracer);

impl Tracer {
    /// This tracer through the API.
    pub const fn new(tracer: tracer::Tracer) -> Self {
        Self(tracer)
    }

    /// What is behind it.
    pub const fn tracer(&self) -> &tracer::Tracer {
        &self.0
    }

    /// Begins a span below the active one of the context; the error where telemetry is suppressed is what to carry on.
    #[inline(always)]
    fn begin(
        &self,
        name: &str,
        kind: SpanKind,
        start_time: Option<SystemTime>,
        context: &Context,
    ) -> Result<span::Span, trace::SpanContext> {
        if context.is_telemetry_suppressed() {
            return Err(context.span().span_context().clone());
        }
        let parent = active_span_context(context);
        Ok(self.0.begin_here(name, kind, parent.as_ref(), start_time.map(unix_nanoseconds)))
    }
}

impl trace::Tracer for Tracer {
    type Span = Span;

    #[inline]
    fn start_with_context<T: Into<Cow<'static, str>>>(&self, name: T, parent: &Context) -> Span {
        match self.begin(&name.into(), SpanKind::Internal, None, parent) {
            Ok(span) => span.into(),
            Err(context) => Span::suppressed(context),
        }
    }

    fn build_with_context(&self, builder: SpanBuilder, parent: &Context) -> Span {
        let kind = builder.span_kind.map_or(SpanKind::Internal, Into::into);
        let mut span = match self.begin(&builder.name, kind, builder.start_time, parent) {
            Ok(span) => span,
            Err(context) => return Span::suppressed(context),
        };
        if span.is_recording() {
            for attribute in builder.attributes.iter().flatten() {
                set_attribute(&mut span, attribute);
            }
            for event in builder.events.iter().flatten() {
                add_event(&mut span, event);
            }
            for link in builder.links.iter().flatten() {
                add_link(&mut span, &link.span_context, &link.attributes, link.dropped_attributes_count);
            }
        }
        span.into()
    }
}
