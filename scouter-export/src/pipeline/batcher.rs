//! The task that gathers spans into batches.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use scouter_transport::Transport;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Instant, sleep_until};

use super::headers::Headers;
use super::shared::{Command, Shared, Ticket};
use crate::batch::{Batch, Part, Pending};
use crate::destination::{Order, Outlet, Sender};
use crate::queue::{Held, Taker};
use crate::stats::{DropReason, Stage};

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
    exit: Exit,
    intake: Intake,
    /// When the first span that waits was seen.
    since: Option<Instant>,
    haste: Haste,
    /// Spans turned away for want of room that have been reported.
    reported: u64,
}

/// The way from here to the destinations.
#[derive(Debug)]
struct Exit {
    shared: Arc<Shared>,
    headers: Arc<Headers>,
    senders: Vec<Outgoing>,
}

/// How many of the destinations get each span at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Haste {
    None,
    Some,
    All,
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
    pub(crate) fn new(shared: Arc<Shared>, headers: Arc<Headers>) -> Self {
        let intake = Intake {
            taker: Taker::with_room(),
            pending: Pending::new(shared.signal, &shared.config),
            left: Held::default(),
        };
        let simple = |outlet: &Outlet| outlet.destination.simple;
        let haste = match shared.outlets.iter().filter(|outlet| simple(outlet)).count() {
            0 => Haste::None,
            count if count < shared.outlets.len() => Haste::Some,
            _ => Haste::All,
        };
        let exit = Exit { shared, headers, senders: Vec::new() };
        Self { exit, intake, since: None, haste, reported: 0 }
    }

    /// Runs until it is told to shut down, or nobody can tell it any more. `transports` are the bare ones that are already
    /// made; those that are missing are made here.
    pub(crate) async fn run(mut self, mut commands: UnboundedReceiver<Command>, transports: Vec<Arc<dyn Transport>>) {
        let made = transports.into_iter().map(Some).chain(std::iter::repeat(None));
        let shared = Arc::clone(&self.exit.shared);
        self.exit.senders = (0..shared.outlets.len()).zip(made).map(|(at, made)| sender(&shared, at, made)).collect();
        let mut watching = false;
        let (deadline, reply) = loop {
            let before = self.intake.taker.total().items;
            self.gather(false);
            let fast = self.intake.taker.total().items - before >= FAST;
            if fast != watching {
                watching = fast;
                self.exit.shared.queue.watch(fast);
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
                () = self.exit.shared.queue.woken() => {}
                () = sleep_until(self.wake_at(watching)) => {}
            }
        };
        let before = self.exit.shared.losses();
        self.shut_down(deadline).await;
        let _ = self.exit.shared.outcome.set(self.exit.shared.outcome_of_shutdown(&before));
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

    /// Whether there is another batch in the lanes already.
    fn intake_is_behind(&self) -> bool {
        let waiting = self.exit.shared.queue.held().items;
        waiting >= self.exit.shared.config.max_export_batch_size as u64
    }

    fn wake_at(&self, watching: bool) -> Instant {
        let look = Instant::now() + if watching { LOOK } else { IDLE };
        self.since.map_or(look, |since| look.min(since + self.exit.shared.config.scheduled_delay))
    }

    /// Moves what the lanes hold into the pending batch, and sends what is full or due.
    fn gather(&mut self, close: bool) {
        let before = self.intake.left;
        let delay = self.exit.shared.config.scheduled_delay;
        let due = self.haste == Haste::All || self.since.is_some_and(|since| since.elapsed() >= delay);
        self.guarded(|Self { exit, intake, haste, .. }| {
            intake.take(exit, close);
            if due || *haste == Haste::Some {
                exit.dispatch(&mut intake.pending, &mut intake.left, due);
            }
        });
        if due || self.intake.left != before {
            self.since = None;
        }
        // A span that is being copied into a lane at this moment counts as waiting too.
        if self.since.is_none() && self.exit.shared.queue.held().items > 0 {
            self.since = Some(Instant::now());
        }
        self.report_full_queue();
    }

    /// Runs a part of the work. After a panic, whatever was taken from the queue and not handed on is lost, and counted.
    fn guarded(&mut self, work: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_ok() {
            return;
        }
        let shared = &self.exit.shared;
        shared.count_panic();
        let taken = self.intake.taker.total();
        for Outlet { counters, .. } in &shared.outlets {
            let known = counters.fates().total() + counters.held().items;
            counters.drop_spans(Stage::Queued, DropReason::Internal, taken.items.saturating_sub(known));
        }
        let lost = taken.minus(self.intake.left);
        shared.queue.give(lost);
        let message = format!("a panic while {} were gathered", shared.noun());
        shared.reports.report("", Some(DropReason::Internal), lost.items, message);
        self.intake.left = taken;
        self.intake.pending = Pending::new(shared.signal, &shared.config);
    }

    /// Sends everything that has been accepted by now, and passes the ticket to the senders behind it.
    fn flush(&mut self, ticket: &Arc<Ticket>) {
        self.gather(false);
        self.send_pending();
        for (orders, _) in &self.exit.senders {
            let _ = orders.send(Order::Mark(Arc::clone(ticket)));
        }
    }

    fn send_pending(&mut self) {
        self.guarded(|Self { exit, intake, .. }| exit.dispatch(&mut intake.pending, &mut intake.left, true));
        self.since = None;
    }

    async fn shut_down(&mut self, deadline: Instant) {
        self.exit.shared.queue.close();
        self.gather(true);
        self.send_pending();
        for (orders, _) in &self.exit.senders {
            let _ = orders.send(Order::Close(deadline));
        }
        for (_, task) in self.exit.senders.drain(..) {
            if task.await.is_err() {
                self.exit.shared.count_panic();
            }
        }
    }

    fn report_full_queue(&mut self) {
        let full = self.exit.shared.queue.turned_away().full;
        let new = full - self.reported;
        if new > 0 {
            self.reported = full;
            self.exit.shared.reports.report(
                "",
                Some(DropReason::QueueFull),
                new,
                format_args!("the queue is full, new {} are dropped", self.exit.shared.noun()),
            );
        }
    }
}

impl Intake {
    /// Takes what the lanes hold, and sends every batch that becomes full.
    fn take(&mut self, exit: &Exit, close: bool) {
        let Self { taker, pending, left } = self;
        let Exit { shared, headers, .. } = exit;
        shared.queue.take(taker, close, |scope, items, bytes| {
            let scopes_from = |from| headers.scopes_from(from);
            let known = pending.add(scope, items, bytes, scopes_from, |pending| exit.dispatch(pending, left, true));
            if !known {
                let lost = Held { items: u64::from(items), bytes: bytes.len() as u64 };
                for at in 0..shared.outlets.len() {
                    let message = format!("{} came from a scope that was never registered", shared.noun());
                    shared.lose(at, Stage::Queued, DropReason::Internal, lost.items, message);
                }
                *left = left.plus(lost);
                shared.queue.give(lost);
            }
        });
    }
}

impl Exit {
    /// Hands every destination what it is due: to a simple one what is fresh, and with `all` to every other one what there
    /// is. Each part is encoded once.
    fn dispatch(&self, pending: &mut Pending, left: &mut Held, all: bool) {
        if pending.is_empty() {
            return;
        }
        let resource = self.headers.resource();
        let (mut whole, mut fresh) = (None, None);
        for (at, Outlet { destination, .. }) in self.shared.outlets.iter().enumerate() {
            let part = if destination.simple && !pending.is_fresh() { Part::Fresh } else { Part::Whole };
            if !(all || destination.simple) || pending.held(part).items == 0 {
                continue;
            }
            let batch = if destination.sample_ratio.is_all() {
                let encoded = if part == Part::Whole { &mut whole } else { &mut fresh };
                encoded.get_or_insert_with(|| pending.encode(part, &resource)).clone()
            } else {
                pending.encode_sample(part, destination.sample_ratio, &resource)
            };
            self.hand_over(at, batch, pending.held(part).items);
        }
        self.shared.raise_floor();
        if all {
            let held = pending.held(Part::Whole);
            pending.clear();
            *left = left.plus(held);
            self.shared.queue.give(held);
        } else {
            pending.age();
        }
    }

    /// Hands a destination a batch that was made of this many spans, if it has room.
    fn hand_over(&self, at: usize, batch: Batch, of: u64) {
        let counters = &self.shared.outlets[at].counters;
        counters.thin(of - batch.held.items);
        if batch.held.items == 0 {
            return;
        }
        let held = counters.held().plus(batch.held);
        if !held.fits(self.shared.config.bounds()) {
            let message = "the destination is behind, whole batches are dropped".to_owned();
            self.shared.lose(at, Stage::Queued, DropReason::QueueFull, batch.held.items, message);
            return;
        }
        counters.set_held(held);
        let left = batch.held;
        if self.senders[at].0.send(Order::Send(batch)).is_err() {
            counters.set_held(counters.held().minus(left));
            counters.drop_spans(Stage::Queued, DropReason::Internal, left.items);
        }
    }
}

fn sender(shared: &Arc<Shared>, at: usize, transport: Option<Arc<dyn Transport>>) -> Outgoing {
    let (orders, receiver) = unbounded_channel();
    let Outlet { destination, .. } = &shared.outlets[at];
    let transport = transport.map_or_else(|| destination.connect().map_err(|error| error.to_string()), Ok);
    let sender = transport
        .and_then(|transport| Sender::new(Arc::clone(shared), at, transport).map_err(|error| error.to_string()));
    let task = match sender {
        Ok(sender) => tokio::spawn(sender.run(receiver)),
        Err(message) => {
            shared.warn(at, message);
            tokio::spawn(refuse(Arc::clone(shared), at, receiver))
        }
    };
    (orders, task)
}

/// Stands in for a destination whose transport could not be made.
async fn refuse(shared: Arc<Shared>, at: usize, mut orders: UnboundedReceiver<Order>) {
    while let Some(order) = orders.recv().await {
        match order {
            Order::Send(batch) => {
                let message = "the transport could not be made in this process".to_owned();
                shared.outlets[at].counters.submit(batch.held.items);
                shared.lose(at, Stage::Sent, DropReason::Refused, batch.held.items, message);
                shared.release(at, batch.held);
            }
            Order::Mark(ticket) => ticket.done(),
            Order::Close(_) => return,
        }
    }
}
