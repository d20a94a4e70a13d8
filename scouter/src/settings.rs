//! What Scouter is set up with, and how the environment fills in what code does not say.

use std::sync::Arc;

use scouter_export::{BatchConfig, Destination, Pipeline, Reporter, TracingReporter};
use scouter_span::id::IdGenerator;
use scouter_span::sink::SpanSink;
use scouter_span::{Ratio, Resource, Sampler, Scope, SpanLimits, TracerProvider};

use crate::attribute::{Attribute, Attributes, pairs};
use crate::connection::Connection;
use crate::environment::Environment;
use crate::error::Error;
use crate::handle::{Scouter, worker};

/// Everything that can be set. [`from_environment`](Self::from_environment) fills it, code changes what it likes, and
/// [`start`](Self::start) begins.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Where Scouter's server is: `SCOUTER_SERVER_URI`, else `http://localhost:8000`.
    pub server: Connection,
    /// Further destinations. Each gets every batch, or its part of the traces.
    pub collectors: Vec<Collector>,
    /// What describes the process. Comes on top of what the environment says.
    pub resource: Attributes,
    /// Where the resource's attribute names are defined, `""` when not said.
    pub resource_schema_url: String,
    /// The service's name. Stands above all other sources of `service.name`.
    pub service_name: Option<String>,
    /// The language of the program, for `telemetry.sdk.language` and for a service that nobody named.
    pub language: &'static str,
    /// What every span begins with.
    pub default_attributes: Attributes,
    /// Which spans are recorded: `OTEL_TRACES_SAMPLER`, else what the caller decided, and every root.
    pub sampler: Sampler,
    /// Where ids come from; the built-in random ones by default.
    pub ids: Option<Arc<dyn IdGenerator>>,
    /// How much a span holds: `OTEL_SPAN_*` and `OTEL_ATTRIBUTE_*`.
    pub limits: SpanLimits,
    /// How spans are gathered: `OTEL_BSP_*`.
    pub batch: BatchConfig,
    /// Nothing is recorded: `OTEL_SDK_DISABLED`.
    pub disabled: bool,
    /// Who is told what goes wrong later.
    pub reporter: Arc<dyn Reporter>,
    /// What in the environment could not be used, for whoever can tell the user.
    pub complaints: Vec<String>,
    environment_resource: Attributes,
}

/// An OpenTelemetry collector, or anything else that takes OTLP.
#[derive(Clone, Debug)]
pub struct Collector {
    /// What statistics and reports call it. No two destinations have the same name, and Scouter's server is `scouter`.
    pub name: String,
    /// Where it is.
    pub connection: Connection,
    /// The part of all traces that it gets.
    pub sample_ratio: Ratio,
    /// Whether spans are gathered; otherwise each is sent at once, in a request of its own.
    pub batch: bool,
}

impl Collector {
    /// A destination of this name that gets every trace, in batches.
    pub fn new(name: impl Into<String>, connection: Connection) -> Self {
        Self { name: name.into(), connection, sample_ratio: Ratio::ALL, batch: true }
    }
}

impl Settings {
    /// What the environment says, and defaults for the rest.
    ///
    /// # Errors
    /// `SCOUTER_SERVER_URI` is no address. Numbers and ratios that are none only make [`complaints`](Self::complaints).
    pub fn from_environment(environment: &Environment) -> Result<Self, Error> {
        let mut complaints = Vec::new();
        let mut resource = environment.attributes("OTEL_RESOURCE_ATTRIBUTES", &mut complaints);
        if let Some(name) = environment.get("OTEL_SERVICE_NAME") {
            resource.push(("service.name".to_owned(), name.into()));
        }
        Ok(Self {
            server: Connection::scouter(environment)?,
            collectors: Vec::new(),
            resource: Attributes::new(),
            resource_schema_url: String::new(),
            service_name: None,
            language: "rust",
            default_attributes: Attributes::new(),
            sampler: sampler(environment, &mut complaints),
            ids: None,
            limits: limits(environment, &mut complaints),
            batch: batch(environment, &mut complaints),
            disabled: environment.is_true("OTEL_SDK_DISABLED"),
            reporter: Arc::new(TracingReporter),
            complaints,
            environment_resource: resource,
        })
    }

    /// Keeps this part of the traces that begin here, for all destinations. Stands above the ratio of a single destination.
    pub fn sample_ratio(&mut self, ratio: Ratio) {
        self.sampler = Sampler::parent_based(Sampler::TraceIdRatio(ratio));
        for collector in &mut self.collectors {
            collector.sample_ratio = Ratio::ALL;
        }
    }

    /// The resource that spans belong to. Later sources stand above earlier ones.
    fn resource(&self) -> Resource {
        let unknown = format!("unknown_service:{}", self.language);
        let mut all: Attributes = vec![
            ("telemetry.sdk.name".to_owned(), "scouter".into()),
            ("telemetry.sdk.language".to_owned(), self.language.into()),
            ("telemetry.sdk.version".to_owned(), env!("CARGO_PKG_VERSION").into()),
            ("service.name".to_owned(), unknown.into()),
        ];
        all.extend(self.environment_resource.iter().cloned());
        all.extend(self.resource.iter().cloned());
        if let Some(name) = &self.service_name {
            all.push(("service.name".to_owned(), Attribute::from(name.as_str())));
        }
        Resource::new(&pairs(&all), &self.resource_schema_url)
    }

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
        let mut batch = self.batch;
        if self.collectors.iter().any(|collector| !collector.batch) {
            batch = BatchConfig { max_queue_size: batch.max_queue_size, ..BatchConfig::simple() };
        }
        let mut pipeline = Pipeline::builder(resource.clone())
            .batch(batch)
            .counters(Arc::clone(&counters))
            .reporter(self.reporter)
            .destination(destination("scouter", &self.server)?);
        for Collector { name, connection, sample_ratio, .. } in &self.collectors {
            pipeline = pipeline.destination(destination(name, connection)?.sample_ratio(*sample_ratio));
        }
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
        Ok(Scouter::new(provider.build(), Some(pipeline)))
    }
}

fn destination(name: &str, connection: &Connection) -> Result<Destination, Error> {
    let factory = connection.factory()?;
    let destination = Destination::new(name, move || factory.make());
    Ok(match connection.timeout {
        Some(timeout) => destination.export_timeout(timeout),
        None => destination,
    })
}

/// `OTEL_TRACES_SAMPLER` and its argument.
fn sampler(environment: &Environment, complain: &mut Vec<String>) -> Sampler {
    let mut ratio = || {
        let ratio = environment.number("OTEL_TRACES_SAMPLER_ARG", complain).unwrap_or(1.0);
        Ratio::new(ratio).unwrap_or_else(|error| {
            complain.push(format!("OTEL_TRACES_SAMPLER_ARG: {error}; 1.0 was taken"));
            Ratio::ALL
        })
    };
    match environment.get("OTEL_TRACES_SAMPLER") {
        None | Some("parentbased_always_on") => Sampler::parent_based(Sampler::AlwaysOn),
        Some("always_on") => Sampler::AlwaysOn,
        Some("always_off") => Sampler::AlwaysOff,
        Some("traceidratio") => Sampler::TraceIdRatio(ratio()),
        Some("parentbased_always_off") => Sampler::parent_based(Sampler::AlwaysOff),
        Some("parentbased_traceidratio") => Sampler::parent_based(Sampler::TraceIdRatio(ratio())),
        Some(other) => {
            complain.push(format!(
                "OTEL_TRACES_SAMPLER is always_on, always_off, traceidratio or one of these behind parentbased_, not \
                 {other:?}; parentbased_always_on was taken"
            ));
            Sampler::parent_based(Sampler::AlwaysOn)
        }
    }
}

fn limits(environment: &Environment, complain: &mut Vec<String>) -> SpanLimits {
    let mut number = |names: &[&str]| names.iter().find_map(|name| environment.number(name, complain));
    let default = SpanLimits::default();
    let count = number(&["OTEL_ATTRIBUTE_COUNT_LIMIT"]);
    let attributes = |specific: Option<u32>, otherwise: u32| specific.or(count).unwrap_or(otherwise);
    let length: Option<u32> = number(&["OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"]);
    SpanLimits {
        attributes: attributes(number(&["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"]), default.attributes),
        attribute_value_length: length.map_or(default.attribute_value_length, |length| length as usize),
        events: number(&["OTEL_SPAN_EVENT_COUNT_LIMIT"]).unwrap_or(default.events),
        links: number(&["OTEL_SPAN_LINK_COUNT_LIMIT"]).unwrap_or(default.links),
        event_attributes: attributes(number(&["OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT"]), default.event_attributes),
        link_attributes: attributes(number(&["OTEL_LINK_ATTRIBUTE_COUNT_LIMIT"]), default.link_attributes),
    }
}

fn batch(environment: &Environment, complain: &mut Vec<String>) -> BatchConfig {
    let default = BatchConfig::default();
    let mut number = |name: &str, otherwise: usize| match environment.number(name, complain) {
        Some(0) => {
            complain.push(format!("{name} is a number from 1 on, not 0; it was ignored"));
            otherwise
        }
        Some(number) => number,
        None => otherwise,
    };
    let max_queue_size = number("OTEL_BSP_MAX_QUEUE_SIZE", default.max_queue_size);
    let max_export_batch_size = number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", default.max_export_batch_size);
    let scheduled_delay = environment.milliseconds("OTEL_BSP_SCHEDULE_DELAY", complain);
    BatchConfig {
        max_queue_size,
        max_export_batch_size,
        scheduled_delay: scheduled_delay.unwrap_or(default.scheduled_delay),
        ..default
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Settings {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Settings::from_environment(&variables.collect()).unwrap()
    }

    fn service_name(settings: &Settings) -> String {
        let resource = settings.resource();
        resource.view().attributes().get("service.name").unwrap().as_str().unwrap().to_owned()
    }

    #[test]
    fn the_service_is_named_by_the_highest_source() {
        let mut named = settings(&[]);
        assert_eq!(service_name(&named), "unknown_service:rust");
        named = settings(&[("OTEL_RESOURCE_ATTRIBUTES", "service.name=a,team=b")]);
        assert_eq!(service_name(&named), "a");
        named = settings(&[("OTEL_RESOURCE_ATTRIBUTES", "service.name=a"), ("OTEL_SERVICE_NAME", "c")]);
        assert_eq!(service_name(&named), "c");
        named.resource.push(("service.name".to_owned(), "d".into()));
        assert_eq!(service_name(&named), "d");
        named.service_name = Some("e".to_owned());
        assert_eq!(service_name(&named), "e");
    }

    #[test]
    fn batches_limits_and_samplers_come_from_the_environment() {
        let read = settings(&[
            ("OTEL_BSP_SCHEDULE_DELAY", "20"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "7"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "0"),
            ("OTEL_ATTRIBUTE_COUNT_LIMIT", "3"),
            ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "4"),
            ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "9"),
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "2"),
        ]);
        assert_eq!(read.batch.scheduled_delay, Duration::from_millis(20));
        assert_eq!(read.batch.max_queue_size, 7);
        assert_eq!(read.batch.max_export_batch_size, BatchConfig::default().max_export_batch_size);
        assert_eq!((read.limits.attributes, read.limits.event_attributes, read.limits.link_attributes), (3, 4, 3));
        assert_eq!(read.limits.attribute_value_length, 9);
        assert_eq!(read.sampler, Sampler::TraceIdRatio(Ratio::ALL));
        assert_eq!(read.complaints.len(), 2, "{:?}", read.complaints);
    }

    #[test]
    fn a_disabled_sdk_records_nothing() {
        let scouter = settings(&[("OTEL_SDK_DISABLED", "TRUE")]).start().unwrap();
        assert!(!scouter.tracer("t").span("s").start().is_recording());
        assert!(scouter.stats().is_none());
    }
}
