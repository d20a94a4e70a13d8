//! Where spans come from: the resource and the instrumentation scope, as Python reads them.

use std::hash::{DefaultHasher, Hash, Hasher};

use pyo3::prelude::*;
use scouter_span::view;

use super::read;

/// What spans belong to. Equal ones are one key of a dict, which exporters sort spans by.
#[pyclass(frozen, module = "scouter._scouter")]
pub(crate) struct Resource {
    /// What describes the process.
    #[pyo3(get)]
    attributes: Py<PyAny>,
    /// Where the attributes' names are defined, `""` when not said.
    #[pyo3(get)]
    schema_url: String,
    encoded: Box<[u8]>,
}

/// The library or component that records spans. Equal ones are one key of a dict.
#[pyclass(frozen, name = "InstrumentationScope", module = "scouter._scouter")]
pub(crate) struct Scope {
    /// Its name.
    #[pyo3(get)]
    name: String,
    /// Its version, if it said one.
    #[pyo3(get)]
    version: Option<String>,
    /// Where the names of the spans' attributes are defined, if it said that.
    #[pyo3(get)]
    schema_url: Option<String>,
    /// Its attributes.
    #[pyo3(get)]
    attributes: Py<PyAny>,
    encoded: Box<[u8]>,
}

fn hash_of(encoded: &[u8], schema_url: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (encoded, schema_url).hash(&mut hasher);
    hasher.finish()
}

impl Resource {
    pub(crate) fn new(py: Python<'_>, resource: view::Resource<'_>, schema_url: &str) -> PyResult<Py<Self>> {
        let attributes = read::proxy(py, resource.attributes())?.unbind();
        Py::new(py, Self { attributes, schema_url: schema_url.to_owned(), encoded: resource.bytes().into() })
    }
}

impl Scope {
    pub(crate) fn new(py: Python<'_>, scope: view::Scope<'_>, schema_url: &str) -> PyResult<Py<Self>> {
        let said = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Py::new(
            py,
            Self {
                name: scope.name().to_owned(),
                version: said(scope.version()),
                schema_url: said(schema_url),
                attributes: read::proxy(py, scope.attributes())?.unbind(),
                encoded: scope.bytes().into(),
            },
        )
    }
}

#[pymethods]
impl Resource {
    /// The resource as JSON text.
    #[pyo3(signature = (indent=Some(4)))]
    fn to_json<'py>(slf: &Bound<'py, Self>, indent: Option<u32>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("scouter.tracing._readable")?.getattr("resource_to_json")?.call1((slf, indent))
    }

    fn __eq__(&self, other: &Bound<'_, Self>) -> bool {
        let other = other.get();
        self.encoded == other.encoded && self.schema_url == other.schema_url
    }

    fn __hash__(&self) -> u64 {
        hash_of(&self.encoded, &self.schema_url)
    }
}

#[pymethods]
impl Scope {
    fn __eq__(&self, other: &Bound<'_, Self>) -> bool {
        let other = other.get();
        self.encoded == other.encoded && self.schema_url == other.schema_url
    }

    fn __hash__(&self) -> u64 {
        hash_of(&self.encoded, self.schema_url.as_deref().unwrap_or_default())
    }
}
