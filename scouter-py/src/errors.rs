//! Raising the exceptions of `scouter.errors`.

use pyo3::prelude::*;

/// An exception of that module with this text; a plain one of Python's should the module be unusable.
fn raise(py: Python<'_>, class: &str, text: &str) -> PyErr {
    let made =
        py.import("scouter.errors").and_then(|module| module.getattr(class)).and_then(|class| class.call1((text,)));
    match made {
        Ok(exception) => PyErr::from_value(exception),
        Err(error) => error,
    }
}

/// A value that cannot work.
pub(crate) fn config(py: Python<'_>, text: &str) -> PyErr {
    raise(py, "ConfigError", text)
}

/// An argument of the wrong type.
pub(crate) fn config_type(py: Python<'_>, text: &str) -> PyErr {
    raise(py, "ConfigTypeError", text)
}

/// A profile's file that is not there.
pub(crate) fn profile_not_found(py: Python<'_>, text: &str) -> PyErr {
    raise(py, "ProfileNotFoundError", text)
}

/// No queue of this alias.
pub(crate) fn unknown_alias(py: Python<'_>, text: &str) -> PyErr {
    raise(py, "UnknownAliasError", text)
}

/// The server answered with an error.
pub(crate) fn server(py: Python<'_>, text: &str) -> PyErr {
    raise(py, "ServerError", text)
}

/// Nobody answered.
pub(crate) fn connection(py: Python<'_>, text: &str) -> PyErr {
    raise(py, "ConnectionFailedError", text)
}

/// What was asked for is not there.
pub(crate) fn not_found(py: Python<'_>, text: &str) -> PyErr {
    raise(py, "NotFoundError", text)
}

/// It took too long.
pub(crate) fn timeout(py: Python<'_>, text: &str) -> PyErr {
    raise(py, "TimeoutExceededError", text)
}
