//! Records as Python programs make them. They hold on to what they were given; what of it fits is looked at when they are
//! inserted.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use crate::{abc, errors, text};

use super::reading;

/// A name with a value.
type Entry = (Py<PyAny>, Py<PyAny>);

/// What an agent or a language model did, for evaluation.
#[pyclass(frozen, module = "scouter._scouter")]
pub(crate) struct EvalRecord {
    pub(super) context: Py<PyAny>,
    pub(super) id: Py<PyAny>,
    pub(super) session_id: Py<PyAny>,
    pub(super) tags: Py<PyAny>,
}

/// The features of one prediction.
#[pyclass(frozen, module = "scouter._scouter")]
pub(crate) struct Features(pub(super) Vec<Entry>);

/// A feature with its value.
#[pyclass(frozen, module = "scouter._scouter")]
pub(crate) struct Feature {
    pub(super) name: Py<PyAny>,
    pub(super) value: Py<PyAny>,
}

/// Metrics of one moment.
#[pyclass(frozen, module = "scouter._scouter")]
pub(crate) struct Metrics(pub(super) Vec<Entry>);

/// A metric with its value.
#[pyclass(frozen, module = "scouter._scouter")]
pub(crate) struct Metric {
    pub(super) name: Py<PyAny>,
    pub(super) value: Py<PyAny>,
}

#[pymethods]
impl EvalRecord {
    #[new]
    #[pyo3(signature = (context, id=None, session_id=None, tags=None))]
    fn new(
        py: Python<'_>,
        context: Py<PyAny>,
        id: Option<Py<PyAny>>,
        session_id: Option<Py<PyAny>>,
        tags: Option<Py<PyAny>>,
    ) -> Self {
        let [id, session_id, tags] = [id, session_id, tags].map(|given| given.unwrap_or_else(|| py.None()));
        Self { context, id, session_id, tags }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        [&self.context, &self.id, &self.session_id, &self.tags].into_iter().try_for_each(|held| visit.call(held))
    }

    /// What the tasks of the profile look at.
    #[getter]
    fn context(&self, py: Python<'_>) -> Py<PyAny> {
        self.context.clone_ref(py)
    }

    /// Its own id.
    #[getter]
    fn id(&self, py: Python<'_>) -> Py<PyAny> {
        self.id.clone_ref(py)
    }

    /// The session it belongs to.
    #[getter]
    fn session_id(&self, py: Python<'_>) -> Py<PyAny> {
        self.session_id.clone_ref(py)
    }

    /// What it can be searched by.
    #[getter]
    fn tags(&self, py: Python<'_>) -> Py<PyAny> {
        self.tags.clone_ref(py)
    }

    fn __getnewargs__(&self, py: Python<'_>) -> (Py<PyAny>, Py<PyAny>, Py<PyAny>, Py<PyAny>) {
        (self.context(py), self.id(py), self.session_id(py), self.tags(py))
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = other.py();
        let Ok(other) = other.cast::<Self>() else { return Ok(false) };
        let theirs = other.get().__getnewargs__(py).into_pyobject(py)?;
        self.__getnewargs__(py).into_pyobject(py)?.eq(theirs)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let mut shown = format!("EvalRecord(context={}", repr(self.context.bind(py))?);
        for (name, held) in [("id", &self.id), ("session_id", &self.session_id), ("tags", &self.tags)] {
            if !held.is_none(py) {
                shown.push_str(&format!(", {name}={}", repr(held.bind(py))?));
            }
        }
        Ok(shown + ")")
    }
}

/// The methods of a name with a value, and those of several.
macro_rules! named_values {
    ($many:ident, $one:ident, $noun:literal) => {
        #[pymethods]
        impl $many {
            #[new]
            fn new(items: &Bound<'_, PyAny>) -> PyResult<Self> {
                Ok(Self(entries(items, $noun, |item| {
                    let item = item.cast::<$one>().ok()?.get();
                    Some((item.name.clone_ref(items.py()), item.value.clone_ref(items.py())))
                })?))
            }

            fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
                self.0.iter().try_for_each(|(name, value)| visit.call(name).and_then(|()| visit.call(value)))
            }

            fn __len__(&self) -> usize {
                self.0.len()
            }

            fn __iter__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
                let make = |(name, value): &Entry| $one { name: name.clone_ref(py), value: value.clone_ref(py) };
                let all = self.0.iter().map(|entry| Py::new(py, make(entry))).collect::<PyResult<Vec<_>>>()?;
                Ok(PyList::new(py, all)?.try_iter()?.into_any().unbind())
            }

            /// The values by name.
            fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
                let dict = PyDict::new(py);
                self.0.iter().try_for_each(|(name, value)| dict.set_item(name, value))?;
                Ok(dict)
            }

            fn __getnewargs__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyList>,)> {
                let all = slf.try_iter()?.collect::<PyResult<Vec<_>>>()?;
                Ok((PyList::new(slf.py(), all)?,))
            }

            fn __eq__(&self, other: &Bound<'_, PyAny>) -> PyResult<bool> {
                let Ok(other) = other.cast::<Self>() else { return Ok(false) };
                let (py, other) = (other.py(), other.get());
                if self.0.len() != other.0.len() {
                    return Ok(false);
                }
                for ((name, value), (other_name, other_value)) in self.0.iter().zip(&other.0) {
                    if !(name.bind(py).eq(other_name)? && value.bind(py).eq(other_value)?) {
                        return Ok(false);
                    }
                }
                Ok(true)
            }

            fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
                let shown = self.0.iter().map(|(name, value)| shown(py, stringify!($one), name, value));
                let shown = shown.collect::<PyResult<Vec<_>>>()?;
                Ok(format!(concat!(stringify!($many), "([{}])"), shown.join(", ")))
            }
        }
    };
}

named_values!(Features, Feature, "a Feature");
named_values!(Metrics, Metric, "a Metric");

/// What a name with a value has beside its constructors.
macro_rules! named_value {
    ($one:ident { $($constructors:tt)* }) => {
        #[pymethods]
        impl $one {
            #[new]
            fn new(name: Py<PyAny>, value: Py<PyAny>) -> Self {
                Self { name, value }
            }

            $($constructors)*

            fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
                visit.call(&self.name)?;
                visit.call(&self.value)
            }

            /// Its name in the profile.
            #[getter]
            fn name(&self, py: Python<'_>) -> Py<PyAny> {
                self.name.clone_ref(py)
            }

            /// Its value.
            #[getter]
            fn value(&self, py: Python<'_>) -> Py<PyAny> {
                self.value.clone_ref(py)
            }

            fn __getnewargs__(&self, py: Python<'_>) -> (Py<PyAny>, Py<PyAny>) {
                (self.name(py), self.value(py))
            }

            fn __eq__(&self, other: &Bound<'_, PyAny>) -> PyResult<bool> {
                let Ok(other) = other.cast::<Self>() else { return Ok(false) };
                let (py, other) = (other.py(), other.get());
                Ok(self.name.bind(py).eq(&other.name)? && self.value.bind(py).eq(&other.value)?)
            }

            fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
                PyTuple::new(py, [&self.name, &self.value])?.hash()
            }

            fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
                shown(py, stringify!($one), &self.name, &self.value)
            }
        }
    };
}

named_value!(Feature {
    /// A feature of type `int`. Numbers that are whole, such as 3.0, are taken for what they are.
    #[staticmethod]
    #[pyo3(name = "int")]
    fn of_int(name: Py<PyAny>, value: &Bound<'_, PyAny>) -> Self {
        Self { name, value: reading::whole(value).unwrap_or_else(|| value.clone()).unbind() }
    }

    /// A feature of type `float`.
    #[staticmethod]
    #[pyo3(name = "float")]
    fn of_float(name: Py<PyAny>, value: &Bound<'_, PyAny>) -> Self {
        Self { name, value: reading::float(value).unwrap_or_else(|| value.clone()).unbind() }
    }

    /// A feature of type `text`: what is no text becomes what `str` makes of it.
    #[staticmethod]
    fn string(name: Py<PyAny>, value: &Bound<'_, PyAny>) -> Self {
        let is_text = value.is_none() || value.cast::<PyString>().is_ok();
        let of = || PyString::new(value.py(), &text::of(value)).into_any();
        Self { name, value: if is_text { value.clone() } else { of() }.unbind() }
    }
});
named_value!(Metric {});

/// The names and values in what several were made of: a mapping, a model, or the single ones.
fn entries(
    items: &Bound<'_, PyAny>,
    noun: &str,
    read: impl Fn(&Bound<'_, PyAny>) -> Option<Entry>,
) -> PyResult<Vec<Entry>> {
    let py = items.py();
    if let Some(entries) = reading::entries(items)? {
        return Ok(entries.into_iter().map(|(name, value)| (name.unbind(), value.unbind())).collect());
    }
    let wrong = |of: &Bound<'_, PyAny>| {
        let kind = text::type_name(of);
        errors::config_type(py, &format!("items has a value of type {kind}: give a dict, or {noun} for each"))
    };
    if abc::is_text_or_bytes(items) {
        return Err(wrong(items));
    }
    let items = items.try_iter().map_err(|_| wrong(items))?;
    let read = |item: PyResult<Bound<'_, PyAny>>| item.and_then(|item| read(&item).ok_or_else(|| wrong(&item)));
    items.map(read).collect()
}

fn shown(py: Python<'_>, class: &str, name: &Py<PyAny>, value: &Py<PyAny>) -> PyResult<String> {
    Ok(format!("{class}(name={}, value={})", repr(name.bind(py))?, repr(value.bind(py))?))
}

fn repr(value: &Bound<'_, PyAny>) -> PyResult<String> {
    Ok(text::lossy(&value.repr()?).into_owned())
}
