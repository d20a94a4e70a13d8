//! OTLP through RabbitMQ.
//!
//! [`RabbitMqConfig`] is always here; `RabbitMq` comes with the cargo feature `rabbitmq`.

mod config;
#[cfg(feature = "rabbitmq")]
mod lane;
#[cfg(feature = "rabbitmq")]
mod link;
#[cfg(feature = "rabbitmq")]
mod queue;
#[cfg(feature = "rabbitmq")]
mod reply;
#[cfg(feature = "rabbitmq")]
mod sender;
#[cfg(feature = "rabbitmq")]
mod session;

pub use self::config::RabbitMqConfig;
#[cfg(feature = "rabbitmq")]
pub use self::reply::{Reply, failed};
#[cfg(feature = "rabbitmq")]
pub use self::sender::RabbitMq;
#[cfg(feature = "rabbitmq")]
pub use self::session::Session;
