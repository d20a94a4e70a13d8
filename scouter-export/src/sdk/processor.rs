//! A pipeline as a span processor of the SDK.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::{Context, InstrumentationScope};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use scouter_span::scope::ScopeId;
use scouter_span::{Scope, SpanSink, TraceId};

use super::{FLUSH_TIMEOUT, encode, outcome, resource};
use crate::pipeline::Pipeline;

/// More scopes than a program has. A thread that meets more forgets those it knows.
const SCOPES: usize = 64;

/// Sends the sampled spans of an `SdkTracerProvider` through a pipeline: encoded on the thread that ends them, queued, and
/// sent from the worker. The pipeline takes the provider's resource.
///
/// A flush waits for 30 seconds at most. A shutdown of the provider shuts the pipeline down.
#[derive(Debug)]
pub struct Processor {
    writer: Writer,
}

/// Encodes spans and hands them to a pipeline.
#[derive(Debug)]
pub(super) struct Writer {
    pipeline: Arc<Pipeline>,
    /// Tells writers apart; never used twice.
    number: u64,
}

/// What a thread keeps from span to span.
#[derive(Debug, Default)]
struct Desk {
    bytes: Vec<u8>,
    /// What the pipeline of this writer calls this scope.
    scopes: Vec<(u64, InstrumentationScope, ScopeId)>,
}

thread_local! {
    static DESK: RefCell<Desk> = RefCell::default();
}

impl Processor {
    /// A processor in front of this pipeline, which nothing else should feed: all its spans carry one resource.
    pub fn new(pipeline: Arc<Pipeline>) -> Self {
        Self { writer: Writer::new(pipeline) }
    }

    /// What is behind it.
    pub const fn pipeline(&self) -> &Arc<Pipeline> {
        self.writer.pipeline()
    }
}

impl SpanProcessor for Processor {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() {
            self.writer.write(&span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        outcome(self.writer.pipeline.flush(FLUSH_TIMEOUT), FLUSH_TIMEOUT)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        outcome(self.writer.pipeline.shutdown(timeout), timeout)
    }

    fn set_resource(&mut self, sdk: &Resource) {
        self.writer.pipeline.set_resource(resource(sdk));
    }
}

impl Writer {
    pub(super) fn new(pipeline: Arc<Pipeline>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { pipeline, number: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    pub(super) const fn pipeline(&self) -> &Arc<Pipeline> {
        &self.pipeline
    }

    /// Hands a span on, and tells whether it was taken. One without valid ids is none.
    pub(super) fn write(&self, data: &SpanData) -> bool {
        if TraceId::try_from(data.span_context.trace_id()).is_err() {
            return false;
        }
        // A thread that is ending has no desk any more.
        let at_desk = DESK.try_with(|desk| self.write_at(&mut desk.take(), data, |left| drop(desk.replace(left))));
        at_desk.unwrap_or_else(|_| self.write_at(&mut Desk::default(), data, drop))
    }

    fn write_at(&self, desk: &mut Desk, data: &SpanData, leave: impl FnOnce(Desk)) -> bool {
        desk.bytes.clear();
        encode(&mut desk.bytes, data);
        let scope = self.scope(desk, &data.instrumentation_scope);
        let taken = self.pipeline.offer(scope, &desk.bytes);
        leave(std::mem::take(desk));
        taken
    }

    fn scope(&self, desk: &mut Desk, scope: &InstrumentationScope) -> ScopeId {
        let known = desk.scopes.iter().find(|(number, known, _)| *number == self.number && known == scope);
        if let Some((_, _, id)) = known {
            return *id;
        }
        let id = self.pipeline.register(&Arc::new(Scope::from(scope)));
        if desk.scopes.len() == SCOPES {
            desk.scopes.clear();
        }
        desk.scopes.push((self.number, scope.clone(), id));
        id
    }
}
