//! Texts of Python, which need not be Unicode, and what other objects say as text.

use std::borrow::Cow;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PySlice, PyString};

use crate::interrupt;

/// Python refuses to print longer integers by default, and takes time by the square of their length for them.
const MAX_BITS: u64 = 14_284;

/// The text. Two halves of a surrogate pair become the character they mean, and every other half U+FFFD.
pub(crate) fn lossy<'a>(text: &'a Bound<'_, PyString>) -> Cow<'a, str> {
    match text.to_str() {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(without_surrogates(text).unwrap_or_else(|_| text.to_string_lossy().into_owned())),
    }
}

fn without_surrogates(text: &Bound<'_, PyString>) -> PyResult<String> {
    let encoded = text.call_method1(intern!(text.py(), "encode"), ("utf-16-le", "surrogatepass"))?;
    let units = encoded.cast::<PyBytes>()?.as_bytes().as_chunks().0.iter().map(|unit| u16::from_le_bytes(*unit));
    Ok(char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
}

/// The first characters of a text. What of a longer one is not wanted is not copied either.
pub(crate) fn first<'py>(text: &Bound<'py, PyString>, characters: usize) -> Bound<'py, PyString> {
    if text.len().is_ok_and(|length| length <= characters) {
        return text.clone();
    }
    let end = isize::try_from(characters).unwrap_or(isize::MAX);
    let cut = text.as_any().get_item(PySlice::new(text.py(), 0, end, 1));
    cut.ok().and_then(|cut| cut.cast_into().ok()).unwrap_or_else(|| text.clone())
}

/// What `str` says, or what kind of object will not say.
pub(crate) fn of(value: &Bound<'_, PyAny>) -> String {
    if let Ok(number) = value.cast::<PyInt>()
        && let Some(bits) = too_long(number)
    {
        return bits;
    }
    match interrupt::outcome(value.py(), value.str()) {
        Some(text) => lossy(&text).into_owned(),
        None => kind(value),
    }
}

/// Stands for an object that cannot be shown: the name of its type in angle brackets.
pub(crate) fn kind(value: &Bound<'_, PyAny>) -> String {
    format!("<{}>", type_name(value))
}

/// The name of its type.
pub(crate) fn type_name(value: &Bound<'_, PyAny>) -> String {
    value.get_type().name().map_or_else(|_| "object".to_owned(), |name| lossy(&name).into_owned())
}

/// Stands for an integer of more digits than anybody reads.
pub(crate) fn too_long(number: &Bound<'_, PyInt>) -> Option<String> {
    let bits = number.call_method0(intern!(number.py(), "bit_length")).and_then(|bits| bits.extract::<u64>());
    let bits = interrupt::outcome(number.py(), bits)?;
    (bits > MAX_BITS).then(|| format!("<int of {bits} bits>"))
}

/// Whether its type says something of its own; if not, its text is an address and of no use to anybody.
pub(crate) fn has_own(value: &Bound<'_, PyAny>) -> bool {
    let py = value.py();
    let kind = value.get_type();
    let object = py.get_type::<PyAny>();
    let own = |name: &Bound<'_, PyString>| -> PyResult<bool> { Ok(!kind.getattr(name)?.is(&object.getattr(name)?)) };
    let either = own(intern!(py, "__str__")).and_then(|own_str| Ok(own_str || own(intern!(py, "__repr__"))?));
    interrupt::outcome(py, either).unwrap_or(true)
}
