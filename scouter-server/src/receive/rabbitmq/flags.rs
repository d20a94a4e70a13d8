//! RabbitMQ on the command line.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use scouter_transport::rabbitmq::RabbitMqConfig;
use scouter_transport::{Signal, TlsConfig};

use super::source::RabbitMqSource;
use crate::error::{ServerError, ServerErrorKind};

/// Reading from RabbitMQ.
#[derive(Args)]
pub(crate) struct RabbitMqFlags {
    /// The host of a RabbitMQ broker to read from as well
    #[arg(long, env = "SCOUTER_SERVER_RABBITMQ_HOST", value_name = "HOST")]
    rabbitmq_host: Option<String>,
    /// Its port [default: 5672, or 5671 with TLS]
    #[arg(long, env = "SCOUTER_SERVER_RABBITMQ_PORT", value_name = "PORT")]
    rabbitmq_port: Option<u16>,
    /// The user name for the RabbitMQ broker
    #[arg(long, env = "SCOUTER_SERVER_RABBITMQ_USERNAME", value_name = "NAME", default_value = "guest")]
    rabbitmq_username: String,
    /// Its password; other users of the machine see flags, so prefer the variable [default: guest]
    #[arg(long, env = "SCOUTER_SERVER_RABBITMQ_PASSWORD", value_name = "PASSWORD", hide_env_values = true)]
    rabbitmq_password: Option<String>,
    /// The virtual host of the queues
    #[arg(long, env = "SCOUTER_SERVER_RABBITMQ_VHOST", value_name = "NAME", default_value = "/")]
    rabbitmq_vhost: String,
    /// The RabbitMQ queue with traces
    #[arg(long, env = "SCOUTER_SERVER_RABBITMQ_QUEUE", value_name = "QUEUE", default_value = "otlp_spans")]
    rabbitmq_queue: String,
    /// The RabbitMQ queue with records
    #[arg(long, env = "SCOUTER_SERVER_RABBITMQ_RECORDS_QUEUE", value_name = "QUEUE", default_value = "otlp_logs")]
    rabbitmq_records_queue: String,
    /// Connect to RabbitMQ with TLS
    #[arg(long, env = "SCOUTER_SERVER_RABBITMQ_TLS")]
    rabbitmq_tls: bool,
    /// A PEM file of authorities to trust instead of the system's
    #[arg(long, env = "SCOUTER_SERVER_RABBITMQ_CA_FILE", value_name = "PATH")]
    rabbitmq_ca_file: Option<PathBuf>,
    /// A PEM file of the certificate to show to the broker
    #[arg(long, env = "SCOUTER_SERVER_RABBITMQ_CERTIFICATE_FILE", value_name = "PATH", requires = "rabbitmq_key_file")]
    rabbitmq_certificate_file: Option<PathBuf>,
    /// A PEM file of its private key
    #[arg(long, env = "SCOUTER_SERVER_RABBITMQ_KEY_FILE", value_name = "PATH", requires = "rabbitmq_certificate_file")]
    rabbitmq_key_file: Option<PathBuf>,
}

impl RabbitMqFlags {
    /// What is read, when a host is given.
    pub(crate) fn source(self) -> Result<Option<RabbitMqSource>, ServerError> {
        let Some(host) = self.rabbitmq_host else { return Ok(None) };
        let mut connection = RabbitMqConfig::new(host)
            .username(self.rabbitmq_username)
            .vhost(self.rabbitmq_vhost)
            .queue(Signal::Traces, self.rabbitmq_queue)
            .queue(Signal::Logs, self.rabbitmq_records_queue);
        if let Some(port) = self.rabbitmq_port {
            connection = connection.port(port);
        }
        if let Some(password) = self.rabbitmq_password {
            connection = connection.password(password);
        }
        let mut tls = self.rabbitmq_tls.then(TlsConfig::new);
        if let Some(ca) = &self.rabbitmq_ca_file {
            tls = Some(tls.unwrap_or_default().ca(read(ca)?));
        }
        if let (Some(certificate), Some(key)) = (&self.rabbitmq_certificate_file, &self.rabbitmq_key_file) {
            tls = Some(tls.unwrap_or_default().client(read(certificate)?, read(key)?));
        }
        if let Some(tls) = tls {
            connection = connection.tls(tls);
        }
        Ok(Some(RabbitMqSource { connection }))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ServerError> {
    std::fs::read(path).map_err(|error| {
        let message = format!("the file {} cannot be read: {error}", path.display());
        ServerError::new(ServerErrorKind::Config, message, error)
    })
}

/// Without what must stay secret.
impl fmt::Debug for RabbitMqFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitMqFlags").field("rabbitmq_host", &self.rabbitmq_host).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        flags: RabbitMqFlags,
    }

    fn source(line: &str) -> Option<RabbitMqSource> {
        let line = std::iter::once("server").chain(line.split_whitespace());
        Line::try_parse_from(line).unwrap().flags.source().unwrap()
    }

    #[test]
    fn a_host_switches_it_on() {
        assert!(source("").is_none());
        assert!(source("--rabbitmq-port 5000").is_none());
        assert_eq!(source("--rabbitmq-host rabbit").unwrap().connection, RabbitMqConfig::new("rabbit"));
        let all = "--rabbitmq-host rabbit --rabbitmq-port 5000 --rabbitmq-username me --rabbitmq-password hush \
                   --rabbitmq-vhost team --rabbitmq-queue spans --rabbitmq-records-queue records --rabbitmq-tls";
        let expected = RabbitMqConfig::new("rabbit")
            .port(5000)
            .username("me")
            .password("hush")
            .vhost("team")
            .queue(Signal::Traces, "spans")
            .queue(Signal::Logs, "records")
            .tls(TlsConfig::new());
        let source = source(all).unwrap();
        assert_eq!(source.connection, expected);
        assert!(!format!("{source:?}").contains("hush"));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let line = ["server", "--rabbitmq-host", "h", "--rabbitmq-ca-file", "/nowhere/ca.pem"];
        let error = Line::try_parse_from(line).unwrap().flags.source().unwrap_err();
        assert!(error.to_string().contains("/nowhere/ca.pem"), "{error}");
    }
}
