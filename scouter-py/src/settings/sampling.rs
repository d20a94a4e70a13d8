//! The sampler.

use std::sync::Arc;

use pyo3::prelude::*;
use scouter_span::{Ratio, Sampler};

use crate::errors;
use crate::plugins::{Plugins, PythonSampler};

/// Reads a sampler from how the Python package describes it: a name, and what goes with it.
pub(super) fn sampler(described: &Bound<'_, PyAny>, plugins: &mut Plugins) -> PyResult<Sampler> {
    let py = described.py();
    let (name, with): (String, Bound<'_, PyAny>) = described.extract()?;
    Ok(match name.as_str() {
        "always_on" => Sampler::AlwaysOn,
        "always_off" => Sampler::AlwaysOff,
        "ratio" => Sampler::TraceIdRatio(
            Ratio::new(with.extract()?).map_err(|error| errors::config(py, &format!("sampler: {error}")))?,
        ),
        "parent_based" => Sampler::parent_based(sampler(&with, plugins)?),
        _ => {
            plugins.asks = true;
            Sampler::Custom(Arc::new(PythonSampler::new(with.unbind(), Arc::clone(&plugins.failures))))
        }
    })
}
