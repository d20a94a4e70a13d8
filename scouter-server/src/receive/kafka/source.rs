//! Which topics are read, and as which group.

use scouter_transport::kafka::KafkaConfig;

/// The Kafka topics that a server reads. All servers of one group share the work.
#[derive(Clone, Debug)]
pub struct KafkaSource {
    /// The brokers, who we are to them, and the topics of both signals. Of its own properties those count that are about the way
    /// to the brokers.
    pub connection: KafkaConfig,
    /// The consumer group; `scouter`.
    pub group: String,
    /// More properties of the consumer by their names in librdkafka, such as `session.timeout.ms`. Those about the way to the
    /// brokers, such as `ssl.key.password`, hold for dead letters as well. The values are not shown.
    pub properties: Properties,
}

/// Properties by name.
#[derive(Clone, Default)]
pub struct Properties(pub Vec<(String, String)>);

impl KafkaSource {
    /// Reads the topics of this connection as the group `scouter`.
    pub fn new(connection: KafkaConfig) -> Self {
        Self { connection, group: "scouter".to_owned(), properties: Properties::default() }
    }
}

/// The names alone.
impl std::fmt::Debug for Properties {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}
