//! Where batches go. Every destination has a backlog and requests of its own, so none waits for another.

mod answer;
mod backlog;
mod export;
mod meter;
mod sender;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use scouter_span::Ratio;
use scouter_transport::{RetryPolicy, Transport};

use crate::error::{Error, ErrorKind};

pub(crate) use sender::{Order, Outlet, Sender};

const RETRY_WINDOW: Duration = Duration::from_secs(300);

type Factory = dyn Fn() -> Result<Arc<dyn Transport>, scouter_transport::Error> + Send + Sync;

/// A receiver of spans, and how it is treated.
#[derive(Clone)]
pub struct Destination {
    pub(crate) name: Arc<str>,
    factory: Arc<Factory>,
    pub(crate) sample_ratio: Ratio,
    pub(crate) export_timeout: Duration,
    pub(crate) retry: RetryPolicy,
    pub(crate) simple: bool,
    pub(crate) flushed: bool,
}

impl Destination {
    /// A destination of this name, which appears in statistics and reports.
    ///
    /// `factory` makes the bare transport: the time limit and the retries are put around it here. It is called once when
    /// the pipeline is built, and once more in every forked child that exports, because a child must not use its parent's
    /// sockets; so it must make a new transport each time.
    pub fn new<F>(name: impl Into<Arc<str>>, factory: F) -> Self
    where
        F: Fn() -> Result<Arc<dyn Transport>, scouter_transport::Error> + Send + Sync + 'static,
    {
        Self {
            name: name.into(),
            factory: Arc::new(factory),
            sample_ratio: Ratio::ALL,
            export_timeout: Duration::from_secs(10),
            retry: RetryPolicy::new().max_elapsed(RETRY_WINDOW),
            simple: false,
            flushed: false,
        }
    }

    /// The part of all traces that this destination gets; all of them by default. Whole traces stay whole.
    #[must_use]
    pub fn sample_ratio(mut self, ratio: Ratio) -> Self {
        self.sample_ratio = ratio;
        self
    }

    /// How long a request may take; 10 seconds by default (OTLP exporter specification).
    #[must_use]
    pub fn export_timeout(mut self, timeout: Duration) -> Self {
        self.export_timeout = timeout;
        self
    }

    /// When and for how long a batch is sent again that could not be delivered. By default with exponential backoff and
    /// jitter for five minutes (OTLP specification, "Failures").
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Whether every span is sent as soon as it has ended, in a request of its own (trace SDK specification, "Simple
    /// processor"); by default spans gather in batches. Either way they are sent from the worker, and as many requests at a
    /// time as [`max_concurrent_exports`](crate::BatchConfig::max_concurrent_exports) says.
    #[must_use]
    pub fn simple(mut self, simple: bool) -> Self {
        self.simple = simple;
        self
    }

    /// Whether a flush of the pipeline also [flushes](Transport::flush) the transport, once the spans are sent. For
    /// transports that hold on to what they have taken; for all others the answer to a request means that it arrived, and
    /// there is no need.
    #[must_use]
    pub fn flush_transport(mut self, flush: bool) -> Self {
        self.flushed = flush;
        self
    }

    /// The bare transport, made anew.
    pub(crate) fn connect(&self) -> Result<Arc<dyn Transport>, Error> {
        let name = &self.name;
        match catch_unwind(AssertUnwindSafe(|| (self.factory)())) {
            Ok(Ok(transport)) => Ok(transport),
            Ok(Err(error)) => {
                let text = format!("the transport of {name} could not be made: {error}");
                Err(Error::new(ErrorKind::Destination, text).with_source(error))
            }
            Err(_) => {
                let text = format!("the transport of {name} could not be made: its factory panicked");
                Err(Error::new(ErrorKind::Destination, text))
            }
        }
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination")
            .field("name", &self.name)
            .field("sample_ratio", &self.sample_ratio)
            .field("export_timeout", &self.export_timeout)
            .field("retry", &self.retry)
            .field("simple", &self.simple)
            .finish_non_exhaustive()
    }
}
