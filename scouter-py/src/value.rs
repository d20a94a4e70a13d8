//! Python values as attribute values.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString};
use scouter_span::Value;
use scouter_span::wire::field::{any_value, list};
use scouter_span::wire::{nested, write_key_value, write_value};

use crate::{abc, interrupt, report, text};

/// Values nested deeper than this are cut; protobuf readers stop not much later.
const DEPTH_LIMIT: usize = 32;
/// The most values that one attribute has inside; a list that holds itself twice has no end otherwise.
const COUNT_LIMIT: u32 = 1 << 20;
/// The text of a longer one that is not ASCII is not left behind with the object.
pub(crate) const LONG: usize = 1024;

/// A value taken from Python, holding on to what it borrows. Nothing here calls Python once it is made.
pub(crate) enum Taken<'py> {
    Bool(bool),
    I64(i64),
    F64(f64),
    Str(Bound<'py, PyString>),
    Utf8(Bound<'py, PyBytes>),
    Text(String),
    Bytes(Bound<'py, PyBytes>),
    Encoded(Vec<u8>),
}

/// Attributes taken from a mapping.
pub(crate) struct TakenAttributes<'py>(Vec<(Key<'py>, Taken<'py>)>);

/// An attribute's name. An empty one is none: the core leaves the attribute out and counts it.
pub(crate) enum Key<'py> {
    Borrowed(Bound<'py, PyString>),
    Owned(String),
}

impl<'py> Taken<'py> {
    /// Takes a value: truth values, integers of 64 bits, floats, texts, bytes, and sequences and mappings of such.
    /// Anything else becomes the text that `str` gives, as OpenTelemetry asks; `None` when it gives none. Texts may come
    /// cut to the limit, in characters.
    pub(crate) fn from(value: &Bound<'py, PyAny>, limit: usize) -> Option<Self> {
        // The exact types first: a pointer comparison each.
        if let Ok(text) = value.cast_exact::<PyString>() {
            return Some(Self::text(text, limit));
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
        if let Ok(bytes) = value.cast::<PyBytes>() {
            return Some(Self::Bytes(bytes.clone()));
        }
        if value.is_none() {
            return None;
        }
        if let Ok(number) = value.cast::<PyInt>() {
            return Some(Self::integer(number));
        }
        if let Ok(text) = value.cast::<PyString>() {
            return Some(Self::text(text, limit));
        }
        let mut encoded = Vec::new();
        let is_something = Encoder { limit, open: Vec::new(), left: COUNT_LIMIT }.write(&mut encoded, value);
        is_something.then_some(Self::Encoded(encoded))
    }

    fn text(text: &Bound<'py, PyString>, limit: usize) -> Self {
        let text = text::first(text, limit);
        if text.len().is_ok_and(|length| length > LONG)
            && let Ok(bytes) = text.encode_utf8()
        {
            return Self::Utf8(bytes);
        }
        match text.to_str() {
            Ok(_) => Self::Str(text),
            Err(_) => Self::Text(text::lossy(&text).into_owned()),
        }
    }

    fn integer(number: &Bound<'py, PyInt>) -> Self {
        match number.extract::<i64>() {
            Ok(number) => Self::I64(number),
            Err(_) => {
                report::once(number.py(), "an attribute value is an integer beyond 64 bits and was kept as text");
                Self::Text(text::of(number))
            }
        }
    }

    pub(crate) fn value(&self) -> Value<'_> {
        match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::I64(value) => Value::I64(*value),
            Self::F64(value) => Value::F64(*value),
            Self::Str(text) => Value::Str(text.to_str().unwrap_or_default()),
            Self::Utf8(text) => Value::Str(str::from_utf8(text.as_bytes()).unwrap_or_default()),
            Self::Text(text) => Value::Str(text),
            Self::Bytes(bytes) => Value::Bytes(bytes.as_bytes()),
            Self::Encoded(content) => Value::Encoded(content),
        }
    }
}

/// Writes the content of an `AnyValue`.
struct Encoder {
    limit: usize,
    /// The containers being written, to notice one that holds itself.
    open: Vec<usize>,
    /// How many more values there may be.
    left: u32,
}

impl Encoder {
    /// Writes a value; false for one that is nothing.
    fn write(&mut self, out: &mut Vec<u8>, value: &Bound<'_, PyAny>) -> bool {
        if value.is_none() {
            return false;
        }
        if self.left == 0 {
            report::once(value.py(), "an attribute value holds more than a million values, and the rest was left out");
            return false;
        }
        self.left -= 1;
        if is_scalar(value) {
            if let Some(taken) = Taken::from(value, self.limit) {
                write_value(out, taken.value(), self.limit);
            }
        } else if abc::is_sequence(value) {
            self.inside(value, |encoder| encoder.sequence(out, value));
        } else if abc::is_mapping(value) {
            self.inside(value, |encoder| encoder.mapping(out, value));
        } else if text::has_own(value) {
            report::once(
                value.py(),
                "an attribute value is neither a number, a text, nor a collection of such, and was kept as text",
            );
            write_value(out, Value::Str(&text::of(value)), self.limit);
        } else {
            report::once(value.py(), "an attribute value has no text of its own, and was left out");
            return false;
        }
        true
    }

    /// Writes what a container holds, unless it holds itself or lies too deep: then it is empty.
    fn inside(&mut self, value: &Bound<'_, PyAny>, write: impl FnOnce(&mut Self)) {
        let place = value.as_ptr().addr();
        if self.open.contains(&place) || self.open.len() >= DEPTH_LIMIT {
            report::once(value.py(), "an attribute value holds itself or lies too deep, and was cut there");
            return;
        }
        self.open.push(place);
        write(self);
        self.open.pop();
    }

    fn sequence(&mut self, out: &mut Vec<u8>, value: &Bound<'_, PyAny>) {
        // As long as it is now: an element's own code may make it longer without end.
        let length = interrupt::outcome(value.py(), value.len()).unwrap_or_default().min(self.left as usize);
        let items: Vec<_> = match value.cast::<PyList>() {
            Ok(list) => list.iter().take(length).collect(),
            Err(_) => {
                let items = interrupt::outcome(value.py(), value.try_iter()).into_iter().flatten();
                items.take(length).map_while(|item| interrupt::outcome(value.py(), item)).collect()
            }
        };
        nested(out, any_value::ARRAY, |out| {
            for item in items {
                nested(out, list::VALUES, |out| {
                    self.write(out, &item);
                });
            }
        });
    }

    fn mapping(&mut self, out: &mut Vec<u8>, value: &Bound<'_, PyAny>) {
        let entries: Vec<_> = match value.cast::<PyDict>() {
            Ok(entries) => entries.iter().take(self.left as usize).collect(),
            Err(_) => abc::items(value).take(self.left as usize).collect(),
        };
        nested(out, any_value::KVLIST, |out| {
            for (key, value) in entries {
                let key = Key::of(&key);
                if key.as_str().is_empty() {
                    continue;
                }
                let mut content = Vec::new();
                self.write(&mut content, &value);
                nested(out, list::VALUES, |out| {
                    write_key_value(out, key.as_str(), Value::Encoded(&content), self.limit);
                });
            }
        });
    }
}

fn is_scalar(value: &Bound<'_, PyAny>) -> bool {
    value.cast::<PyString>().is_ok()
        || value.cast::<PyInt>().is_ok()
        || value.cast::<PyFloat>().is_ok()
        || value.cast::<PyBytes>().is_ok()
}

impl<'py> Key<'py> {
    /// A text as it is, and anything else that has a text of its own as that text.
    pub(crate) fn of(key: &Bound<'py, PyAny>) -> Self {
        if let Ok(text) = key.cast::<PyString>() {
            return match text.to_str() {
                Ok(_) => Self::Borrowed(text.clone()),
                Err(_) => Self::Owned(text::lossy(text).into_owned()),
            };
        }
        if key.is_none() || !text::has_own(key) {
            report::once(key.py(), "an attribute was given a name that is no text, and left out");
            return Self::Owned(String::new());
        }
        report::once(key.py(), "an attribute was given a name that is no str, and taken as str() shows it");
        Self::Owned(text::of(key))
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(key) => key.to_str().unwrap_or_default(),
            Self::Owned(key) => key,
        }
    }
}

impl<'py> TakenAttributes<'py> {
    /// Takes what a mapping holds, or nothing from what is no mapping.
    pub(crate) fn from(attributes: Option<&Bound<'py, PyAny>>, limit: usize) -> Self {
        let Some(attributes) = attributes.filter(|attributes| !attributes.is_none()) else { return Self(Vec::new()) };
        let entries = if let Ok(entries) = attributes.cast_exact::<PyDict>() {
            if let Some(all) = all_simple(entries) {
                return Self(all);
            }
            // A copy, because a value's `__str__` may change the dict.
            entries.iter().collect()
        } else if abc::is_mapping(attributes) {
            abc::items(attributes).collect()
        } else {
            report::once(attributes.py(), "attributes were given that are no mapping, and left out");
            Vec::new()
        };
        let take = |(key, value)| Some((Key::of(&key), Taken::from(&value, limit)?));
        Self(entries.into_iter().filter_map(take).collect())
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
            let text = value.cast_into_exact::<PyString>().ok()?;
            let is_short = text.len().is_ok_and(|length| length <= LONG);
            Taken::Str(Some(text).filter(|text| is_short && text.to_str().is_ok())?)
        };
        all.push((Key::Borrowed(key), taken));
    }
    Some(all)
}
