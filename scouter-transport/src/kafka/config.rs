//! Settings of Kafka.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::payload::Signal;
use crate::tls::TlsConfig;

/// How to send to Kafka. Everything is checked when the transport is made.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaConfig {
    pub(crate) brokers: String,
    pub(crate) topics: [String; 2],
    pub(crate) client_id: String,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) mechanism: SaslMechanism,
    pub(crate) security: Option<SecurityProtocol>,
    pub(crate) tls: Option<TlsConfig>,
    pub(crate) compression: KafkaCompression,
    pub(crate) timeout: Duration,
    pub(crate) linger: Duration,
    pub(crate) max_message_bytes: usize,
    pub(crate) properties: Vec<(String, String)>,
}

/// How batches of messages are compressed on their way and in the brokers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KafkaCompression {
    /// As they are.
    None,
    /// Small, but costs the most.
    Gzip,
    /// Fast.
    Snappy,
    /// Fast, and smaller than snappy.
    #[default]
    Lz4,
}

/// How a user name and a password are shown to the brokers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SaslMechanism {
    /// As they are (RFC 4616). Only sensible over TLS.
    #[default]
    Plain,
    /// Without telling the password (RFC 5802), with SHA-256.
    ScramSha256,
    /// Without telling the password (RFC 5802), with SHA-512.
    ScramSha512,
}

/// Whether the way to the brokers is encrypted, and whether they ask who we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecurityProtocol {
    /// Neither.
    Plaintext,
    /// Encrypted.
    Ssl,
    /// They ask, and the way is not encrypted.
    SaslPlaintext,
    /// Both.
    SaslSsl,
}

impl KafkaConfig {
    /// Sends to these brokers, `host:port` each, separated by commas: traces to the topic `otlp_spans`, logs to
    /// `otlp_logs`, compressed with lz4, as messages of at most 1 MB, and gives up after 10 s.
    pub fn new(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            topics: ["otlp_spans".to_owned(), "otlp_logs".to_owned()],
            client_id: "scouter".to_owned(),
            username: None,
            password: None,
            mechanism: SaslMechanism::default(),
            security: None,
            tls: None,
            compression: KafkaCompression::default(),
            timeout: Duration::from_secs(10),
            linger: Duration::from_millis(5),
            max_message_bytes: 1_000_000,
            properties: Vec::new(),
        }
    }

    /// Sends one signal to this topic.
    #[must_use]
    pub fn topic(mut self, signal: Signal, name: impl Into<String>) -> Self {
        self.topics[signal.index()] = name.into();
        self
    }

    /// Shows this user name to the brokers (SASL). Needs a password, and the cargo feature `kafka-tls`.
    #[must_use]
    pub fn username(mut self, name: impl Into<String>) -> Self {
        self.username = Some(name.into());
        self
    }

    /// The password of the user. Never shown.
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// How the user name and the password are shown; plain by default.
    #[must_use]
    pub fn sasl_mechanism(mut self, mechanism: SaslMechanism) -> Self {
        self.mechanism = mechanism;
        self
    }

    /// What the brokers' listener speaks. Without it, TLS settings mean TLS, and a user name means SASL.
    #[must_use]
    pub fn security_protocol(mut self, protocol: SecurityProtocol) -> Self {
        self.security = Some(protocol);
        self
    }

    /// Encrypts; whom to trust, and who we are. Needs the cargo feature `kafka-tls`.
    #[must_use]
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Compresses batches.
    #[must_use]
    pub fn compression(mut self, compression: KafkaCompression) -> Self {
        self.compression = compression;
        self
    }

    /// How long one send may take, connecting included, and how long a message is kept trying (`message.timeout.ms`).
    /// Not zero.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long messages wait for others to travel with (`linger.ms`), 5 ms by default. Shorter than the timeout.
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// The largest message, in bytes before compression; 1 000 000 by default, which every broker takes by default. What
    /// a payload holds of one trace is sent as several messages when it is larger. A single span that is larger fails
    /// with [`ErrorKind::TooLarge`].
    #[must_use]
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.max_message_bytes = bytes;
        self
    }

    /// What the brokers call this program in their logs and quotas; `scouter` by default.
    #[must_use]
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.client_id = id.into();
        self
    }

    /// Sets any other property of librdkafka, by its own name. The value is never shown.
    ///
    /// What the transport promises cannot be changed this way: brokers, `acks` and the time limits are refused.
    #[must_use]
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.push((name.into(), value.into()));
        self
    }

    /// Where this signal goes.
    pub fn topic_of(&self, signal: Signal) -> &str {
        &self.topics[signal.index()]
    }

    /// The brokers, as they were given.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }
}

/// Without what must stay secret.
impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.properties.iter().map(|(name, _)| name).collect();
        f.debug_struct("KafkaConfig")
            .field("brokers", &self.brokers)
            .field("topics", &self.topics)
            .field("client_id", &self.client_id)
            .field("sasl", &self.username.as_ref().map(|_| self.mechanism))
            .field("security_protocol", &self.security)
            .field("tls", &self.tls)
            .field("compression", &self.compression)
            .field("timeout", &self.timeout)
            .field("linger", &self.linger)
            .field("max_message_bytes", &self.max_message_bytes)
            .field("properties", &names)
            .finish()
    }
}

/// Names that are written in more than one way, in the spelling of Kafka's own documentation.
macro_rules! named {
    ($type:ty, $what:literal, $($variant:path => $name:literal),+) => {
        impl $type {
            /// The name in the spelling of Kafka's documentation.
            pub const fn name(self) -> &'static str {
                match self {
                    $($variant => $name),+
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        /// Reads the name, in either case.
        impl FromStr for $type {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                $(if text.eq_ignore_ascii_case($name) {
                    return Ok($variant);
                })+
                let known = [$($name),+].join(", ");
                Err(Error::new(ErrorKind::Config, format!(concat!($what, " is one of {}, not {:?}"), known, text)))
            }
        }
    };
}

named!(
    KafkaCompression, "the compression of Kafka",
    KafkaCompression::None => "none",
    KafkaCompression::Gzip => "gzip",
    KafkaCompression::Snappy => "snappy",
    KafkaCompression::Lz4 => "lz4"
);
named!(
    SaslMechanism, "the SASL mechanism of Kafka",
    SaslMechanism::Plain => "PLAIN",
    SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
    SaslMechanism::ScramSha512 => "SCRAM-SHA-512"
);
named!(
    SecurityProtocol, "the security protocol of Kafka",
    SecurityProtocol::Plaintext => "PLAINTEXT",
    SecurityProtocol::Ssl => "SSL",
    SecurityProtocol::SaslPlaintext => "SASL_PLAINTEXT",
    SecurityProtocol::SaslSsl => "SASL_SSL"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_either_case_and_wrong_ones_are_named() {
        assert_eq!("LZ4".parse::<KafkaCompression>().unwrap(), KafkaCompression::Lz4);
        assert_eq!("scram-sha-512".parse::<SaslMechanism>().unwrap(), SaslMechanism::ScramSha512);
        assert_eq!("sasl_ssl".parse::<SecurityProtocol>().unwrap(), SecurityProtocol::SaslSsl);
        let error = "brotli".parse::<KafkaCompression>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert_eq!(error.to_string(), "the compression of Kafka is one of none, gzip, snappy, lz4, not \"brotli\"");
    }

    #[test]
    fn secrets_stay_secret() {
        let config = KafkaConfig::new("a:9092").username("hush").password("hush").property("ssl.key.password", "hush");
        let shown = format!("{config:?}");
        assert!(!shown.contains("hush") && shown.contains("ssl.key.password"), "{shown}");
    }
}
