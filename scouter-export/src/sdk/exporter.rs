//! A pipeline as a span exporter of the SDK.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

use super::processor::Writer;
use super::{FLUSH_TIMEOUT, outcome, resource};
use crate::pipeline::Pipeline;

/// Takes batches from a processor of the SDK, for programs whose processor does more than batching. A
/// [`Processor`](super::Processor) is cheaper where it does not: it needs no second queue and no second thread.
///
/// An export hands its spans to the pipeline's queue and is done; it fails when there was no room for all of them. What
/// becomes of them then, a flush tells, and the pipeline's statistics.
#[derive(Debug)]
pub struct Exporter {
    writer: Writer,
}

impl Exporter {
    /// An exporter in front of this pipeline, which nothing else should feed: all its spans carry one resource.
    pub fn new(pipeline: Arc<Pipeline>) -> Self {
        Self { writer: Writer::new(pipeline) }
    }

    /// What is behind it.
    pub const fn pipeline(&self) -> &Arc<Pipeline> {
        self.writer.pipeline()
    }
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let refused = batch.iter().filter(|span| !self.writer.write(span)).count();
        if refused == 0 {
            return Ok(());
        }
        let text = format!("{refused} of {} spans were dropped: the queue is full or shut down", batch.len());
        Err(OTelSdkError::InternalFailure(text))
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        outcome(self.pipeline().shutdown(timeout), timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        outcome(self.pipeline().flush(FLUSH_TIMEOUT), FLUSH_TIMEOUT)
    }

    fn set_resource(&mut self, sdk: &Resource) {
        self.pipeline().set_resource(resource(sdk));
    }
}
