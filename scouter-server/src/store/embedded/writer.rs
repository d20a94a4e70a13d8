//! The one thread that writes: takes what waits, commits it together, answers everybody.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use scouter_span::view::{LogsRequest, TraceRequest};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::batch::{Batch, Memory};
use super::failure::Failure;
use crate::store::{Signal, StoreError, StoreErrorKind, Written};

/// How many requests may wait in the channel. Their bytes are bounded by the semaphore their permits come from.
pub(super) const WAITING: usize = 4096;

/// A transaction takes no further request once it has this many bytes.
const BATCH_BYTES: usize = 16 << 20;

/// A request, and where its answer goes.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) signal: Signal,
    pub(super) request: Bytes,
    pub(super) answer: oneshot::Sender<Result<Written, StoreError>>,
    /// Gives the request's place in memory back when the job is dropped.
    pub(super) _permit: OwnedSemaphorePermit,
}

/// Starts the thread. It ends when every sender is gone and everything sent is answered; then it tidies up and closes.
pub(super) fn start(
    sql: Connection,
    jobs: mpsc::Receiver<Job>,
) -> Result<JoinHandle<Result<(), StoreError>>, StoreError> {
    let memory = Memory::load(&sql).map_err(|failure| failure.during("reading the database"))?;
    let writer = Writer { sql, memory: Some(memory) };
    thread::Builder::new().name("scouter-store".to_owned()).spawn(move || writer.run(jobs)).map_err(|error| {
        StoreError::new(StoreErrorKind::Storage, format!("starting the writing thread failed: {error}"))
            .with_source(error)
    })
}

struct Writer {
    sql: Connection,
    /// `None` after a failed transaction: its numbers and its block may not be what the tables hold.
    memory: Option<Memory>,
}

impl Writer {
    fn run(mut self, mut jobs: mpsc::Receiver<Job>) -> Result<(), StoreError> {
        while let Some(first) = jobs.blocking_recv() {
            let mut bytes = first.request.len();
            let mut batch = vec![first];
            while bytes < BATCH_BYTES
                && let Ok(job) = jobs.try_recv()
            {
                bytes += job.request.len();
                batch.push(job);
            }
            self.serve(batch);
        }
        let close = || -> Result<(), Failure> {
            // Everything into the database file, so that the next start has no log to read.
            self.sql.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            Ok(())
        };
        close().map_err(|failure| failure.during("closing the database"))
    }

    fn serve(&mut self, batch: Vec<Job>) {
        // A fault in one batch must not end the thread and with it the server's work.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.commit(&batch)));
        let answers = match outcome {
            Ok(Ok(answers)) => answers,
            Ok(Err(failure)) => {
                self.memory = None;
                let error = failure.during("writing");
                batch.iter().map(|_| Err(StoreError::new(error.kind(), error.to_string()))).collect()
            }
            Err(_) => {
                self.memory = None;
                let fault = || StoreError::new(StoreErrorKind::Storage, "writing failed: the writer panicked");
                batch.iter().map(|_| Err(fault())).collect()
            }
        };
        for (job, answer) in batch.into_iter().zip(answers) {
            // Nobody waits any more when the sender hung up; the spans are stored all the same.
            let _ = job.answer.send(answer);
        }
    }

    /// Writes the requests in one transaction. The answers may be given once this has returned.
    fn commit(&mut self, batch: &[Job]) -> Result<Vec<Result<Written, StoreError>>, Failure> {
        let memory = match &mut self.memory {
            Some(memory) => memory,
            none => none.insert(Memory::load(&self.sql)?),
        };
        let transaction = Transaction::new_unchecked(&self.sql, TransactionBehavior::Immediate)?;
        let mut writing = Batch::new(&transaction, memory)?;
        let mut answers = Vec::with_capacity(batch.len());
        for job in batch {
            let added = match job.signal {
                Signal::Traces => TraceRequest::parse(&job.request).map(|request| writing.add(request)),
                Signal::Logs => LogsRequest::parse(&job.request).map(|request| writing.add_records(request)),
            };
            answers.push(match added {
                Ok(written) => Ok(written?),
                Err(error) => {
                    let message = format!("this is not an {}: {error}", job.signal.request());
                    Err(StoreError::new(StoreErrorKind::InvalidRequest, message).with_source(error))
                }
            });
        }
        writing.finish()?;
        transaction.commit()?;
        Ok(answers)
    }
}
