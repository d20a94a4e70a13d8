//! The task that gathers spans into batches.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use scouter_span::Resource;
use scouter_transport::Transport;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Instant, sleep_until};

use super::scopes::Scopes;
use super::shared::{Command, Shared, Ticket};
use crate::batch::{Batch, Pending};
use crate::destination::{Order, Outlet, Sender};
use crate::queue::{Held, Taker};
use crate::stats::DropReason;

/// How often to look when nothing has called for it.
const IDLE: Duration = Duration::from_secs(5);

type Outgoing = (UnboundedSender<Order>, JoinHandle<()>);

/// How often to look while spans come fast.
const LOOK: Duration = Duration::from_millis(1);
/// As many spans since the last look are fast.
const FAST: u64 = 32;

/// Owns the batch that is being filled, and hands full ones to the senders.
#[derive(Debug)]
pub(crate) struct Batcher {
    shared: Arc<Shared>,
    scopes: Arc<Scopes>,
    resource: Resource,
    intake: Intake,
    /// When the first span that waits was seen.
    since: Option<Instant>,
    senders: Vec<Outgoing>,
    /// Spans turned away for want of room that have been reported.
    reported: u64,
}

/// What a panic in the middle of its work may leave half done.
#[derive(Debug)]
struct Intake {
    taker: Taker,
    pending: Pending,
    /// What has left the pending batch so far, of all that was taken from the queue.
    left: Held,
}

impl Batcher {
    pub(crate) fn new(shared: Arc<Shared>, scopes: Arc<Scopes>, resource: Resource) -> Self {
        let pending = Pending::new(resource.clone(), &shared.config);
        let intake = Intake { taker: Taker::new(), pending, left: Held::default() };
        Self { shared, scopes, resource, intake, since: None, senders: Vec::new(), reported: 0 }
    }

    /// Runs until it is told to shut down, or nobody can tell it any more. `transports` are the bare ones that are already
    /// made; those that are missing are made here.
    pub(crate) async fn run(mut self, mut commands: UnboundedReceiver<Command>, transports: Vec<Arc<dyn Transport>>) {
        let made = transports.into_iter().map(Some).chain(std::iter::repeat(None));
        self.senders = (0..self.shared.outlets.len()).zip(made).map(|(at, made)| self.sender(at, made)).collect();
        let mut watching = false;
        let (deadline, reply) = loop {
            let before = self.intake.taker.total().items;
            self.gather(false);
            let fast = self.intake.taker.total().items - before >= FAST;
            if fast != watching {
                watching = fast;
                self.shared.queue.watch(fast);
                if !watching {
                    // What came before the threads knew would wait for a call.
                    continue;
                }
            }
            if self.intake_is_behind() {
                // Let the senders have their turn.
                yield_now().await;
                continue;
            }
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(Command::Flush(ticket)) => self.flush(&ticket),
                    Some(Command::Shutdown(deadline, reply)) => break (deadline, Some(reply)),
                    None => break (Instant::now(), None),
                },
                () = self.shared.queue.woken() => {}
                () = sleep_until(self.wake_at(watching)) => {}
            }
        };
        let before = self.shared.losses();
        self.shut_down(deadline).await;
        let _ = self.shared.outcome.set(self.shared.outcome_of_shutdown(&before));
        // Whoever asked meanwhile is told too, and whoever asks later finds nobody listening and the outcome there.
        commands.close();
        if let Some(reply) = reply {
            let _ = reply.try_send(());
        }
        while let Some(command) = commands.recv().await {
            match command {
                Command::Flush(ticket) => ticket.finish(),
                Command::Shutdown(_, reply) => drop(reply.try_send(())),
            }
        }
    }

    fn sender(&self, at: usize, transport: Option<Arc<dyn Transport>>) -> Outgoing {
        let (orders, receiver) = unbounded_channel();
        let Outlet { destination, .. } = &self.shared.outlets[at];
        let transport = transport.map_or_else(|| destination.connect().map_err(|error| error.to_string()), Ok);
        let sender = transport.and_then(|transport| {
            Sender::new(Arc::clone(&self.shared), at, transport).map_err(|error| error.to_string())
        });
        let task = match sender {
            Ok(sender) => tokio::spawn(sender.run(receiver)),
            Err(message) => {
                self.shared.warn(at, message);
                tokio::spawn(refuse(Arc::clone(&self.shared), at, receiver))
            }
        };
        (orders, task)
    }

    /// Whether there is another batch in the lanes already.
    fn intake_is_behind(&self) -> bool {
        let waiting = self.shared.queue.held().items;
        waiting >= self.shared.config.max_export_batch_size as u64
    }

    fn wake_at(&self, watching: bool) -> Instant {
        let look = Instant::now() + if watching { LOOK } else { IDLE };
        self.since.map_or(look, |since| look.min(since + self.shared.config.scheduled_delay))
    }

    /// Moves what the lanes hold into the pending batch, and sends what is full or due.
    fn gather(&mut self, close: bool) {
        let before = self.intake.left;
        let due = self.since.is_some_and(|since| since.elapsed() >= self.shared.config.scheduled_delay);
        self.guarded(|batcher| {
            batcher.take(close);
            if due {
                batcher.intake.dispatch(&batcher.shared, &batcher.senders);
            }
        });
        if due || self.intake.left != before {
            self.since = None;
        }
        // A span that is being copied into a lane at this moment counts as waiting too.
        if self.since.is_none() && self.shared.queue.held().items > 0 {
            self.since = Some(Instant::now());
        }
        self.report_full_queue();
    }

    fn take(&mut self, close: bool) {
        let Self { shared, senders, scopes, intake: Intake { taker, pending, left }, .. } = self;
        shared.queue.take(taker, close, |scope, items, bytes| {
            let known = pending.add(
                scope,
                items,
                bytes,
                |from| scopes.from(from),
                |pending| {
                    dispatch(shared, senders, pending, left);
                },
            );
            if !known {
                let lost = Held { items: u64::from(items), bytes: bytes.len() as u64 };
                for at in 0..shared.outlets.len() {
                    let message = "spans came from a scope that was never registered".to_owned();
                    shared.lose(at, DropReason::Internal, lost.items, message);
                }
                *left = left.plus(lost);
                shared.queue.give(lost);
            }
        });
    }

    /// Runs a part of the work. After a panic, whatever was taken from the queue and not handed on is lost, and counted.
    fn guarded(&mut self, work: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_ok() {
            return;
        }
        let shared = &self.shared;
        shared.count_panic();
        let taken = self.intake.taker.total();
        for Outlet { counters, .. } in &shared.outlets {
            let known = counters.fates().total() + counters.held().items;
            counters.drop_spans(DropReason::Internal, taken.items.saturating_sub(known));
        }
        let lost = taken.minus(self.intake.left);
        shared.queue.give(lost);
        shared.reports.report("", Some(DropReason::Internal), lost.items, "a panic while spans were gathered");
        self.intake.left = taken;
        self.intake.pending = Pending::new(self.resource.clone(), &shared.config);
    }

    /// Sends everything that has been accepted by now, and passes the ticket to the senders behind it.
    fn flush(&mut self, ticket: &Arc<Ticket>) {
        self.gather(false);
        self.send_pending();
        for (orders, _) in &self.senders {
            let _ = orders.send(Order::Mark(Arc::clone(ticket)));
        }
    }

    fn send_pending(&mut self) {
        self.guarded(|batcher| batcher.intake.dispatch(&batcher.shared, &batcher.senders));
        self.since = None;
    }

    async fn shut_down(&mut self, deadline: Instant) {
        self.shared.queue.close();
        self.gather(true);
        self.send_pending();
        for (orders, _) in &self.senders {
            let _ = orders.send(Order::Close(deadline));
        }
        for (_, task) in self.senders.drain(..) {
            if task.await.is_err() {
                self.shared.count_panic();
            }
        }
    }

    fn report_full_queue(&mut self) {
        let full = self.shared.queue.turned_away().full;
        let new = full - self.reported;
        if new > 0 {
            self.reported = full;
            self.shared.reports.report(
                "",
                Some(DropReason::QueueFull),
                new,
                "the queue is full, new spans are dropped",
            );
        }
    }
}

impl Intake {
    fn dispatch(&mut self, shared: &Shared, senders: &[Outgoing]) {
        dispatch(shared, senders, &mut self.pending, &mut self.left);
    }
}

/// Encodes the pending batch once, and hands it to every destination that has room.
fn dispatch(shared: &Shared, senders: &[Outgoing], pending: &mut Pending, left: &mut Held) {
    if pending.is_empty() {
        return;
    }
    let all = pending.held();
    let mut whole: Option<Batch> = None;
    for (at, (orders, _)) in senders.iter().enumerate() {
        let Outlet { destination, counters } = &shared.outlets[at];
        let batch = if destination.sample_ratio.is_all() {
            whole.get_or_insert_with(|| pending.encode()).clone()
        } else {
            pending.encode_part(destination.sample_ratio)
        };
        counters.thin(all.items - batch.held.items);
        if batch.held.items == 0 {
            continue;
        }
        let held = counters.held().plus(batch.held);
        if !held.fits(shared.config.bounds()) {
            let message = "the destination is behind, whole batches are dropped".to_owned();
            shared.lose(at, DropReason::QueueFull, batch.held.items, message);
            continue;
        }
        counters.set_held(held);
        if orders.send(Order::Send(batch.clone())).is_err() {
            counters.set_held(counters.held().minus(batch.held));
            counters.drop_spans(DropReason::Internal, batch.held.items);
        }
    }
    shared.raise_floor();
    pending.clear();
    *left = left.plus(all);
    shared.queue.give(all);
}

/// Stands in for a destination whose transport could not be made.
async fn refuse(shared: Arc<Shared>, at: usize, mut orders: UnboundedReceiver<Order>) {
    while let Some(order) = orders.recv().await {
        match order {
            Order::Send(batch) => {
                let message = "the transport could not be made in this process".to_owned();
                shared.lose(at, DropReason::Refused, batch.held.items, message);
                shared.release(at, batch.held);
            }
            Order::Mark(ticket) => ticket.done(),
            Order::Close(_) => return,
        }
    }
}
