//! The other end: receive, store, query, page.
//!
//! One process, one port: OTLP over HTTP and over gRPC, the JSON API, the web page, `/metrics` and `/healthz`. A request's
//! way is receive → ingest → [store](store::Store); it is acknowledged when its spans or records are durable, and not before. The
//! messages of a broker go the same way.

mod access;
mod command;
mod config;
mod error;
mod ingest;
mod metrics;
pub mod page;
pub mod query;
mod receive;
mod server;
pub mod store;

pub use command::run;
pub use config::{Config, Token};
pub use error::{ServerError, ServerErrorKind};
pub use receive::kafka::{KafkaSource, Properties as KafkaProperties};
pub use receive::rabbitmq::RabbitMqSource;
pub use server::Server;
