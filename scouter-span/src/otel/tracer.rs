//! The API's `Tracer`.

use std::borrow::Cow;

use opentelemetry::trace::{self, Event, Link, SpanBuilder, TraceContextExt};
use opentelemetry::{Context, KeyValue};

use super::context::active_span_context;
use super::event::{add_event, add_link};
use super::span::{Span, set_attribute};
use super::time::unix_nanoseconds;
use super::value::Values;
use crate::context::SpanContext;
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

    /// Begins a span below the active one of the context, or tells what to carry on where telemetry is suppressed.
    #[inline(always)]
    fn begin(&self, name: &str, context: &Context, given: Given<'_>) -> Span {
        if context.is_telemetry_suppressed() {
            return Span::suppressed(context.span().span_context().clone());
        }
        let parent = active_span_context(context);
        let parent = parent.as_ref();
        if !self.0.is_known_sampled(parent) {
            let asks = self.0.asks(parent);
            return if asks { self.ask(name, context, parent, given) } else { self.0.pass(parent) }.into();
        }
        let mut span = self.0.begin_here(name, given.kind(), parent, given.start_time());
        given.fill(&mut span);
        span.into()
    }

    /// Begins a span that somebody has to be asked about.
    #[inline(never)]
    fn ask(&self, name: &str, context: &Context, parent: Option<&SpanContext>, given: Given<'_>) -> span::Span {
        let ids = match self.0.ids_unless_dropped(parent) {
            Ok(ids) => ids,
            Err(dropped) => return dropped,
        };
        let attributes = Values::of(given.attributes());
        let attributes = attributes.borrowed();
        let links = given
            .links()
            .iter()
            .filter_map(|link| Some((SpanContext::try_from(&link.span_context).ok()?, Values::of(&link.attributes))));
        let links: Vec<_> = links.collect();
        let links: Vec<_> = links.iter().map(|(context, attributes)| (context, attributes.borrowed())).collect();
        let links: Vec<_> = links.iter().map(|(context, attributes)| (*context, &**attributes)).collect();
        let mut builder = self.0.span(name).kind(given.kind()).parent(parent).context(context);
        if let Some(time) = given.start_time() {
            builder = builder.start_time(time);
        }
        builder.attributes(&attributes).links(&links).ask_with(ids, |span| given.fill(span))
    }
}

/// What a builder of the API holds beside the name; nothing where there is no builder.
#[derive(Clone, Copy)]
struct Given<'a>(Option<&'a SpanBuilder>);

impl<'a> Given<'a> {
    #[inline(always)]
    fn kind(self) -> SpanKind {
        self.0.and_then(|builder| builder.span_kind.clone()).map_or(SpanKind::Internal, Into::into)
    }

    #[inline(always)]
    fn start_time(self) -> Option<u64> {
        self.0.and_then(|builder| builder.start_time).map(unix_nanoseconds)
    }

    #[inline(always)]
    fn attributes(self) -> &'a [KeyValue] {
        self.0.and_then(|builder| builder.attributes.as_deref()).unwrap_or_default()
    }

    #[inline(always)]
    fn events(self) -> &'a [Event] {
        self.0.and_then(|builder| builder.events.as_deref()).unwrap_or_default()
    }

    #[inline(always)]
    fn links(self) -> &'a [Link] {
        self.0.and_then(|builder| builder.links.as_deref()).unwrap_or_default()
    }

    #[inline(always)]
    fn fill(self, span: &mut span::Span) {
        for attribute in self.attributes() {
            set_attribute(span, attribute);
        }
        for event in self.events() {
            add_event(span, event);
        }
        for link in self.links() {
            add_link(span, &link.span_context, &link.attributes, link.dropped_attributes_count);
        }
    }
}

impl trace::Tracer for Tracer {
    type Span = Span;

    #[inline]
    fn start_with_context<T: Into<Cow<'static, str>>>(&self, name: T, parent: &Context) -> Span {
        self.begin(&name.into(), parent, Given(None))
    }

    fn build_with_context(&self, builder: SpanBuilder, parent: &Context) -> Span {
        self.begin(&builder.name, parent, Given(Some(&builder)))
    }
}
