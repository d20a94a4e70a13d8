//! The kinds of objects that JSON does not know.

use pyo3::prelude::*;
use pyo3::types::{
    PyByteArray, PyBytes, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PyMemoryView, PySet, PySlice, PyString, PyTuple,
    PyType,
};

use super::Writer;
use crate::attached::Once;
use crate::{abc, interrupt, text};

/// Types of the standard library, looked up once.
struct Types {
    enumeration: Py<PyType>,
    /// Written as `isoformat()`.
    iso: [Py<PyType>; 3],
    /// Written as `str()`.
    text: Vec<Py<PyType>>,
}

static TYPES: Once<Types> = Once::new();

fn types(py: Python<'_>) -> PyResult<&'static Types> {
    TYPES.get_or_try_init(py, || {
        let class = |module: &str, name: &str| -> PyResult<Py<PyType>> {
            Ok(py.import(module)?.getattr(name)?.cast_into::<PyType>()?.unbind())
        };
        Ok(Types {
            enumeration: class("enum", "Enum")?,
            iso: [class("datetime", "datetime")?, class("datetime", "date")?, class("datetime", "time")?],
            text: vec![
                class("uuid", "UUID")?,
                class("decimal", "Decimal")?,
                class("datetime", "timedelta")?,
                class("pathlib", "PurePath")?,
                class("fractions", "Fraction")?,
            ],
        })
    })
}

/// Writes an object of no exact builtin type. What its own code raises ends in a placeholder.
pub(super) fn write(writer: &mut Writer, value: &Bound<'_, PyAny>) {
    if interrupt::outcome(value.py(), try_write(writer, value)).is_none() {
        writer.out.string(&text::kind(value));
    }
}

fn is_any(value: &Bound<'_, PyAny>, classes: &[Py<PyType>]) -> PyResult<bool> {
    for class in classes {
        if value.is_instance(class.bind(value.py()))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// An attribute that the object's class defines, so that objects which answer to every name are not taken in.
fn class_has(value: &Bound<'_, PyAny>, name: &Bound<'_, PyString>) -> PyResult<bool> {
    value.get_type().hasattr(name)
}

/// What a member of an enumeration stands for.
pub(crate) fn enum_value<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = value.py();
    if !value.is_instance(types(py)?.enumeration.bind(py))? {
        return Ok(None);
    }
    value.getattr(pyo3::intern!(py, "value")).map(Some)
}

/// Whether it is a model of pydantic 2.
pub(crate) fn is_model(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = value.py();
    Ok(class_has(value, pyo3::intern!(py, "model_dump"))? && class_has(value, pyo3::intern!(py, "model_fields"))?)
}

/// Whether it is an instance of a dataclass.
pub(crate) fn is_dataclass(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    class_has(value, pyo3::intern!(value.py(), "__dataclass_fields__"))
}

fn try_write(writer: &mut Writer, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = value.py();
    let types = types(py)?;
    if value.cast::<PyType>().is_ok() {
        writer.string(&value.str()?);
    } else if let Some(member) = enum_value(value)? {
        writer.value(&member);
    } else if is_model(value)? {
        // Its own serialisers decide what a model shows.
        let fields = value.call_method0("model_dump")?;
        writer.value(&fields);
    } else if is_dataclass(value)? {
        let fields = value.getattr("__dataclass_fields__")?;
        let names: Vec<Bound<'_, PyAny>> = fields.try_iter()?.collect::<PyResult<_>>()?;
        let entries = names.into_iter().filter_map(|name| {
            let value = interrupt::outcome(py, value.getattr(name.cast::<PyString>().ok()?))?;
            Some((name, value))
        });
        writer.object(entries);
    } else if is_any(value, &types.iso)? {
        writer.string(&value.call_method0("isoformat")?.str()?);
    } else if is_any(value, &types.text)? {
        writer.string(&value.str()?);
    } else {
        write_builtin_like(writer, value)?;
    }
    Ok(())
}

/// Subclasses of builtins, bytes, sets, mappings, numpy's numbers and arrays, and whatever is left.
fn write_builtin_like(writer: &mut Writer, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = value.py();
    if let Ok(bytes) = value.cast::<PyBytes>() {
        write_bytes(writer, bytes.as_bytes());
    } else if let Ok(bytes) = value.cast::<PyByteArray>() {
        write_long_bytes(writer, value, bytes.len())?;
    } else if let Ok(text) = value.cast::<PyString>() {
        writer.string(text);
    } else if let Ok(number) = value.cast::<PyInt>() {
        writer.integer(number);
    } else if let Ok(number) = value.cast::<PyFloat>() {
        writer.float(number.value());
    } else if value.cast::<PySet>().is_ok() || value.cast::<PyFrozenSet>().is_ok() {
        write_set(writer, value)?;
    } else if let Ok(items) = value.cast::<PyTuple>() {
        write_tuple(writer, value, items)?;
    } else if let Ok(items) = value.cast::<PyList>() {
        writer.array(items.get_slice(0, writer.out.room() + 1).iter());
    } else if let Ok(entries) = value.cast::<PyDict>() {
        writer.dict(entries);
    } else if abc::is_mapping(value) {
        writer.object(abc::items(value));
    } else if value.cast::<PyMemoryView>().is_ok() {
        // As bytes, whatever else it is a view of.
        let bytes = value.call_method1("cast", ("B",))?;
        write_long_bytes(writer, &bytes, bytes.len()?)?;
    } else if is_numpy(value)? {
        write_numpy(writer, value)?;
    } else if abc::is_sequence(value) || abc::is_set_or_view(value) {
        let items = value.try_iter()?;
        writer.array(items.map_while(|item| interrupt::outcome(py, item)));
    } else {
        writer.string(&value.repr()?);
    }
    Ok(())
}

/// Sorted where that works, so that equal sets look equal, and where all of it can be written.
fn write_set(writer: &mut Writer, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = value.py();
    // A copy, because an element's own code may change the set.
    let items = PyList::empty(py);
    let most = writer.out.room() + 1;
    for item in value.try_iter()?.take(most) {
        items.append(item?)?;
    }
    if items.len() < most {
        // Elements of several kinds have no order.
        interrupt::outcome(py, items.sort());
    }
    writer.array(items.iter());
    Ok(())
}

fn write_bytes(writer: &mut Writer, bytes: &[u8]) {
    match str::from_utf8(bytes) {
        Ok(text) => writer.out.string(text),
        Err(_) => writer.out.string(&format!("<{} bytes>", bytes.len())),
    }
}

/// Bytes that can only be read as a copy: no more are copied than can be written.
fn write_long_bytes(writer: &mut Writer, bytes: &Bound<'_, PyAny>, length: usize) -> PyResult<()> {
    let py = bytes.py();
    // No character has more bytes than four.
    let most = (writer.out.room() + 1).saturating_mul(4);
    let end = isize::try_from(most).unwrap_or(isize::MAX);
    let head = py.get_type::<PyBytes>().call1((bytes.get_item(PySlice::new(py, 0, end, 1))?,))?;
    let head = head.cast::<PyBytes>()?.as_bytes();
    match str::from_utf8(head) {
        Ok(text) => writer.out.string(text),
        Err(cut) if length > most && cut.error_len().is_none() => {
            writer.out.string(str::from_utf8(&head[..cut.valid_up_to()]).unwrap_or_default());
        }
        Err(_) => writer.out.string(&format!("<{length} bytes>")),
    }
    Ok(())
}

/// Named tuples show their names.
fn write_tuple(writer: &mut Writer, value: &Bound<'_, PyAny>, items: &Bound<'_, PyTuple>) -> PyResult<()> {
    if !class_has(value, pyo3::intern!(value.py(), "_fields"))? {
        writer.array(items.iter());
        return Ok(());
    }
    let names: Vec<Bound<'_, PyAny>> = value.getattr("_fields")?.try_iter()?.collect::<PyResult<_>>()?;
    writer.object(names.into_iter().zip(items.iter()));
    Ok(())
}

/// Whether it comes from numpy.
pub(crate) fn is_numpy(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(value.get_type().module()?.to_string_lossy() == "numpy")
}

/// A scalar, or an array that is small enough to be worth its elements.
fn write_numpy(writer: &mut Writer, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let size: usize = value.getattr("size")?.extract()?;
    if size > writer.out.room() {
        let shape = value.getattr("shape")?.str()?;
        writer.out.string(&format!("<array of shape {}>", shape.to_string_lossy()));
        return Ok(());
    }
    let plain = value.call_method0("tolist")?;
    if plain.get_type().is(value.get_type()) {
        writer.string(&value.repr()?);
    } else {
        writer.value(&plain);
    }
    Ok(())
}
