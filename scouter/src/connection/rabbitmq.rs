//! RabbitMQ, as the environment describes it.

use scouter_transport::rabbitmq::RabbitMqConfig;
use scouter_transport::{Signal, TlsConfig};

use super::environment::default_endpoint;
use super::{Connection, Protocol};
use crate::environment::Environment;
use crate::error::Error;

/// Where a broker is when nobody says.
const HOST: &str = "localhost";

impl Environment {
    /// The settings of RabbitMQ that the variables name: `SCOUTER_RABBITMQ_HOST` (`localhost` without it), `_PORT`,
    /// `_USERNAME`, `_PASSWORD`, `_VHOST`, `_QUEUE`, `_RECORDS_QUEUE`, and `_TLS` (`true` for TLS that trusts the system's
    /// roots).
    ///
    /// # Errors
    /// A variable names something that there is not.
    pub fn rabbitmq(&self) -> Result<RabbitMqConfig, Error> {
        let mut config = RabbitMqConfig::new(self.get("SCOUTER_RABBITMQ_HOST").unwrap_or(HOST));
        if let Some(port) = self.get("SCOUTER_RABBITMQ_PORT") {
            let wrong = |_| Error::Setting(format!("SCOUTER_RABBITMQ_PORT is a number from 1 to 65535, not {port:?}"));
            config = config.port(port.parse().map_err(wrong)?);
        }
        if let Some(username) = self.get("SCOUTER_RABBITMQ_USERNAME") {
            config = config.username(username);
        }
        // Spaces belong to a password.
        if let Some(password) = self.verbatim("SCOUTER_RABBITMQ_PASSWORD").filter(|password| !password.is_empty()) {
            config = config.password(password);
        }
        if let Some(vhost) = self.get("SCOUTER_RABBITMQ_VHOST") {
            config = config.vhost(vhost);
        }
        if let Some(queue) = self.get("SCOUTER_RABBITMQ_QUEUE") {
            config = config.queue(Signal::Traces, queue);
        }
        if let Some(queue) = self.get("SCOUTER_RABBITMQ_RECORDS_QUEUE") {
            config = config.queue(Signal::Logs, queue);
        }
        match self.get("SCOUTER_RABBITMQ_TLS") {
            Some(value) if value.eq_ignore_ascii_case("true") => config = config.tls(TlsConfig::new()),
            Some(value) if !value.eq_ignore_ascii_case("false") => {
                return Err(Error::Setting(format!("SCOUTER_RABBITMQ_TLS is true or false, not {value:?}")));
            }
            _ => {}
        }
        Ok(config)
    }
}

impl Connection {
    /// The way through RabbitMQ. Everything but the timeout and the PEM files stands in these settings.
    ///
    /// # Errors
    /// None that depends on them: [`check`](Self::check) and [`Settings::start`](crate::Settings::start) say whether they can
    /// work.
    pub fn rabbitmq(config: RabbitMqConfig) -> Result<Self, Error> {
        // RabbitMQ has a host instead of an endpoint.
        Ok(Self::new(Protocol::RabbitMq(config), default_endpoint(false)?))
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
            ("SCOUTER_RABBITMQ_HOST", "rabbit"),
            ("SCOUTER_RABBITMQ_PORT", "5000"),
            ("SCOUTER_RABBITMQ_USERNAME", "me"),
            ("SCOUTER_RABBITMQ_PASSWORD", " word "),
            ("SCOUTER_RABBITMQ_VHOST", "team"),
            ("SCOUTER_RABBITMQ_QUEUE", "spans"),
            ("SCOUTER_RABBITMQ_RECORDS_QUEUE", "records"),
            ("SCOUTER_RABBITMQ_TLS", "True"),
        ]);
        let expected = RabbitMqConfig::new("rabbit")
            .port(5000)
            .username("me")
            .password(" word ")
            .vhost("team")
            .queue(Signal::Traces, "spans")
            .queue(Signal::Logs, "records")
            .tls(TlsConfig::new());
        assert_eq!(config.rabbitmq().unwrap(), expected);
        assert_eq!(environment(&[]).rabbitmq().unwrap(), RabbitMqConfig::new("localhost"));
    }

    #[test]
    fn what_cannot_work_is_named() {
        for variable in [("SCOUTER_RABBITMQ_PORT", "65536"), ("SCOUTER_RABBITMQ_TLS", "perhaps")] {
            let error = environment(&[variable]).rabbitmq().unwrap_err();
            assert!(error.to_string().starts_with(variable.0), "{error}");
        }
        let built_in = cfg!(feature = "rabbitmq");
        let wrong = |connection: Connection, reason: &str| {
            let made = connection.factory(&Output::stdout()).unwrap().make();
            let expected = if built_in { reason } else { "enable the cargo feature `rabbitmq`" };
            let error = made.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        wrong(Connection::rabbitmq(RabbitMqConfig::new("no host")).unwrap(), "is no host name");
        let mut connection = Connection::rabbitmq(RabbitMqConfig::new("localhost")).unwrap();
        connection.timeout = Some(Duration::ZERO);
        wrong(connection, "the timeout is zero");
    }
}
