//! What Scouter is set up with, and how the environment fills in what code does not say.

mod environment;
mod log_level;
mod start;

use std::sync::Arc;
use std::time::Duration;

use scouter_export::{BatchConfig, ExportObserver, Reporter, TracingReporter};
use scouter_span::id::IdGenerator;
use scouter_span::{OwnedValue, Ratio, Resource, Sampler, SpanLimits, SpanProcessor};
use scouter_transport::Signal;

pub use self::log_level::LogLevel;
use crate::attribute::{Attributes, pairs};
use crate::connection::Connection;
use crate::console::Output;
use crate::environment::Environment;
use crate::error::Error;

/// Everything that can be set. [`from_environment`](Self::from_environment) fills it, code changes what it likes, and
/// [`start`](Self::start) begins.
///
/// Where `OTEL_CONFIG_FILE` names a file, that file takes the place of all other `OTEL_*` variables ("Declarative
/// configuration"); those of Scouter, `SCOUTER_*`, count in any case.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Where Scouter's server is: `SCOUTER_SERVER_URI`, else `http://localhost:8000`.
    pub server: Connection,
    /// Further destinations: `OTEL_TRACES_EXPORTER` with `OTEL_EXPORTER_OTLP_*`. Each gets every batch, or its part of the
    /// traces.
    pub collectors: Vec<Collector>,
    /// Further destinations of records, which go to Scouter's server only unless somebody asks for more:
    /// `OTEL_LOGS_EXPORTER` with `OTEL_EXPORTER_OTLP_*`.
    pub record_collectors: Vec<Collector>,
    /// How long a request may take where its connection does not say: `OTEL_BSP_EXPORT_TIMEOUT`, else 10 seconds.
    pub export_timeout: Option<Duration>,
    /// Where [`Protocol::Console`](crate::Protocol::Console) writes; the standard output.
    pub console: Output,
    /// What describes the process. Comes on top of what the environment says.
    pub resource: Attributes,
    /// Where the resource's attribute names are defined, `""` when not said here.
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
    /// Who sees spans begin and end, in this order.
    pub processors: Vec<Arc<dyn SpanProcessor>>,
    /// How much a span holds: `OTEL_SPAN_*` and `OTEL_ATTRIBUTE_*`.
    pub limits: SpanLimits,
    /// How spans are gathered: `OTEL_BSP_*`.
    pub batch: BatchConfig,
    /// The names of the propagators, each once: `OTEL_PROPAGATORS`, else `tracecontext` and `baggage`.
    /// [`init`](crate::init) sets up those that this crate knows.
    pub propagators: Vec<String>,
    /// Nothing is recorded: `OTEL_SDK_DISABLED`.
    pub disabled: bool,
    /// Below which severity nobody is told anything: `OTEL_LOG_LEVEL`.
    pub log_level: LogLevel,
    /// Who is told what goes wrong later.
    pub reporter: Arc<dyn Reporter>,
    /// Who sees every export.
    pub observer: Option<Arc<dyn ExportObserver>>,
    /// What in the environment could not be used, for whoever can tell the user.
    pub complaints: Vec<String>,
    /// What the environment says about the resource.
    pub(crate) environment_resource: Attributes,
    pub(crate) environment_schema_url: String,
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
    /// A variable holds an address that is none, or `OTEL_CONFIG_FILE` names a file that cannot be read. Numbers and ratios
    /// that are none only make [`complaints`](Self::complaints).
    pub fn from_environment(environment: &Environment) -> Result<Self, Error> {
        // With a configuration file, no other OTEL variable has a value here.
        let mut complaints = Vec::new();
        let complain = &mut complaints;
        let mut resource = environment.attributes("OTEL_RESOURCE_ATTRIBUTES", complain);
        if let Some(name) = environment.get("OTEL_SERVICE_NAME") {
            resource.push(("service.name".to_owned(), name.into()));
        }
        let mut settings = Self {
            server: Connection::scouter(environment)?,
            collectors: environment::collectors(Signal::Traces, environment, complain)?,
            record_collectors: environment::collectors(Signal::Logs, environment, complain)?,
            export_timeout: environment.timeout("OTEL_BSP_EXPORT_TIMEOUT", complain),
            console: Output::stdout(),
            resource: Attributes::new(),
            resource_schema_url: String::new(),
            service_name: None,
            language: "rust",
            default_attributes: Attributes::new(),
            sampler: environment::sampler(environment, complain),
            ids: None,
            processors: Vec::new(),
            limits: environment::limits(environment, complain),
            batch: environment::batch(environment, complain),
            propagators: environment::propagators(environment),
            disabled: environment.is_true("OTEL_SDK_DISABLED", complain),
            log_level: environment::log_level(environment, complain),
            reporter: Arc::new(TracingReporter),
            observer: None,
            complaints,
            environment_resource: resource,
            environment_schema_url: String::new(),
        };
        if let Some(path) = environment.config_file() {
            crate::file::read(path, environment, &mut settings)?;
        }
        Ok(settings)
    }

    /// Keeps this part of the traces that begin here, for all destinations. Stands above the ratio of a single destination.
    pub fn sample_ratio(&mut self, ratio: Ratio) {
        self.sampler = Sampler::ratio(ratio);
        for collector in self.collectors.iter_mut().chain(&mut self.record_collectors) {
            collector.sample_ratio = Ratio::ALL;
        }
    }

    /// The resource that spans and records belong to. Later sources stand above earlier ones.
    pub(crate) fn resource(&self) -> Resource {
        let unknown = format!("unknown_service:{}", self.language);
        let mut all: Attributes = vec![
            ("telemetry.sdk.name".to_owned(), "scouter".into()),
            ("telemetry.sdk.language".to_owned(), self.language.into()),
            ("telemetry.sdk.version".to_owned(), env!("CARGO_PKG_VERSION").into()),
            ("service.name".to_owned(), unknown.as_str().into()),
        ];
        all.extend(self.environment_resource.iter().cloned());
        all.extend(self.resource.iter().cloned());
        if let Some(name) = &self.service_name {
            all.push(("service.name".to_owned(), OwnedValue::from(name.as_str())));
        }
        let schema_url =
            [&self.resource_schema_url, &self.environment_schema_url].into_iter().find(|url| !url.is_empty());
        Resource::new(&pairs(&all), schema_url.map_or("", String::as_str))
    }
}

#[cfg(test)]
mod tests {
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
    fn a_ratio_for_all_stands_above_that_of_one() {
        let mut read = settings(&[("OTEL_TRACES_EXPORTER", "console"), ("OTEL_LOGS_EXPORTER", "console")]);
        read.collectors[0].sample_ratio = Ratio::new(0.5).unwrap();
        read.record_collectors[0].sample_ratio = Ratio::new(0.5).unwrap();
        read.sample_ratio(Ratio::new(0.25).unwrap());
        assert!(read.collectors[0].sample_ratio.is_all() && read.record_collectors[0].sample_ratio.is_all());
        assert_eq!(read.sampler, Sampler::ratio(Ratio::new(0.25).unwrap()));
    }

    #[test]
    fn a_disabled_sdk_records_nothing() {
        let scouter = settings(&[("OTEL_SDK_DISABLED", "TRUE")]).start().unwrap();
        assert!(!scouter.tracer("t").span("s").start().is_recording());
        assert!(scouter.stats().is_none() && scouter.capture().is_none());
    }
}
