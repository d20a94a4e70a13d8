//! What a span is: ids, context, values, recording, OTLP bytes and views.
//!
//! A span being recorded *is* its OTLP protobuf bytes: attributes, events and links are written in wire form as they are
//! set, [`sealing`](span::Span::end) fills in what is only known at the end, and a batch is the concatenation of sealed
//! spans behind a resource and scope header. Reading a span back is a [view](view) over the same bytes.
//!
//! This crate does no input or output, starts no thread, and knows no async runtime.

pub mod context;
pub mod id;
pub mod value;
pub mod wire;

pub use context::{SpanContext, TraceFlags, TraceState};
pub use id::{SpanId, TraceId};
pub use value::Value;
