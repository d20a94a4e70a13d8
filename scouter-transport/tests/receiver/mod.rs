//! A receiver that does what its script says, well and badly, over HTTP/1.1 or gRPC, on a free port of this machine.
//!
//! Every request takes the next act of the script; when there is none left, requests are taken in as they should be. The
//! receiver writes its answers byte by byte itself, or through `h2`, so that it can break off anywhere.

#![allow(dead_code, reason = "every test program uses its part")]

mod grpc;
mod http;
pub(crate) mod status;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// What is done with one request, or with the connection it would come on.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Takes it in, and answers with this encoded `ExportTraceServiceResponse`.
    Accept(Vec<u8>),
    /// Takes it in, and answers with this in JSON. HTTP only.
    AcceptJson(&'static str),
    /// Takes it in, and answers in gzip.
    AcceptGzip(Vec<u8>),
    /// Answers with this HTTP status, these headers and this body.
    Status(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Answers with this gRPC code and message, and a `RetryInfo` of this delay. gRPC only.
    Verdict(i32, &'static str, Option<Duration>),
    /// Resets the connection before anything is read.
    ResetAtConnect,
    /// Resets the connection in the middle of the request.
    ResetInRequest,
    /// Resets the connection when the request is read.
    ResetBeforeAnswer,
    /// Closes the connection when the request is read.
    CloseBeforeAnswer,
    /// Resets the connection in the middle of the answer.
    ResetInAnswer,
    /// Closes the connection in the middle of the answer.
    CloseInAnswer,
    /// Reads the request, and does nothing any more.
    HangBeforeAnswer,
    /// Begins the answer, and does nothing any more.
    HangInAnswer,
    /// Takes the connection, and does nothing with it: no TLS handshake, no reading.
    HangAtConnect,
    /// Says goodbye to the whole connection. gRPC only.
    GoAway,
    /// Speaks HTTP/2 where HTTP/1.1 is spoken, and the other way round.
    OtherProtocol,
    /// Answers with more than 4 MiB.
    Huge,
    /// Answers with bytes that are nothing.
    Nonsense,
}

/// Which protocol is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    Http,
    Grpc,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// As it travelled; over gRPC with flag and length in front.
    pub(crate) body: Bytes,
}

#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    is_secure: bool,
    /// Ends with the receiver, and all its connections with it.
    _serving: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    speaks: Speaks,
    script: Mutex<VecDeque<Act>>,
    state: watch::Sender<State>,
}

#[derive(Debug, Default)]
struct State {
    connections: usize,
    /// How many acts were begun, those of the script and those after it.
    acts: usize,
    requests: Vec<Seen>,
    /// The requests that were taken in.
    accepted: Vec<Seen>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The message: without gRPC's frame, without compression.
    pub(crate) fn message(&self) -> Vec<u8> {
        let is_grpc = self.header("content-type").is_some_and(|value| value.starts_with("application/grpc"));
        let message = if is_grpc { &self.body[5..] } else { &self.body[..] };
        let encoding = if is_grpc { "grpc-encoding" } else { "content-encoding" };
        match self.header(encoding) {
            Some("gzip") => {
                let mut plain = Vec::new();
                std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(message), &mut plain).unwrap();
                plain
            }
            _ => message.to_vec(),
        }
    }
}

impl Receiver {
    pub(crate) async fn start(speaks: Speaks, script: Vec<Act>) -> Self {
        Self::start_with(speaks, script, None).await
    }

    pub(crate) async fn start_with(speaks: Speaks, script: Vec<Act>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { speaks, script: Mutex::new(script.into()), state: watch::Sender::default() });
        let is_secure = tls.is_some();
        let mut serving = JoinSet::new();
        let state = Arc::clone(&shared);
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                // A connection that the client has given up before it was taken is an error of its own only.
                let Ok((stream, _)) = listener.accept().await else { continue };
                state.state.send_modify(|state| state.connections += 1);
                connections.spawn(connection(stream, tls.clone(), Arc::clone(&state)));
            }
        });
        Self { address, shared, is_secure, _serving: serving }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}", if self.is_secure { "https" } else { "http" }, self.address)
    }

    /// Adds to the script.
    pub(crate) fn then(&self, act: Act) {
        self.shared.script.lock().unwrap().push_back(act);
    }

    pub(crate) fn acts(&self) -> usize {
        self.shared.state.borrow().acts
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.state.borrow().connections
    }

    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.shared.state.borrow().requests.clone()
    }

    pub(crate) fn accepted(&self) -> Vec<Seen> {
        self.shared.state.borrow().accepted.clone()
    }

    /// Resolves once this many acts have begun.
    pub(crate) async fn until_acts(&self, acts: usize) {
        let _ = self.shared.state.subscribe().wait_for(|state| state.acts >= acts).await;
    }
}

impl Act {
    /// Whether it is about the connection, so that it is begun before a request is read.
    fn is_of_connection(&self) -> bool {
        matches!(self, Self::ResetAtConnect | Self::ResetInRequest | Self::HangAtConnect | Self::OtherProtocol)
    }

    fn accepts(&self) -> bool {
        matches!(self, Self::Accept(_) | Self::AcceptJson(_) | Self::AcceptGzip(_))
    }
}

impl Shared {
    /// The next act, if it is one of a connection.
    fn act_of_connection(&self) -> Option<Act> {
        let mut script = self.script.lock().unwrap();
        script.front().filter(|act| act.is_of_connection())?;
        let act = script.pop_front()?;
        self.state.send_modify(|state| state.acts += 1);
        Some(act)
    }

    /// Notes a request and takes the next act.
    fn act_of_request(&self, seen: Seen) -> Act {
        let act = self.script.lock().unwrap().pop_front().unwrap_or(Act::Accept(Vec::new()));
        self.state.send_modify(|state| {
            state.acts += 1;
            if act.accepts() {
                state.accepted.push(seen.clone());
            }
            state.requests.push(seen);
        });
        act
    }

    /// Whether the next act ends in a reset, which has to be prepared before the connection begins.
    fn ends_in_reset(&self) -> bool {
        let script = self.script.lock().unwrap();
        script.front().is_some_and(|act| matches!(act, Act::ResetBeforeAnswer | Act::ResetInAnswer))
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    stream.set_nodelay(true).unwrap();
    let mut stream = stream;
    if let Some(act) = shared.act_of_connection() {
        return broken(&mut stream, &act, shared.speaks).await;
    }
    if shared.ends_in_reset() {
        stream.set_zero_linger().unwrap();
    }
    match tls {
        None => serve(stream, &shared).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                serve(stream, &shared).await;
            }
        }
    }
}

async fn serve(stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send, shared: &Shared) {
    match shared.speaks {
        Speaks::Http => http::serve(stream, shared).await,
        Speaks::Grpc => grpc::serve(stream, shared).await,
    }
}

/// A connection that comes to nothing.
async fn broken(stream: &mut TcpStream, act: &Act, speaks: Speaks) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    match act {
        Act::ResetAtConnect => stream.set_zero_linger().unwrap(),
        Act::ResetInRequest => {
            stream.read_exact(&mut [0; 300]).await.unwrap();
            stream.set_zero_linger().unwrap();
        }
        Act::OtherProtocol => {
            // It waits for the request: words that come before may be taken for the end of an idle connection.
            stream.read_exact(&mut [0; 300]).await.unwrap();
            let words: &[u8] = match speaks {
                // An empty SETTINGS frame, with which every HTTP/2 server begins.
                Speaks::Http => &[0, 0, 0, 4, 0, 0, 0, 0, 0],
                Speaks::Grpc => b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            };
            stream.write_all(words).await.unwrap();
            stream.shutdown().await.unwrap();
            // What the client still sends is read, so that nothing is reset.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
        _ => std::future::pending().await,
    }
}

/// More than the 4 MiB that a client reads.
fn huge() -> Vec<u8> {
    vec![b'x'; 5 << 20]
}

fn gzipped(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, plain).unwrap();
    encoder.finish().unwrap()
}
