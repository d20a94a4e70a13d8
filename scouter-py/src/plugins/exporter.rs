//! An exporter in Python, as a destination of the pipeline.

use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use scouter::transport::{BoxFuture, Error, ErrorKind, Payload, Receipt, Transport};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::processors::flush;
use super::{Failures, Role};
use crate::span::read_request;

/// An object with the methods of the SDK's `SpanExporter`.
#[derive(Clone)]
pub(crate) struct Exporter(Arc<Shared>);

struct Shared {
    exporter: Py<PyAny>,
    /// What errors call it.
    class: String,
    failures: Arc<Failures>,
    /// How long an export may take.
    limit: Duration,
}

/// The transport to an exporter, in one process. Its calls run on threads for work that blocks, one after the other.
#[derive(Debug)]
pub(crate) struct ToExporter {
    exporter: Exporter,
    /// Held during every call, also by one whose time is up: "Export should never be called concurrently" (trace SDK).
    /// Says since when.
    turn: Arc<Turn>,
    closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Turn {
    busy: Arc<tokio::sync::Mutex<()>>,
    since: Mutex<Option<Instant>>,
}

impl Exporter {
    pub(crate) fn new(exporter: &Bound<'_, PyAny>, limit: Duration, failures: Arc<Failures>) -> Self {
        let class = exporter.get_type().name().map_or_else(|_| "an exporter".to_owned(), |name| name.to_string());
        Self(Arc::new(Shared { exporter: exporter.clone().unbind(), class, failures, limit }))
    }

    /// A transport to it for this process.
    pub(crate) fn transport(&self) -> ToExporter {
        ToExporter { exporter: self.clone(), turn: Arc::default(), closed: AtomicBool::new(false) }
    }

    /// Lets it send what it holds back.
    pub(crate) fn force_flush(&self, py: Python<'_>, timeout: Duration) -> PyResult<bool> {
        flush(py, self.0.exporter.bind(py), timeout, &self.0.failures, Role::Exporter)
    }

    fn refused(&self, detail: impl fmt::Display) -> Error {
        Error::new(ErrorKind::Refused, format!("{} {detail}", self.0.class))
    }

    /// Gives spans to it, and reads its answer. Attaches to the interpreter.
    fn export(&self, body: &Bytes) -> Result<(), Error> {
        let exported = Python::try_attach(|py| {
            self.call_export(py, body).map_err(|error| {
                self.0.failures.count(Role::Exporter);
                let kind =
                    error.get_type(py).name().map_or_else(|_| "an exception".to_owned(), |name| name.to_string());
                self.refused(format_args!("raised {kind} in export(): {}", error.value(py)))
            })
        });
        match exported {
            Some(Ok(true)) => Ok(()),
            Some(Ok(false)) => Err(self.refused("answered FAILURE")),
            Some(Err(error)) => Err(error),
            None => Err(self.refused("cannot be called: the interpreter is going away")),
        }
    }

    fn call_export(&self, py: Python<'_>, body: &Bytes) -> PyResult<bool> {
        let spans = PyTuple::new(py, read_request(py, body)?)?;
        // What the exporter itself does on the network is not to be traced, as with the SDK's processors.
        let context = py.import("opentelemetry.context")?;
        let key = context.getattr("_SUPPRESS_INSTRUMENTATION_KEY")?;
        let suppressed = context.call_method1("set_value", (key, true))?;
        let token = context.call_method1("attach", (suppressed,))?;
        let answer = self.0.exporter.bind(py).call_method1(intern!(py, "export"), (spans,));
        context.call_method1("detach", (token,))?;
        has_succeeded(&answer?)
    }

    fn shut_down(&self) {
        Python::try_attach(|py| {
            let shutdown = || -> PyResult<()> {
                let method = self.0.exporter.bind(py).getattr_opt(intern!(py, "shutdown"))?;
                method.map_or(Ok(()), |method| method.call0().map(drop))
            };
            if let Err(error) = shutdown() {
                // Nobody is there on this thread to raise an interrupt into.
                let _ = self.0.failures.absorb(py, Role::Exporter, "an exporter raised in shutdown", error);
            }
        });
    }
}

/// Whether an answer is not `SpanExportResult.FAILURE`. An exporter that answers nothing has no complaint.
fn has_succeeded(answer: &Bound<'_, PyAny>) -> PyResult<bool> {
    let name = answer.getattr_opt(intern!(answer.py(), "name"))?;
    Ok(!name.is_some_and(|name| name.eq("FAILURE").unwrap_or(false)))
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Exporter").field(&self.0.class).finish()
    }
}

impl Turn {
    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ToExporter {
    /// Does this on a thread that may block, after everything that was asked for before. It has as long as the limit says,
    /// and a call before it that takes longer is waited for no longer either.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Exporter) -> T + Send + 'static) -> Result<T, Error> {
        let (exporter, limit) = (self.exporter.clone(), self.exporter.0.limit);
        let mut turn = pin!(Arc::clone(&self.turn.busy).lock_owned());
        let turn = loop {
            match timeout(limit, &mut turn).await {
                Ok(turn) => break turn,
                Err(_) if self.turn.since().is_some_and(|since| since.elapsed() >= limit) => {
                    return Err(self.exporter.refused(format_args!("is still busy with spans from {limit:?} ago")));
                }
                Err(_) => {}
            }
        };
        *self.turn.since() = Some(Instant::now());
        let done = spawn_blocking(move || {
            let _turn = turn;
            work(&exporter)
        });
        match timeout(limit, done).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(panicked)) => Err(self.exporter.refused(format_args!("could not be called: {panicked}"))),
            // Not to be tried again: the spans may arrive yet.
            Err(_) => Err(self.exporter.refused(format_args!("had not answered after {limit:?}"))),
        }
    }
}

impl Transport for ToExporter {
    fn send(&self, payload: Payload) -> BoxFuture<'_, Result<Receipt, Error>> {
        Box::pin(async move {
            if self.closed.load(Ordering::Acquire) {
                return Err(Error::new(ErrorKind::Closed, "the exporter was shut down"));
            }
            self.run(move |exporter| exporter.export(&payload.body)).await?.map(|()| Receipt::default())
        })
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            drop(self.turn.busy.lock().await);
            Ok(())
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            if self.closed.swap(true, Ordering::AcqRel) {
                return Ok(());
            }
            self.run(Exporter::shut_down).await
        })
    }
}
