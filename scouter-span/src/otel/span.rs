//! The API's `Span`.

use std::borrow::Cow;
use std::time::SystemTime;

use opentelemetry::{KeyValue, Value, trace};

use super::event::add_link;
use super::time::unix_nanoseconds;
use crate::span;
use crate::view::Status;

/// A span through the API. Dropping it ends it.
#[derive(Debug)]
pub struct Span {
    /// Not there where telemetry is suppressed.
    span: Option<span::Span>,
    context: trace::SpanContext,
}

impl Span {
    /// A span that records nothing and carries this context on, which need not be valid.
    pub(super) const fn suppressed(context: trace::SpanContext) -> Self {
        Self { span: None, context }
    }

    /// What is behind it; `None` where telemetry is suppressed.
    pub const fn span(&self) -> Option<&span::Span> {
        self.span.as_ref()
    }
}

impl From<span::Span> for Span {
    #[inline]
    fn from(span: span::Span) -> Self {
        let context = span.context().into();
        Self { span: Some(span), context }
    }
}

// Inlined always: callers mostly know what kind of value they have, and then nothing else is left of it.
#[inline(always)]
pub(super) fn set_attribute(span: &mut span::Span, attribute: &KeyValue) {
    let key = attribute.key.as_str();
    match &attribute.value {
        Value::String(value) => span.set_attribute(key, value.as_str()),
        Value::I64(value) => span.set_attribute(key, *value),
        Value::F64(value) => span.set_attribute(key, *value),
        Value::Bool(value) => span.set_attribute(key, *value),
        _ => span.record_attribute(attribute),
    }
}

impl trace::Span for Span {
    #[inline]
    fn add_event<T: Into<Cow<'static, str>>>(&mut self, name: T, attributes: Vec<KeyValue>) {
        if let Some(span) = &mut self.span {
            span.record_event(&name.into(), None, &attributes, 0);
        }
    }

    #[inline]
    fn add_event_with_timestamp<T: Into<Cow<'static, str>>>(
        &mut self,
        name: T,
        timestamp: SystemTime,
        attributes: Vec<KeyValue>,
    ) {
        if let Some(span) = &mut self.span {
            span.record_event(&name.into(), Some(unix_nanoseconds(timestamp)), &attributes, 0);
        }
    }

    #[inline]
    fn span_context(&self) -> &trace::SpanContext {
        &self.context
    }

    #[inline]
    fn is_recording(&self) -> bool {
        self.span.as_ref().is_some_and(span::Span::is_recording)
    }

    #[inline(always)]
    fn set_attribute(&mut self, attribute: KeyValue) {
        if let Some(span) = &mut self.span {
            set_attribute(span, &attribute);
        }
    }

    fn set_status(&mut self, status: trace::Status) {
        if let Some(span) = &mut self.span {
            let Status { code, message } = Status::from(&status);
            span.set_status(code, message);
        }
    }

    fn update_name<T: Into<Cow<'static, str>>>(&mut self, new_name: T) {
        if let Some(span) = &mut self.span {
            span.update_name(&new_name.into());
        }
    }

    fn add_link(&mut self, span_context: trace::SpanContext, attributes: Vec<KeyValue>) {
        if let Some(span) = &mut self.span {
            add_link(span, &span_context, &attributes, 0);
        }
    }

    #[inline]
    fn end(&mut self) {
        if let Some(span) = &mut self.span {
            span.end();
        }
    }

    fn end_with_timestamp(&mut self, timestamp: SystemTime) {
        if let Some(span) = &mut self.span {
            span.end_at(unix_nanoseconds(timestamp));
        }
    }
}
