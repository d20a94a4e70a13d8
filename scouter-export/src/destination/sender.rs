//! The task that owns a destination's backlog.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use scouter_transport::{Retry, Timeout, Transport};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::Destination;
use super::backlog::Backlog;
use super::export::{Outcome, PROGRESS, Progress, export};
use super::meter::Meter;
use crate::batch::Batch;
use crate::observer::ExportError;
use crate::pipeline::{Shared, Ticket};
use crate::queue::Held;
use crate::stats::{DestinationCounters, DropReason, Stage};

/// What a sender is asked to do, in this order.
#[derive(Debug)]
pub(crate) enum Order {
    /// Deliver this.
    Send(Batch),
    /// Tell when everything asked before has been dealt with.
    Mark(Arc<Ticket>),
    /// Deal with the rest until then, drop what is left, and close the transport.
    Close(Instant),
}

/// What everyone may see of a destination.
#[derive(Debug)]
pub(crate) struct Outlet {
    pub(crate) destination: Destination,
    pub(crate) counters: Arc<DestinationCounters>,
}

/// A batch under way.
#[derive(Debug)]
struct Export {
    number: u64,
    held: Held,
    progress: Arc<Progress>,
}

/// Sends batches, several at a time.
#[derive(Debug)]
pub(crate) struct Sender {
    shared: Arc<Shared>,
    at: usize,
    transport: Arc<dyn Transport>,
    /// The transport without what was put around it, if it is to be flushed.
    flushed: Option<Arc<dyn Transport>>,
    backlog: Backlog,
    running: JoinSet<()>,
    exports: HashMap<Id, Export>,
    /// Tickets, and the number of the first batch they do not wait for.
    marks: Vec<(u64, Arc<Ticket>)>,
    flushes: JoinSet<()>,
}

impl Outlet {
    pub(crate) fn new(destination: Destination) -> Self {
        Self { destination, counters: Arc::default() }
    }

    /// Puts the time limit, the count and the retries around a bare transport.
    fn wrap(&self, bare: Arc<dyn Transport>) -> Result<Arc<dyn Transport>, scouter_transport::Error> {
        let Destination { export_timeout, retry, .. } = &self.destination;
        let metered = Meter::new(Timeout::new(bare, *export_timeout)?, Arc::clone(&self.counters));
        Ok(Arc::new(Retry::new(metered, retry.clone())))
    }
}

impl Sender {
    /// The sender of the outlet at this place, over a bare transport.
    pub(crate) fn new(
        shared: Arc<Shared>,
        at: usize,
        bare: Arc<dyn Transport>,
    ) -> Result<Self, scouter_transport::Error> {
        let flushed = shared.outlets[at].destination.flushed.then(|| Arc::clone(&bare));
        let transport = shared.outlets[at].wrap(bare)?;
        Ok(Self {
            shared,
            at,
            transport,
            flushed,
            backlog: Backlog::default(),
            running: JoinSet::new(),
            exports: HashMap::new(),
            marks: Vec::new(),
            flushes: JoinSet::new(),
        })
    }

    /// Runs until closed, or until nobody can give orders any more.
    pub(crate) async fn run(mut self, mut orders: UnboundedReceiver<Order>) {
        let simple = self.shared.outlets[self.at].destination.simple;
        let deadline = loop {
            self.begin();
            self.tell();
            tokio::select! {
                biased;
                Some(ended) = self.running.join_next_with_id() => self.settle(ended),
                Some(flushed) = self.flushes.join_next() => {
                    if flushed.is_err() {
                        self.shared.count_panic();
                    }
                }
                order = orders.recv() => match order {
                    Some(Order::Send(batch)) => self.backlog.push(batch, simple),
                    Some(Order::Mark(ticket)) => self.marks.push((self.backlog.mark(), ticket)),
                    Some(Order::Close(deadline)) => break deadline,
                    None => break Instant::now(),
                },
            }
        };
        self.finish(deadline).await;
    }

    /// Starts as many exports as may run at a time.
    fn begin(&mut self) {
        while self.running.len() < self.shared.config.max_concurrent_exports
            && let Some((number, batch)) = self.backlog.pop()
        {
            let (held, progress) = (batch.held, Arc::new(Progress::new()));
            // Before anything can come of it, so that a reader never sees more spans answered for than submitted.
            self.shared.outlets[self.at].counters.submit(held.items);
            let task = self.export(batch, Arc::clone(&progress));
            let id = self.running.spawn(task).id();
            self.exports.insert(id, Export { number, held, progress });
        }
    }

    fn export(&self, batch: Batch, progress: Arc<Progress>) -> impl Future<Output = ()> + Send + 'static {
        let (shared, at, transport) = (Arc::clone(&self.shared), self.at, Arc::clone(&self.transport));
        PROGRESS.scope(Arc::clone(&progress), async move { export(&shared, at, &*transport, batch, &progress).await })
    }

    /// What an export that did not come to its end has left is lost.
    fn settle(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, ())| *id);
        let Some(Export { number, held, progress }) = self.exports.remove(&id) else { return };
        if let Err(error) = ended {
            let (failed, reason, message) = if error.is_panic() {
                self.shared.count_panic();
                (ExportError::Panic, DropReason::Internal, "a panic in the transport")
            } else {
                // Only a shutdown whose time is up cancels an export.
                (ExportError::Shutdown, DropReason::Shutdown, &*cut_off(&self.shared))
            };
            let rest = held.minus(progress.done());
            progress.tell(&self.shared, self.at, rest.items, &Outcome::failed(failed));
            self.shared.lose(self.at, Stage::Sent, reason, rest.items, message.to_owned());
            self.shared.release(self.at, rest);
        }
        self.backlog.settle(number);
    }

    /// Tells those whose batches have all been dealt with.
    fn tell(&mut self) {
        let Self { marks, backlog, flushed, flushes, shared, at, .. } = self;
        marks.retain(|(until, ticket)| {
            let past = backlog.is_past(*until);
            if past {
                match flushed {
                    Some(transport) => {
                        drop(flushes.spawn(flush(Arc::clone(shared), *at, Arc::clone(transport), Arc::clone(ticket))))
                    }
                    None => ticket.done(),
                }
            }
            !past
        });
    }

    async fn finish(mut self, deadline: Instant) {
        loop {
            self.begin();
            self.tell();
            if self.running.is_empty() {
                break;
            }
            tokio::select! {
                biased;
                Some(ended) = self.running.join_next_with_id() => self.settle(ended),
                () = sleep_until(deadline) => break,
            }
        }
        while let Some(held) = self.backlog.give_up() {
            self.shared.lose(self.at, Stage::Queued, DropReason::Shutdown, held.items, cut_off(&self.shared));
            self.shared.release(self.at, held);
        }
        self.running.abort_all();
        while let Some(ended) = self.running.join_next_with_id().await {
            self.settle(ended);
        }
        self.tell();
        // A transport that has nothing under way closes at once. One that hangs is not waited for.
        let deadline = deadline.max(Instant::now() + Duration::from_millis(20));
        let close = async move { self.transport.close().await };
        let _ = timeout_at(deadline, tokio::spawn(close)).await;
    }
}

fn cut_off(shared: &Shared) -> String {
    format!("the pipeline was shut down before the {} could be sent", shared.noun())
}

/// Flushes a transport that holds on to what it has taken, and tells.
async fn flush(shared: Arc<Shared>, at: usize, transport: Arc<dyn Transport>, ticket: Arc<Ticket>) {
    if let Err(error) = transport.flush().await {
        shared.warn(at, format!("the transport was not flushed: {error}"));
    }
    ticket.done();
}
