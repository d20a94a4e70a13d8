//! Connections as the environment describes them.

use std::path::PathBuf;

use scouter_transport::{Compression, ContentType, Endpoint, Signal};

use super::{Connection, Protocol, TlsFiles, address};
use crate::environment::Environment;
use crate::error::Error;

/// Where Scouter's server is when nobody says.
const SERVER: &str = "http://localhost:8000";

impl Connection {
    /// The way to Scouter's server, as `SCOUTER_SERVER_URI` and `SCOUTER_AUTH_TOKEN` say.
    ///
    /// # Errors
    /// The variable holds no address.
    pub fn scouter(environment: &Environment) -> Result<Self, Error> {
        let (setting, uri) = environment.first(&["SCOUTER_SERVER_URI"]).unwrap_or(("default address", SERVER));
        let mut connection = Self::new(Protocol::Http, address(setting, uri)?);
        connection.token = environment.get("SCOUTER_AUTH_TOKEN").map(str::to_owned);
        Ok(connection)
    }

    /// The way to a collector, all of it as `OTEL_EXPORTER_OTLP_*` say, `OTEL_EXPORTER_OTLP_PROTOCOL` too: HTTP with
    /// protobuf without it.
    ///
    /// # Errors
    /// As for [`collector`](Self::collector).
    pub fn otlp(environment: &Environment, complain: &mut Vec<String>) -> Result<Self, Error> {
        Self::otlp_for(Signal::Traces, environment, complain)
    }

    /// As [`otlp`](Self::otlp), for this signal.
    pub(crate) fn otlp_for(
        signal: Signal,
        environment: &Environment,
        complain: &mut Vec<String>,
    ) -> Result<Self, Error> {
        let names = [variable(signal, "PROTOCOL"), "OTEL_EXPORTER_OTLP_PROTOCOL".to_owned()];
        let (protocol, content) = match environment.first(&names.each_ref().map(String::as_str)) {
            None | Some((_, "http/protobuf")) => (Protocol::Http, ContentType::Protobuf),
            Some((_, "http/json")) => (Protocol::Http, ContentType::Json),
            Some((_, "grpc")) => (Protocol::Grpc, ContentType::Protobuf),
            Some((name, value)) => {
                let known = "is grpc, http/protobuf or http/json";
                complain.push(format!("{name} {known}, not {value:?}; http/protobuf was taken"));
                (Protocol::Http, ContentType::Protobuf)
            }
        };
        let mut connection = Self::collector_for(signal, protocol, environment, complain)?;
        connection.content = content;
        Ok(connection)
    }

    /// The way to a collector, as `OTEL_EXPORTER_OTLP_*` say; the variables of the traces signal stand above the general
    /// ones. Code has chosen the protocol.
    ///
    /// # Errors
    /// A variable holds something that cannot work. `complain` takes what was only ignored.
    pub fn collector(protocol: Protocol, environment: &Environment, complain: &mut Vec<String>) -> Result<Self, Error> {
        Self::collector_for(Signal::Traces, protocol, environment, complain)
    }

    fn collector_for(
        signal: Signal,
        protocol: Protocol,
        environment: &Environment,
        complain: &mut Vec<String>,
    ) -> Result<Self, Error> {
        let find = |name: &str| {
            let names = [variable(signal, name), format!("OTEL_EXPORTER_OTLP_{name}")];
            let (name, value) = environment.first(&[&names[0], &names[1]])?;
            Some((name.to_owned(), value.to_owned()))
        };
        let is_grpc = matches!(protocol, Protocol::Grpc);
        let insecure = match find("INSECURE") {
            Some((name, _)) => environment.is_true(&name, complain),
            None => false,
        };
        let endpoint = match find("ENDPOINT") {
            Some((name, uri)) => {
                let uri = if is_grpc { with_scheme(uri, insecure) } else { uri };
                // The general variable is a base that the signal's path is put behind; the signal's own is used as it is.
                let exact = name == variable(signal, "ENDPOINT");
                let endpoint = if exact { Endpoint::exact(&uri) } else { Endpoint::base(&uri) };
                endpoint.map_err(|source| Error::Transport { setting: name, source })?
            }
            None => default_endpoint(is_grpc)?,
        };
        let mut connection = Self::new(protocol, endpoint);
        if let Some((name, _)) = find("HEADERS") {
            connection.headers = environment.pairs(&name, complain);
        }
        if let Some((name, value)) = find("COMPRESSION") {
            match value.as_str() {
                "gzip" => connection.compression = Compression::Gzip,
                "none" => {}
                _ => complain.push(format!("{name} is gzip or none, not {value:?}; it was ignored")),
            }
        }
        if let Some((name, _)) = find("TIMEOUT") {
            connection.timeout = environment.timeout(&name, complain);
        }
        let file = |name| find(name).map(|(_, path)| PathBuf::from(path));
        connection.files =
            TlsFiles { ca: file("CERTIFICATE"), certificate: file("CLIENT_CERTIFICATE"), key: file("CLIENT_KEY") };
        Ok(connection)
    }
}

/// The name of a signal's own variable.
fn variable(signal: Signal, name: &str) -> String {
    match signal {
        Signal::Traces => format!("OTEL_EXPORTER_OTLP_TRACES_{name}"),
        Signal::Logs => format!("OTEL_EXPORTER_OTLP_LOGS_{name}"),
    }
}

/// Where a collector is when nobody says.
pub(crate) fn default_endpoint(is_grpc: bool) -> Result<Endpoint, Error> {
    address("default address", if is_grpc { "http://localhost:4317" } else { "http://localhost:4318" })
}

/// What users of gRPC write without a scheme, `host:4317`, gets the one that `insecure` means.
pub(crate) fn with_scheme(uri: String, insecure: bool) -> String {
    match uri.contains("://") {
        true => uri,
        false => format!("{}://{uri}", if insecure { "http" } else { "https" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_no_scheme_gets_one() {
        assert_eq!(with_scheme("h:1".to_owned(), false), "https://h:1");
        assert_eq!(with_scheme("h:1".to_owned(), true), "http://h:1");
        assert_eq!(with_scheme("https://h:1".to_owned(), true), "https://h:1");
    }
}
