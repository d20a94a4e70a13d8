//! Finished bytes to somewhere.
//!
//! A [`Transport`] brings [`Payload`]s, which are OTLP requests already encoded, to a far end: over
//! [HTTP](http), over [gRPC](grpc), over [Kafka](kafka), through [RabbitMQ](rabbitmq) or into [memory]. Nothing
//! here knows what a span is, and nothing here retries unless it is wrapped into [`Retry`].
//!
//! ```
//! use scouter_transport::{Endpoint, connect, http::HttpConfig};
//!
//! let config = HttpConfig::new(Endpoint::from_user("http://localhost:4318")?);
//! match connect(config) {
//!     Ok(transport) => drop(transport),
//!     Err(error) => drop(error.to_string()), // without the feature: `enable the cargo feature `http``
//! }
//! # Ok::<(), scouter_transport::Error>(())
//! ```
//!
//! # Features
//!
//! * `http`: [`http::Http`](http).
//! * `grpc`: [`grpc::Grpc`](grpc).
//! * `kafka`: [`kafka::Kafka`](kafka); `kafka-tls` adds TLS and user names with the OpenSSL of the system.
//! * `rabbitmq`: [`rabbitmq::RabbitMq`](rabbitmq).
//! * `json`: [`json`], the JSON form of OTLP. Comes with `http`.
//! * `conformance`: the suite that every transport passes, for tests of transports made elsewhere.
//!
//! # Layout
//!
//! Every transport is a folder with the same files: `config.rs`, which is always built, and `sender.rs` with what it
//! takes, which comes with its feature. Wrappers live in `wrap`.

#[cfg(any(feature = "http", feature = "grpc"))]
mod answer;
mod compression;
#[cfg(feature = "conformance")]
pub mod conformance;
mod connect;
#[cfg(any(feature = "http", feature = "grpc"))]
mod connection;
mod endpoint;
mod error;
pub mod grpc;
mod headers;
pub mod http;
#[cfg(feature = "json")]
pub mod json;
pub mod kafka;
pub mod memory;
mod payload;
pub mod rabbitmq;
mod tls;
mod traffic;
mod transport;
#[cfg(any(feature = "http", feature = "grpc", feature = "json", feature = "kafka"))]
mod wire;
mod wrap;

pub use self::compression::Compression;
pub use self::connect::{Config, connect};
pub use self::endpoint::Endpoint;
pub use self::error::{Error, ErrorKind, Status};
pub use self::payload::{ContentType, Payload, Receipt, Signal};
pub use self::tls::TlsConfig;
pub use self::transport::{BoxFuture, Transport};
pub use self::wrap::{Retry, RetryPolicy, Retrying, Timeout};
