//! Anything a Python programmer passes around, as JSON text of bounded length.
//!
//! It never raises and never recurses without end: what cannot be written is named in angle brackets, and the text stops
//! growing at its limit, so that the size of a value does not matter.

mod object;
mod text;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

pub(crate) use self::object::{enum_value, is_dataclass, is_model, is_numpy};
pub(crate) use self::text::Text;

use crate::interrupt;

/// How many characters are kept where nobody says.
pub(crate) const DEFAULT_LENGTH: usize = 5000;
/// Deeper values are named, not written. Python's own recursion limit is not much higher.
const DEPTH_LIMIT: usize = 64;

/// A value as JSON text of at most `max_length` characters.
pub(crate) fn to_text(value: &Bound<'_, PyAny>, max_length: usize) -> String {
    let mut writer = Writer::new(max_length);
    writer.value(value);
    writer.finish()
}

/// A value as JSON text of at most `max_length` characters; longer text is cut and says so at its end.
#[pyfunction]
#[pyo3(signature = (value, max_length=DEFAULT_LENGTH))]
pub(crate) fn to_json_text(value: &Bound<'_, PyAny>, max_length: usize) -> PyResult<String> {
    let text = to_text(value, max_length);
    interrupt::hand_over().map(|()| text)
}

/// Writes values into one text.
pub(crate) struct Writer {
    pub(crate) out: Text,
    /// The containers being written, to notice one that holds itself.
    open: Vec<usize>,
    /// Integers beyond 64 bits become texts of their digits, because OTLP has no number for them.
    for_otlp: bool,
}

impl Writer {
    pub(crate) fn new(max_length: usize) -> Self {
        Self { out: Text::new(max_length), open: Vec::new(), for_otlp: false }
    }

    /// One for what is to be read again, and to travel as OTLP.
    pub(crate) fn for_otlp(max_length: usize) -> Self {
        Self { for_otlp: true, ..Self::new(max_length) }
    }

    pub(crate) fn finish(self) -> String {
        self.out.finish()
    }

    /// Writes one value.
    pub(crate) fn value(&mut self, value: &Bound<'_, PyAny>) {
        if self.out.is_full() {
            return;
        }
        if let Ok(text) = value.cast_exact::<PyString>() {
            self.string(text);
        } else if value.is_none() {
            self.out.push("null");
        } else if let Ok(truth) = value.cast::<PyBool>() {
            self.out.push(if truth.is_true() { "true" } else { "false" });
        } else if let Ok(number) = value.cast_exact::<PyInt>() {
            self.integer(number);
        } else if let Ok(number) = value.cast_exact::<PyFloat>() {
            self.float(number.value());
        } else if let Ok(entries) = value.cast_exact::<PyDict>() {
            self.inside(value, |writer| writer.dict(entries));
        } else if let Ok(items) = value.cast_exact::<PyList>() {
            // A copy, because an element's own code may change the list; no longer than what can be written of it.
            let items = items.get_slice(0, self.out.room() + 1);
            self.inside(value, |writer| writer.array(items.iter()));
        } else if let Ok(items) = value.cast_exact::<PyTuple>() {
            self.inside(value, |writer| writer.array(items.iter()));
        } else {
            self.inside(value, |writer| object::write(writer, value));
        }
    }

    pub(crate) fn string(&mut self, text: &Bound<'_, PyString>) {
        // Not more than can be written of it: a long text is not encoded as a whole.
        let text = crate::text::first(text, self.out.room() + 1);
        self.out.string(&crate::text::lossy(&text));
    }

    fn integer(&mut self, number: &Bound<'_, PyInt>) {
        if let Ok(number) = number.extract::<i64>() {
            self.out.number(number);
        } else if let Some(shown) = crate::text::too_long(number) {
            self.out.string(&shown);
        } else if self.for_otlp {
            self.out.string(&crate::text::of(number));
        } else {
            self.out.push(&crate::text::of(number));
        }
    }

    fn float(&mut self, number: f64) {
        if number.is_finite() {
            self.out.float(number);
        } else {
            // JSON has no word for these; protobuf's JSON mapping uses texts.
            self.out.string(if number.is_nan() {
                "NaN"
            } else if number > 0.0 {
                "Infinity"
            } else {
                "-Infinity"
            });
        }
    }

    /// Writes a value that may hold others, unless it holds itself or lies too deep.
    fn inside(&mut self, value: &Bound<'_, PyAny>, write: impl FnOnce(&mut Self)) {
        let place = value.as_ptr().addr();
        if self.open.contains(&place) {
            self.out.string("<cycle>");
        } else if self.open.len() >= DEPTH_LIMIT {
            self.out.string("<too deep>");
        } else {
            self.open.push(place);
            write(self);
            self.open.pop();
        }
    }

    fn dict(&mut self, entries: &Bound<'_, PyDict>) {
        // A copy for the same reason as with lists; dicts have no slices, so a large one is copied whole.
        let entries: Vec<_> = entries.iter().take(self.out.room() + 1).collect();
        self.object(entries.into_iter());
    }

    /// Writes keys with values. Takes no more of them than can be written.
    fn object<'py>(&mut self, entries: impl Iterator<Item = (Bound<'py, PyAny>, Bound<'py, PyAny>)>) {
        self.out.push("{");
        for (at, (key, value)) in entries.enumerate() {
            if self.out.is_full() {
                return;
            }
            if at > 0 {
                self.out.push(", ");
            }
            match key.cast::<PyString>() {
                Ok(key) => self.string(key),
                Err(_) => self.out.string(&crate::text::of(&key)),
            }
            self.out.push(": ");
            self.value(&value);
        }
        self.out.push("}");
    }

    fn array<'py>(&mut self, items: impl Iterator<Item = Bound<'py, PyAny>>) {
        self.out.push("[");
        for (at, item) in items.enumerate() {
            if self.out.is_full() {
                return;
            }
            if at > 0 {
                self.out.push(", ");
            }
            self.value(&item);
        }
        self.out.push("]");
    }
}
