//! From settings to the properties of librdkafka, with everything checked that can be checked without a broker.

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

use super::config::{KafkaConfig, SecurityProtocol};
use crate::error::{Error, ErrorKind};
use crate::payload::Signal;

/// Properties that belong to settings of ours or that hold what the transport promises, each with the way out.
const RESERVED: &[(&str, &str)] = &[
    ("bootstrap.servers", "give the brokers instead"),
    ("metadata.broker.list", "give the brokers instead"),
    ("acks", "a message is always acknowledged by all replicas"),
    ("request.required.acks", "a message is always acknowledged by all replicas"),
    ("message.timeout.ms", "set the timeout instead"),
    ("delivery.timeout.ms", "set the timeout instead"),
    ("message.max.bytes", "set max_message_bytes instead"),
    ("security.protocol", "set the security protocol instead"),
    ("sasl.username", "set the user name instead"),
    ("sasl.password", "set the password instead"),
    ("sasl.mechanism", "set the SASL mechanism instead"),
    ("sasl.mechanisms", "set the SASL mechanism instead"),
    ("transactional.id", "transactions are not used"),
    ("delivery.report.only.error", "a message is always acknowledged by all replicas"),
];

/// How properties begin that are about the way to the brokers, whoever goes it.
const CONNECTION: &[&str] = &[
    "broker.",
    "client.",
    "connections.",
    "enable.sasl.",
    "enable.ssl.",
    "https.",
    "reconnect.",
    "sasl.",
    "security.",
    "socket.",
    "ssl.",
];

/// The longest name of a topic (Kafka's `Topic.MAX_NAME_LENGTH`).
const LONGEST_TOPIC: usize = 249;

/// What a message's key, headers and framing add to its value, at most.
pub(super) const MESSAGE_OVERHEAD: usize = 512;

fn wrong(detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, detail)
}

impl KafkaConfig {
    /// What every client of these brokers is told, by the names of librdkafka: brokers, name, security, and those of the
    /// properties that are about the way to the brokers. Holds the password.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] for settings that cannot work, [`ErrorKind::Unsupported`] for TLS and user names without
    /// the cargo feature `kafka-tls`.
    pub fn client_properties(&self) -> Result<Vec<(String, String)>, Error> {
        self.check()?;
        let mut properties = vec![
            ("bootstrap.servers", self.brokers.clone()),
            ("client.id", self.client_id.clone()),
            ("socket.keepalive.enable", "true".to_owned()),
            ("reconnect.backoff.max.ms", "1000".to_owned()),
        ];
        self.add_security(&mut properties)?;
        let mut properties: Vec<_> = properties.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        for (name, value) in &self.properties {
            if CONNECTION.iter().any(|beginning| name.starts_with(beginning)) {
                check_reserved(name)?;
                properties.push((name.clone(), value.clone()));
            }
        }
        Ok(properties)
    }

    /// The properties of the producer.
    pub(super) fn producer(&self) -> Result<ClientConfig, Error> {
        let mut client: ClientConfig = self.client_properties()?.into_iter().collect();
        // Its lines go to `tracing`, which has filters of its own.
        client.set_log_level(RDKafkaLogLevel::Info);
        let timeout = self.timeout.as_millis();
        for (name, value) in [
            ("acks", "all".to_owned()),
            ("enable.idempotence", "true".to_owned()),
            ("compression.codec", self.compression.name().to_owned()),
            ("linger.ms", self.linger.as_millis().to_string()),
            ("message.timeout.ms", timeout.to_string()),
            ("message.max.bytes", (self.max_message_bytes + MESSAGE_OVERHEAD).to_string()),
            // A topic that has just been made is not known everywhere at once; one that does not exist is told in time.
            ("topic.metadata.propagation.max.ms", (timeout / 2).to_string()),
            // Traces come to the same partitions from here as from Java programs.
            ("partitioner", "murmur2_random".to_owned()),
            ("queue.buffering.max.kbytes", (128 * 1024).to_string()),
        ] {
            client.set(name, value);
        }
        for (name, value) in &self.properties {
            check_reserved(name)?;
            client.set(name, value);
        }
        client.create_native_config().map_err(refused_property)?;
        Ok(client)
    }

    fn check(&self) -> Result<(), Error> {
        if self.brokers.trim().is_empty() {
            return Err(wrong("no Kafka broker is given: give host:port, several separated by commas"));
        }
        for broker in self.brokers.split(',') {
            check_broker(broker.trim())?;
        }
        for signal in Signal::ALL {
            check_topic(self.topic_of(signal))?;
        }
        if self.timeout.as_millis() == 0 || self.timeout.as_millis() > i32::MAX as u128 {
            return Err(wrong(format!("the timeout is {:?}: give 1 ms to 24 days", self.timeout)));
        }
        if self.linger >= self.timeout {
            let (linger, timeout) = (self.linger, self.timeout);
            return Err(wrong(format!("the linger is {linger:?}: give less than the timeout, {timeout:?}")));
        }
        if !(1_000..=999_999_000).contains(&self.max_message_bytes) {
            let bytes = self.max_message_bytes;
            return Err(wrong(format!("max_message_bytes is {bytes}: give 1000 to 999999000")));
        }
        Ok(())
    }

    fn security(&self) -> Result<SecurityProtocol, Error> {
        let derived = match (self.tls.is_some(), self.username.is_some()) {
            (false, false) => SecurityProtocol::Plaintext,
            (true, false) => SecurityProtocol::Ssl,
            (false, true) => SecurityProtocol::SaslPlaintext,
            (true, true) => SecurityProtocol::SaslSsl,
        };
        let security = self.security.unwrap_or(derived);
        let (tls, sasl) = match security {
            SecurityProtocol::Plaintext => (false, false),
            SecurityProtocol::Ssl => (true, false),
            SecurityProtocol::SaslPlaintext => (false, true),
            SecurityProtocol::SaslSsl => (true, true),
        };
        if sasl != self.username.is_some() {
            let way_out = if sasl { "give a user name and a password" } else { "use SASL_PLAINTEXT or SASL_SSL" };
            let there = if sasl { "asks for a user name and there is none" } else { "does not show the user name" };
            return Err(wrong(format!("the security protocol {security} {there}: {way_out}")));
        }
        if self.tls.is_some() && !tls {
            let way_out = "use SSL or SASL_SSL";
            return Err(wrong(format!("the security protocol {security} does not use the TLS settings: {way_out}")));
        }
        match (&self.username, &self.password) {
            (Some(name), _) if name.is_empty() => Err(wrong("the user name of Kafka is empty")),
            (Some(_), None) => Err(wrong("Kafka has a user name and no password: give both or neither")),
            (None, Some(_)) => Err(wrong("Kafka has a password and no user name: give both or neither")),
            _ => Ok(security),
        }
    }

    fn add_security(&self, properties: &mut Vec<(&'static str, String)>) -> Result<(), Error> {
        let security = self.security()?;
        if security == SecurityProtocol::Plaintext {
            return Ok(());
        }
        if cfg!(not(feature = "kafka-tls")) {
            let need = "TLS and user names need the cargo feature `kafka-tls`";
            let reason = format!("Kafka with {security} is not built in: {need}");
            return Err(Error::new(ErrorKind::Unsupported, reason));
        }
        properties.push(("security.protocol", security.name().to_owned()));
        if let (Some(username), Some(password)) = (&self.username, &self.password) {
            properties.push(("sasl.mechanism", self.mechanism.name().to_owned()));
            properties.push(("sasl.username", username.clone()));
            properties.push(("sasl.password", password.clone()));
        }
        let Some(tls) = &self.tls else { return Ok(()) };
        if let Some(ca) = tls.ca_pem() {
            properties.push(("ssl.ca.pem", pem(ca, "CA certificate", "CERTIFICATE")?));
        }
        if let Some((chain, key)) = tls.client_pem() {
            properties.push(("ssl.certificate.pem", pem(chain, "client certificate", "CERTIFICATE")?));
            properties.push(("ssl.key.pem", pem(key, "client key", "PRIVATE KEY")?));
        }
        Ok(())
    }
}

fn check_reserved(name: &str) -> Result<(), Error> {
    match RESERVED.iter().find(|(reserved, _)| *reserved == name) {
        Some((_, way_out)) => Err(wrong(format!("the Kafka property {name} cannot be set: {way_out}"))),
        None => Ok(()),
    }
}

fn pem(bytes: &[u8], what: &str, label: &str) -> Result<String, Error> {
    let text = std::str::from_utf8(bytes).ok();
    let found = text.filter(|text| text.contains("-----BEGIN ") && text.contains(label) && !text.contains('\0'));
    found
        .map(str::to_owned)
        .ok_or_else(|| wrong(format!("the {what} holds no PEM: begin it with -----BEGIN {label}-----")))
}

/// `host`, `host:port`, `[IPv6]:port`.
fn check_broker(broker: &str) -> Result<(), Error> {
    let is_name = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    };
    let (host, port) = match broker.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => (address.parse::<std::net::Ipv6Addr>().is_ok(), rest.strip_prefix(':').or(Some(rest))),
        None => match broker.rsplit_once(':') {
            Some((host, port)) => (is_name(host), Some(port)),
            None => (is_name(broker), None),
        },
    };
    let port = port.is_none_or(|port| port.is_empty() == broker.ends_with(']') && (port.is_empty() || number(port)));
    if host && port {
        return Ok(());
    }
    // What is wrong may be a user and a password in front of the host.
    let shown = broker.rsplit_once('@').map_or(broker, |(_, host)| host);
    Err(wrong(format!("{shown:?} is no Kafka broker: give host:port, several separated by commas")))
}

fn number(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn check_topic(name: &str) -> Result<(), Error> {
    let legal = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if legal && !name.is_empty() && name.len() <= LONGEST_TOPIC && !matches!(name, "." | "..") {
        return Ok(());
    }
    let shape = format!("1 to {LONGEST_TOPIC} letters, digits, dots, dashes and underscores");
    Err(wrong(format!("{name:?} is no name of a Kafka topic: give {shape}")))
}

/// Why a property is not taken. Values stay unsaid: any of them may be a secret.
fn refused_property(error: KafkaError) -> Error {
    match error {
        KafkaError::ClientConfig(result, _, name, _) => {
            use rdkafka::types::RDKafkaConfRes::{RD_KAFKA_CONF_INVALID, RD_KAFKA_CONF_UNKNOWN};
            let why = match result {
                RD_KAFKA_CONF_UNKNOWN => "is not known: look it up among the configuration properties of librdkafka",
                RD_KAFKA_CONF_INVALID => "does not take this value, or is not built in: look up which it takes",
                _ => "is not taken",
            };
            wrong(format!("the Kafka property {name} {why}"))
        }
        _ => wrong("a Kafka property has a name or a value with a zero byte in it"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::kafka::SaslMechanism;
    use crate::tls::TlsConfig;

    fn config() -> KafkaConfig {
        KafkaConfig::new("a:9092, b.c:1,[::1]:9092,d")
    }

    #[test]
    fn what_cannot_work_is_named_with_the_way_out() {
        for (config, reason) in [
            (KafkaConfig::new(" "), "no Kafka broker is given: give host:port"),
            (KafkaConfig::new("a:9092,"), "\"\" is no Kafka broker"),
            (KafkaConfig::new("http://a:9092"), "\"http://a:9092\" is no Kafka broker: give host:port"),
            (KafkaConfig::new("a:99999"), "\"a:99999\" is no Kafka broker"),
            (KafkaConfig::new("a:"), "\"a:\" is no Kafka broker"),
            (KafkaConfig::new("[::1]:"), "\"[::1]:\" is no Kafka broker"),
            (KafkaConfig::new("me:secret@a:1"), "\"a:1\" is no Kafka broker"),
            (config().topic(Signal::Logs, ""), "\"\" is no name of a Kafka topic"),
            (config().topic(Signal::Traces, "my topic"), "\"my topic\" is no name of a Kafka topic: give 1 to 249"),
            (config().topic(Signal::Traces, "a".repeat(250)), "is no name of a Kafka topic"),
            (config().timeout(Duration::ZERO), "the timeout is 0ns: give 1 ms to 24 days"),
            (config().linger(Duration::from_secs(10)), "the linger is 10s: give less than the timeout, 10s"),
            (config().max_message_bytes(1), "max_message_bytes is 1: give 1000"),
            (config().property("linger.mss", "1"), "the Kafka property linger.mss is not known: look it up"),
            (config().property("linger.ms", "hush"), "the Kafka property linger.ms does not take this value"),
            (config().property("client.id", "\0"), "has a name or a value with a zero byte in it"),
            (
                config().property("delivery.report.only.error", "true"),
                "the Kafka property delivery.report.only.error cannot be set: a message is always acknowledged",
            ),
            (config().property("acks", "1"), "the Kafka property acks cannot be set: a message is always acknowledged"),
            (config().username("me"), "Kafka has a user name and no password: give both or neither"),
            (config().password("hush"), "Kafka has a password and no user name: give both or neither"),
            (config().username("").password("hush"), "the user name of Kafka is empty"),
            (
                config().security_protocol(SecurityProtocol::SaslSsl),
                "the security protocol SASL_SSL asks for a user name and there is none: give a user name",
            ),
            (
                config().security_protocol(SecurityProtocol::Ssl).username("me").password("hush"),
                "the security protocol SSL does not show the user name: use SASL_PLAINTEXT or SASL_SSL",
            ),
            (
                config().security_protocol(SecurityProtocol::Plaintext).tls(TlsConfig::new()),
                "the security protocol PLAINTEXT does not use the TLS settings: use SSL or SASL_SSL",
            ),
        ] {
            let error = config.producer().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{error}");
            assert!(error.to_string().contains(reason), "{error}\n{reason}");
            for secret in ["hush", "secret"] {
                assert!(!format!("{error} {error:?}").contains(secret), "{error:?}");
            }
        }
    }

    #[test]
    fn settings_become_properties() {
        let client = config().property("linger.ms", "7").timeout(Duration::from_secs(3)).producer().unwrap();
        for (name, value) in [
            ("bootstrap.servers", "a:9092, b.c:1,[::1]:9092,d"),
            ("linger.ms", "7"),
            ("message.timeout.ms", "3000"),
            ("acks", "all"),
            ("enable.idempotence", "true"),
            ("compression.codec", "lz4"),
        ] {
            assert_eq!(client.get(name), Some(value), "{name}");
        }
        assert_eq!(client.get("security.protocol"), None);
    }

    #[test]
    fn what_is_about_the_way_to_the_brokers_is_for_every_client() {
        let config = config().property("socket.nagle.disable", "true").property("linger.ms", "7");
        let properties = config.client_properties().unwrap();
        let names: Vec<_> = properties.iter().map(|(name, _)| &**name).collect();
        assert!(names.contains(&"socket.nagle.disable") && !names.contains(&"linger.ms"), "{names:?}");
        let error = config.property("sasl.password", "hush").client_properties().unwrap_err();
        assert!(error.to_string().contains("sasl.password cannot be set: set the password instead"), "{error}");
        assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
    }

    #[test]
    fn security_is_built_in_or_named() {
        let secured = config().username("me").password("word").sasl_mechanism(SaslMechanism::ScramSha256);
        let properties = secured.clone().tls(TlsConfig::new()).producer();
        if cfg!(feature = "kafka-tls") {
            let client = properties.unwrap();
            assert_eq!(client.get("security.protocol"), Some("SASL_SSL"));
            assert_eq!(client.get("sasl.mechanism"), Some("SCRAM-SHA-256"));
            assert_eq!(secured.producer().unwrap().get("security.protocol"), Some("SASL_PLAINTEXT"));
            let broken = config().tls(TlsConfig::new().ca("hush")).producer().unwrap_err().to_string();
            assert_eq!(broken, "the CA certificate holds no PEM: begin it with -----BEGIN CERTIFICATE-----");
        } else {
            let error = properties.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().ends_with("need the cargo feature `kafka-tls`"), "{error}");
        }
    }
}
