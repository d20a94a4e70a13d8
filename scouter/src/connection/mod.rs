//! How to reach a receiver of OTLP.

mod environment;
mod factory;
mod kafka;
mod rabbitmq;
mod tls;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use scouter_transport::grpc::GrpcConfig;
use scouter_transport::http::HttpConfig;
use scouter_transport::kafka::KafkaConfig;
use scouter_transport::memory::Memory;
use scouter_transport::rabbitmq::RabbitMqConfig;
use scouter_transport::{Compression, Config, ContentType, Endpoint, connect};

pub(crate) use self::environment::default_endpoint;
#[cfg(feature = "config-file")]
pub(crate) use self::environment::with_scheme;
pub use self::factory::TransportFactory;
pub use self::tls::TlsFiles;
use crate::console::{Console, Output};
use crate::error::Error;

/// The way to the receiver.
#[derive(Clone, Debug)]
pub enum Protocol {
    /// OTLP over HTTP.
    Http,
    /// OTLP over gRPC.
    Grpc,
    /// Over Kafka. The brokers and all else stand in the settings: of the connection only the timeout and the PEM files
    /// count.
    Kafka(KafkaConfig),
    /// Through RabbitMQ. The broker and all else stand in the settings: of the connection only the timeout and the PEM files
    /// count.
    RabbitMq(RabbitMqConfig),
    /// Into memory, for tests.
    Memory(Memory),
    /// Written to [`Settings::console`](crate::Settings::console), a line of OTLP in JSON for every span.
    Console,
    /// Any other way. The transport has its address and settings already: of the connection only the timeout counts.
    Custom(TransportFactory),
}

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
    /// In which encoding requests travel; gRPC has only protobuf.
    pub content: ContentType,
    /// Whether bodies are compressed.
    pub compression: Compression,
    /// How long a request may take.
    pub timeout: Option<Duration>,
    /// PEM files.
    pub files: TlsFiles,
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
            content: ContentType::Protobuf,
            compression: Compression::None,
            timeout: None,
            files: TlsFiles::default(),
        }
    }

    /// Sets the address. One without a path gets that of the signal.
    ///
    /// # Errors
    /// It is none.
    pub fn set_address(&mut self, setting: &str, uri: &str) -> Result<(), Error> {
        self.endpoint = address(setting, uri)?;
        Ok(())
    }

    /// Whether a transport can be made of it, as [`Settings::start`](crate::Settings::start) does. Reads the PEM files and
    /// connects to nothing.
    ///
    /// # Errors
    /// A setting cannot work.
    pub fn check(&self) -> Result<(), Error> {
        let made = self.factory(&Output::stdout())?.make();
        made.map(drop).map_err(|error| Error::Setting(error.to_string()))
    }

    /// What makes the transport. Reads the PEM files.
    pub(crate) fn factory(&self, console: &Output) -> Result<TransportFactory, Error> {
        let tls = self.files.read()?;
        // One shape for types that have the same setters: what every connection has, and what those of OTLP have as well.
        macro_rules! within {
            ($config:expr) => {{
                let mut config = $config;
                if let Some(timeout) = self.timeout {
                    config = config.timeout(timeout);
                }
                if let Some(tls) = tls {
                    config = config.tls(tls);
                }
                Config::from(config)
            }};
        }
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
                within!(config)
            }};
        }
        let config = match &self.protocol {
            Protocol::Http => fill!(HttpConfig::new(self.endpoint.clone()).content(self.content)),
            Protocol::Grpc => fill!(GrpcConfig::new(self.endpoint.clone())),
            Protocol::Kafka(config) => within!(config.clone()),
            Protocol::RabbitMq(config) => within!(config.clone()),
            Protocol::Memory(memory) => Config::Memory(memory.clone()),
            Protocol::Console => {
                let output = console.clone();
                return Ok(TransportFactory::new(move || Ok(Arc::new(Console::new(output.clone())))));
            }
            Protocol::Custom(factory) => return Ok(factory.clone()),
        };
        Ok(TransportFactory::new(move || connect(config.clone()).map(Arc::from)))
    }
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
            .field("content", &self.content)
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
    use crate::environment::Environment;

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
        assert!(connection.factory(&Output::stdout()).unwrap_err().to_string().contains("/nowhere/ca.pem"));
        connection.files = TlsFiles { certificate: Some("/nowhere/c.pem".into()), ..TlsFiles::default() };
        assert!(connection.factory(&Output::stdout()).unwrap_err().to_string().contains("give both files or none"));
    }
}
