//! From the end of a span to its destinations.

mod batcher;
mod headers;
mod shared;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use scouter_queue::{FinishedRecord, RecordSink};
use scouter_span::counters::Counters;
use scouter_span::scope::ScopeId;
use scouter_span::{FinishedSpan, Resource, Scope, SpanSink};
use scouter_transport::{Signal, Transport};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::Instant;

use crate::batch::BatchConfig;
use crate::capture::LocalCapture;
use crate::destination::Destination;
use crate::error::{Error, ErrorKind, FlushError};
use crate::fork::PerProcess;
use crate::observer::ExportObserver;
use crate::report::{Reporter, TracingReporter};
use crate::stats::Stats;
use crate::worker::Worker;
use batcher::Batcher;
pub(crate) use headers::Headers;
use shared::{Base, Command};
pub(crate) use shared::{Shared, Ticket};

/// How long a pipeline that nobody has shut down goes on when it is dropped.
const DROP_DEADLINE: Duration = Duration::from_secs(1);
/// What the worker gets less than its caller, at most: time to count what is left, so that the caller can read it at once.
const RESERVE: Duration = Duration::from_millis(50);
/// No deadline is further away, so that times can be added without care.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Takes finished spans and brings them to every destination.
///
/// The sink of a `TracerProvider`, or of record queues with [`PipelineBuilder::signal`]. Ending a span copies its bytes into a
/// bounded queue and does nothing else; the rest happens on the thread of a [`Worker`]. When the queue is full, the span is
/// dropped and counted.
///
/// Dropping a pipeline that was not [shut down](Self::shutdown) shuts it down, and waits for a second at most.
///
/// After a fork, the child has a pipeline of its own behind the same value: an empty queue, new transports, numbers that
/// begin at zero. The parent's spans are sent by the parent. A span that is open during the fork is open in both.
pub struct Pipeline {
    settings: Settings,
    worker: Worker,
    capture: LocalCapture,
    process: PerProcess<Arc<Shared>>,
    closed: AtomicBool,
}

/// A flush that has begun.
#[derive(Debug)]
#[must_use = "without waiting nobody knows what came of it"]
pub struct Flush<'a> {
    worker: &'a Worker,
    /// The pipeline, its losses when the flush began, and where the answer will come.
    waiting: Option<(&'a Shared, Vec<u64>, Receiver<()>)>,
}

/// The settings of a [`Pipeline`].
#[derive(Debug)]
#[must_use = "nothing is exported before `build`"]
pub struct PipelineBuilder {
    settings: Settings,
}

#[derive(Debug)]
struct Settings {
    signal: Signal,
    headers: Arc<Headers>,
    batch: BatchConfig,
    destinations: Vec<Destination>,
    counters: Option<Arc<Counters>>,
    reporter: Arc<dyn Reporter>,
    observer: Option<Arc<dyn ExportObserver>>,
}

impl Pipeline {
    /// A pipeline for the spans of this resource.
    pub fn builder(resource: Resource) -> PipelineBuilder {
        PipelineBuilder {
            settings: Settings {
                signal: Signal::Traces,
                headers: Arc::new(Headers::new(resource)),
                batch: BatchConfig::default(),
                destinations: Vec::new(),
                counters: None,
                reporter: Arc::new(TracingReporter),
                observer: None,
            },
        }
    }

    /// Blocks until every span that has ended before this call has been dealt with at every destination.
    ///
    /// # Errors
    /// [`FlushError::Timeout`] when the time was up before, and [`FlushError::Failed`] when spans were dropped meanwhile.
    pub fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        self.begin_flush().wait(timeout)
    }

    /// Begins what [`flush`](Self::flush) does and does not wait, so that several pipelines can be flushed side by side.
    pub fn begin_flush(&self) -> Flush<'_> {
        // A child that has not exported anything has nothing to wait for.
        let waiting = self.process.get().filter(|_| !self.worker.is_here()).and_then(|shared| {
            let before = shared.losses();
            let (reply, answer) = sync_channel(1);
            let ticket = Ticket::new(shared.outlets.len(), reply);
            // After a shutdown there is nothing left.
            shared.commands.send(Command::Flush(ticket)).ok().map(|()| (&**shared, before, answer))
        });
        Flush { worker: &self.worker, waiting }
    }

    /// Takes no more spans, sends what there is, and closes the transports. Blocks until that is done or the time is up; what
    /// is left then is dropped and counted. Spans that end later are dropped and counted too.
    ///
    /// Calling it again, also from several threads at once, gives the outcome of the first call.
    ///
    /// # Errors
    /// As for [`flush`](Self::flush).
    pub fn shutdown(&self, timeout: Duration) -> Result<(), FlushError> {
        if self.worker.is_here() {
            return Err(FlushError::OnWorker);
        }
        match self.close(timeout) {
            Some((shared, answer)) => {
                wait(shared, &answer, timeout)?;
                shared.outcome.get().cloned().unwrap_or(Ok(()))
            }
            None => Ok(()),
        }
    }

    /// Begins what [`shutdown`](Self::shutdown) does, and waits for nothing.
    pub fn begin_shutdown(&self, timeout: Duration) {
        self.close(timeout);
    }

    /// Whether a shutdown has begun.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Begins to shut down.
    fn close(&self, timeout: Duration) -> Option<(&Arc<Shared>, Receiver<()>)> {
        self.closed.store(true, Ordering::Release);
        let shared = self.process.get()?;
        shared.queue.close();
        let (reply, answer) = sync_channel(1);
        let timeout = timeout.min(LONGEST);
        let deadline = Instant::now() + timeout - RESERVE.min(timeout / 5);
        // When nobody listens any more, the answer's other end is gone and the outcome there.
        let _ = shared.commands.send(Command::Shutdown(deadline, reply));
        Some((shared, answer))
    }

    /// The copies of ended spans that this process keeps for itself; off until it is enabled.
    pub const fn capture(&self) -> &LocalCapture {
        &self.capture
    }

    /// Replaces the resource, for whoever learns it late. Every batch that is encoded from now on carries it.
    pub fn set_resource(&self, resource: Resource) {
        self.settings.headers.set_resource(resource);
    }

    /// What has become of every span so far, in this process. Cheap, and right at any moment.
    pub fn stats(&self) -> Stats {
        self.shared().stats(self.settings.counters.as_deref())
    }

    /// Takes a copy of the span, and tells whether there was room.
    #[inline]
    pub(crate) fn offer(&self, scope: ScopeId, bytes: &[u8]) -> bool {
        if self.capture.is_enabled() {
            self.capture.keep(scope, bytes);
        }
        self.shared().queue.accept(scope, bytes)
    }

    /// A number for a scope of this signal. What a program hands to a pipeline of the other one must not be sent as what it
    /// is not, so it comes from no scope.
    fn number(&self, signal: Signal, scope: &Arc<Scope>) -> ScopeId {
        if self.settings.signal == signal { self.settings.headers.register(scope) } else { Headers::UNKNOWN }
    }

    #[inline]
    fn shared(&self) -> &Arc<Shared> {
        self.process.get().unwrap_or_else(|| self.renew())
    }

    /// Begins anew in a child.
    #[cold]
    fn renew(&self) -> &Arc<Shared> {
        self.worker.renew();
        self.process.renew(|parent| {
            let base = parent.base_of_child(self.settings.counters.as_deref());
            self.settings.begin(&self.worker, base, !self.closed.load(Ordering::Acquire), Vec::new())
        })
    }
}

impl Flush<'_> {
    /// Blocks until it is done, or the time is up.
    ///
    /// # Errors
    /// As for [`Pipeline::flush`].
    pub fn wait(self, timeout: Duration) -> Result<(), FlushError> {
        if self.worker.is_here() {
            return Err(FlushError::OnWorker);
        }
        let Some((shared, before, answer)) = self.waiting else { return Ok(()) };
        wait(shared, &answer, timeout)?;
        shared.outcome_since(&before)
    }
}

impl SpanSink for Pipeline {
    fn register(&self, scope: &Arc<Scope>) -> ScopeId {
        self.number(Signal::Traces, scope)
    }

    #[inline]
    fn accept(&self, span: FinishedSpan<'_>) {
        self.offer(span.scope, span.bytes);
    }
}

impl RecordSink for Pipeline {
    fn register(&self, scope: &Arc<Scope>) -> ScopeId {
        self.number(Signal::Logs, scope)
    }

    fn accept(&self, record: FinishedRecord<'_>) -> bool {
        let taken = self.shared().queue.accept(record.scope, record.bytes);
        // A copy of what never went on its way would tell a test that it did.
        if taken && self.capture.is_enabled() {
            self.capture.keep(record.scope, record.bytes);
        }
        taken
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        if self.closed.load(Ordering::Acquire) {
            return;
        }
        // The worker cannot wait for itself, but it will do what it is asked for.
        let here = self.worker.is_here();
        if let Some((_, answer)) = self.close(DROP_DEADLINE)
            && !here
        {
            let _ = answer.recv_timeout(DROP_DEADLINE);
        }
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { batch, destinations, .. } = &self.settings;
        f.debug_struct("Pipeline")
            .field("batch", batch)
            .field("destinations", destinations)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

impl PipelineBuilder {
    /// What it carries: spans by default. With [`Signal::Logs`] it is the sink of record queues, and everything that is said
    /// of spans in this crate holds for records.
    pub fn signal(mut self, signal: Signal) -> Self {
        self.settings.signal = signal;
        self
    }

    /// How spans are gathered.
    pub fn batch(mut self, config: BatchConfig) -> Self {
        self.settings.batch = config;
        self
    }

    /// One more destination. There must be one at least.
    pub fn destination(mut self, destination: Destination) -> Self {
        self.settings.destinations.push(destination);
        self
    }

    /// Where the tracer that feeds this pipeline counts, for the statistics; without it, spans count from their end on.
    pub fn counters(mut self, counters: Arc<Counters>) -> Self {
        self.settings.counters = Some(counters);
        self
    }

    /// Who is told what goes wrong; [`TracingReporter`] by default.
    pub fn reporter(mut self, reporter: Arc<dyn Reporter>) -> Self {
        self.settings.reporter = reporter;
        self
    }

    /// Who is told of every finished export; nobody by default.
    pub fn observer(mut self, observer: Arc<dyn ExportObserver>) -> Self {
        self.settings.observer = Some(observer);
        self
    }

    /// The pipeline, at work on this worker.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for settings that cannot work, [`ErrorKind::Destination`] when a transport could not be made,
    /// [`ErrorKind::Worker`] when the worker is gone.
    pub fn build(mut self, worker: &Worker) -> Result<Arc<Pipeline>, Error> {
        let settings = &mut self.settings;
        settings.batch = settings.batch.clone().checked()?;
        if settings.destinations.is_empty() {
            return Err(Error::new(ErrorKind::Config, "a pipeline has at least one destination, add one"));
        }
        for (at, Destination { name, export_timeout, .. }) in settings.destinations.iter().enumerate() {
            if settings.destinations[..at].iter().any(|other| other.name == *name) {
                let text = format!("two destinations are named {name}, statistics could not tell them apart");
                return Err(Error::new(ErrorKind::Config, text));
            }
            if export_timeout.is_zero() {
                let text = format!("the export timeout of {name} is zero: nothing could be sent within it");
                return Err(Error::new(ErrorKind::Config, text));
            }
        }
        let transports = settings.destinations.iter().map(Destination::connect).collect::<Result<_, _>>()?;
        worker.renew();
        let base = Base::before(settings.counters.as_deref());
        let shared = settings.begin(worker, base, true, transports);
        if !shared.queue.is_open() {
            return Err(Error::new(ErrorKind::Worker, "the worker has no thread, start a new one"));
        }
        Ok(Arc::new(Pipeline {
            capture: LocalCapture::new(Arc::clone(&self.settings.headers)),
            settings: self.settings,
            worker: worker.clone(),
            process: PerProcess::new(shared),
            closed: AtomicBool::new(false),
        }))
    }
}

impl Settings {
    /// Sets the batcher to work. Without a thread to work on, the queue is closed from the start.
    fn begin(&self, worker: &Worker, base: Base, open: bool, transports: Vec<Arc<dyn Transport>>) -> Arc<Shared> {
        let (commands, receiver) = unbounded_channel();
        let shared = Arc::new(Shared::new(self, commands, base, open));
        if open {
            let batcher = Batcher::new(Arc::clone(&shared), Arc::clone(&self.headers));
            if !worker.run(batcher.run(receiver, transports)) {
                shared.queue.close();
            }
        }
        shared
    }
}

fn wait(shared: &Shared, answer: &Receiver<()>, timeout: Duration) -> Result<(), FlushError> {
    match answer.recv_timeout(timeout.min(LONGEST)) {
        Ok(()) | Err(RecvTimeoutError::Disconnected) => Ok(()),
        Err(RecvTimeoutError::Timeout) => {
            Err(FlushError::Timeout { signal: shared.signal, remaining: shared.remaining() })
        }
    }
}
