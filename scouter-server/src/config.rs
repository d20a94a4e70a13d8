//! What a server is told when it starts.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::receive::kafka::KafkaSource;
use crate::receive::rabbitmq::RabbitMqSource;

/// Settings of a [`Server`](crate::Server).
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens. Only programs on the same machine reach the default, `127.0.0.1:8000`; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the embedded store keeps its files.
    pub directory: PathBuf,
    /// The longest request body, before and after decompression, in bytes. 64 MiB.
    pub max_request_bytes: usize,
    /// How many bytes of requests may be held that are not stored yet. At least twice
    /// [`max_request_bytes`](Self::max_request_bytes). 256 MiB.
    pub max_in_flight_bytes: usize,
    /// How long a sender may be silent in the middle of a request. 30 s.
    pub idle_timeout: Duration,
    /// How long requests that are being handled get to finish when the server stops. 10 s.
    pub shutdown_timeout: Duration,
    /// Kafka topics to read from as well; needs the cargo feature `kafka`.
    pub kafka: Option<KafkaSource>,
    /// RabbitMQ queues to read from as well; needs the cargo feature `rabbitmq`.
    pub rabbitmq: Option<RabbitMqSource>,
    /// When there are any, ingest and API ask for one of them: `authorization: Bearer <token>`.
    pub tokens: Vec<Token>,
}

/// A secret that lets requests in. Never printed.
#[derive(Clone)]
pub struct Token(String);

pub(crate) const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8000);
pub(crate) const DEFAULT_MAX_REQUEST_BYTES: usize = 64 * 1024 * 1024;
pub(crate) const DEFAULT_MAX_IN_FLIGHT_BYTES: usize = 4 * DEFAULT_MAX_REQUEST_BYTES;

impl Config {
    /// The defaults, with the store in this directory.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            listen: DEFAULT_LISTEN,
            directory: directory.into(),
            max_request_bytes: DEFAULT_MAX_REQUEST_BYTES,
            max_in_flight_bytes: DEFAULT_MAX_IN_FLIGHT_BYTES,
            idle_timeout: Duration::from_secs(30),
            shutdown_timeout: Duration::from_secs(10),
            kafka: None,
            rabbitmq: None,
            tokens: Vec::new(),
        }
    }
}

impl Token {
    /// The token with this text; `None` when it is empty or has characters that a header cannot carry.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        (visible && !text.is_empty()).then_some(Self(text))
    }

    /// Whether this is the text. Takes as long for a near miss as for any other text of that length.
    pub(crate) fn is(&self, given: &[u8]) -> bool {
        let expected = self.0.as_bytes();
        let mut different = usize::from(given.len() != expected.len());
        for (given, expected) in given.iter().zip(expected.iter().cycle()) {
            different |= usize::from(given ^ expected);
        }
        std::hint::black_box(different) == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_itself_and_nothing_else() {
        let token = Token::new("s3cret").unwrap();
        assert!(token.is(b"s3cret"));
        for other in [&b""[..], b"s3cre", b"s3cret ", b"S3cret", b"s3crets3cret"] {
            assert!(!token.is(other), "{other:?}");
        }
        assert_eq!(format!("{token:?}"), "Token(***)");
        assert!(Token::new("").is_none());
        assert!(Token::new("two words").is_none());
    }
}
