//! The task that owns a destination's backlog.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use scouter_transport::{Retry, Timeout, Transport};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::Destination;
use super::export::{Progress, export};
use super::meter::Meter;
use crate::batch::Batch;
use crate::pipeline::{Shared, Ticket};
use crate::queue::Held;
use crate::stats::{DestinationCounters, DropReason};

const CUT_OFF: &str = "the pipeline was shut down before the spans could be sent";

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
    backlog: VecDeque<(u64, Batch)>,
    running: JoinSet<()>,
    exports: HashMap<Id, Export>,
    /// The numbers of all batches in backlog and running.
    open: BTreeSet<u64>,
    next: u64,
    /// Tickets, and the number of the first batch they do not wait for.
    marks: Vec<(u64, Arc<Ticket>)>,
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
        let transport = shared.outlets[at].wrap(bare)?;
        Ok(Self {
            shared,
            at,
            transport,
            backlog: VecDeque::new(),
            running: JoinSet::new(),
            exports: HashMap::new(),
            open: BTreeSet::new(),
            next: 0,
            marks: Vec::new(),
        })
    }

    /// Runs until closed, or until nobody can give orders any more.
    pub(crate) async fn run(mut self, mut orders: UnboundedReceiver<Order>) {
        let deadline = loop {
            self.begin();
            self.tell();
            tokio::select! {
                biased;
                Some(ended) = self.running.join_next_with_id() => self.settle(ended),
                order = orders.recv() => match order {
                    Some(Order::Send(batch)) => {
                        self.open.insert(self.next);
                        self.backlog.push_back((self.next, batch));
                        self.next += 1;
                    }
                    Some(Order::Mark(ticket)) => self.marks.push((self.next, ticket)),
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
            && let Some((number, batch)) = self.backlog.pop_front()
        {
            let (held, progress) = (batch.held, Arc::<Progress>::default());
            let task = self.export(batch, Arc::clone(&progress));
            let id = self.running.spawn(task).id();
            self.exports.insert(id, Export { number, held, progress });
        }
    }

    fn export(&self, batch: Batch, progress: Arc<Progress>) -> impl Future<Output = ()> + Send + 'static {
        let (shared, at, transport) = (Arc::clone(&self.shared), self.at, Arc::clone(&self.transport));
        async move { export(&shared, at, &*transport, batch, &progress).await }
    }

    /// What an export that did not come to its end has left is lost.
    fn settle(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, ())| *id);
        let Some(Export { number, held, progress }) = self.exports.remove(&id) else { return };
        if let Err(error) = ended {
            let (reason, message) = if error.is_panic() {
                self.shared.count_panic();
                (DropReason::Internal, "a panic in the transport")
            } else {
                // Only a shutdown whose time is up cancels an export.
                (DropReason::Shutdown, CUT_OFF)
            };
            let rest = held.minus(progress.done());
            self.shared.lose(self.at, reason, rest.items, message.to_owned());
            self.shared.release(self.at, rest);
        }
        self.open.remove(&number);
    }

    /// Tells those whose batches have all been dealt with.
    fn tell(&mut self) {
        let oldest = self.open.first().copied().unwrap_or(u64::MAX);
        self.marks.retain(|(until, ticket)| {
            let waits = oldest < *until;
            if !waits {
                ticket.done();
            }
            waits
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
        while let Some((number, batch)) = self.backlog.pop_front() {
            self.shared.lose(self.at, DropReason::Shutdown, batch.held.items, CUT_OFF.to_owned());
            self.shared.release(self.at, batch.held);
            self.open.remove(&number);
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
