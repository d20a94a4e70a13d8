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
//! * `kafka`: OTLP over Kafka; `kafka-tls` adds TLS and user names.
//! * `rabbitmq`: OTLP through RabbitMQ.
//! * `config-file`: reads the file that `OTEL_CONFIG_FILE` names.
//! * `full`: everything.

mod attribute;
mod connection;
mod console;
mod environment;
mod error;
mod file;
mod handle;
mod propagators;
pub mod queue;
mod settings;

pub use attribute::Attributes;
pub use connection::{Connection, Protocol, TlsFiles, TransportFactory};
pub use console::Output;
pub use environment::Environment;
pub use error::Error;
pub use handle::Scouter;
pub use propagators::propagator;
pub use scouter_span::OwnedValue as Attribute;
pub use settings::{Collector, LogLevel, Settings};

pub use scouter_export as export;
pub use scouter_propagation as propagation;
pub use scouter_span as span;
pub use scouter_transport as transport;

/// Sets Scouter up from the process's environment and makes it OpenTelemetry's global provider, with the propagators that
/// `OTEL_PROPAGATORS` names. What could not be used of the environment is told once, as warnings of the `tracing` crate.
///
/// # Errors
/// A variable that cannot work at all, such as an address that is none.
pub fn init() -> Result<Scouter, Error> {
    let mut settings = Settings::from_environment(&Environment::process())?;
    let propagator = propagator(&settings.propagators, &mut settings.complaints);
    if settings.log_level >= LogLevel::Warn {
        for complaint in &settings.complaints {
            tracing::warn!(target: "scouter", "{complaint}");
        }
    }
    let scouter = settings.start()?;
    opentelemetry::global::set_text_map_propagator(propagator);
    opentelemetry::global::set_tracer_provider(scouter.opentelemetry());
    Ok(scouter)
}
