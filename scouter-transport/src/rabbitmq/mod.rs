//! OTLP through RabbitMQ.
//!
//! [`RabbitMqConfig`] is always here; `RabbitMq` comes with the cargo feature `rabbitmq`.

mod config;
#[cfg(feature = "rabbitmq")]
mod lane;
#[cfg(feature = "rabbitmq")]
mod link;
#[cfg(feature = "rabbitmq")]
mod sender;

pub use self::config::RabbitMqConfig;
#[cfg(feature = "rabbitmq")]
pub use self::sender::RabbitMq;
