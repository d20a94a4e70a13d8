//! What a span is: ids, context, values, recording, OTLP bytes and views.
//!
//! A span being recorded *is* its OTLP protobuf bytes: attributes, events and links are written in wire form as they are
//! set, [ending](Span::end) fills in what is only known then, and a [batch](request) is the concatenation of finished spans
//! behind a resource and scope header. Reading a span back is a [view] over the same bytes.
//!
//! What a program plugs in is asked only where there is something to ask: a [sampler] before a span begins, an
//! [id generator](id::IdGenerator) for its ids, and [processors](processor) as it begins and ends. Without them, and with
//! samplers that look at nothing but the parent's flags, a span takes the short way. A plug-in that panics is counted and
//! never felt.
//!
//! This crate does no input or output, starts no thread, and knows no async runtime.

pub mod clock;
pub mod context;
pub mod counters;
pub mod fork;
pub mod id;
pub mod limits;
#[cfg(feature = "opentelemetry")]
pub mod otel;
pub mod processor;
mod record;
pub mod request;
pub mod resource;
pub mod sampler;
pub mod scope;
pub mod sink;
pub mod span;
pub mod tracer;
pub mod value;
pub mod view;
pub mod wire;

pub use context::{SpanContext, TraceFlags, TraceState};
pub use id::{SpanId, TraceId};
pub use limits::SpanLimits;
pub use processor::SpanProcessor;
pub use record::LinkTarget;
pub use resource::{Resource, ResourceDetector};
pub use sampler::{Parent, Ratio, Sampler, SamplingDecision, SamplingInput, SamplingResult, ShouldSample};
pub use scope::Scope;
pub use sink::{FinishedSpan, SpanSink};
pub use span::Span;
pub use tracer::{SpanBuilder, Tracer, TracerProvider};
pub use value::{OwnedValue, Value};
pub use view::{SpanKind, StatusCode};
