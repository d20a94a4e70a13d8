//! What drives one connection: a reader and a writer that share its state, in one task.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::channel::Publication;
use super::handshake::{Limits, Opened};
use super::line::{Delivery, Line, Outcome};
use super::method;
use super::wire::Output;
use super::{reader, writer};
use crate::error::{Error, ErrorKind};

/// How long the end of a connection may take once nobody uses it.
pub(super) const FAREWELL: Duration = Duration::from_secs(1);

/// How a connection is doing.
#[derive(Clone, Debug)]
pub(super) enum Status {
    Open,
    /// The broker takes no messages for now, for this reason.
    Blocked(String),
    Ended(Error),
}

/// Names a channel of a connection, and no later one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChannelId {
    pub(super) number: u16,
    pub(super) serial: u64,
}

/// A channel that the broker is about to open, and what will tell when it has.
pub(super) type Opening = (ChannelId, oneshot::Receiver<Outcome>);

/// What the driver is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    /// Opens a channel.
    Open {
        opening: oneshot::Sender<Result<Opening, Error>>,
    },
    /// Sends a method and waits for its answer.
    Ask {
        channel: ChannelId,
        method: Output,
        answer: oneshot::Sender<Outcome>,
        consumer: Option<mpsc::UnboundedSender<Result<Delivery, Error>>>,
    },
    /// Sends a method that has no answer.
    Tell {
        channel: ChannelId,
        method: Output,
    },
    Publish(Publish),
    /// Closes a channel.
    Leave {
        channel: ChannelId,
    },
    /// Closes the connection.
    Close,
}

/// A message on its way.
#[derive(Debug)]
pub(super) struct Publish {
    pub(super) channel: ChannelId,
    pub(super) publication: Publication,
    pub(super) done: oneshot::Sender<Result<(), Error>>,
}

/// How reading or writing came to its end.
#[derive(Debug)]
pub(super) enum End {
    /// As asked.
    Orderly,
    /// The broker closed the connection, and waits for an answer.
    Told(Error),
    Broken(Error),
}

/// What reader and writer both know.
#[derive(Debug)]
pub(super) struct State {
    pub(super) lines: BTreeMap<u16, Line>,
    serial: u64,
    channel_max: u16,
    /// What the reader wants to be written.
    pub(super) outbox: Output,
    /// No content may be sent.
    pub(super) blocked: bool,
}

/// The state, and the bell that calls the writer when the reader has changed it.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) bell: Notify,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new(limits: Limits) -> Self {
        let channel_max = limits.channel_max;
        Self { lines: BTreeMap::new(), serial: 0, channel_max, outbox: Output::default(), blocked: false }
    }

    /// Takes a free number for a new channel.
    pub(super) fn add_line(&mut self) -> Option<(ChannelId, &mut Line)> {
        let number = (1..=self.channel_max).find(|number| !self.lines.contains_key(number))?;
        self.serial += 1;
        let line = self.lines.entry(number).or_default();
        line.serial = self.serial;
        Some((ChannelId { number, serial: self.serial }, line))
    }

    /// The channel of this name, while it is in use.
    pub(super) fn line(&mut self, id: ChannelId) -> Option<&mut Line> {
        self.lines.get_mut(&id.number).filter(|line| line.serial == id.serial && !line.closing)
    }

    /// Closes a channel from this side.
    pub(super) fn leave(&mut self, id: ChannelId, output: &mut Output) {
        let Some(line) = self.line(id) else { return };
        line.closing = true;
        line.fail(|_| closed_channel());
        output.method(id.number, method::CHANNEL_CLOSE, |output| {
            output.u16(method::REPLY_SUCCESS);
            output.short("done");
            output.u32(0);
        });
    }
}

impl Line {
    /// Tells everybody on the channel why it ended; `reason` may depend on the size of a message.
    pub(super) fn fail(&mut self, reason: impl Fn(usize) -> Error) {
        for question in self.questions.drain(..) {
            // Whoever gave up does not mind.
            let _ = question.send(Err(reason(0)));
        }
        self.confirms.fail(&reason);
        if let Some(consumer) = self.consumer.take() {
            let _ = consumer.send(Err(reason(0)));
        }
    }
}

pub(super) fn closed_channel() -> Error {
    Error::new(ErrorKind::Dropped, "the channel is closed")
}

/// Drives a connection to its end.
pub(super) async fn drive(
    opened: Opened,
    commands: mpsc::UnboundedReceiver<Command>,
    status: watch::Sender<Status>,
    prefix: String,
) {
    let Opened { stream, read, limits } = opened;
    // What waits for answers lives here, so that it ends with the task, however the task ends.
    let shared = Shared { state: Mutex::new(State::new(limits)), bell: Notify::new() };
    let (mut input, mut output) = tokio::io::split(stream);
    let end = tokio::select! {
        end = reader::read(&mut input, read, &shared, &status, limits) => end,
        end = writer::write(&mut output, commands, &shared, limits, prefix) => end,
    };
    let error = match &end {
        End::Orderly => Error::new(ErrorKind::Dropped, "the connection is closed"),
        End::Told(error) | End::Broken(error) => error.clone(),
    };
    for line in shared.lock().lines.values_mut() {
        line.fail(|_| error.clone());
    }
    status.send_replace(Status::Ended(error));
    if !matches!(end, End::Broken(_)) {
        let farewell = async {
            if matches!(end, End::Told(_)) {
                let mut last = Output::default();
                last.method(0, method::CLOSE_OK, |_| {});
                output.write_all(&last.0).await?;
            }
            output.shutdown().await
        };
        // A broker that does not listen to the end is left alone.
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
    }
}
