//! The destinations beside Scouter's server.

use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use scouter::transport::ContentType;
use scouter::{Collector, Connection, Environment, Protocol, Settings, TransportFactory};
use scouter_span::Ratio;

use super::transport::{fill, protocol, says_where};
use super::{get, item, ratio};
use crate::errors;
use crate::plugins::{Exporter, Hook, Plugins};

/// How long an exporter in Python may take for a batch: the SDK's default for `OTEL_BSP_EXPORT_TIMEOUT`.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(30);
/// Around that time limit stands the pipeline's own, which tries again. It is never to be reached.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads the list of exporters. Each is a dict with a `kind`: `http` and `grpc` for collectors, `object` for exporters in
/// Python, `keeper` for a list that spans are put on as they end.
pub(super) fn read(
    settings: &mut Settings,
    plugins: &mut Plugins,
    given: &Bound<'_, PyDict>,
    exporters: &Bound<'_, PyAny>,
    environment: &Environment,
) -> PyResult<()> {
    let py = given.py();
    settings.collectors.clear();
    for exporter in exporters.try_iter()? {
        let exporter = exporter?.cast_into::<PyDict>()?;
        let sample_ratio = ratio(&exporter)?.unwrap_or(Ratio::ALL);
        let missing = || errors::config(py, "an exporter's settings are not complete");
        let object = item(&exporter, "object")?;
        let connection = match get::<String>(&exporter, "kind")?.as_deref() {
            Some("keeper") => {
                let list = object.ok_or_else(missing)?.cast_into::<PyList>()?;
                // A ratio for all destinations beats that of a single one.
                let ratio = if item(given, "sample_ratio")?.is_some() { Ratio::ALL } else { sample_ratio };
                plugins.processors.add(Hook::Keeper(list.unbind(), ratio));
                continue;
            }
            Some("object") => to_object(&object.ok_or_else(missing)?, plugins, settings),
            _ => to_collector(&exporter, environment, settings)?,
        };
        let mut collector = Collector::new(get::<String>(&exporter, "name")?.ok_or_else(missing)?, connection);
        collector.sample_ratio = sample_ratio;
        collector.batch = get(&exporter, "batch")?.unwrap_or(true);
        settings.collectors.push(collector);
    }
    Ok(())
}

fn to_collector(
    exporter: &Bound<'_, PyDict>,
    environment: &Environment,
    settings: &mut Settings,
) -> PyResult<Connection> {
    let py = exporter.py();
    let mut environment = environment.clone();
    if says_where(Some(exporter))? {
        environment = environment.without(&["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]);
    }
    let mut connection = Connection::collector(protocol(exporter)?, &environment, &mut settings.complaints)
        .map_err(|error| errors::config(py, &error.to_string()))?;
    let names = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
    let encoding = names.into_iter().find_map(|name| environment.get(name));
    if let (Protocol::Http, Some("http/json")) = (&connection.protocol, encoding) {
        connection.content = ContentType::Json;
    }
    fill(&mut connection, exporter, "endpoint").map_err(|error| error.raised(py))?;
    Ok(connection)
}

fn to_object(object: &Bound<'_, PyAny>, plugins: &mut Plugins, settings: &Settings) -> Connection {
    let limit = settings.export_timeout.unwrap_or(EXPORT_TIMEOUT);
    let exporter = Exporter::new(object, limit, Arc::clone(&plugins.failures));
    plugins.exporters.push(exporter.clone());
    let factory = TransportFactory::new(move || Ok(Arc::new(exporter.transport())));
    let mut connection = Connection::new(Protocol::Custom(factory), settings.server.endpoint.clone());
    connection.timeout = Some(NEVER);
    connection
}
