//! Settings as the environment describes them ("OpenTelemetry Environment Variable Specification").

use scouter_export::BatchConfig;
use scouter_span::{Ratio, Sampler, SpanLimits};
use scouter_transport::Signal;

use super::{Collector, LogLevel};
use crate::connection::{Connection, Protocol};
use crate::environment::Environment;
use crate::error::Error;

/// The propagators that OpenTelemetry has where nobody says anything.
pub(super) const PROPAGATORS: [&str; 2] = ["tracecontext", "baggage"];

/// `OTEL_TRACES_EXPORTER` or `OTEL_LOGS_EXPORTER`: the destinations beside Scouter's server. None without it, as the server
/// is the exporter then.
pub(super) fn collectors(
    signal: Signal,
    environment: &Environment,
    complain: &mut Vec<String>,
) -> Result<Vec<Collector>, Error> {
    let variable = match signal {
        Signal::Traces => "OTEL_TRACES_EXPORTER",
        Signal::Logs => "OTEL_LOGS_EXPORTER",
    };
    let mut collectors = Vec::new();
    let names = environment.list(variable).unwrap_or_default();
    for name in &names {
        match *name {
            "otlp" => collectors.push(Collector::new("otel", Connection::otlp_for(signal, environment, complain)?)),
            "console" => {
                let connection = Connection::new(Protocol::Console, crate::connection::default_endpoint(false)?);
                collectors.push(Collector::new("console", connection));
            }
            "none" if names.len() == 1 => {}
            "none" => complain.push(format!("{variable} names none beside others; none was ignored")),
            other => complain
                .push(format!("{variable} is a list of otlp, console or none, not of {other:?}; it was ignored")),
        }
    }
    Ok(collectors)
}

/// `OTEL_PROPAGATORS`, in order, each once.
pub(super) fn propagators(environment: &Environment) -> Vec<String> {
    let names = environment.list("OTEL_PROPAGATORS").unwrap_or_else(|| PROPAGATORS.into());
    names.into_iter().filter(|name| *name != "none").map(str::to_owned).collect()
}

/// `OTEL_LOG_LEVEL`.
pub(super) fn log_level(environment: &Environment, complain: &mut Vec<String>) -> LogLevel {
    let Some(name) = environment.get("OTEL_LOG_LEVEL") else { return LogLevel::default() };
    LogLevel::parse(name).unwrap_or_else(|| {
        complain
            .push(format!("OTEL_LOG_LEVEL is none, error, warn, info, debug or trace, not {name:?}; info was taken"));
        LogLevel::default()
    })
}

/// `OTEL_TRACES_SAMPLER` and its argument.
pub(super) fn sampler(environment: &Environment, complain: &mut Vec<String>) -> Sampler {
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

/// `OTEL_SPAN_*`, `OTEL_EVENT_*`, `OTEL_LINK_*`, and `OTEL_ATTRIBUTE_*` where these say nothing.
pub(super) fn limits(environment: &Environment, complain: &mut Vec<String>) -> SpanLimits {
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

/// `OTEL_BSP_*`, but for the time limit of an export, which is not the pipeline's.
pub(super) fn batch(environment: &Environment, complain: &mut Vec<String>) -> BatchConfig {
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
