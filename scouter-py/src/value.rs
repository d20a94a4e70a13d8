//! Python values as attribute values.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMapping, PySequence, PyString, PyTuple};
use scouter_span::Value;
use scouter_span::wire::field::{any_value, list};
use scouter_span::wire::{nested, write_key_value, write_value};

use crate::report;

/// Values nested deeper than this are cut; protobuf readers stop not much later.
const DEPTH_LIMIT: u32 = 32;

/// A value taken from Python, holding on to what it borrows. Nothing here calls Python once it is made.
pub(crate) enum Taken<'py> {
    Bool(bool),
    I64(i64),
    F64(f64),
    Str(Bound<'py, PyString>),
    Text(String),
    Bytes(Bound<'py, PyBytes>),
    Encoded(Vec<u8>),
}

/// Attributes taken from a mapping.
pub(crate) struct TakenAttributes<'py>(Vec<(Key<'py>, Taken<'py>)>);

enum Key<'py> {
    Borrowed(Bound<'py, PyString>),
    Owned(String),
}

impl<'py> Taken<'py> {
    /// Takes a value: truth values, integers of 64 bits, floats, texts, bytes, and sequences and mappings of such.
    /// Anything else becomes the text that `str` gives, as OpenTelemetry asks; `None` when it gives none.
    pub(crate) fn from(value: &Bound<'py, PyAny>, limit: usize) -> Option<Self> {
        // The exact types first: a pointer comparison each.
        if let Ok(text) = value.cast_exact::<PyString>() {
            return Some(Self::text(text));
        }
        if let Ok(number) = value.cast_exact::<PyInt>() {
            return Some(Self::integer(number));
        }
        if let Ok(truth) = value.cast::<PyBool>() {
            return Some(Self::Bool(truth.is_true()));
        }
        if let Ok(number) = value.cast::<PyFloat>() {
            return Some(Self::F64(number.value()));
        }
        if let Ok(bytes) = value.cast_exact::<PyBytes>() {
            return Some(Self::Bytes(bytes.clone()));
        }
        if value.is_none() {
            return None;
        }
        if let Ok(number) = value.cast::<PyInt>() {
            return Some(Self::integer(number));
        }
        if let Ok(text) = value.cast::<PyString>() {
            return Some(Self::text(text));
        }
        let mut encoded = Vec::new();
        encode(&mut encoded, value, limit, 0);
        Some(Self::Encoded(encoded))
    }

    fn text(text: &Bound<'py, PyString>) -> Self {
        match text.to_str() {
            Ok(_) => Self::Str(text.clone()),
            Err(_) => Self::Text(text.to_string_lossy().into_owned()),
        }
    }

    fn integer(number: &Bound<'py, PyInt>) -> Self {
        match number.extract::<i64>() {
            Ok(number) => Self::I64(number),
            Err(_) => {
                report::once(number.py(), "an attribute value is an integer beyond 64 bits and was kept as text");
                Self::Text(text_of(number))
            }
        }
    }

    pub(crate) fn value(&self) -> Value<'_> {
        match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::I64(value) => Value::I64(*value),
            Self::F64(value) => Value::F64(*value),
            Self::Str(text) => Value::Str(text.to_str().unwrap_or_default()),
            Self::Text(text) => Value::Str(text),
            Self::Bytes(bytes) => Value::Bytes(bytes.as_bytes()),
            Self::Encoded(content) => Value::Encoded(content),
        }
    }
}

/// What `str` says, or what kind of object will not say.
pub(crate) fn text_of(value: &Bound<'_, PyAny>) -> String {
    match value.str() {
        Ok(text) => text.to_string_lossy().into_owned(),
        Err(_) => format!("<{}>", value.get_type().name().map_or_else(|_| "object".into(), |name| name.to_string())),
    }
}

/// Writes the content of an `AnyValue`.
fn encode(out: &mut Vec<u8>, value: &Bound<'_, PyAny>, limit: usize, depth: u32) {
    if value.is_none() || depth > DEPTH_LIMIT {
        return;
    }
    if let Ok(entries) = value.cast::<PyMapping>() {
        let pairs = entries.items();
        nested(out, any_value::KVLIST, |out| {
            for pair in pairs.iter().flat_map(|pairs| pairs.iter()) {
                let Ok((key, value)) = pair.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>() else { continue };
                let mut content = Vec::new();
                encode(&mut content, &value, limit, depth + 1);
                let key = text_of(&key);
                nested(out, list::VALUES, |out| write_key_value(out, &key, Value::Encoded(&content), limit));
            }
        });
    } else if is_list(value) {
        nested(out, any_value::ARRAY, |out| {
            let Ok(items) = value.try_iter() else { return };
            for item in items.map_while(Result::ok) {
                nested(out, list::VALUES, |out| encode(out, &item, limit, depth + 1));
            }
        });
    } else if is_scalar(value) {
        if let Some(taken) = Taken::from(value, limit) {
            write_value(out, taken.value(), limit);
        }
    } else {
        report::once(
            value.py(),
            "an attribute value is neither a number, a text, nor a collection of such, and was kept as text",
        );
        write_value(out, Value::Str(&text_of(value)), limit);
    }
}

fn is_list(value: &Bound<'_, PyAny>) -> bool {
    value.cast::<PyList>().is_ok()
        || value.cast::<PyTuple>().is_ok()
        || (!is_scalar(value) && value.cast::<PySequence>().is_ok())
}

fn is_scalar(value: &Bound<'_, PyAny>) -> bool {
    value.cast::<PyString>().is_ok()
        || value.cast::<PyInt>().is_ok()
        || value.cast::<PyFloat>().is_ok()
        || value.cast_exact::<PyBytes>().is_ok()
}

impl Key<'_> {
    fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(key) => key.to_str().unwrap_or_default(),
            Self::Owned(key) => key,
        }
    }
}

impl<'py> TakenAttributes<'py> {
    /// Takes what a mapping holds, or nothing from what is no mapping.
    pub(crate) fn from(attributes: Option<&Bound<'py, PyAny>>, limit: usize) -> Self {
        let mut taken = Vec::new();
        let Some(attributes) = attributes.filter(|attributes| !attributes.is_none()) else { return Self(taken) };
        let mut take = |key: &Bound<'py, PyAny>, value: &Bound<'py, PyAny>| {
            if let (Some(key), Some(value)) = (take_key(key), Taken::from(value, limit)) {
                taken.push((key, value));
            }
        };
        if let Ok(entries) = attributes.cast_exact::<PyDict>() {
            if let Some(all) = all_simple(entries) {
                return Self(all);
            }
            // A copy, because a value's `__str__` may change the dict.
            let entries: Vec<_> = entries.iter().collect();
            entries.iter().for_each(|(key, value)| take(key, value));
        } else if let Ok(items) = attributes.cast::<PyMapping>().map_err(PyErr::from).and_then(|m| m.items()) {
            for item in items.iter() {
                if let Ok((key, value)) = item.extract::<(Bound<'py, PyAny>, Bound<'py, PyAny>)>() {
                    take(&key, &value);
                }
            }
        } else {
            report::once(attributes.py(), "attributes were given that are no mapping, and left out");
        }
        Self(taken)
    }

    /// As the core takes them.
    pub(crate) fn pairs(&self) -> Vec<(&str, Value<'_>)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.value())).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Value<'_>)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.value()))
    }
}

/// What a dict holds, if that is texts, numbers and truth values only, of which nothing calls Python.
fn all_simple<'py>(entries: &Bound<'py, PyDict>) -> Option<Vec<(Key<'py>, Taken<'py>)>> {
    let mut all = Vec::with_capacity(entries.len());
    for (key, value) in entries.iter() {
        let key = key.cast_into_exact::<PyString>().ok().filter(|key| key.to_str().is_ok())?;
        let taken = if value.cast_exact::<PyInt>().is_ok() {
            Taken::I64(value.extract().ok()?)
        } else if let Ok(truth) = value.cast::<PyBool>() {
            Taken::Bool(truth.is_true())
        } else if let Ok(number) = value.cast_exact::<PyFloat>() {
            Taken::F64(number.value())
        } else {
            Taken::Str(value.cast_into_exact::<PyString>().ok().filter(|text| text.to_str().is_ok())?)
        };
        all.push((Key::Borrowed(key), taken));
    }
    Some(all)
}

fn take_key<'py>(key: &Bound<'py, PyAny>) -> Option<Key<'py>> {
    match key.cast::<PyString>() {
        Ok(text) => Some(match text.to_str() {
            Ok(_) => Key::Borrowed(text.clone()),
            Err(_) => Key::Owned(text.to_string_lossy().into_owned()),
        }),
        Err(_) => {
            report::once(key.py(), "an attribute was given a name that is no text, and left out");
            None
        }
    }
}
