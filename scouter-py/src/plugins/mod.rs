//! The plug-ins of OpenTelemetry's SDK for Python, called from here: span processors, samplers, id generators, exporters.
//!
//! Two rules for all of them. What a plug-in raises is counted and logged, and the program does not feel it; only what is
//! not an `Exception` (an interrupt, an exit) goes on to the program, because it is not the plug-in's. And no plug-in is
//! called while anything is locked.

mod exporter;
mod failures;
mod ids;
mod processors;
mod sampler;

use std::sync::Arc;

use crate::observer::Observer;

pub(crate) use exporter::Exporter;
pub(crate) use failures::{Failures, Role};
pub(crate) use ids::Ids;
pub(crate) use processors::{Hook, Processors};
pub(crate) use sampler::{Asked, PythonSampler};

/// The plug-ins of one provider.
#[derive(Default)]
pub(crate) struct Plugins {
    pub(crate) processors: Processors,
    /// Exporters that are objects of Python, to be flushed.
    pub(crate) exporters: Vec<Exporter>,
    /// Whether a sampler or an id generator in Python is asked when a span begins.
    pub(crate) asks: bool,
    pub(crate) failures: Arc<Failures>,
    /// Told of exports.
    pub(crate) observer: Arc<Observer>,
    /// How many spans may wait in the pipeline.
    pub(crate) queue_capacity: usize,
    /// The names of the propagators that variables or a configuration file ask for.
    pub(crate) propagators: Vec<String>,
}
