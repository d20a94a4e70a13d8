//! Which queues are read.

use scouter_transport::rabbitmq::RabbitMqConfig;

/// The RabbitMQ queues that a server reads. All servers that read a queue share the work.
#[derive(Clone, Debug)]
pub struct RabbitMqSource {
    /// The broker, who we are to it, and the queues of both signals, which are made if they are not there. The exchange
    /// does not count.
    pub connection: RabbitMqConfig,
}

impl RabbitMqSource {
    /// Reads the queues of this connection.
    pub fn new(connection: RabbitMqConfig) -> Self {
        Self { connection }
    }
}
