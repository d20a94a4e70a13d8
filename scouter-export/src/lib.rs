//! Finished spans to their destinations.
//!
//! ```text
//! Tracer ─ end ─▶ queue ─▶ pending batch ─▶ encoded once ─┬▶ destination: backlog ─▶ retries ─▶ transport
//!  any thread     │                  the worker's thread  └▶ destination: backlog ─▶ retries ─▶ transport
//!  one copy, no waiting
//! ```
//!
//! A [`Pipeline`] is the sink of a tracer provider. What it holds is bounded in spans and bytes, every span that does not
//! arrive is counted under a [reason](DropReason), and no destination waits for another. Any number of pipelines share one
//! [`Worker`], whose thread owns the only runtime; the application needs none.
//!
//! Nothing here is global but the count of forks, see [`Pipeline`].

mod batch;
mod capture;
mod destination;
mod error;
mod fork;
mod observer;
mod pipeline;
mod queue;
mod report;
#[cfg(feature = "opentelemetry-sdk")]
pub mod sdk;
mod stats;
mod worker;

pub use batch::BatchConfig;
pub use capture::{CaptureLimit, LocalCapture};
pub use destination::Destination;
pub use error::{Error, ErrorKind, FlushError};
pub use observer::{ExportError, ExportObserver, ExportOperation};
pub use pipeline::{Flush, Pipeline, PipelineBuilder};
pub use report::{Report, Reporter, TracingReporter};
pub use stats::{DestinationStats, DropReason, Dropped, Instrument, Latency, Metric, MetricValue, Stats};
pub use worker::Worker;
