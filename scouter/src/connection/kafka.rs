//! Kafka, as the environment describes it.

use std::str::FromStr;

use scouter_transport::Signal;
use scouter_transport::kafka::KafkaConfig;

use super::environment::default_endpoint;
use super::{Connection, Protocol};
use crate::environment::Environment;
use crate::error::Error;

/// Where a broker is when nobody says.
const BROKERS: &str = "localhost:9092";

impl Environment {
    /// The settings of Kafka that the variables name: `SCOUTER_KAFKA_BROKERS` (`localhost:9092` without it), `_TOPIC`,
    /// `_RECORDS_TOPIC`, `_USERNAME`, `_PASSWORD`, `_SASL_MECHANISM`, `_SECURITY_PROTOCOL`.
    ///
    /// # Errors
    /// A variable names something that there is not.
    pub fn kafka(&self) -> Result<KafkaConfig, Error> {
        let mut config = KafkaConfig::new(self.get("SCOUTER_KAFKA_BROKERS").unwrap_or(BROKERS));
        if let Some(topic) = self.get("SCOUTER_KAFKA_TOPIC") {
            config = config.topic(Signal::Traces, topic);
        }
        if let Some(topic) = self.get("SCOUTER_KAFKA_RECORDS_TOPIC") {
            config = config.topic(Signal::Logs, topic);
        }
        if let Some(username) = self.get("SCOUTER_KAFKA_USERNAME") {
            config = config.username(username);
        }
        // Spaces belong to a password.
        if let Some(password) = self.verbatim("SCOUTER_KAFKA_PASSWORD").filter(|password| !password.is_empty()) {
            config = config.password(password);
        }
        if let Some(mechanism) = self.parsed("SCOUTER_KAFKA_SASL_MECHANISM")? {
            config = config.sasl_mechanism(mechanism);
        }
        if let Some(protocol) = self.parsed("SCOUTER_KAFKA_SECURITY_PROTOCOL")? {
            config = config.security_protocol(protocol);
        }
        Ok(config)
    }

    fn parsed<T: FromStr<Err = scouter_transport::Error>>(&self, name: &str) -> Result<Option<T>, Error> {
        let parsed = self.get(name).map(str::parse).transpose();
        parsed.map_err(|source| Error::Transport { setting: name.to_owned(), source })
    }
}

impl Connection {
    /// The way over Kafka. Everything but the timeout and the PEM files stands in these settings.
    ///
    /// # Errors
    /// None that depends on them: [`check`](Self::check) and [`Settings::start`](crate::Settings::start) say whether they can
    /// work.
    pub fn kafka(config: KafkaConfig) -> Result<Self, Error> {
        // Kafka has brokers instead of an endpoint.
        Ok(Self::new(Protocol::Kafka(config), default_endpoint(false)?))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::console::Output;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_variable_is_read() {
        let config = environment(&[
            ("SCOUTER_KAFKA_BROKERS", "a:1,b:2"),
            ("SCOUTER_KAFKA_TOPIC", "spans"),
            ("SCOUTER_KAFKA_RECORDS_TOPIC", "records"),
            ("SCOUTER_KAFKA_USERNAME", "me"),
            ("SCOUTER_KAFKA_PASSWORD", " word "),
            ("SCOUTER_KAFKA_SASL_MECHANISM", "scram-sha-512"),
            ("SCOUTER_KAFKA_SECURITY_PROTOCOL", "sasl_ssl"),
        ]);
        use scouter_transport::kafka::{SaslMechanism, SecurityProtocol};
        let expected = KafkaConfig::new("a:1,b:2")
            .topic(Signal::Traces, "spans")
            .topic(Signal::Logs, "records")
            .username("me")
            .password(" word ")
            .sasl_mechanism(SaslMechanism::ScramSha512)
            .security_protocol(SecurityProtocol::SaslSsl);
        assert_eq!(config.kafka().unwrap(), expected);
        assert_eq!(environment(&[]).kafka().unwrap(), KafkaConfig::new("localhost:9092"));
    }

    #[test]
    fn what_cannot_work_is_named() {
        let error = environment(&[("SCOUTER_KAFKA_SASL_MECHANISM", "GSSAPI")]).kafka().unwrap_err();
        assert!(error.to_string().starts_with("SCOUTER_KAFKA_SASL_MECHANISM"), "{error}");
        let wrong = |connection: Connection| {
            let made = connection.factory(&Output::stdout()).unwrap().make();
            made.unwrap_err().to_string()
        };
        let connection = Connection::kafka(KafkaConfig::new("no broker")).unwrap();
        let built_in = cfg!(feature = "kafka");
        let expected = if built_in { "is no Kafka broker" } else { "enable the cargo feature `kafka`" };
        assert!(wrong(connection).contains(expected));
        let mut connection = Connection::kafka(KafkaConfig::new("localhost")).unwrap();
        connection.timeout = Some(Duration::from_micros(1));
        let expected = if built_in { "the timeout is 1µs" } else { "enable the cargo feature `kafka`" };
        assert!(wrong(connection).contains(expected));
    }
}
