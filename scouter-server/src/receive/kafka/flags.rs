//! Kafka on the command line.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use scouter_transport::kafka::{KafkaConfig, SaslMechanism, SecurityProtocol};
use scouter_transport::{Signal, TlsConfig};

use super::source::{KafkaSource, Properties};
use crate::error::{ServerError, ServerErrorKind};

/// Reading from Kafka.
#[derive(Args)]
pub(crate) struct KafkaFlags {
    /// Kafka brokers to read from as well, host:port, several separated by commas
    #[arg(long, env = "SCOUTER_SERVER_KAFKA_BROKERS", value_name = "BROKERS")]
    kafka_brokers: Option<String>,
    /// The Kafka topic with traces
    #[arg(long, env = "SCOUTER_SERVER_KAFKA_TOPIC", value_name = "TOPIC", default_value = "otlp_spans")]
    kafka_topic: String,
    /// The Kafka topic with records
    #[arg(long, env = "SCOUTER_SERVER_KAFKA_RECORDS_TOPIC", value_name = "TOPIC", default_value = "otlp_logs")]
    kafka_records_topic: String,
    /// The consumer group that all servers of one store share
    #[arg(long, env = "SCOUTER_SERVER_KAFKA_GROUP", value_name = "NAME", default_value = "scouter")]
    kafka_group: String,
    /// The user name for the Kafka brokers
    #[arg(long, env = "SCOUTER_SERVER_KAFKA_USERNAME", value_name = "NAME")]
    kafka_username: Option<String>,
    /// Its password; other users of the machine see flags, so prefer the variable
    #[arg(long, env = "SCOUTER_SERVER_KAFKA_PASSWORD", value_name = "PASSWORD", hide_env_values = true)]
    kafka_password: Option<String>,
    /// PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512 [default: PLAIN]
    #[arg(long, env = "SCOUTER_SERVER_KAFKA_SASL_MECHANISM", value_name = "MECHANISM")]
    kafka_sasl_mechanism: Option<SaslMechanism>,
    /// PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL [default: what the other flags need]
    #[arg(long, env = "SCOUTER_SERVER_KAFKA_SECURITY_PROTOCOL", value_name = "PROTOCOL")]
    kafka_security_protocol: Option<SecurityProtocol>,
    /// A PEM file of authorities to trust instead of the system's
    #[arg(long, env = "SCOUTER_SERVER_KAFKA_CA_FILE", value_name = "PATH")]
    kafka_ca_file: Option<PathBuf>,
    /// A PEM file of the certificate to show to the brokers
    #[arg(long, env = "SCOUTER_SERVER_KAFKA_CERTIFICATE_FILE", value_name = "PATH", requires = "kafka_key_file")]
    kafka_certificate_file: Option<PathBuf>,
    /// A PEM file of its private key
    #[arg(long, env = "SCOUTER_SERVER_KAFKA_KEY_FILE", value_name = "PATH", requires = "kafka_certificate_file")]
    kafka_key_file: Option<PathBuf>,
    /// Another property of librdkafka's consumer, such as session.timeout.ms=6000; several separated by semicolons
    #[arg(
        long,
        env = "SCOUTER_SERVER_KAFKA_PROPERTY",
        value_name = "NAME=VALUE",
        value_delimiter = ';',
        hide_env_values = true
    )]
    kafka_property: Vec<String>,
}

/// `NAME=VALUE`. What is wrong with it stays unsaid: it may be a secret.
fn property(text: &str) -> Result<(String, String), ServerError> {
    let wrong = || ServerError::config("a property of Kafka is no NAME=VALUE: give such as session.timeout.ms=6000");
    let (name, value) = text.split_once('=').ok_or_else(wrong)?;
    Ok((name.trim().to_owned(), value.to_owned()))
}

impl KafkaFlags {
    /// What is read, when brokers are given.
    pub(crate) fn source(self) -> Result<Option<KafkaSource>, ServerError> {
        let Some(brokers) = self.kafka_brokers else { return Ok(None) };
        let mut connection = KafkaConfig::new(brokers)
            .topic(Signal::Traces, self.kafka_topic)
            .topic(Signal::Logs, self.kafka_records_topic)
            .client_id("scouter-server");
        if let Some(name) = self.kafka_username {
            connection = connection.username(name);
        }
        if let Some(password) = self.kafka_password {
            connection = connection.password(password);
        }
        if let Some(mechanism) = self.kafka_sasl_mechanism {
            connection = connection.sasl_mechanism(mechanism);
        }
        if let Some(protocol) = self.kafka_security_protocol {
            connection = connection.security_protocol(protocol);
        }
        let encrypted = matches!(self.kafka_security_protocol, Some(SecurityProtocol::Ssl | SecurityProtocol::SaslSsl));
        let mut tls = encrypted.then(TlsConfig::new);
        if let Some(ca) = &self.kafka_ca_file {
            tls = Some(tls.unwrap_or_default().ca(read(ca)?));
        }
        if let (Some(certificate), Some(key)) = (&self.kafka_certificate_file, &self.kafka_key_file) {
            tls = Some(tls.unwrap_or_default().client(read(certificate)?, read(key)?));
        }
        if let Some(tls) = tls {
            connection = connection.tls(tls);
        }
        let properties = self.kafka_property.iter().filter(|text| !text.trim().is_empty()).map(|text| property(text));
        let properties = Properties(properties.collect::<Result<_, _>>()?);
        Ok(Some(KafkaSource { connection, group: self.kafka_group, properties }))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ServerError> {
    std::fs::read(path).map_err(|error| {
        let message = format!("the file {} cannot be read: {error}", path.display());
        ServerError::new(ServerErrorKind::Config, message, error)
    })
}

/// Without what must stay secret.
impl fmt::Debug for KafkaFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaFlags").field("kafka_brokers", &self.kafka_brokers).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        kafka: KafkaFlags,
    }

    fn source(arguments: &[&str]) -> Result<KafkaSource, ServerError> {
        let line = [&["server", "--kafka-brokers", "a:9092"], arguments].concat();
        Line::try_parse_from(line).unwrap().kafka.source().map(Option::unwrap)
    }

    #[test]
    fn properties_may_be_given_apart_or_together() {
        let found =
            source(&["--kafka-property", "session.timeout.ms=6000; ssl.key.password=a=b;", "--kafka-property", "c=d"]);
        let expected = [("session.timeout.ms", "6000"), ("ssl.key.password", "a=b"), ("c", "d")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(found.unwrap().properties.0, expected);
    }

    #[test]
    fn secrets_are_never_shown() {
        let error = source(&["--kafka-property", "ssl.key.password:hush"]).unwrap_err();
        assert!(error.to_string().contains("is no NAME=VALUE: give such as"), "{error}");
        assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
        let source = source(&["--kafka-property", "ssl.key.password=hush", "--kafka-password", "hush"]).unwrap();
        assert!(!format!("{source:?}").contains("hush"), "{source:?}");
        // The help shows what the environment holds.
        let command = Line::command();
        for name in ["kafka_password", "kafka_property"] {
            let argument = command.get_arguments().find(|argument| argument.get_id() == name);
            assert!(argument.unwrap().is_hide_env_values_set(), "{name}");
        }
    }
}
