//! What goes wrong inside, told through the `scouter` logger of Python's `logging`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use scouter::export::{Report, Reporter};

use crate::{interrupt, text};

/// The same again is not news for this long.
const QUIET: Duration = Duration::from_secs(60);

static SAID: Mutex<Option<HashMap<String, Instant>>> = Mutex::new(None);

fn is_news(kind: &str) -> bool {
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    let said = said.get_or_insert_default();
    let now = Instant::now();
    // Messages carry values; a flood of different ones must not grow without bound either.
    if said.len() > 256 {
        said.retain(|_, at| now.duration_since(*at) < QUIET);
    }
    if said.len() > 256 || said.get(kind).is_some_and(|at| now.duration_since(*at) < QUIET) {
        return false;
    }
    said.insert(kind.to_owned(), now);
    true
}

/// Warns, at most once a minute for one message. Never raises.
pub(crate) fn once(py: Python<'_>, message: &str) {
    of_kind(py, message, message);
}

/// Warns, at most once a minute for one kind of problem, whatever the numbers in its message. Never raises.
pub(crate) fn of_kind(py: Python<'_>, kind: &str, message: &str) {
    if is_news(kind) {
        warn(py, message);
    }
}

fn warn(py: Python<'_>, message: &str) {
    let warn = || -> PyResult<()> {
        let logger = py.import("logging")?.call_method1("getLogger", ("scouter",))?;
        logger.call_method1("warning", ("%s", message)).map(drop)
    };
    // A logging handler that raises is not the tracing path's to feel.
    interrupt::outcome(py, warn());
}

/// Warns that something failed, with the error's words.
pub(crate) fn error(py: Python<'_>, what: &str, error: &PyErr) {
    if is_news(what) {
        let value = error.value(py);
        warn(py, &format!("{what}: {}: {}", text::type_name(value), text::of(value)));
    }
}

/// Tells the worker's reports to Python. Runs on the worker's thread, which has no part in the interpreter otherwise.
#[derive(Debug)]
pub(crate) struct Logger {
    /// What is lost when something is.
    pub(crate) noun: &'static str,
}

impl Reporter for Logger {
    fn report(&self, report: &Report) {
        // While the interpreter shuts down there is nobody to tell any more.
        Python::try_attach(|py| {
            let mut text = report.message.clone();
            if report.dropped > 0 {
                text = format!("{text} ({} {} dropped)", report.dropped, self.noun);
            }
            if !report.destination.is_empty() {
                text = format!("{}: {text}", report.destination);
            }
            let kind = format!("{} {} {:?}", self.noun, report.destination, report.reason);
            of_kind(py, &kind, &text);
        });
    }
}
