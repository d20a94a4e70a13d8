//! From settings to a transport, whichever are built in.

use crate::error::Error;
use crate::grpc::GrpcConfig;
use crate::http::HttpConfig;
use crate::kafka::KafkaConfig;
use crate::memory::Memory;
use crate::rabbitmq::RabbitMqConfig;
use crate::transport::Transport;

/// The settings of any transport, whether this build has it or not. The list may grow.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Config {
    /// OTLP over HTTP; needs the cargo feature `http`.
    Http(HttpConfig),
    /// OTLP over gRPC; needs the cargo feature `grpc`.
    Grpc(GrpcConfig),
    /// OTLP over Kafka; needs the cargo feature `kafka`.
    Kafka(KafkaConfig),
    /// OTLP through RabbitMQ; needs the cargo feature `rabbitmq`.
    RabbitMq(RabbitMqConfig),
    /// Into this memory. Keep a clone to look at it; closing the transport leaves it open.
    Memory(Memory),
}

impl From<HttpConfig> for Config {
    fn from(config: HttpConfig) -> Self {
        Self::Http(config)
    }
}

impl From<GrpcConfig> for Config {
    fn from(config: GrpcConfig) -> Self {
        Self::Grpc(config)
    }
}

impl From<KafkaConfig> for Config {
    fn from(config: KafkaConfig) -> Self {
        Self::Kafka(config)
    }
}

impl From<RabbitMqConfig> for Config {
    fn from(config: RabbitMqConfig) -> Self {
        Self::RabbitMq(config)
    }
}

impl From<Memory> for Config {
    fn from(memory: Memory) -> Self {
        Self::Memory(memory)
    }
}

/// Makes the transport that `config` describes. Needs no runtime and does no I/O.
///
/// # Errors
///
/// [`ErrorKind::Config`](crate::ErrorKind::Config) for settings that cannot work, and
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported), naming the cargo feature, for what is not built in.
pub fn connect(config: impl Into<Config>) -> Result<Box<dyn Transport>, Error> {
    match config.into() {
        #[cfg(feature = "http")]
        Config::Http(config) => Ok(Box::new(crate::http::Http::new(config)?)),
        #[cfg(not(feature = "http"))]
        Config::Http(_) => Err(switched_off("HTTP", "http")),
        #[cfg(feature = "grpc")]
        Config::Grpc(config) => Ok(Box::new(crate::grpc::Grpc::new(config)?)),
        #[cfg(not(feature = "grpc"))]
        Config::Grpc(_) => Err(switched_off("gRPC", "grpc")),
        #[cfg(feature = "kafka")]
        Config::Kafka(config) => Ok(Box::new(crate::kafka::Kafka::new(config)?)),
        #[cfg(not(feature = "kafka"))]
        Config::Kafka(_) => Err(switched_off("Kafka", "kafka")),
        #[cfg(feature = "rabbitmq")]
        Config::RabbitMq(config) => Ok(Box::new(crate::rabbitmq::RabbitMq::new(config)?)),
        #[cfg(not(feature = "rabbitmq"))]
        Config::RabbitMq(_) => Err(switched_off("RabbitMQ", "rabbitmq")),
        Config::Memory(memory) => Ok(Box::new(memory.transport())),
    }
}

#[cfg(not(all(feature = "http", feature = "grpc", feature = "kafka", feature = "rabbitmq")))]
fn switched_off(transport: &str, feature: &str) -> Error {
    let reason = format!("{transport} is not built in: enable the cargo feature `{feature}`");
    Error::new(crate::error::ErrorKind::Unsupported, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Endpoint;

    fn outcome(config: impl Into<Config>) -> String {
        connect(config).map_or_else(|error| error.to_string(), |_| "made".to_owned())
    }

    #[test]
    fn what_is_switched_off_is_named() {
        let endpoint = Endpoint::base("http://localhost:4318").unwrap();
        let http =
            if cfg!(feature = "http") { "made" } else { "HTTP is not built in: enable the cargo feature `http`" };
        let grpc =
            if cfg!(feature = "grpc") { "made" } else { "gRPC is not built in: enable the cargo feature `grpc`" };
        assert_eq!(outcome(HttpConfig::new(endpoint.clone())), http);
        assert_eq!(outcome(GrpcConfig::new(endpoint)), grpc);
        let kafka =
            if cfg!(feature = "kafka") { "made" } else { "Kafka is not built in: enable the cargo feature `kafka`" };
        assert_eq!(outcome(KafkaConfig::new("localhost:9092")), kafka);
        let rabbitmq = match cfg!(feature = "rabbitmq") {
            true => "made",
            false => "RabbitMQ is not built in: enable the cargo feature `rabbitmq`",
        };
        assert_eq!(outcome(RabbitMqConfig::new("localhost")), rabbitmq);
        assert_eq!(outcome(Memory::default()), "made");
    }
}
