//! The abstract kinds of containers. Asking an object for its kind may run its own code; what that raises means "no".

use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyList, PyString, PyTuple};

use crate::attached::Once;
use crate::interrupt;

struct Kinds {
    mapping: Py<PyAny>,
    sequence: Py<PyAny>,
    set: Py<PyAny>,
    view: Py<PyAny>,
}

static KINDS: Once<Kinds> = Once::new();

fn is(value: &Bound<'_, PyAny>, kind: impl FnOnce(&Kinds) -> &Py<PyAny>) -> bool {
    let py = value.py();
    let load = || -> PyResult<Kinds> {
        let module = py.import("collections.abc")?;
        let class = |name: &str| module.getattr(name).map(Bound::unbind);
        Ok(Kinds {
            mapping: class("Mapping")?,
            sequence: class("Sequence")?,
            set: class("Set")?,
            view: class("MappingView")?,
        })
    };
    let answer = KINDS.get_or_try_init(py, load).and_then(|kinds| value.is_instance(kind(kinds).bind(py)));
    interrupt::outcome(py, answer).unwrap_or(false)
}

/// A `dict`, or another mapping.
pub(crate) fn is_mapping(value: &Bound<'_, PyAny>) -> bool {
    value.cast::<PyDict>().is_ok() || is(value, |kinds| &kinds.mapping)
}

/// A `list`, a `tuple`, or another sequence. Texts and bytes are sequences too.
pub(crate) fn is_sequence(value: &Bound<'_, PyAny>) -> bool {
    value.cast::<PyList>().is_ok() || value.cast::<PyTuple>().is_ok() || is(value, |kinds| &kinds.sequence)
}

/// A sequence that nobody means as a list of things.
pub(crate) fn is_text_or_bytes(value: &Bound<'_, PyAny>) -> bool {
    value.cast::<PyString>().is_ok() || value.cast::<PyBytes>().is_ok() || value.cast::<PyByteArray>().is_ok()
}

/// Any kind of set, or a view of a mapping's keys, values or items.
pub(crate) fn is_set_or_view(value: &Bound<'_, PyAny>) -> bool {
    is(value, |kinds| &kinds.set) || is(value, |kinds| &kinds.view)
}

/// The keys and values of a mapping, one after the other. Ends where the mapping's own code raises.
pub(crate) fn items<'py>(
    mapping: &Bound<'py, PyAny>,
) -> impl Iterator<Item = (Bound<'py, PyAny>, Bound<'py, PyAny>)> + use<'py> {
    let py = mapping.py();
    let items = mapping.call_method0(pyo3::intern!(py, "items")).and_then(|items| items.try_iter());
    let pairs = interrupt::outcome(py, items).into_iter().flatten();
    pairs.map_while(move |pair| interrupt::outcome(py, pair.and_then(|pair| pair.extract())))
}
