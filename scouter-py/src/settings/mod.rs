//! The settings that the Python package hands over, on top of what the environment says.
//!
//! The package has checked types and ranges; here a value that is missing or `None` leaves the environment's.

mod destinations;
mod sampling;
mod transport;

use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use scouter::{Attributes, Environment, Output, Settings};
use scouter_span::{OwnedValue, Ratio};

use crate::errors;
use crate::plugins::{Ids, Plugins};
use crate::report::Logger;
use crate::stdout::Stdout;
use crate::value::TakenAttributes;

pub(crate) use self::transport::_check_transport;

/// Reads the settings of a provider, and its plug-ins.
pub(crate) fn read(given: &Bound<'_, PyDict>) -> PyResult<(Settings, Plugins)> {
    let py = given.py();
    let transport = dict(given, "transport")?;
    let mut environment = Environment::process();
    if transport::says_where(transport.as_ref())? {
        environment = environment.without(&["SCOUTER_SERVER_URI"]);
    }
    if item(given, "exporters")?.is_some() {
        // The Python package has read it, and code that names exporters beats it.
        environment = environment.without(&["OTEL_TRACES_EXPORTER"]);
    }
    if item(given, "sampler")?.is_some() || item(given, "sample_ratio")?.is_some() {
        environment = environment.without(&["OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"]);
    }
    let fail = |error: scouter::Error| errors::config(py, &error.to_string());
    let mut settings = Settings::from_environment(&environment).map_err(fail)?;
    settings.language = "python";
    settings.reporter = Arc::new(Logger { noun: "spans" });
    settings.console = Output::new(Stdout);
    settings.service_name = get(given, "service_name")?;
    settings.resource = attributes(given, "resource")?;
    settings.resource_schema_url = get(given, "resource_schema_url")?.unwrap_or_default();
    settings.default_attributes = attributes(given, "default_attributes")?;
    if let Some(given) = transport {
        transport::apply(&mut settings.server, &given, &environment)?;
    }
    if let Some(batch) = dict(given, "batch")? {
        read_batch(&mut settings, &batch)?;
    }
    let mut plugins = Plugins::default();
    if let Some(exporters) = item(given, "exporters")? {
        destinations::read(&mut settings, &mut plugins, given, &exporters, &environment)?;
    }
    if let Some(limits) = dict(given, "limits")? {
        read_limits(&mut settings, &limits)?;
    }
    if let Some(ratio) = ratio(given)? {
        settings.sample_ratio(ratio);
    }
    if let Some(sampler) = item(given, "sampler")? {
        settings.sampler = sampling::sampler(&sampler, &mut plugins)?;
    }
    if let Some(generator) = item(given, "id_generator")? {
        plugins.asks = true;
        settings.ids = Some(Arc::new(Ids::new(generator.unbind(), Arc::clone(&plugins.failures))));
    }
    settings.observer = Some(plugins.observer.clone());
    plugins.queue_capacity = settings.batch.max_queue_size;
    plugins.propagators = settings.propagators.clone();
    Ok((settings, plugins))
}

enum Failure {
    Python(PyErr),
    Scouter(scouter::Error),
}

impl Failure {
    fn raised(self, py: Python<'_>) -> PyErr {
        match self {
            Self::Python(error) => error,
            Self::Scouter(error) => errors::config(py, &error.to_string()),
        }
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl From<scouter::Error> for Failure {
    fn from(error: scouter::Error) -> Self {
        Self::Scouter(error)
    }
}

fn item<'py>(from: &Bound<'py, PyDict>, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    Ok(from.get_item(name)?.filter(|value| !value.is_none()))
}

fn get<'py, T>(from: &Bound<'py, PyDict>, name: &str) -> PyResult<Option<T>>
where
    T: for<'a> FromPyObject<'a, 'py, Error = PyErr>,
{
    item(from, name)?.map(|value| value.extract()).transpose()
}

fn dict<'py>(from: &Bound<'py, PyDict>, name: &str) -> PyResult<Option<Bound<'py, PyDict>>> {
    Ok(item(from, name)?.map(|value| value.cast_into::<PyDict>()).transpose()?)
}

/// Attributes that outlive the mapping they come from.
pub(crate) fn owned(attributes: Option<&Bound<'_, PyAny>>) -> Vec<(String, OwnedValue)> {
    owned_within(attributes, usize::MAX)
}

/// The same with texts of at most this many characters.
pub(crate) fn owned_within(attributes: Option<&Bound<'_, PyAny>>, limit: usize) -> Vec<(String, OwnedValue)> {
    let taken = TakenAttributes::from(attributes, limit);
    taken.iter().map(|(key, value)| (key.to_owned(), OwnedValue::from(value))).collect()
}

fn attributes(from: &Bound<'_, PyDict>, name: &str) -> PyResult<Attributes> {
    Ok(owned(item(from, name)?.as_ref()))
}

fn ratio(from: &Bound<'_, PyDict>) -> PyResult<Option<Ratio>> {
    let Some(ratio) = get(from, "sample_ratio")? else { return Ok(None) };
    Ratio::new(ratio).map(Some).map_err(|error| errors::config(from.py(), &format!("sample_ratio: {error}")))
}

fn seconds(from: &Bound<'_, PyDict>, name: &str) -> PyResult<Option<Duration>> {
    let Some(value) = get::<f64>(from, name)? else { return Ok(None) };
    let text = || errors::config(from.py(), &format!("{name} is a number of seconds above 0, not {value}"));
    Duration::try_from_secs_f64(value).ok().filter(|time| !time.is_zero()).map(Some).ok_or_else(text)
}

fn read_batch(settings: &mut Settings, from: &Bound<'_, PyDict>) -> PyResult<()> {
    let batch = &mut settings.batch;
    for (name, field) in [
        ("max_queue_size", &mut batch.max_queue_size),
        ("max_queue_bytes", &mut batch.max_queue_bytes),
        ("max_export_batch_size", &mut batch.max_export_batch_size),
        ("max_concurrent_exports", &mut batch.max_concurrent_exports),
    ] {
        if let Some(value) = get(from, name)? {
            *field = value;
        }
    }
    if let Some(delay) = get(from, "scheduled_delay_ms")? {
        batch.scheduled_delay = Duration::from_millis(delay);
    }
    if let Some(timeout) = get(from, "export_timeout_ms")? {
        settings.export_timeout = Some(Duration::from_millis(timeout));
    }
    Ok(())
}

fn read_limits(settings: &mut Settings, from: &Bound<'_, PyDict>) -> PyResult<()> {
    let limits = &mut settings.limits;
    for (name, field) in [
        ("attributes", &mut limits.attributes),
        ("events", &mut limits.events),
        ("links", &mut limits.links),
        ("event_attributes", &mut limits.event_attributes),
        ("link_attributes", &mut limits.link_attributes),
    ] {
        if let Some(value) = get(from, name)? {
            *field = value;
        }
    }
    if let Some(length) = get(from, "attribute_value_length")? {
        limits.attribute_value_length = length;
    }
    Ok(())
}
