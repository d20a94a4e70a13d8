//! What goes to the broker.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::driver::{ChannelId, Command, End, FAREWELL, Publish, Shared, State, closed_channel};
use super::handshake::{Limits, broken};
use super::method;
use super::properties::Properties;
use super::wire::{BODY, FRAME_COST, HEADER, HEARTBEAT, Output};
use crate::error::{Error, ErrorKind};

/// So much is gathered for one call to the operating system. Longer bodies go frame by frame.
const GATHER: usize = 64 * 1024;

/// Writes until the connection ends.
pub(super) async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    commands: mpsc::UnboundedReceiver<Command>,
    shared: &Shared,
    limits: Limits,
    prefix: String,
) -> End {
    let desk = Desk { commands, parked: VecDeque::new(), output: Output::default(), shared, prefix, limits };
    desk.run(stream).await.unwrap_or_else(|error| End::Broken(broken(error)))
}

/// A body that is too long to be gathered.
struct Long {
    channel: u16,
    body: Bytes,
}

struct Desk<'a> {
    commands: mpsc::UnboundedReceiver<Command>,
    /// Messages that wait because the broker asked for a pause.
    parked: VecDeque<Publish>,
    output: Output,
    shared: &'a Shared,
    /// What the ids of messages begin with.
    prefix: String,
    limits: Limits,
}

impl Desk<'_> {
    async fn run(mut self, stream: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<End> {
        // Something must travel twice in each interval.
        let quiet = self.limits.heartbeat.map(|heartbeat| heartbeat / 2);
        let mut last = Instant::now();
        let mut open = true;
        loop {
            let long = self.gather(&mut open);
            if !self.output.0.is_empty() {
                stream.write_all(&self.output.0).await?;
                if let Some(long) = long {
                    self.write_long(stream, &long).await?;
                }
                self.output.0.clear();
                stream.flush().await?;
                last = Instant::now();
                continue;
            }
            if !open {
                return Ok(close(stream).await);
            }
            // Who gave up need not be kept.
            self.parked.retain(|publish| !publish.done.is_closed());
            tokio::select! {
                () = self.shared.bell.notified() => {}
                command = self.commands.recv() => match command {
                    Some(command) => {
                        if let Some(long) = self.handle(command, &mut open) {
                            stream.write_all(&self.output.0).await?;
                            self.write_long(stream, &long).await?;
                            self.output.0.clear();
                        }
                    }
                    None => open = false,
                },
                () = until(quiet.map(|quiet| last + quiet)) => self.output.frame(HEARTBEAT, 0, |_| {}),
            }
        }
    }

    /// Turns what waits into bytes, up to so many. A long body comes last.
    fn gather(&mut self, open: &mut bool) -> Option<Long> {
        {
            let mut state = self.shared.lock();
            self.output.0.append(&mut state.outbox.0);
        }
        for _ in 0..self.parked.len() {
            let publish = self.parked.pop_front()?;
            if let Some(long) = self.publish(publish) {
                return Some(long);
            }
        }
        while self.output.0.len() < GATHER {
            let Ok(command) = self.commands.try_recv() else { break };
            if let Some(long) = self.handle(command, open) {
                return Some(long);
            }
        }
        None
    }

    fn handle(&mut self, command: Command, open: &mut bool) -> Option<Long> {
        match command {
            Command::Publish(publish) => return self.publish(publish),
            Command::Close => {
                *open = false;
                // What comes after is answered with the end.
                self.commands.close();
            }
            other => control(&mut self.shared.lock(), &mut self.output, other),
        }
        None
    }

    fn publish(&mut self, publish: Publish) -> Option<Long> {
        if publish.done.is_closed() {
            return None;
        }
        let mut state = self.shared.lock();
        let blocked = state.blocked;
        let Some(line) = state.line(publish.channel) else {
            // Whoever gave up does not mind.
            let _ = publish.done.send(Err(closed_channel()));
            return None;
        };
        if blocked || line.paused {
            drop(state);
            self.parked.push_back(publish);
            return None;
        }
        let Publish { channel, mut publication, done } = publish;
        let own = publication.properties.message_id.take();
        let id = own.unwrap_or_else(|| format!("{}-{}", self.prefix, line.confirms.next()));
        line.confirms.add(Some(id.clone()), publication.body.len(), done);
        drop(state);
        let properties = Properties { message_id: Some(id), ..publication.properties };
        self.output.method(channel.number, method::PUBLISH, |output| {
            output.u16(0);
            output.short(&publication.exchange);
            output.short(&publication.routing_key);
            // Mandatory: what no queue takes comes back.
            output.u8(1);
        });
        let body = publication.body;
        self.output.frame(HEADER, channel.number, |output| properties.write(body.len() as u64, output));
        if body.len() > GATHER {
            return Some(Long { channel: channel.number, body });
        }
        for part in body.chunks(self.part()) {
            self.output.frame(BODY, channel.number, |output| output.0.extend_from_slice(part));
        }
        None
    }

    async fn write_long(&mut self, stream: &mut (impl AsyncWrite + Unpin), long: &Long) -> std::io::Result<()> {
        for part in long.body.chunks(self.part()) {
            self.output.0.clear();
            self.output.frame(BODY, long.channel, |output| output.0.extend_from_slice(part));
            stream.write_all(&self.output.0).await?;
        }
        Ok(())
    }

    /// How much of a body fits into a frame.
    fn part(&self) -> usize {
        self.limits.frame_max - FRAME_COST
    }
}

/// Everything but messages.
fn control(state: &mut State, output: &mut Output, command: Command) {
    match command {
        Command::Open { opening } => {
            let Some((id, line)) = state.add_line() else {
                let reason = "no channel of the connection is free";
                let _ = opening.send(Err(Error::new(ErrorKind::Unavailable, reason)));
                return;
            };
            let (question, answer) = tokio::sync::oneshot::channel();
            line.questions.push_back(question);
            output.method(id.number, method::CHANNEL_OPEN, |output| output.short(""));
            // If nobody waits any more, the answer finds that out.
            let _ = opening.send(Ok((id, answer)));
        }
        Command::Ask { channel, method, answer, consumer } => match state.line(channel) {
            Some(line) => {
                line.questions.push_back(answer);
                if consumer.is_some() {
                    line.consumer = consumer;
                }
                output.0.extend_from_slice(&method.0);
            }
            None => {
                let _ = answer.send(Err(closed_channel()));
            }
        },
        Command::Tell { channel, method } => {
            if state.line(channel).is_some() {
                output.0.extend_from_slice(&method.0);
            }
        }
        Command::Leave { channel } => state.leave(channel, output),
        Command::Publish(_) | Command::Close => {}
    }
}

/// Says farewell and waits for the answer, which the reader gets.
async fn close(stream: &mut (impl AsyncWrite + Unpin)) -> End {
    let mut output = Output::default();
    output.method(0, method::CLOSE, |output| {
        output.u16(method::REPLY_SUCCESS);
        output.short("done");
        output.u32(0);
    });
    let farewell = async {
        if stream.write_all(&output.0).await.is_ok() && stream.flush().await.is_ok() {
            std::future::pending::<()>().await;
        }
    };
    // A broker that does not answer is left alone.
    let _ = tokio::time::timeout(FAREWELL, farewell).await;
    End::Orderly
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// A method on a channel, as bytes.
pub(super) fn method(channel: ChannelId, id: (u16, u16), arguments: impl FnOnce(&mut Output)) -> Output {
    let mut output = Output::default();
    output.method(channel.number, id, arguments);
    output
}
