//! From settings to what runs.

use std::sync::Arc;
use std::time::Duration;

use scouter_export::{Destination, Pipeline, PipelineBuilder, Report, Reporter};
use scouter_span::sink::SpanSink;
use scouter_span::{Resource, Sampler, Scope, TracerProvider};
use scouter_transport::Signal;

use super::{Collector, LogLevel, Settings};
use crate::attribute::pairs;
use crate::connection::Connection;
use crate::error::Error;
use crate::handle::{Scouter, worker};

impl Settings {
    /// Begins. No I/O happens before the first span is sent, and a server that is not there is no error.
    ///
    /// # Errors
    /// A setting cannot work.
    pub fn start(self) -> Result<Scouter, Error> {
        let resource = self.resource();
        if self.disabled {
            let provider = TracerProvider::builder(resource, Arc::new(Nowhere)).sampler(Sampler::AlwaysOff).build();
            provider.close();
            return Ok(Scouter::new(provider, None));
        }
        let counters = Arc::default();
        let pipeline = self.pipeline(Signal::Traces, resource.clone())?.counters(Arc::clone(&counters));
        let pipeline = pipeline.build(&worker()?)?;
        let attributes = pairs(&self.default_attributes);
        let mut provider = TracerProvider::builder(resource, pipeline.clone())
            .counters(counters)
            .sampler(self.sampler)
            .limits(self.limits)
            .default_attributes(&attributes);
        if let Some(ids) = self.ids {
            provider = provider.ids(ids);
        }
        for processor in self.processors {
            provider = provider.processor(processor);
        }
        Ok(Scouter::new(provider.build(), Some(pipeline)))
    }

    /// A pipeline to the destinations of this signal.
    pub(crate) fn pipeline(&self, signal: Signal, resource: Resource) -> Result<PipelineBuilder, Error> {
        let mut pipeline = Pipeline::builder(resource)
            .signal(signal)
            .batch(self.batch.clone())
            .destination(self.destination("scouter", &self.server)?);
        let collectors = match signal {
            Signal::Traces => &self.collectors,
            Signal::Logs => &self.record_collectors,
        };
        for Collector { name, connection, sample_ratio, batch } in collectors {
            let destination = self.destination(name, connection)?.sample_ratio(*sample_ratio);
            pipeline = pipeline.destination(destination.simple(!batch));
        }
        if let Some(observer) = &self.observer {
            pipeline = pipeline.observer(Arc::clone(observer));
        }
        // Everything that a pipeline reports is a warning.
        let is_told = self.log_level >= LogLevel::Warn;
        let reporter = if is_told { Arc::clone(&self.reporter) } else { Arc::new(Silence) };
        Ok(pipeline.reporter(reporter))
    }

    fn destination(&self, name: &str, connection: &Connection) -> Result<Destination, Error> {
        let mut connection = connection.clone();
        connection.timeout = connection.timeout.or(self.export_timeout);
        let factory = connection.factory(&self.console)?;
        let destination = Destination::new(name, move || factory.make());
        Ok(match connection.timeout {
            // A transport knows its own limit and can say more when it is reached.
            Some(timeout) => destination.export_timeout(timeout.saturating_add(Duration::from_millis(100))),
            None => destination,
        })
    }
}

/// The sink of a provider that records nothing.
#[derive(Debug)]
struct Nowhere;

impl SpanSink for Nowhere {
    fn register(&self, _scope: &Arc<Scope>) -> scouter_span::scope::ScopeId {
        scouter_span::scope::ScopeId(0)
    }

    fn accept(&self, _span: scouter_span::FinishedSpan<'_>) {}
}

/// Tells nobody anything.
#[derive(Debug)]
struct Silence;

impl Reporter for Silence {
    fn report(&self, _report: &Report) {}
}
