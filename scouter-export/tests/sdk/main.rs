//! `opentelemetry_sdk` in both directions.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

#[path = "../common/mod.rs"]
mod common;
mod destination;
mod pipeline;
mod plugin;
mod round_trip;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

/// An exporter of the SDK that keeps what it is told.
#[derive(Clone, Debug, Default)]
struct Keeper(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    batches: Vec<Vec<SpanData>>,
    resources: Vec<Resource>,
    flushes: usize,
    shutdowns: Vec<Duration>,
    /// What the next exports answer; `Ok` when there is nothing here.
    answers: Vec<OTelSdkError>,
}

impl Keeper {
    fn spans(&self) -> Vec<SpanData> {
        self.0.lock().unwrap().batches.concat()
    }
}

impl SpanExporter for Keeper {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let mut kept = self.0.lock().unwrap();
        kept.batches.push(batch);
        kept.answers.pop().map_or(Ok(()), Err)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.lock().unwrap().shutdowns.push(timeout);
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.lock().unwrap().flushes += 1;
        Ok(())
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.lock().unwrap().resources.push(resource.clone());
    }
}
