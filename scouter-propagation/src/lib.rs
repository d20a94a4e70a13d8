//! W3C `traceparent`, `tracestate` and `baggage`, in and out of carriers.
//!
//! [`TraceContext`] and [`BaggagePropagator`] carry a span context and baggage through anything that implements
//! [`Extractor`] or [`Injector`], such as the headers of a request, or an [`Environment`]. With the feature `opentelemetry`
//! both are that API's `TextMapPropagator`s, to be used beside others. The parsers behind them accept exactly what W3C Trace
//! Context level 2 and W3C Baggage accept; what these call invalid is left out, and never an error for the application.
//!
//! This crate does no input or output and never panics on what it reads.

pub mod baggage;
mod carrier;
pub mod environment;
#[cfg(feature = "opentelemetry")]
mod otel;
mod trace_context;
pub mod traceparent;
pub mod tracestate;

pub use baggage::{Baggage, BaggageError, BaggagePropagator};
pub use carrier::{Extractor, Injector};
pub use environment::Environment;
pub use trace_context::TraceContext;
pub use traceparent::{TraceParent, TraceParentError};

/// Removes optional white space (RFC 7230, section 3.2.3) from both ends.
fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}
