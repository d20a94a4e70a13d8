//! The operating system's thread.

use std::thread::{self, ThreadId};

use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::Job;
use crate::error::{Error, ErrorKind};

/// A running thread. It ends after its owner has dropped this.
#[derive(Debug)]
pub(super) struct WorkerThread {
    jobs: UnboundedSender<Job>,
    id: ThreadId,
}

impl WorkerThread {
    pub(super) fn start() -> Result<Self, Error> {
        let failed = |error| {
            let text = "the thread scouter-worker could not be started";
            Error::new(ErrorKind::Worker, text).with_source(error)
        };
        // Made here, so that a failure is known at once. It does nothing before the thread drives it.
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (jobs, orders) = unbounded_channel();
        let work = move || runtime.block_on(work(orders));
        let thread = thread::Builder::new().name("scouter-worker".to_owned()).spawn(work).map_err(failed)?;
        Ok(Self { jobs, id: thread.thread().id() })
    }

    pub(super) fn run(&self, job: Job) -> bool {
        self.jobs.send(job).is_ok()
    }

    pub(super) fn is_here(&self) -> bool {
        thread::current().id() == self.id
    }
}

/// Every job is a task of its own, so a panic ends that job only.
async fn work(mut jobs: UnboundedReceiver<Job>) {
    while let Some(job) = jobs.recv().await {
        tokio::spawn(job);
    }
}
