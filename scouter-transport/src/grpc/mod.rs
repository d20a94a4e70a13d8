//! OTLP over gRPC.
//!
//! [`GrpcConfig`] is always here; `Grpc` comes with the cargo feature `grpc`.

#[cfg(feature = "grpc")]
mod answer;
#[cfg(feature = "grpc")]
mod codec;
mod config;
#[cfg(feature = "grpc")]
mod link;
#[cfg(feature = "grpc")]
mod sender;

pub use self::config::GrpcConfig;
#[cfg(feature = "grpc")]
pub use self::sender::Grpc;
