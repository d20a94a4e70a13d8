//! Profiles, as Python sees them.

use std::path::PathBuf;

use pyo3::prelude::*;
use scouter::queue::{Error, ErrorKind, Profile as Core};

use crate::errors;

/// What the records of an entity look like. The Python package's profiles derive from it.
#[pyclass(frozen, subclass, module = "scouter._scouter")]
pub(crate) struct Profile(Core);

impl Profile {
    pub(super) const fn new_from(core: Core) -> Self {
        Self(core)
    }

    pub(super) const fn core(&self) -> &Core {
        &self.0
    }
}

fn raised(py: Python<'_>, error: &Error) -> PyErr {
    let raise = if error.kind() == ErrorKind::Missing { errors::profile_not_found } else { errors::config };
    raise(py, &error.to_string())
}

#[pymethods]
impl Profile {
    #[new]
    fn new(py: Python<'_>, text: &str) -> PyResult<Self> {
        Core::from_json(text).map(Self).map_err(|error| raised(py, &error))
    }

    /// The text of a profile file, once it is known to be one.
    #[staticmethod]
    fn _read(py: Python<'_>, path: PathBuf) -> PyResult<String> {
        let read = py.detach(|| Core::from_path(path));
        read.map(|profile| profile.to_json()).map_err(|error| raised(py, &error))
    }

    /// Writes a profile file; what was there is replaced at once or not at all.
    fn _save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        py.detach(|| self.0.save(path)).map_err(|error| raised(py, &error))
    }

    /// The text of a profile file.
    fn to_json(&self) -> String {
        self.0.to_json()
    }

    /// What it is for: `spc`, `psi`, `custom` or `agent`.
    #[getter]
    fn kind(&self) -> &'static str {
        self.0.kind().name()
    }

    /// The group that what is watched belongs to.
    #[getter]
    fn space(&self) -> &str {
        &self.0.entity().space
    }

    /// The name of what is watched, within its space.
    #[getter]
    fn name(&self) -> &str {
        &self.0.entity().name
    }

    /// Its version.
    #[getter]
    fn version(&self) -> &str {
        &self.0.entity().version
    }

    /// Its id, the same everywhere; `span.set_entity(uid)` ties a span to it.
    #[getter]
    fn uid(&self) -> &str {
        &self.0.entity().uid
    }

    /// What programs call its queue.
    #[getter]
    fn alias(&self) -> &str {
        &self.0.entity().alias
    }

    /// What it is about, for people.
    #[getter]
    fn description(&self) -> Option<&str> {
        self.0.description()
    }

    /// The part of all records that is kept.
    #[getter]
    fn sample_ratio(&self) -> f64 {
        self.0.sample_ratio().get()
    }
}
