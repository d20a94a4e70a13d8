//! OTLP over HTTP/1.1.
//!
//! [`HttpConfig`] is always here; `Http` comes with the cargo feature `http`.

mod config;
#[cfg(feature = "http")]
mod sender;

pub use self::config::HttpConfig;
#[cfg(feature = "http")]
pub use self::sender::Http;
