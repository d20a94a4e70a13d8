//! An exporter of the SDK as a transport.

use std::error::Error as StdError;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::SpanExporter;
use scouter_transport::{BoxFuture, ContentType, Error, ErrorKind, Payload, Receipt, RetryPolicy, Signal, Transport};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::{ResourceBatch, decode};
use crate::destination::Destination;

const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

type Make<E> = dyn Fn() -> Result<E, Box<dyn StdError + Send + Sync>> + Send + Sync;

/// Any span exporter of the SDK as a destination of this name.
///
/// `make` is called in every process that exports, before its first batch, on a thread where exporters that need a tokio
/// runtime find one and those that block may block. Its failure is the failure of that batch, and it is called again for the
/// next. Retries are the exporter's own affair (trace SDK specification, "Span exporter"), so there are none around it.
pub fn destination<E, F>(name: impl Into<Arc<str>>, make: F) -> Destination
where
    E: SpanExporter + 'static,
    F: Fn() -> Result<E, Box<dyn StdError + Send + Sync>> + Send + Sync + 'static,
{
    let make: Arc<Make<E>> = Arc::new(make);
    let connect = move || Ok(Arc::new(ExporterTransport::sharing(Arc::clone(&make))) as Arc<dyn Transport>);
    Destination::new(name, connect).retry(RetryPolicy::new().max_attempts(1)).flush_transport(true)
}

/// Reads the payloads it is given back into spans, and hands them to an exporter of the SDK: one batch at a time, as the
/// specification promises exporters, and on threads of their own, so one that blocks holds nobody else up.
pub struct ExporterTransport<E> {
    make: Arc<Make<E>>,
    /// An export that is no longer waited for keeps this until it has come to its end.
    seat: Arc<Mutex<Seat<E>>>,
    closed: AtomicBool,
}

/// The exporter, once it is made, and whose spans it was told it exports.
#[derive(Debug)]
struct Seat<E> {
    exporter: Option<E>,
    resource: Option<opentelemetry_sdk::Resource>,
}

impl<E: SpanExporter + 'static> ExporterTransport<E> {
    /// A transport to the exporter that `make` makes when the first payload comes.
    pub fn new(make: impl Fn() -> Result<E, Box<dyn StdError + Send + Sync>> + Send + Sync + 'static) -> Self {
        Self::sharing(Arc::new(make))
    }

    fn sharing(make: Arc<Make<E>>) -> Self {
        Self {
            make,
            seat: Arc::new(Mutex::new(Seat { exporter: None, resource: None })),
            closed: AtomicBool::new(false),
        }
    }

    /// Lets a thread that may block work with the exporter. A panic there goes on here.
    async fn seated<T: Send + 'static>(&self, work: impl FnOnce(&mut Seat<E>) -> T + Send + 'static) -> T {
        let mut seat = Arc::clone(&self.seat).lock_owned().await;
        match spawn_blocking(move || work(&mut seat)).await {
            Ok(outcome) => outcome,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Only the end of the runtime cancels it, and then nobody is here to see.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

impl<E: SpanExporter + 'static> Transport for ExporterTransport<E> {
    fn send(&self, payload: Payload) -> BoxFuture<'_, Result<Receipt, Error>> {
        Box::pin(async move {
            if self.closed.load(Ordering::Acquire) {
                return Err(Error::new(ErrorKind::Closed, "the exporter was shut down").during("send", ""));
            }
            if (payload.signal, payload.content) != (Signal::Traces, ContentType::Protobuf) {
                let text = "an exporter of spans takes traces in protobuf only";
                return Err(Error::new(ErrorKind::Unsupported, text).during("send", ""));
            }
            let make = Arc::clone(&self.make);
            self.seated(move |seat| seat.export(&*make, &payload)).await.map(|()| Receipt::default())
        })
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            self.seated(|seat| seat.exporter.as_ref().map_or(Ok(()), E::force_flush))
                .await
                .map_err(|error| failed(&error).during("flush", ""))
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            if self.closed.swap(true, Ordering::AcqRel) {
                return Ok(());
            }
            let shutdown = |exporter: E| exporter.shutdown_with_timeout(CLOSE_TIMEOUT);
            self.seated(move |seat| seat.exporter.take().map_or(Ok(()), shutdown))
                .await
                .map_err(|error| failed(&error).during("close", ""))
        })
    }
}

impl<E: SpanExporter> Seat<E> {
    fn export(&mut self, make: &Make<E>, payload: &Payload) -> Result<(), Error> {
        // Spans about the exporting of spans would go on for ever.
        let _suppressed = opentelemetry::Context::enter_telemetry_suppressed_scope();
        let batches = decode(&payload.body)
            .map_err(|error| Error::new(ErrorKind::Refused, format!("not a request: {error}")).during("send", ""))?;
        let Self { exporter, resource } = self;
        let exporter = match exporter {
            Some(exporter) => exporter,
            None => exporter.insert(make().map_err(|error| {
                Error::new(ErrorKind::Config, format!("the exporter could not be made: {error}")).with_source(error)
            })?),
        };
        for ResourceBatch { resource: of, spans } in batches {
            if resource.as_ref() != Some(&of) {
                exporter.set_resource(&of);
                *resource = Some(of);
            }
            block_on(exporter.export(spans)).map_err(|error| failed(&error).during("send", ""))?;
        }
        Ok(())
    }
}

impl<E> fmt::Debug for ExporterTransport<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExporterTransport").field("closed", &self.closed).finish_non_exhaustive()
    }
}

fn failed(error: &OTelSdkError) -> Error {
    let kind = match error {
        OTelSdkError::AlreadyShutdown => ErrorKind::Closed,
        OTelSdkError::Timeout(_) => ErrorKind::Timeout,
        OTelSdkError::InternalFailure(_) => ErrorKind::Refused,
    };
    Error::new(kind, error.to_string())
}

/// Wakes a thread that waits in [`block_on`].
struct Waiting(Thread);

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for an export. A runtime's own way to wait would forbid what some exporters do inside: to wait for a runtime of
/// their own.
fn block_on(export: impl Future<Output = OTelSdkResult>) -> OTelSdkResult {
    let waker = Waker::from(Arc::new(Waiting(thread::current())));
    let mut export = pin!(export);
    loop {
        match export.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(outcome) => return outcome,
            Poll::Pending => thread::park(),
        }
    }
}
