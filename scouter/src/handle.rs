//! A running Scouter.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use scouter_export::{FlushError, LocalCapture, Pipeline, Stats, Worker};
use scouter_span::{Scope, Tracer, TracerProvider};
use scouter_transport::Signal;

use crate::error::Error;

/// How long dropping the handle may take.
const DROP_DEADLINE: Duration = Duration::from_secs(5);

/// Tracers, and the pipeline behind them. Dropping it sends what is left, for at most five seconds.
#[derive(Debug)]
#[must_use = "dropping this ends tracing: keep it as long as the program runs, `let scouter = ...`, not `let _ = ...`"]
pub struct Scouter {
    provider: TracerProvider,
    /// None when the SDK is disabled: then nothing is recorded and nothing runs.
    pipeline: Option<Arc<Pipeline>>,
}

impl Scouter {
    pub(crate) const fn new(provider: TracerProvider, pipeline: Option<Arc<Pipeline>>) -> Self {
        Self { provider, pipeline }
    }

    /// A tracer for the library or component of this name.
    pub fn tracer(&self, name: &str) -> Tracer {
        self.provider.tracer(Scope::new(name, "", "", &[]))
    }

    /// What begins spans.
    pub const fn provider(&self) -> &TracerProvider {
        &self.provider
    }

    /// The provider as programs that speak `opentelemetry` want it.
    pub fn opentelemetry(&self) -> scouter_span::otel::Provider {
        scouter_span::otel::Provider::new(self.provider.clone())
    }

    /// Blocks until the span processors have finished with every span that has ended, and it is sent, for at most this long.
    ///
    /// # Errors
    /// The time was up, or spans were dropped meanwhile.
    pub fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        let begun = Instant::now();
        let processed = self.provider.force_flush(timeout);
        let left = timeout.saturating_sub(begun.elapsed());
        self.pipeline.as_ref().map_or(Ok(()), |pipeline| pipeline.flush(left))?;
        done(processed)
    }

    /// Records nothing from now on, shuts the span processors down, and sends what is left, for at most this long. A second
    /// call gives the first one's outcome.
    ///
    /// # Errors
    /// As for [`flush`](Self::flush).
    pub fn shutdown(&self, timeout: Duration) -> Result<(), FlushError> {
        let begun = Instant::now();
        let processed = self.provider.is_closed() || self.provider.shutdown(timeout);
        let left = timeout.saturating_sub(begun.elapsed());
        self.pipeline.as_ref().map_or(Ok(()), |pipeline| pipeline.shutdown(left))?;
        done(processed)
    }

    /// Begins what [`shutdown`](Self::shutdown) does, and waits for nothing.
    pub fn begin_shutdown(&self, timeout: Duration) {
        self.provider.close();
        if let Some(pipeline) = &self.pipeline {
            pipeline.begin_shutdown(timeout);
        }
    }

    /// The copies of ended spans that this process can keep for itself; `None` when the SDK is disabled.
    pub fn capture(&self) -> Option<&LocalCapture> {
        self.pipeline.as_ref().map(|pipeline| pipeline.capture())
    }

    /// What has become of every span; `None` when the SDK is disabled.
    pub fn stats(&self) -> Option<Stats> {
        self.pipeline.as_ref().map(|pipeline| pipeline.stats())
    }
}

/// What span processors have come to.
fn done(processed: bool) -> Result<(), FlushError> {
    if processed {
        return Ok(());
    }
    let reason = "one of them has failed, or was not done in time".to_owned();
    Err(FlushError::Failed {
        signal: Signal::Traces,
        destination: "the span processors".to_owned(),
        dropped: 0,
        reason,
    })
}

impl Drop for Scouter {
    fn drop(&mut self) {
        // Who has shut down already has waited as long as was wanted.
        if self.provider.is_closed() {
            return;
        }
        // What did not arrive is counted and reported by the pipeline; a destructor has nobody to tell.
        let _ = self.shutdown(DROP_DEADLINE);
    }
}

/// The one worker of this process. Without a lock, so that a fork cannot catch anyone holding it.
pub(crate) fn worker() -> Result<Worker, Error> {
    static WORKER: OnceLock<Worker> = OnceLock::new();
    if let Some(worker) = WORKER.get() {
        return Ok(worker.clone());
    }
    // Of two that start at the same time one stays; the other has nothing to do and ends when it is dropped.
    let started = Worker::start()?;
    Ok(WORKER.get_or_init(|| started).clone())
}
