//! A span from its start to its end.

use std::any::type_name;
use std::error::Error;
use std::sync::Arc;

use crate::context::SpanContext;
use crate::fork;
use crate::id::TraceId;
use crate::record::{LinkTarget, Recording, pool};
use crate::resource::Resource;
use crate::scope::Scope;
use crate::sink::FinishedSpan;
use crate::tracer::TracerInner;
use crate::value::{Attribute, Scalar, Text, Value};
use crate::view::{SpanView, StatusCode};
use crate::wire::field::any_value;

/// A span. Recorded or not, it has a context of its own. Dropping it ends it.
///
/// After the end it can still be read, but no longer changed. A span that is open during a fork is exported by the process
/// that began it; its copy in the child counts as abandoned there.
#[derive(Debug)]
pub struct Span {
    context: SpanContext,
    /// Not there for a span that is not recorded: that one costs nothing beyond its context.
    active: Option<Active>,
}

/// The part of a recorded span.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) recording: Box<Recording>,
    pub(crate) tracer: Arc<TracerInner>,
    /// Its way to its end: the process that began it, which alone may export it, and [`WATCHED`] and [`ENDING`]. A span
    /// without either of them ends the short way.
    pub(crate) course: u64,
}

/// There is more to its end than to hand it to the sink: processors see it, or it is not sampled.
pub(crate) const WATCHED: u64 = 1 << 63;
/// It is about to end, and processors have their last chance to write to it.
const ENDING: u64 = 1 << 62;

/// How many attributes, events and links went beyond the limits so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Attributes.
    pub attributes: u32,
    /// Events.
    pub events: u32,
    /// Links.
    pub links: u32,
}

impl Span {
    /// A span that is not recorded and carries this context on.
    #[inline]
    pub const fn not_recorded(context: SpanContext) -> Self {
        Self { context, active: None }
    }

    #[inline]
    pub(crate) const fn recorded(context: SpanContext, active: Active) -> Self {
        Self { context, active: Some(active) }
    }

    /// What other spans refer to.
    #[inline]
    pub const fn context(&self) -> &SpanContext {
        &self.context
    }

    /// Whether it still takes anything in.
    #[inline]
    pub fn is_recording(&self) -> bool {
        self.active.as_ref().is_some_and(|active| active.recording.is_open())
    }

    #[inline]
    fn open(&mut self) -> Option<&mut Active> {
        self.active.as_mut().filter(|active| active.recording.is_open())
    }

    /// Sets an attribute, or replaces the one of this key. Without effect once the span has ended; an empty key, and a new
    /// key beyond the limit, is dropped and counted.
    #[inline]
    pub fn set_attribute<'a>(&mut self, key: &str, value: impl Into<Value<'a>>) {
        if self.active.is_none() {
            return;
        }
        // Where the caller's type is known, only one of these is left. What fits registers travels in them.
        match value.into() {
            Value::Str(text) => self.set_text(key, text),
            Value::Bool(value) => self.set_scalar::<{ any_value::BOOL }>(key, u64::from(value)),
            Value::I64(value) => self.set_scalar::<{ any_value::INT }>(key, value as u64),
            Value::F64(value) => self.set_scalar::<{ any_value::DOUBLE }>(key, value.to_bits()),
            value => self.record_attribute(&(key, value)),
        }
    }

    fn set_text(&mut self, key: &str, text: &str) {
        self.set(&Text { key, text });
    }

    #[inline]
    fn set_scalar<const FIELD: u32>(&mut self, key: &str, bits: u64) {
        self.set(&Scalar::<FIELD> { key, bits });
    }

    pub(crate) fn record_attribute(&mut self, attribute: &impl Attribute) {
        self.set(attribute);
    }

    #[inline(always)]
    fn set(&mut self, attribute: &impl Attribute) {
        if let Some(Active { recording, tracer, .. }) = self.open() {
            recording.set_attribute(attribute, tracer.limits());
        }
    }

    /// Adds an event that happens now.
    #[inline]
    pub fn add_event(&mut self, name: &str, attributes: &[(&str, Value<'_>)]) {
        self.record_event(name, None, attributes, 0);
    }

    /// Adds an event that happened at this time, in nanoseconds since the Unix epoch.
    pub fn add_event_at(&mut self, name: &str, time: u64, attributes: &[(&str, Value<'_>)]) {
        self.record_event(name, Some(time), attributes, 0);
    }

    #[inline]
    pub(crate) fn record_event(&mut self, name: &str, time: Option<u64>, attributes: &[impl Attribute], left_out: u32) {
        if let Some(Active { recording, tracer, .. }) = self.open() {
            let time = time.unwrap_or_else(|| tracer.clock().now());
            recording.add_event(name, time, attributes, left_out, tracer.limits());
        }
    }

    /// Adds an event for an error, as the semantic conventions for exceptions have it: its type where that is known, and its
    /// message. Given attributes stand above those. The span's status stays as it is.
    pub fn record_error<E: Error + ?Sized>(&mut self, error: &E, attributes: &[(&str, Value<'_>)]) {
        if !self.is_recording() {
            return;
        }
        let message = error.to_string();
        let mut all = Vec::with_capacity(attributes.len() + 2);
        // The name of a trait object's type says nothing.
        let name = type_name::<E>();
        if !name.starts_with("dyn ") {
            all.push(("exception.type", Value::Str(name)));
        }
        all.push(("exception.message", Value::Str(&message)));
        all.extend_from_slice(attributes);
        self.add_event("exception", &all);
    }

    /// Adds a reference to another span.
    pub fn add_link(&mut self, to: &SpanContext, attributes: &[(&str, Value<'_>)]) {
        self.record_link(&to.into(), attributes, 0);
    }

    /// Adds a reference to what may be no valid span.
    pub fn add_link_to(&mut self, to: &LinkTarget<'_>, attributes: &[(&str, Value<'_>)]) {
        self.record_link(to, attributes, 0);
    }

    #[inline]
    pub(crate) fn record_link(&mut self, to: &LinkTarget<'_>, attributes: &[impl Attribute], left_out: u32) {
        if let Some(Active { recording, tracer, .. }) = self.open() {
            recording.add_link(to, attributes, left_out, tracer.limits());
        }
    }

    /// Says how it went. Ok is final, Unset changes nothing, and only Error has words (trace API, "Set Status").
    pub fn set_status(&mut self, code: StatusCode, message: &str) {
        if let Some(Active { recording, .. }) = self.open() {
            recording.set_status(code, message);
        }
    }

    /// Gives it another name.
    pub fn update_name(&mut self, name: &str) {
        if let Some(Active { recording, .. }) = self.open() {
            recording.update_name(name);
        }
    }

    /// Ends it now. A second end has no effect.
    #[inline]
    pub fn end(&mut self) {
        if let Some(active) = self.open() {
            let time = active.tracer.clock().now();
            self.end_open(time);
        }
    }

    /// Ends it at this time, in nanoseconds since the Unix epoch, but not before its start.
    #[inline]
    pub fn end_at(&mut self, time: u64) {
        if self.is_recording() {
            self.end_open(time);
        }
    }

    #[inline(never)]
    fn end_open(&mut self, time: u64) {
        match &mut self.active {
            Some(active) if active.course == fork::generation() => {
                active.recording.seal(time);
                active.hand_over(self.context.trace_id);
            }
            _ => self.end_watched(time),
        }
    }

    /// The end of a span that somebody watches, that is not sampled, or that another process began.
    #[cold]
    fn end_watched(&mut self, time: u64) {
        let sampled = self.context.is_sampled();
        let Some(active) = &mut self.active else { return };
        if active.course & ENDING != 0 {
            return;
        }
        let tracer = Arc::clone(&active.tracer);
        if active.course & !WATCHED != fork::generation() {
            active.recording.seal(time);
            if sampled {
                tracer.counters().abandoned.increment();
            }
            return;
        }
        active.course |= ENDING;
        active.recording.set_end_time(time);
        tracer.processors().each(tracer.counters(), |processor| processor.on_ending(self));
        let trace_id = self.context.trace_id;
        let Some(active) = &mut self.active else { return };
        active.recording.seal(time);
        if sampled {
            active.hand_over(trace_id);
        }
        tracer.processors().each(tracer.counters(), |processor| processor.on_end(self));
    }

    /// Lets go of it without an end: it is counted as abandoned and goes nowhere.
    pub fn abandon(mut self) {
        if let Some(active) = self.active.take() {
            if active.recording.is_open() && self.context.is_sampled() {
                active.tracer.counters().abandoned.increment();
            }
            pool::give(active.recording);
        }
    }

    /// Reads what it holds; `None` for a span that is not recorded.
    ///
    /// While it is open, its end time reads as 0; take [`status`](Self::status) and [`dropped`](Self::dropped) from here.
    pub fn view(&self) -> Option<SpanView<'_>> {
        self.active.as_ref().map(|active| SpanView::new(active.recording.message()))
    }

    /// Who recorded it; `None` for a span that is not recorded.
    pub fn scope(&self) -> Option<&Scope> {
        self.active.as_ref().map(|active| active.tracer.scope())
    }

    /// What it belongs to; `None` for a span that is not recorded.
    pub fn resource(&self) -> Option<&Resource> {
        self.active.as_ref().map(|active| active.tracer.resource())
    }

    /// How it has gone so far, with the words for an error.
    pub fn status(&self) -> (StatusCode, &str) {
        self.active.as_ref().map_or((StatusCode::Unset, ""), |active| active.recording.status())
    }

    /// What went beyond the limits so far.
    pub fn dropped(&self) -> Dropped {
        let (attributes, events, links) = self.active.as_ref().map_or((0, 0, 0), |active| active.recording.dropped());
        Dropped { attributes, events, links }
    }
}

impl Active {
    #[inline(always)]
    fn hand_over(&self, trace_id: TraceId) {
        let Self { recording, tracer, .. } = self;
        tracer.counters().ended.increment();
        tracer.sink().accept(FinishedSpan { bytes: recording.element(), scope: tracer.scope_id(), trace_id });
    }
}

impl Drop for Span {
    #[inline]
    fn drop(&mut self) {
        self.end();
        if let Some(active) = self.active.take() {
            pool::give(active.recording);
        }
    }
}
