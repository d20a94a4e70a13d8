//! From an address to an open connection: TCP, TLS, login, limits, virtual host.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::address::Address;
use super::method::{self, Answer, Method};
use super::reply::Reply;
use super::wire::{self, HEARTBEAT, METHOD, Malformed, Output};
use crate::error::{Error, ErrorKind};
use crate::tls::Fallback;

/// The largest frame that is asked for, RabbitMQ's own default, and the smallest that every broker takes.
const FRAME_MAX: u32 = 128 * 1024;
const FRAME_MIN: u32 = 4096;

/// More channels than this are never open at once.
const CHANNEL_MAX: u16 = 64;

/// Bytes in both directions.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}

/// An open connection that nobody drives yet.
pub(super) struct Opened {
    pub(super) stream: Box<dyn Stream>,
    /// What was read beyond the handshake.
    pub(super) read: BytesMut,
    pub(super) limits: Limits,
}

/// What both ends have agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) frame_max: usize,
    pub(super) channel_max: u16,
    /// How often something must travel; `None` for no need.
    pub(super) heartbeat: Option<Duration>,
}

/// Connects and logs in. Takes as long as the broker does.
pub(super) async fn open(address: &Address) -> Result<Opened, Error> {
    let config = &address.config;
    let unreachable = |error: io::Error| Error::new(ErrorKind::Unreachable, error.to_string()).with_source(error);
    let tcp = TcpStream::connect((&*config.host, config.effective_port())).await.map_err(unreachable)?;
    tcp.set_nodelay(true).map_err(unreachable)?;
    let stream: Box<dyn Stream> = match &config.tls {
        None => Box::new(tcp),
        Some(tls) => {
            let connector = TlsConnector::from(Arc::new(tls.build(Fallback::System)?));
            let name = rustls::pki_types::ServerName::try_from(config.host.clone())
                .map_err(|error| Error::new(ErrorKind::Config, error.to_string()))?;
            Box::new(connector.connect(name, tcp).await.map_err(broken)?)
        }
    };
    let mut talk = Talk { stream, read: BytesMut::with_capacity(16 * 1024), address };
    talk.introduce().await?;
    let limits = talk.login().await?;
    talk.enter().await?;
    Ok(Opened { stream: talk.stream, read: talk.read, limits })
}

/// Why reading or writing ended.
pub(super) fn broken(error: io::Error) -> Error {
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        let reason = match tls {
            rustls::Error::InvalidMessage(_) => format!("{tls}: is this the port without TLS?"),
            _ => tls.to_string(),
        };
        return Error::new(ErrorKind::Tls, reason).with_source(error);
    }
    let reason = match error.kind() {
        io::ErrorKind::UnexpectedEof => "the broker closed the connection".to_owned(),
        _ => error.to_string(),
    };
    Error::new(ErrorKind::Dropped, reason).with_source(error)
}

/// Why what was read makes no sense.
pub(super) fn malformed(error: Malformed) -> Error {
    Error::new(ErrorKind::BadResponse, format!("the broker sent {}", error.0))
}

/// The connection while it is being opened.
struct Talk<'a> {
    stream: Box<dyn Stream>,
    read: BytesMut,
    address: &'a Address,
}

impl Talk<'_> {
    async fn write(&mut self, output: Output) -> Result<(), Error> {
        self.stream.write_all(&output.0).await.map_err(broken)?;
        self.stream.flush().await.map_err(broken)
    }

    async fn fill(&mut self) -> Result<(), Error> {
        match self.stream.read_buf(&mut self.read).await {
            Ok(0) => Err(broken(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(()),
            Err(error) => Err(broken(error)),
        }
    }

    /// The next method on channel 0.
    async fn method(&mut self) -> Result<Method, Error> {
        loop {
            if let Some((frame, length)) = wire::frame(&self.read, FRAME_MAX as usize).map_err(malformed)? {
                let method = match frame.kind {
                    METHOD => Some(Method::read(frame.payload).map_err(malformed)?),
                    HEARTBEAT => None,
                    _ => return Err(malformed(Malformed("content before the connection was open"))),
                };
                drop(self.read.split_to(length));
                match method {
                    None => {}
                    Some(Method::Close { code, text }) => return Err(self.refused(code, text).await),
                    Some(method) => return Ok(method),
                }
            } else {
                self.fill().await?;
            }
        }
    }

    /// The broker closes while the connection is being opened: it does not let us in.
    async fn refused(&mut self, code: u16, text: String) -> Error {
        let mut output = Output::default();
        output.method(0, method::CLOSE_OK, |_| {});
        // It hangs up anyway.
        let _ = self.write(output).await;
        let (user, vhost) = (&self.address.config.username, &self.address.config.vhost);
        let reply = Reply { code, text: self.address.scrub(text) };
        match code {
            Reply::ACCESS_REFUSED => reply.error(&format!("cannot log in as user `{user}`: check user and password")),
            530 => reply.error(&format!("cannot open the virtual host `{vhost}` as user `{user}`")),
            _ => reply.error(""),
        }
    }

    /// Says which protocol this is and waits to be greeted.
    async fn introduce(&mut self) -> Result<(), Error> {
        self.stream.write_all(b"AMQP\x00\x00\x09\x01").await.map_err(broken)?;
        self.stream.flush().await.map_err(broken)?;
        let foreign = |reason: &str| Err(Error::new(ErrorKind::BadResponse, reason));
        while self.read.len() < 8 {
            self.fill().await?;
        }
        if self.read.starts_with(b"AMQP") {
            return foreign("the far end speaks another version of AMQP than 0-9-1");
        }
        if self.read[0] != METHOD || self.read[1..3] != [0, 0] {
            return foreign("the answer is not AMQP 0-9-1: is this the port of TLS, or of the management page?");
        }
        match self.method().await? {
            Method::Start { major: 0, minor: 9, mechanisms } => {
                match mechanisms.split(|byte| *byte == b' ').any(|mechanism| mechanism == b"PLAIN") {
                    true => Ok(()),
                    false => foreign("the broker does not let anybody in by user and password (mechanism PLAIN)"),
                }
            }
            Method::Start { .. } => foreign("the far end speaks another version of AMQP than 0-9-1"),
            _ => foreign("the broker did not begin with connection.start"),
        }
    }

    /// Shows user and password, and agrees on limits.
    async fn login(&mut self) -> Result<Limits, Error> {
        let config = &self.address.config;
        let mut output = Output::default();
        output.method(0, method::START_OK, |output| {
            output.counted(client_properties);
            output.short("PLAIN");
            output.long(format!("\0{}\0{}", config.username, config.password).as_bytes());
            output.short("en_US");
        });
        self.write(output).await?;
        let Method::Tune { channel_max, frame_max, heartbeat } = self.method().await? else {
            return Err(Error::new(ErrorKind::BadResponse, "the broker asks for more than user and password"));
        };
        // Zero stands for no limit, and for no heartbeat.
        let frame_max = if frame_max == 0 { FRAME_MAX } else { frame_max.clamp(FRAME_MIN, FRAME_MAX) };
        let channel_max = if channel_max == 0 { CHANNEL_MAX } else { channel_max.min(CHANNEL_MAX) };
        let own = u16::try_from(self.address.config.heartbeat.as_secs()).unwrap_or(u16::MAX);
        let heartbeat = if own == 0 || heartbeat == 0 { 0 } else { own.min(heartbeat) };
        let mut output = Output::default();
        output.method(0, method::TUNE_OK, |output| {
            output.u16(channel_max);
            output.u32(frame_max);
            output.u16(heartbeat);
        });
        self.write(output).await?;
        let heartbeat = (heartbeat != 0).then(|| Duration::from_secs(heartbeat.into()));
        Ok(Limits { frame_max: frame_max as usize, channel_max, heartbeat })
    }

    /// Enters the virtual host.
    async fn enter(&mut self) -> Result<(), Error> {
        let mut output = Output::default();
        output.method(0, method::OPEN, |output| {
            output.short(&self.address.config.vhost);
            output.short("");
            output.u8(0);
        });
        self.write(output).await?;
        match self.method().await? {
            Method::Answer(Answer::Opened) => Ok(()),
            _ => Err(Error::new(ErrorKind::BadResponse, "the broker did not answer connection.open")),
        }
    }
}

/// Who we are, and which extensions we understand.
fn client_properties(output: &mut Output) {
    let text = |output: &mut Output, name: &str, text: &str| {
        output.short(name);
        output.u8(b'S');
        output.long(text.as_bytes());
    };
    text(output, "product", "Scouter");
    text(output, "version", env!("CARGO_PKG_VERSION"));
    text(output, "connection_name", "scouter");
    output.short("capabilities");
    output.u8(b'F');
    output.counted(|output| {
        for name in [
            "publisher_confirms",
            "basic.nack",
            "connection.blocked",
            "consumer_cancel_notify",
            "authentication_failure_close",
        ] {
            output.short(name);
            output.u8(b't');
            output.u8(1);
        }
    });
}
