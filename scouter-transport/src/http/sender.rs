//! The implementation of HTTP.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Request, Uri};

use super::HttpConfig;
use crate::answer::{self, RpcStatus};
use crate::compression::{self, Compression};
use crate::connection::{self, Pool, Protocol};
use crate::endpoint::Endpoint;
use crate::error::{Error, ErrorKind, Status};
use crate::headers::{Headers, ReadyHeaders};
use crate::json;
use crate::payload::{ContentType, Form, Payload, Receipt, Signal};
use crate::traffic::Traffic;
use crate::transport::{BoxFuture, Transport};

const HTML: &str = "text/html";

/// Sends payloads as HTTP/1.1 requests over connections that are kept.
#[derive(Debug)]
pub struct Http {
    routes: [Route; 2],
    content: ContentType,
    compression: Compression,
    max_request_bytes: usize,
    timeout: Duration,
    pool: Pool,
    traffic: Traffic,
}

impl Http {
    /// Checks the settings. Needs no runtime and does no I/O: the first send connects.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] for a header, certificate or timeout that cannot work.
    pub fn new(config: HttpConfig) -> Result<Self, Error> {
        let HttpConfig { endpoints, headers, content, compression, tls, timeout, max_request_bytes } = config;
        if timeout.is_zero() {
            return Err(Error::new(ErrorKind::Config, "the timeout is zero: nothing could be sent within it"));
        }
        let [traces, logs] = &endpoints;
        Ok(Self {
            routes: [Route::new(traces, Signal::Traces, &headers)?, Route::new(logs, Signal::Logs, &headers)?],
            content,
            compression,
            max_request_bytes,
            timeout,
            pool: Pool::new(Protocol::Http1, &tls, traces.is_secure() || logs.is_secure())?,
            traffic: Traffic::default(),
        })
    }

    async fn exchange(&self, route: &Route, payload: Payload) -> Result<Receipt, Error> {
        // Protobuf may be asked to travel as JSON; JSON is never made protobuf.
        let content = if payload.content == ContentType::Json { ContentType::Json } else { self.content };
        let form = Form { content, compression: self.compression, framed: false };
        let body = payload.ready(form, |body| self.prepare(&payload, form, body))?;
        let request = route.request(body, form);
        let response = self.pool.client()?.request(request).await.map_err(connection::failed)?;
        let (parts, body) = response.into_parts();
        if parts.status.is_success() {
            let body = decoded(&parts.headers, answer::collect(body).await?.to_bytes())?;
            return Ok(Receipt { body: understood(&parts.headers, body)? });
        }
        let status = parts.status.as_u16();
        let reason = match parts.status.is_redirection() {
            true => answer::redirection(&parts.headers),
            false => route.headers.quote(&words(&parts.headers, &answer::reason(body).await)),
        };
        let error = Error::new(answer::http_kind(status), reason).with_status(Status::Http(status));
        Err(match answer::retry_after(&parts.headers) {
            Some(delay) => error.with_retry_after(delay),
            None => error,
        })
    }

    /// The body as it travels.
    fn prepare(&self, payload: &Payload, form: Form, body: &Bytes) -> Result<Bytes, Error> {
        let body = match (payload.content, form.content) {
            (ContentType::Protobuf, ContentType::Json) => json::encode(payload.signal, body)?.into(),
            _ => body.clone(),
        };
        answer::check_size(body.len(), self.max_request_bytes)?;
        match form.compression {
            Compression::None => Ok(body),
            Compression::Gzip => compression::gzip(&body, Vec::new())
                .map(Bytes::from)
                .map_err(|error| Error::new(ErrorKind::Refused, "the payload cannot be compressed").with_source(error)),
        }
    }
}

impl Transport for Http {
    fn send(&self, payload: Payload) -> BoxFuture<'_, Result<Receipt, Error>> {
        Box::pin(async move {
            let route = &self.routes[payload.signal.index()];
            let outcome = match self.traffic.enter() {
                None => Err(Error::closed()),
                Some(_ticket) => tokio::time::timeout(self.timeout, self.exchange(route, payload))
                    .await
                    .unwrap_or_else(|_| Err(Error::timeout(self.timeout))),
            };
            outcome.map_err(|error| error.during(route.operation, &route.shown))
        })
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            self.traffic.drained().await;
            Ok(())
        })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            self.traffic.close().await;
            self.pool.forget();
            Ok(())
        })
    }
}

/// What all requests for one signal share.
struct Route {
    operation: &'static str,
    shown: String,
    uri: Uri,
    headers: ReadyHeaders,
}

impl Route {
    fn new(endpoint: &Endpoint, signal: Signal, headers: &Headers) -> Result<Self, Error> {
        let shown = endpoint.shown(signal);
        let uri = endpoint.requested(signal).parse().map_err(|error: hyper::http::uri::InvalidUri| {
            Error::new(ErrorKind::Config, format!("endpoint `{shown}` is not a URL that HTTP can request"))
                .with_source(error)
        })?;
        let operation = match signal {
            Signal::Traces => "send traces to",
            Signal::Logs => "send logs to",
        };
        Ok(Self { operation, shown, uri, headers: headers.ready(endpoint)? })
    }

    fn request(&self, body: Bytes, form: Form) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.map.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(form.content.mime()));
        if form.compression == Compression::Gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        request
    }
}

impl fmt::Debug for Route {
    /// Leaves out `uri`, whose query may hold a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route").field("url", &self.shown).field("headers", &self.headers).finish_non_exhaustive()
    }
}

/// Undoes a `Content-Encoding`, which some receivers apply without being asked.
fn decoded(headers: &HeaderMap, body: Bytes) -> Result<Bytes, Error> {
    let encoding = headers.get(CONTENT_ENCODING).map_or(&b"identity"[..], HeaderValue::as_bytes);
    if encoding.eq_ignore_ascii_case(b"identity") || body.is_empty() {
        return Ok(body);
    }
    if !encoding.eq_ignore_ascii_case(b"gzip") {
        let reason = "the answer has a content encoding that was not asked for";
        return Err(Error::new(ErrorKind::BadResponse, reason));
    }
    match compression::gunzip(&body, answer::LARGEST) {
        Ok(Some(plain)) => Ok(plain.into()),
        Ok(None) => Err(answer::too_long()),
        Err(error) => Err(Error::new(ErrorKind::BadResponse, "the answer is broken gzip").with_source(error)),
    }
}

/// The answer in protobuf, whichever encoding it came in. A page for people is no answer: something else than a receiver
/// listens there, and nothing has been delivered.
fn understood(headers: &HeaderMap, body: Bytes) -> Result<Bytes, Error> {
    let is = |media_type| has_type(headers, media_type);
    if is(HTML) {
        let reason = "the answer is an HTML page, not OTLP: is this the address of a receiver?";
        return Err(Error::new(ErrorKind::BadResponse, reason));
    }
    // Receivers should answer in the request's encoding, but not all do.
    Ok(if is(ContentType::Json.mime()) { json::to_protobuf(&body).into() } else { body })
}

/// What a refusal says about its reason: the message of a `google.rpc.Status`, or plain text.
fn words(headers: &HeaderMap, reason: &[u8]) -> String {
    if has_type(headers, ContentType::Protobuf.mime()) {
        return RpcStatus::parse(reason).map(|status| status.message).unwrap_or_default();
    }
    let text = || str::from_utf8(reason).unwrap_or_default().to_owned();
    if has_type(headers, ContentType::Json.mime()) {
        // Other JSON may say more than nothing.
        return Some(json::message(reason)).filter(|message| !message.is_empty()).unwrap_or_else(text);
    }
    if has_type(headers, HTML) { "the answer is an HTML page".to_owned() } else { text() }
}

/// Whether `Content-Type` is this, whatever its parameters.
fn has_type(headers: &HeaderMap, media_type: &str) -> bool {
    let content = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    content.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media_type)
}
