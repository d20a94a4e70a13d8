//! A provider whose finished spans a test can look at.

use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use scouter_span::scope::ScopeId;
use scouter_span::tracer::TracerProviderBuilder;
use scouter_span::{FinishedSpan, Resource, Scope, SpanSink, Tracer, TracerProvider, request};

/// Keeps what ends.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) spans: Mutex<Vec<u8>>,
    pub(crate) scopes: Mutex<Vec<Arc<Scope>>>,
}

#[derive(Debug)]
pub(crate) struct Fixture {
    pub(crate) kept: Arc<Kept>,
    pub(crate) provider: TracerProvider,
    pub(crate) tracer: Tracer,
}

impl SpanSink for Kept {
    fn register(&self, scope: &Arc<Scope>) -> ScopeId {
        let mut scopes = self.scopes.lock().unwrap();
        scopes.push(Arc::clone(scope));
        ScopeId(scopes.len() as u32 - 1)
    }

    fn accept(&self, span: FinishedSpan<'_>) {
        assert_eq!(request::trace_id(span.bytes), Some(span.trace_id));
        self.spans.lock().unwrap().extend_from_slice(span.bytes);
    }
}

#[allow(dead_code, reason = "not every test file uses all of it")]
impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with<'a>(set: impl FnOnce(TracerProviderBuilder<'a>) -> TracerProviderBuilder<'a>) -> Self {
        Self::build(Resource::empty(), set)
    }

    pub(crate) fn of(resource: Resource) -> Self {
        Self::build(resource, |builder| builder)
    }

    fn build<'a>(resource: Resource, set: impl FnOnce(TracerProviderBuilder<'a>) -> TracerProviderBuilder<'a>) -> Self {
        let kept = Arc::new(Kept::default());
        let provider = set(TracerProvider::builder(resource, kept.clone())).build();
        let tracer = provider.tracer(Scope::new("test", "", "", &[]));
        Self { kept, provider, tracer }
    }

    pub(crate) fn request(&self) -> Vec<u8> {
        let (spans, scopes) = (self.kept.spans.lock().unwrap(), self.kept.scopes.lock().unwrap());
        let mut bytes = Vec::new();
        request::encode(&mut bytes, self.provider.resource(), &[request::Group { scope: &scopes[0], spans: &spans }]);
        bytes
    }

    pub(crate) fn spans(&self) -> Vec<opentelemetry_proto::tonic::trace::v1::Span> {
        let mut request = decode(&self.request());
        std::mem::take(&mut request.resource_spans[0].scope_spans[0].spans)
    }
}

pub(crate) fn decode(bytes: &[u8]) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest::decode(bytes).unwrap()
}
