//! Records that belong to a program's spans: evaluations, features, metrics.
//!
//! ```text
//! Record ─▶ fits the Profile? ─▶ in the kept part? ─▶ OTLP LogRecord ─▶ RecordSink
//!                               with its span, if any    as bytes
//! ```
//!
//! A [`Profile`] says what an entity's records look like and which part of them is kept. A [`RecordQueue`] takes
//! [`Record`]s for one profile: a record that does not fit is [rejected](Outcome::Rejected) with a sentence that says why and
//! costs no other record anything; one that fits becomes the bytes of an OTLP `LogRecord` with the ids of the span it was
//! inserted in, so that any OpenTelemetry tool can read it. The [`RecordSink`] brings it on its way.
//!
//! A record is kept if and only if its span is sampled and the profile's ratio contains the trace, so records and traces
//! match. All work is done on the thread that inserts, in buffers of its own.
//!
//! This crate does no I/O but reading and writing profile files when it is asked to, and starts no thread.

pub mod attribute;
mod count;
mod encode;
mod error;
mod profile;
mod queue;
mod record;
pub mod sampling;
mod sink;

pub use error::{Error, ErrorKind};
pub use profile::{Baseline, Content, Entity, FeatureSpec, FeatureType, Kind, MetricSpec, Profile, Task};
pub use queue::{Outcome, RecordQueue, RecordStats};
pub use record::{EvalRecord, Feature, FeatureValue, Features, Metric, Metrics, Record, Rejected};
pub use sink::{FinishedRecord, RecordSink};
