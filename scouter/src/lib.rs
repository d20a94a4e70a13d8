//! Scouter for Rust programs.
//!
//! ```no_run
//! let scouter = scouter::init()?;                 // reads SCOUTER_* and OTEL_* variables
//! let tracer = scouter.tracer("shop");
//! let mut span = tracer.span("checkout").start();
//! span.set_attribute("cart.items", 3);
//! span.end();
//! drop(scouter);                                  // sends what is left
//! # Ok::<(), scouter::Error>(())
//! ```
//!
//! Everything here is put together from the crates below it, which this one re-exports. It is the only library of Scouter
//! that reads the environment, and the only one that keeps anything for the whole process: the one worker thread.
//!
//! # Features
//!
//! * `http` (default): OTLP over HTTP.
//! * `grpc`: OTLP over gRPC.
//! * `full`: everything.

mod attribute;
mod connection;
mod environment;
mod error;
mod handle;
mod settings;

pub use attribute::{Attribute, Attributes};
pub use connection::{Connection, Protocol, TlsFiles, TransportFactory};
pub use environment::Environment;
pub use error::Error;
pub use handle::Scouter;
pub use settings::{Collector, Settings};

pub use scouter_export as export;
pub use scouter_propagation as propagation;
pub use scouter_span as span;
pub use scouter_transport as transport;

/// Sets Scouter up from the process's environment and makes it OpenTelemetry's global provider.
///
/// # Errors
/// A variable that cannot work at all, such as an address that is none.
pub fn init() -> Result<Scouter, Error> {
    let scouter = Settings::from_environment(&Environment::process())?.start()?;
    opentelemetry::global::set_tracer_provider(scouter.opentelemetry());
    Ok(scouter)
}
