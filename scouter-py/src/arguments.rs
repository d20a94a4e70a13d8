//! Arguments of the tracing path. They take anything: what is of no use there is reported and replaced, never raised,
//! because a program must not fail for being traced.

use std::borrow::Cow;
use std::convert::Infallible;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::json::DEFAULT_LENGTH;
use crate::value::Key;
use crate::{report, text};

/// A text. Lone surrogates are replaced; what is no text is taken as `str` shows it.
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

/// An attribute's name; empty for what cannot be one.
pub(crate) struct AttributeName<'a>(pub(crate) Cow<'a, str>);

/// A span's name, kept as the object it came as.
pub(crate) struct Name(pub(crate) Py<PyString>);

/// Nanoseconds since the Unix epoch; `None`, which is now, for what is no such number.
pub(crate) struct Time(pub(crate) Option<u64>);

/// Whether Python takes it for true.
pub(crate) struct Truth(pub(crate) bool);

/// A number of characters.
pub(crate) struct Length(pub(crate) usize);

/// A number of milliseconds to wait.
pub(crate) struct Millis(u64);

impl Millis {
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_millis(self.0)
    }
}

impl Default for Length {
    fn default() -> Self {
        Self(DEFAULT_LENGTH)
    }
}

impl Default for Millis {
    /// As long as OpenTelemetry's SDK waits.
    fn default() -> Self {
        Self(30_000)
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Text<'a> {
    type Error = Infallible;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> Result<Self, Infallible> {
        if let Ok(text) = object.extract::<&'a str>() {
            return Ok(Self(Cow::Borrowed(text)));
        }
        if let Ok(text) = object.cast::<PyString>() {
            return Ok(Self(Cow::Owned(text::lossy(&text).into_owned())));
        }
        report::once(object.py(), "a name or text was given that is no str, and taken as str() shows it");
        Ok(Self(Cow::Owned(text::of(&object))))
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for AttributeName<'a> {
    type Error = Infallible;

    #[inline]
    fn extract(object: Borrowed<'a, 'py, PyAny>) -> Result<Self, Infallible> {
        if let Ok(name) = object.extract::<&'a str>() {
            return Ok(Self(Cow::Borrowed(name)));
        }
        Ok(Self(Cow::Owned(Key::of(&object).as_str().to_owned())))
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Name {
    type Error = Infallible;

    #[inline]
    fn extract(object: Borrowed<'a, 'py, PyAny>) -> Result<Self, Infallible> {
        if let Ok(name) = object.cast::<PyString>() {
            return Ok(Self(name.to_owned().unbind()));
        }
        let Text(text) = Text::extract(object)?;
        Ok(Self(PyString::new(object.py(), &text).unbind()))
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Time {
    type Error = Infallible;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> Result<Self, Infallible> {
        let time = object.extract().ok();
        if time.is_none() {
            report::once(
                object.py(),
                "a time was given that is no number of nanoseconds since 1970, and now was taken",
            );
        }
        Ok(Self(time))
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Truth {
    type Error = Infallible;

    #[inline]
    fn extract(object: Borrowed<'a, 'py, PyAny>) -> Result<Self, Infallible> {
        Ok(Self(object.is_truthy().unwrap_or(true)))
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Length {
    type Error = Infallible;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> Result<Self, Infallible> {
        Ok(object.extract().map_or_else(
            |_| {
                report::once(object.py(), "max_length is a number of characters; 5000 was taken");
                Self::default()
            },
            Self,
        ))
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Millis {
    type Error = Infallible;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> Result<Self, Infallible> {
        let whole = object.extract().ok();
        // Python programs compute times as floats; what is negative is up already.
        let float = || object.extract::<f64>().ok().filter(|millis| !millis.is_nan()).map(|millis| millis as u64);
        Ok(whole.or_else(float).map_or_else(Self::default, Self))
    }
}
