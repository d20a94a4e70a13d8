//! What becomes of what plug-ins raise.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::{interrupt, report};

/// What a plug-in is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    Processor,
    Sampler,
    IdGenerator,
    Exporter,
}

/// How often the plug-ins of a provider have failed, by what they are.
#[derive(Debug, Default)]
pub(crate) struct Failures([AtomicU64; Role::ALL.len()]);

impl Role {
    const ALL: [Self; 4] = [Self::Processor, Self::Sampler, Self::IdGenerator, Self::Exporter];

    const fn name(self) -> &'static str {
        match self {
            Self::Processor => "processor",
            Self::Sampler => "sampler",
            Self::IdGenerator => "id_generator",
            Self::Exporter => "exporter",
        }
    }
}

impl Failures {
    pub(crate) fn count(&self, role: Role) {
        self.0[role as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts and tells what a plug-in raised. Gives back what is not the plug-in's, but an interrupt or an exit.
    pub(crate) fn absorb(&self, py: Python<'_>, role: Role, what: &str, error: PyErr) -> PyResult<()> {
        if !error.is_instance_of::<PyException>(py) {
            return Err(error);
        }
        self.count(role);
        report::error(py, what, &error);
        Ok(())
    }

    /// As [`absorb`](Self::absorb), where nothing can be raised: [`interrupt::hand_over`] does it later.
    pub(super) fn absorb_and_keep(&self, py: Python<'_>, role: Role, what: &str, error: PyErr) {
        if let Some(error) = interrupt::swallow(py, error) {
            self.count(role);
            report::error(py, what, &error);
        }
    }

    /// In all.
    pub(crate) fn total(&self) -> u64 {
        self.0.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// By role.
    pub(crate) fn dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for role in Role::ALL {
            dict.set_item(role.name(), self.0[role as usize].load(Ordering::Relaxed))?;
        }
        Ok(dict)
    }
}
