//! How to reach a receiver of OTLP.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use scouter_transport::grpc::GrpcConfig;
use scouter_transport::http::HttpConfig;
use scouter_transport::memory::Memory;
use scouter_transport::{Compression, Config, Endpoint, TlsConfig, Transport, connect};

use crate::environment::Environment;
use crate::error::Error;

/// Where Scouter's server is when nobody says.
const SERVER: &str = "http://localhost:8000";

/// The way to the receiver.
#[derive(Clone, Debug)]
pub enum Protocol {
    /// OTLP over HTTP.
    Http,
    /// OTLP over gRPC.
    Grpc,
    /// Into memory, for tests.
    Memory(Memory),
    /// Any other way. The transport has its address and settings already: of the connection only the timeout counts.
    Custom(TransportFactory),
}

/// Makes transports of one's own. Called once at the start, and once more in every forked child that exports, because a
/// child must not use its parent's sockets; so it makes a new transport each time.
#[derive(Clone)]
pub struct TransportFactory(Arc<Make>);

type Make = dyn Fn() -> Result<Arc<dyn Transport>, scouter_transport::Error> + Send + Sync;

/// An address and what it takes to be let in.
#[derive(Clone)]
pub struct Connection {
    /// The way.
    pub protocol: Protocol,
    /// The address.
    pub endpoint: Endpoint,
    /// Headers, or metadata for gRPC.
    pub headers: Vec<(String, String)>,
    /// Sent as a bearer token.
    pub token: Option<String>,
    /// Sent as basic authentication.
    pub user: Option<(String, String)>,
    /// Whether bodies are compressed.
    pub compression: Compression,
    /// How long a request may take.
    pub timeout: Option<Duration>,
    /// PEM files.
    pub files: TlsFiles,
}

/// The PEM files of a secure connection; the system's roots without an own authority.
#[derive(Clone, Debug, Default)]
pub struct TlsFiles {
    /// The authority that the server's certificate comes from.
    pub ca: Option<PathBuf>,
    /// The client's certificate chain.
    pub certificate: Option<PathBuf>,
    /// The client's private key.
    pub key: Option<PathBuf>,
}

impl TransportFactory {
    /// A factory that calls this.
    pub fn new<F>(make: F) -> Self
    where
        F: Fn() -> Result<Arc<dyn Transport>, scouter_transport::Error> + Send + Sync + 'static,
    {
        Self(Arc::new(make))
    }
}

impl fmt::Debug for TransportFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TransportFactory")
    }
}

impl Connection {
    /// The way to this address, with nothing special about it.
    pub fn new(protocol: Protocol, endpoint: Endpoint) -> Self {
        Self {
            protocol,
            endpoint,
            headers: Vec::new(),
            token: None,
            user: None,
            compression: Compression::None,
            timeout: None,
            files: TlsFiles::default(),
        }
    }

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

    /// The way to a collector, as `OTEL_EXPORTER_OTLP_*` say; the variables of the traces signal stand above the general ones.
    ///
    /// # Errors
    /// A variable holds something that cannot work. `complain` takes what was only ignored.
    pub fn collector(protocol: Protocol, environment: &Environment, complain: &mut Vec<String>) -> Result<Self, Error> {
        let names = |name: &str| [format!("OTEL_EXPORTER_OTLP_TRACES_{name}"), format!("OTEL_EXPORTER_OTLP_{name}")];
        let find = |name: &str| {
            let names = names(name);
            let (name, value) = environment.first(&[&names[0], &names[1]])?;
            Some((name.to_owned(), value.to_owned()))
        };
        let endpoint = match find("ENDPOINT") {
            Some((name, uri)) => {
                // The general variable is a base that the signal's path is put behind; the signal's own is used as it is.
                let exact = name.contains("_TRACES_");
                let endpoint = if exact { Endpoint::exact(&uri) } else { Endpoint::base(&uri) };
                endpoint.map_err(|source| Error::Transport { setting: name, source })?
            }
            None => {
                let port = if matches!(protocol, Protocol::Grpc) { 4317 } else { 4318 };
                address("default address", &format!("http://localhost:{port}"))?
            }
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
            connection.timeout = environment.milliseconds(&name, complain).filter(|timeout| !timeout.is_zero());
        }
        let file = |name| find(name).map(|(_, path)| PathBuf::from(path));
        connection.files =
            TlsFiles { ca: file("CERTIFICATE"), certificate: file("CLIENT_CERTIFICATE"), key: file("CLIENT_KEY") };
        Ok(connection)
    }

    /// Sets the address. One without a path gets that of the signal.
    ///
    /// # Errors
    /// It is none.
    pub fn set_address(&mut self, setting: &str, uri: &str) -> Result<(), Error> {
        self.endpoint = address(setting, uri)?;
        Ok(())
    }

    /// What makes the transport. Reads the PEM files.
    pub(crate) fn factory(&self) -> Result<TransportFactory, Error> {
        if let Protocol::Custom(factory) = &self.protocol {
            return Ok(factory.clone());
        }
        let config = self.config()?;
        Ok(TransportFactory::new(move || connect(config.clone()).map(Arc::from)))
    }

    fn config(&self) -> Result<Config, Error> {
        let tls = self.files.read()?;
        // One shape for two types that have the same setters.
        macro_rules! fill {
            ($config:expr) => {{
                let mut config = $config.compression(self.compression);
                for (name, value) in &self.headers {
                    config = config.header(name, value);
                }
                if let Some(token) = &self.token {
                    config = config.bearer_token(token);
                }
                if let Some((user, password)) = &self.user {
                    let encoded = BASE64.encode(format!("{user}:{password}"));
                    config = config.header("authorization", format!("Basic {encoded}"));
                }
                if let Some(timeout) = self.timeout {
                    config = config.timeout(timeout);
                }
                if let Some(tls) = tls {
                    config = config.tls(tls);
                }
                Config::from(config)
            }};
        }
        Ok(match &self.protocol {
            Protocol::Http => fill!(HttpConfig::new(self.endpoint.clone())),
            Protocol::Grpc => fill!(GrpcConfig::new(self.endpoint.clone())),
            Protocol::Memory(memory) => Config::Memory(memory.clone()),
            Protocol::Custom(_) => {
                return Err(Error::Setting("a transport of one's own has no settings here".to_owned()));
            }
        })
    }
}

impl TransportFactory {
    pub(crate) fn make(&self) -> Result<Arc<dyn Transport>, scouter_transport::Error> {
        (self.0)()
    }
}

impl TlsFiles {
    fn read(&self) -> Result<Option<TlsConfig>, Error> {
        let mut tls = TlsConfig::new();
        if let Some(ca) = &self.ca {
            tls = tls.ca(read(ca)?);
        }
        match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => tls = tls.client(read(certificate)?, read(key)?),
            (None, None) if self.ca.is_none() => return Ok(None),
            (None, None) => {}
            _ => {
                let text =
                    "a client certificate needs its private key, and the other way round: give both files or none";
                return Err(Error::Setting(text.to_owned()));
            }
        }
        Ok(Some(tls))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| Error::Setting(format!("the file {} cannot be read: {error}", path.display())))
}

fn address(setting: &str, uri: &str) -> Result<Endpoint, Error> {
    Endpoint::from_user(uri).map_err(|source| Error::Transport { setting: setting.to_owned(), source })
}

/// Without what must stay secret.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Connection")
            .field("protocol", &self.protocol)
            .field("endpoint", &self.endpoint)
            .field("headers", &names)
            .field("compression", &self.compression)
            .field("timeout", &self.timeout)
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use scouter_transport::Signal;

    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn collector(variables: &[(&str, &str)]) -> Connection {
        Connection::collector(Protocol::Http, &environment(variables), &mut Vec::new()).unwrap()
    }

    #[test]
    fn the_signals_own_variables_stand_above_the_general_ones() {
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:1/base");
        assert_eq!(collector(&[base]).endpoint.shown(Signal::Traces), "http://a:1/base/v1/traces");
        let exact = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://b:2/own");
        assert_eq!(collector(&[base, exact]).endpoint.shown(Signal::Traces), "http://b:2/own");
        let read = collector(&[
            ("OTEL_EXPORTER_OTLP_HEADERS", "k=v%20w"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
            ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "gzip"),
        ]);
        assert_eq!(read.headers, [("k".to_owned(), "v w".to_owned())]);
        assert_eq!(read.timeout, Some(Duration::from_millis(250)));
        assert_eq!(read.compression, Compression::Gzip);
    }

    #[test]
    fn secrets_stay_secret() {
        let secrets = [("SCOUTER_SERVER_URI", "http://me:pass@a:1"), ("SCOUTER_AUTH_TOKEN", "token")];
        let mut connection = Connection::scouter(&environment(&secrets)).unwrap();
        connection.headers.push(("x-key".to_owned(), "value".to_owned()));
        connection.user = Some(("me".to_owned(), "word".to_owned()));
        let shown = format!("{connection:?}");
        for secret in ["pass", "token", "value", "word"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
    }

    #[test]
    fn what_cannot_work_is_named() {
        let error = Connection::scouter(&environment(&[("SCOUTER_SERVER_URI", "ftp://x")])).unwrap_err();
        assert!(error.to_string().starts_with("SCOUTER_SERVER_URI"), "{error}");
        let mut connection = collector(&[]);
        connection.files.ca = Some("/nowhere/ca.pem".into());
        assert!(connection.config().unwrap_err().to_string().contains("/nowhere/ca.pem"));
        connection.files = TlsFiles { certificate: Some("/nowhere/c.pem".into()), ..TlsFiles::default() };
        assert!(connection.config().unwrap_err().to_string().contains("give both files or none"));
    }
}
