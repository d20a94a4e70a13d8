//! The way to Scouter, as a `transport_config` describes it.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping};
use scouter::transport::Compression;
use scouter::transport::kafka::KafkaConfig;
use scouter::{Connection, Environment, Protocol};

use super::{Failure, get, item, seconds};
use crate::errors;
use crate::memory::MemoryTransport;

/// The settings of a broker, and the variables that they take the place of.
const KAFKA: [(&str, &str); 7] = [
    ("brokers", "SCOUTER_KAFKA_BROKERS"),
    ("topic", "SCOUTER_KAFKA_TOPIC"),
    ("records_topic", "SCOUTER_KAFKA_RECORDS_TOPIC"),
    ("username", "SCOUTER_KAFKA_USERNAME"),
    ("password", "SCOUTER_KAFKA_PASSWORD"),
    ("sasl_mechanism", "SCOUTER_KAFKA_SASL_MECHANISM"),
    ("security_protocol", "SCOUTER_KAFKA_SECURITY_PROTOCOL"),
];
const RABBITMQ: [(&str, &str); 8] = [
    ("host", "SCOUTER_RABBITMQ_HOST"),
    ("port", "SCOUTER_RABBITMQ_PORT"),
    ("username", "SCOUTER_RABBITMQ_USERNAME"),
    ("password", "SCOUTER_RABBITMQ_PASSWORD"),
    ("virtual_host", "SCOUTER_RABBITMQ_VHOST"),
    ("queue", "SCOUTER_RABBITMQ_QUEUE"),
    ("records_queue", "SCOUTER_RABBITMQ_RECORDS_QUEUE"),
    ("tls", "SCOUTER_RABBITMQ_TLS"),
];

/// Raises for settings of a broker that cannot work, together with what the environment says.
#[pyfunction]
pub(crate) fn _check_transport(py: Python<'_>, transport: &Bound<'_, PyDict>) -> PyResult<()> {
    let environment = Environment::process();
    let mut connection = Connection::scouter(&environment.clone().without(&["SCOUTER_SERVER_URI"]))
        .map_err(|error| errors::config(py, &error.to_string()))?;
    apply(&mut connection, transport, &environment)?;
    py.detach(|| connection.check()).map_err(|error| errors::config(py, &error.to_string()))
}

/// Whether a transport's settings leave no question for the variable with the server's address.
pub(super) fn says_where(transport: Option<&Bound<'_, PyDict>>) -> PyResult<bool> {
    let Some(transport) = transport else { return Ok(false) };
    let kind: Option<String> = get(transport, "kind")?;
    let has_own = matches!(kind.as_deref(), Some("memory" | "kafka" | "rabbitmq"));
    Ok(has_own || item(transport, "uri")?.is_some())
}

/// Lets the connection be as these settings say.
pub(super) fn apply(
    connection: &mut Connection,
    transport: &Bound<'_, PyDict>,
    environment: &Environment,
) -> PyResult<()> {
    let py = transport.py();
    let kind: Option<String> = get(transport, "kind")?;
    let made = match kind.as_deref() {
        Some("kafka") => kafka(transport, environment),
        Some("rabbitmq") => rabbitmq(transport, environment),
        _ => {
            connection.protocol = protocol(transport)?;
            return fill(connection, transport, "uri").map_err(|error| error.raised(py));
        }
    };
    *connection = made.map_err(|error| error.raised(py))?;
    fill_common(connection, transport)
}

/// The environment with these settings in the place of their variables.
fn over(environment: &Environment, transport: &Bound<'_, PyDict>, names: &[(&str, &str)]) -> PyResult<Environment> {
    let mut environment = environment.clone();
    for (name, variable) in names {
        if let Some(value) = item(transport, name)? {
            environment = environment.with(variable, value.str()?.to_str()?);
        }
    }
    Ok(environment)
}

fn kafka(transport: &Bound<'_, PyDict>, environment: &Environment) -> Result<Connection, Failure> {
    let mut config: KafkaConfig = over(environment, transport, &KAFKA)?.kafka()?;
    if let Some(compression) = get::<String>(transport, "compression")? {
        let parsed = compression.parse().map_err(|source| wrong("compression", source))?;
        config = config.compression(parsed);
    }
    if let Some(properties) = item(transport, "properties")? {
        let properties = properties.cast::<PyMapping>().map_err(PyErr::from)?.items()?;
        for (name, value) in properties.extract::<Vec<(String, String)>>()? {
            config = config.property(name, value);
        }
    }
    Ok(Connection::kafka(config)?)
}

fn rabbitmq(transport: &Bound<'_, PyDict>, environment: &Environment) -> Result<Connection, Failure> {
    Ok(Connection::rabbitmq(over(environment, transport, &RABBITMQ)?.rabbitmq()?)?)
}

fn wrong(setting: &str, source: scouter::transport::Error) -> scouter::Error {
    scouter::Error::Transport { setting: setting.to_owned(), source }
}

/// HTTP and gRPC, which have an address, and memory, which has none.
pub(super) fn protocol(from: &Bound<'_, PyDict>) -> PyResult<Protocol> {
    let kind: Option<String> = get(from, "kind")?;
    Ok(match kind.as_deref() {
        Some("grpc") => Protocol::Grpc,
        Some("memory") => {
            let memory = item(from, "memory")?.ok_or_else(|| errors::config(from.py(), "memory is missing"))?;
            Protocol::Memory(memory.cast::<MemoryTransport>()?.get().memory())
        }
        _ => Protocol::Http,
    })
}

/// What has an address is told where to send to, and how to be let in.
pub(super) fn fill(connection: &mut Connection, from: &Bound<'_, PyDict>, setting: &str) -> Result<(), Failure> {
    if let Some(uri) = get::<String>(from, "uri")? {
        connection.set_address(setting, &uri)?;
    }
    if let Some(headers) = item(from, "headers")? {
        let headers = headers.cast::<PyMapping>().map_err(PyErr::from)?.items()?;
        connection.headers.extend(headers.extract::<Vec<(String, String)>>()?);
    }
    if let Some(token) = get(from, "token")? {
        connection.token = Some(token);
    }
    if let (Some(user), Some(password)) = (get(from, "username")?, get(from, "password")?) {
        connection.user = Some((user, password));
    }
    if let Some(compression) = get::<String>(from, "compression")? {
        connection.compression = if compression == "gzip" { Compression::Gzip } else { Compression::None };
    }
    Ok(fill_common(connection, from)?)
}

/// What every connection has.
fn fill_common(connection: &mut Connection, from: &Bound<'_, PyDict>) -> PyResult<()> {
    if let Some(timeout) = seconds(from, "timeout")? {
        connection.timeout = Some(timeout);
    }
    let path = |name: &str| -> PyResult<_> { Ok(get::<String>(from, name)?.map(Into::into)) };
    if let Some(ca) = path("ca_file")? {
        connection.files.ca = Some(ca);
    }
    if let Some(certificate) = path("certificate_file")? {
        connection.files.certificate = Some(certificate);
    }
    if let Some(key) = path("key_file")? {
        connection.files.key = Some(key);
    }
    Ok(())
}
