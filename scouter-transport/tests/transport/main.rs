//! The transports against real receivers in this process, well and badly behaved.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod desk;
mod grpc;
mod http;
mod memory;
mod misbehaving;
mod runtime;
mod server;
mod tls;
mod wrappers;
