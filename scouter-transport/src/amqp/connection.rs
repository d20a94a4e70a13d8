//! The handle of a connection.

use tokio::sync::{mpsc, oneshot, watch};

use super::address::Address;
use super::channel::{Channel, expect};
use super::driver::{self, Command, Status};
use super::handshake;
use super::method::Answer;
use crate::error::{Error, ErrorKind};

/// A connection to a broker. It ends when this and all its channels are dropped.
#[derive(Debug)]
pub struct Connection {
    commands: Commands,
}

/// The way to the task that drives a connection.
#[derive(Clone, Debug)]
pub(super) struct Commands {
    sender: mpsc::UnboundedSender<Command>,
    status: watch::Receiver<Status>,
}

impl Commands {
    pub(super) fn send(&self, command: Command) -> Result<(), Error> {
        self.sender.send(command).map_err(|_| self.reason())
    }

    /// Why the connection has ended.
    pub(super) fn reason(&self) -> Error {
        match &*self.status.borrow() {
            Status::Ended(error) => error.clone(),
            _ => Error::new(ErrorKind::Dropped, "the connection ended together with the runtime that drove it"),
        }
    }
}

impl Connection {
    /// Connects and logs in. Waits for as long as the broker lets it; drop the future to give up.
    ///
    /// # Errors
    ///
    /// Why there is no connection. The kind tells what may pass: see [`ErrorKind::is_retryable`].
    pub async fn open(address: &Address) -> Result<Self, Error> {
        let opened = handshake::open(address).await?;
        let (sender, receiver) = mpsc::unbounded_channel();
        let (state, status) = watch::channel(Status::Open);
        let prefix = format!("{:016x}", fastrand::u64(..));
        tokio::spawn(driver::drive(opened, receiver, state, prefix));
        Ok(Self { commands: Commands { sender, status } })
    }

    /// Opens a channel.
    ///
    /// # Errors
    ///
    /// Why the connection ended, or that it has no channel left.
    pub async fn channel(&self) -> Result<Channel, Error> {
        let (opening, outcome) = oneshot::channel();
        self.commands.send(Command::Open { opening })?;
        let (id, answer) = outcome.await.unwrap_or_else(|_| Err(self.commands.reason()))?;
        let answer = answer.await.unwrap_or_else(|_| Err(self.commands.reason()))?;
        let channel = Channel { id, commands: self.commands.clone() };
        expect(answer, Answer::Opened)?;
        Ok(channel)
    }

    /// Whether the connection has ended.
    pub fn is_ended(&self) -> bool {
        self.commands.sender.is_closed() || matches!(&*self.commands.status.borrow(), Status::Ended(_))
    }

    /// Why the broker takes no messages now, when it said that it does not: it is low on memory or disk space.
    pub fn blocked(&self) -> Option<String> {
        match &*self.commands.status.borrow() {
            Status::Blocked(reason) => Some(reason.clone()),
            _ => None,
        }
    }

    /// Closes the connection in order, and waits until it is closed.
    pub async fn close(&self) {
        // If it has ended already, there is nothing to wait for.
        let _ = self.commands.send(Command::Close);
        let mut status = self.commands.status.clone();
        let _ = status.wait_for(|status| matches!(status, Status::Ended(_))).await;
    }
}
