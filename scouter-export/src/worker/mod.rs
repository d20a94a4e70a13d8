//! The thread behind everything.

mod thread;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::error::Error;
use crate::fork::PerProcess;
use thread::WorkerThread;

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One thread, named `scouter-worker`, with the only async runtime. Any number of pipelines share it. A clone is the same
/// worker.
///
/// The thread ends when the last clone and the last pipeline on it are gone. After a fork, a child starts a thread of its own
/// when it first needs one.
#[derive(Clone, Debug)]
pub struct Worker {
    threads: Arc<PerProcess<Option<WorkerThread>>>,
}

impl Worker {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`ErrorKind::Worker`](crate::ErrorKind::Worker) when the operating system gives no thread.
    pub fn start() -> Result<Self, Error> {
        Ok(Self { threads: Arc::new(PerProcess::new(Some(WorkerThread::start()?))) })
    }

    /// Lets the thread work on this, and tells whether there is a thread to do it.
    pub(crate) fn run(&self, job: impl Future<Output = ()> + Send + 'static) -> bool {
        self.thread().is_some_and(|thread| thread.run(Box::pin(job)))
    }

    /// Makes sure that this process has a thread, outside of the gate that renewals hold.
    pub(crate) fn renew(&self) {
        self.thread();
    }

    fn thread(&self) -> Option<&WorkerThread> {
        let thread = self.threads.get();
        thread.unwrap_or_else(|| self.threads.renew(|_| WorkerThread::start().ok())).as_ref()
    }

    /// Whether this is the worker's own thread.
    pub(crate) fn is_here(&self) -> bool {
        self.threads.get().and_then(Option::as_ref).is_some_and(WorkerThread::is_here)
    }
}
