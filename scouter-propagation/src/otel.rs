//! The `opentelemetry` API's `TextMapPropagator` for the propagators of this crate.

use std::sync::LazyLock;

use opentelemetry::baggage::{BaggageExt, KeyValueMetadata};
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{self, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Context, trace};
use scouter_span::otel::active_span_context;

use crate::baggage::Entry;
use crate::carrier::{Extractor, Injector};
use crate::{Baggage, BaggagePropagator, TraceContext};

/// A carrier of the API as one of ours.
struct Reader<'a>(&'a dyn propagation::Extractor);

/// A carrier of the API as one of ours.
struct Writer<'a>(&'a mut dyn propagation::Injector);

impl Extractor for Reader<'_> {
    fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.get_all(name).unwrap_or_default().into_iter()
    }

    fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().into_iter()
    }
}

impl Injector for Writer<'_> {
    fn set(&mut self, name: &str, value: &str) {
        self.0.set(name, value.to_owned());
    }
}

impl TextMapPropagator for TraceContext {
    fn inject_context(&self, context: &Context, injector: &mut dyn propagation::Injector) {
        if let Some(span) = active_span_context(context) {
            self.inject(&span, &mut Writer(injector));
        }
    }

    fn extract_with_context(&self, context: &Context, extractor: &dyn propagation::Extractor) -> Context {
        match self.extract(&Reader(extractor)) {
            Some(span) => context.with_remote_span_context(trace::SpanContext::from(&span)),
            None => context.clone(),
        }
    }

    fn fields(&self) -> FieldIter<'_> {
        static FIELDS: LazyLock<[String; 2]> = LazyLock::new(|| TraceContext::FIELDS.map(str::to_owned));
        FieldIter::new(&*FIELDS)
    }
}

impl TextMapPropagator for BaggagePropagator {
    /// Entries that W3C Baggage has no place for are left out.
    fn inject_context(&self, context: &Context, injector: &mut dyn propagation::Injector) {
        let mut baggage = Baggage::new();
        for (key, (value, metadata)) in context.baggage() {
            let entry = Entry::new(key.as_str(), value.as_str());
            if let Ok(entry) = entry.and_then(|entry| entry.with_metadata(metadata.as_str())) {
                let _ = baggage.insert(entry);
            }
        }
        self.inject(&baggage, &mut Writer(injector));
    }

    fn extract_with_context(&self, context: &Context, extractor: &dyn propagation::Extractor) -> Context {
        let baggage = self.extract(&Reader(extractor));
        if baggage.is_empty() {
            return context.clone();
        }
        let entry = |entry: &Entry| {
            let (key, value, metadata) = (entry.key(), entry.value(), entry.metadata());
            KeyValueMetadata::new(key.to_owned(), value.to_owned(), metadata)
        };
        context.with_baggage(baggage.iter().map(entry))
    }

    fn fields(&self) -> FieldIter<'_> {
        static FIELDS: LazyLock<[String; 1]> = LazyLock::new(|| BaggagePropagator::FIELDS.map(str::to_owned));
        FieldIter::new(&*FIELDS)
    }
}
