//! One connection, made on the runtime and handed to the library when the far end has been reached.

use std::fmt;
use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use async_compat::CompatExt as _;
use futures_core::Stream;
use lapin::tcp::{AsyncTcpStream, RustlsConnector};
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{Channel, Connection, ConnectionProperties, ConnectionStatus, Event};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::RabbitMqConfig;
use super::queue::Use;
use super::reply::{Reply, failed};
use crate::error::{Error, ErrorKind};
use crate::tls::Fallback;

/// How long an orderly farewell may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// The largest frame that is asked for. The library keeps 64 of them for each connection.
const FRAME_MAX: u32 = 128 * 1024;

/// Whether the broker takes messages.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// It does not, for this reason: it is low on memory or disk space (`connection.blocked`).
    Blocked(String),
    Ended,
}

/// A connection to a broker that has let us in.
///
/// The library drives it on a thread of its own. A second handle of the socket is kept here: dropping the session cuts
/// the connection, so that the thread ends even when the broker says nothing any more.
pub struct Session {
    connection: Connection,
    state: watch::Receiver<State>,
    /// How many channels were opened.
    opened: AtomicUsize,
    cutter: Cutter,
}

/// Shuts a socket down when dropped.
struct Cutter {
    socket: std::net::TcpStream,
    /// The process that made the connection. A forked child has the socket too, and must leave it to its parent.
    owner: u32,
}

impl Cutter {
    fn cut(&self) {
        if self.owner == std::process::id() {
            // It may be closed already.
            let _ = self.socket.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.cut();
    }
}

impl Session {
    /// Connects and logs in. Waits for as long as the broker lets it; drop the future to give up.
    ///
    /// # Errors
    ///
    /// Why there is no connection. The kind tells what may pass: see [`ErrorKind::is_retryable`].
    pub async fn open(config: &RabbitMqConfig, name: &str) -> Result<Self, Error> {
        let unreachable = |error: io::Error| Error::new(ErrorKind::Unreachable, error.to_string()).with_source(error);
        let tcp = TcpStream::connect((&*config.host, config.effective_port())).await.map_err(unreachable)?;
        tcp.set_nodelay(true).map_err(unreachable)?;
        let second = tcp.as_fd().try_clone_to_owned().map_err(unreachable)?;
        let cutter = Cutter { socket: second.into(), owner: std::process::id() };
        let mut stream = AsyncTcpStream::Plain(tcp.compat());
        if let Some(tls) = &config.tls {
            let connector = RustlsConnector::from(tls.build(Fallback::System)?);
            stream = stream.into_rustls(&connector, &config.host).await.map_err(untrusted)?;
        }
        // The library asks for it once, as it is told not to try again.
        let stream = Mutex::new(Some(stream));
        let connect = async move |_, _| {
            let stream = stream.lock().unwrap_or_else(PoisonError::into_inner).take();
            stream.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionAborted).into())
        };
        let runtime = lapin::runtime::default_runtime().map_err(|error| failed(&error))?;
        let properties = ConnectionProperties::default()
            .with_connection_name(name.into())
            .with_client_property("product".into(), "Scouter".into())
            .with_client_property("version".into(), env!("CARGO_PKG_VERSION").into());
        let connecting = Connection::connector(address(config), runtime, connect, properties);
        let connection = connecting.await.map_err(|error| not_let_in(config, &error))?;
        let (sender, state) = watch::channel(State::Open);
        tokio::spawn(follow(connection.events_listener(), connection.status().clone(), sender));
        Ok(Self { connection, state, opened: AtomicUsize::new(0), cutter })
    }

    /// How many channels the broker lets the connection have at once.
    pub(super) fn most_channels(&self) -> usize {
        match self.connection.configuration().channel_max() {
            0 => usize::from(u16::MAX),
            most => usize::from(most),
        }
    }

    /// Whether a broker that is there no more is noticed although nothing is asked of it.
    pub(super) fn has_heartbeat(&self) -> bool {
        self.connection.configuration().heartbeat() > 0
    }

    /// Opens a channel.
    ///
    /// # Errors
    ///
    /// Why the connection ended, or that it has no channel left.
    pub async fn channel(&self) -> Result<Channel, Error> {
        if self.is_spent() {
            return Err(Error::new(ErrorKind::Unavailable, "the connection has no channel left that is fresh"));
        }
        self.opened.fetch_add(1, Ordering::Relaxed);
        self.connection.create_channel().await.map_err(|error| failed(&error))
    }

    /// Sees to it that a durable queue is there. One that is there keeps its arguments.
    ///
    /// # Errors
    ///
    /// Why it is not there, or that what is in it can get lost.
    pub async fn declare(&self, queue: &str) -> Result<(), Error> {
        super::queue::declare(self, queue, Use::Write).await
    }

    /// The same for a queue whose messages are to be taken out: it must not be a stream, of which nothing is ever taken.
    ///
    /// # Errors
    ///
    /// As [`declare`](Self::declare), or that it is a stream.
    pub async fn declare_for_reading(&self, queue: &str) -> Result<(), Error> {
        super::queue::declare(self, queue, Use::Read).await
    }

    /// Whether every channel has been opened once. The library remembers for ever of a channel why the broker closed it, so
    /// another with its number could not be opened: it is time for another connection.
    pub fn is_spent(&self) -> bool {
        self.opened.load(Ordering::Relaxed) >= self.most_channels()
    }

    /// Whether the connection has ended, or the runtime on which it was made.
    pub fn is_ended(&self) -> bool {
        !self.connection.status().connected()
            || self.state.has_changed().is_err()
            || *self.state.borrow() == State::Ended
    }

    /// Why the broker takes no messages now, when it said that it does not: it is low on memory or disk space.
    pub fn blocked(&self) -> Option<String> {
        if !self.connection.status().blocked() {
            return None;
        }
        Some(match &*self.state.borrow() {
            State::Blocked(reason) => reason.clone(),
            State::Open | State::Ended => "blocked".to_owned(),
        })
    }

    /// Waits until the broker takes messages, or the connection has ended.
    pub async fn unblocked(&self) {
        if !self.connection.status().blocked() {
            return;
        }
        let mut state = self.state.clone();
        // The state follows the library's own a moment later: it is first seen blocked, then not any more.
        let _ = state.wait_for(|state| *state != State::Open || !self.connection.status().blocked()).await;
        let _ = state.wait_for(|state| !matches!(state, State::Blocked(_))).await;
    }

    /// Waits until the connection has ended.
    pub async fn ended(&self) {
        let _ = self.state.clone().wait_for(|state| *state == State::Ended).await;
    }

    /// Ends the connection at once, whatever is on its way.
    pub fn cut(&self) {
        self.cutter.cut();
    }

    /// Closes the connection in order; one that cannot be is cut.
    pub async fn close(&self) {
        // A broker that does not say farewell is left without.
        let _ = tokio::time::timeout(FAREWELL, self.connection.close(200, "done".into())).await;
    }
}

/// Keeps the state up to date, for as long as the runtime lives.
async fn follow(events: impl Stream<Item = Event>, status: ConnectionStatus, state: watch::Sender<State>) {
    let mut events = std::pin::pin!(events);
    while let Some(event) = next(events.as_mut()).await {
        match event {
            Event::ConnectionBlocked(reason) => drop(state.send_replace(State::Blocked(reason))),
            Event::ConnectionUnblocked => drop(state.send_replace(State::Open)),
            // The end of one channel.
            Event::Error(error) if error.is_amqp_soft_error() && status.connected() => {}
            Event::Error(_) => drop(state.send_replace(State::Ended)),
            _ => {}
        }
    }
    state.send_replace(State::Ended);
}

async fn next<S: Stream>(mut stream: Pin<&mut S>) -> Option<S::Item> {
    std::future::poll_fn(|context| -> Poll<_> { stream.as_mut().poll_next(context) }).await
}

fn address(config: &RabbitMqConfig) -> AMQPUri {
    let heartbeat = u16::try_from(config.heartbeat.as_secs()).unwrap_or(u16::MAX);
    AMQPUri {
        scheme: if config.tls.is_some() { AMQPScheme::AMQPS } else { AMQPScheme::AMQP },
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo { username: config.username.clone(), password: config.password.clone() },
            host: config.host.clone(),
            port: config.effective_port(),
        },
        vhost: config.vhost.clone(),
        query: AMQPQueryString { frame_max: Some(FRAME_MAX), heartbeat: Some(heartbeat), ..AMQPQueryString::default() },
    }
}

fn untrusted(error: io::Error) -> Error {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(inner) = next {
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            let reason = match tls {
                rustls::Error::InvalidMessage(_) => format!("{tls}: is this the port without TLS?"),
                _ => tls.to_string(),
            };
            return Error::new(ErrorKind::Tls, reason);
        }
        next = match inner.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => inner.source(),
        };
    }
    Error::new(ErrorKind::Dropped, format!("no TLS: {error}"))
}

/// Why the broker does not let us in.
fn not_let_in(config: &RabbitMqConfig, error: &lapin::Error) -> Error {
    let (user, vhost) = (&config.username, &config.vhost);
    let Some(reply) = Reply::from_library(error) else {
        let error = failed(error);
        return match error.kind() {
            // What a port for TLS does with somebody who speaks plainly.
            ErrorKind::Dropped if config.tls.is_none() => {
                Error::new(ErrorKind::Dropped, format!("not let in: {error}; is this the port of TLS?"))
            }
            _ => error,
        };
    };
    let reply = Reply { text: scrub(config, reply.text), ..reply };
    match reply.code {
        Reply::ACCESS_REFUSED => reply.error(&format!("cannot log in as user `{user}`: check user and password")),
        530 => reply.error(&format!("cannot open the virtual host `{vhost}` as user `{user}`")),
        _ => reply.error(""),
    }
}

/// What a broker said, without the password should it be repeated there.
fn scrub(config: &RabbitMqConfig, text: String) -> String {
    match config.password.as_str() {
        // Words that stand in ordinary sentences are no secret, and hiding them would garble what is said.
        "" | "guest" => text,
        password => text.replace(password, "***"),
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("state", &*self.state.borrow()).finish_non_exhaustive()
    }
}

impl super::RabbitMqConfig {
    /// Whether the settings can work, the certificates among them.
    pub(super) fn check_all(&self) -> Result<(), Error> {
        self.check()?;
        if let Some(tls) = &self.tls {
            tls.build(Fallback::Nobody)?;
            if rustls::pki_types::ServerName::try_from(self.host.as_str()).is_err() {
                let reason = format!("the host `{}` is no name that a certificate can have", self.host);
                return Err(Error::new(ErrorKind::Config, reason));
            }
        }
        Ok(())
    }
}
