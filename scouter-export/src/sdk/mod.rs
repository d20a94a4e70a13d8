//! The `opentelemetry_sdk` crate in both directions.
//!
//! *From the SDK to Scouter*: [`Processor`] makes a [`Pipeline`](crate::Pipeline) a span processor of an
//! `SdkTracerProvider`, and [`Exporter`] makes it a span exporter behind a processor of the SDK. Spans are encoded once, as
//! they end, into the same bytes that Scouter's own tracer writes.
//!
//! *From Scouter to the SDK*: [`destination`] makes any span exporter, such as `opentelemetry-otlp`'s, a
//! [`Destination`](crate::Destination). [`Sampler`], [`Ids`] and [`OwnProcessor`] let samplers, id generators and span
//! processors that were written for the SDK work for Scouter's own tracer provider.
//!
//! | of a span | in OTLP | comes back |
//! |---|---|---|
//! | times | nanoseconds since 1970 in 64 bits | times before 1970 as 1970 |
//! | trace state | the header's text | the same |
//! | empty version or schema URL | left out | as not said |
//! | empty array | without a kind | as an array of texts |
//! | bytes, maps, mixed arrays (other senders' only) | as they are | not at all: the API has no place for them |

mod decode;
mod encode;
mod exporter;
mod plugin;
mod processor;
mod shadow;
mod transport;

pub use decode::{ResourceBatch, decode};
pub use encode::{encode, resource};
pub use exporter::Exporter;
pub use plugin::{Ids, Sampler};
pub use processor::Processor;
pub use shadow::OwnProcessor;
pub use transport::{ExporterTransport, destination};

use std::time::Duration;

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};

use crate::error::FlushError;

/// How long a flush lasts whose caller cannot say (`OTEL_BSP_EXPORT_TIMEOUT`'s default).
const FLUSH_TIMEOUT: Duration = Duration::from_secs(30);

/// What came of a flush or shutdown that had this much time.
fn outcome(result: Result<(), FlushError>, timeout: Duration) -> OTelSdkResult {
    result.map_err(|error| match error {
        FlushError::Timeout { .. } => OTelSdkError::Timeout(timeout),
        other => OTelSdkError::InternalFailure(other.to_string()),
    })
}
