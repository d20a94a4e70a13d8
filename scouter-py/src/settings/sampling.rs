//! The sampler.

use std::sync::Arc;

use pyo3::prelude::*;
use scouter_span::Sampler;

use crate::plugins::{Plugins, PythonSampler};

/// Reads a sampler from how the Python package describes it: a name, and what goes with it.
pub(super) fn sampler(described: &Bound<'_, PyAny>, plugins: &mut Plugins) -> PyResult<Sampler> {
    let (name, with): (String, Bound<'_, PyAny>) = described.extract()?;
    Ok(match name.as_str() {
        "always_on" => Sampler::AlwaysOn,
        "always_off" => Sampler::AlwaysOff,
        "parent_based" => Sampler::parent_based(sampler(&with, plugins)?),
        // "custom": the sampler itself.
        _ => {
            plugins.asks = true;
            Sampler::Custom(Arc::new(PythonSampler::new(with.unbind(), Arc::clone(&plugins.failures))))
        }
    })
}
