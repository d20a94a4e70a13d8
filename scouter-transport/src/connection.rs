//! Connections to a far end: made when first needed, kept for the next send, shared by HTTP and gRPC.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::error::{Error, ErrorKind};
use crate::tls::{Fallback, TlsConfig};

pub(crate) type Client = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// How long a connection waits for its next use. Shorter than what receivers usually grant.
const IDLE: Duration = Duration::from_secs(30);

/// Which version of HTTP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1, one connection per overlapping send.
    #[cfg(feature = "http")]
    Http1,
    /// HTTP/2 without upgrade, one connection for all.
    #[cfg(feature = "grpc")]
    Http2,
}

/// The place of a client that is made by the first send, since trusting the system's roots means reading files.
pub(crate) struct Pool {
    protocol: Protocol,
    tls: TlsConfig,
    secure: bool,
    client: Mutex<Option<Client>>,
}

impl Pool {
    /// Checks the TLS settings. `secure` tells whether any endpoint is `https`.
    pub(crate) fn new(protocol: Protocol, tls: &TlsConfig, secure: bool) -> Result<Self, Error> {
        tls.build(Fallback::Nobody)?;
        Ok(Self { protocol, tls: tls.clone(), secure, client: Mutex::new(None) })
    }

    /// The client; a clone shares its connections.
    pub(crate) fn client(&self) -> Result<Client, Error> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        Ok(client.insert(self.build()?).clone())
    }

    /// Lets the connections go. Sends in flight keep theirs; the next send makes new ones.
    pub(crate) fn forget(&self) {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn build(&self) -> Result<Client, Error> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let tls = self.tls.build(if self.secure { Fallback::System } else { Fallback::Nobody })?;
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        let mut builder = legacy::Client::builder(TokioExecutor::new());
        builder.timer(TokioTimer::new()).pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE);
        Ok(match self.protocol {
            #[cfg(feature = "http")]
            Protocol::Http1 => builder.build(connector.enable_http1().wrap_connector(tcp)),
            #[cfg(feature = "grpc")]
            Protocol::Http2 => builder.http2_only(true).build(connector.enable_http2().wrap_connector(tcp)),
        })
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("protocol", &self.protocol).field("tls", &self.tls).finish_non_exhaustive()
    }
}

/// Why a request got no answer.
pub(crate) fn failed(error: legacy::Error) -> Error {
    if let Some(tls) = find::<rustls::Error>(&error) {
        return Error::new(ErrorKind::Tls, tls.to_string()).with_source(error);
    }
    if let Some(error) = wrong_protocol(&error) {
        return error;
    }
    if error.is_connect() {
        return Error::new(ErrorKind::Unreachable, innermost(&error)).with_source(error);
    }
    let mut reason = innermost(&error);
    // A server of HTTP/2 speaks first. So does one of HTTP/1.1 that closes an idle connection, which is worth another try.
    if reason.contains("unexpected message") {
        reason.push_str(OTHER_PORT);
    }
    Error::new(ErrorKind::Dropped, reason).with_source(error)
}

/// Why an answer broke off.
pub(crate) fn dropped(error: hyper::Error) -> Error {
    if let Some(tls) = find::<rustls::Error>(&error) {
        return Error::new(ErrorKind::Tls, tls.to_string()).with_source(error);
    }
    wrong_protocol(&error).unwrap_or_else(|| Error::new(ErrorKind::Dropped, innermost(&error)).with_source(error))
}

/// What cannot be parsed comes from something that is no receiver; asking again does not make it one.
fn wrong_protocol(error: &(dyn StdError + 'static)) -> Option<Error> {
    #[cfg(feature = "grpc")]
    if let Some(http2) = find::<h2::Error>(error) {
        // HTTP/1.1 read as HTTP/2 is a frame of some MiB.
        let is_other = http2.is_library() && http2.reason() == Some(h2::Reason::FRAME_SIZE_ERROR);
        let reason = "the answer is not HTTP/2, which gRPC needs: is this the port of OTLP over HTTP?";
        return is_other.then(|| Error::new(ErrorKind::BadResponse, reason));
    }
    let parse = find::<hyper::Error>(error).filter(|error| error.is_parse())?;
    let reason = format!("the answer is not HTTP/1.1 ({}){OTHER_PORT}", innermost(parse));
    Some(Error::new(ErrorKind::BadResponse, reason))
}

const OTHER_PORT: &str = ": is this a port of gRPC or TLS?";

/// The first error of this type in the chain. `io::Error` leaves what it wraps out of its `source`.
fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// The words of the last error in the chain, which says most.
fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
