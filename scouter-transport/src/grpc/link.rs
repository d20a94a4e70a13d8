//! Between tonic and the connections: what tonic leaves open is decided here.
//!
//! * Requests get our headers and, when asked for, gzip at our level (tonic's own is fixed and several times dearer).
//! * Answers are read whole and bounded, compressed ones too. Failures of the connection are turned into our errors here,
//!   where they can still be told from a far end's verdict.
//! * A far end's details that are not base64, on which tonic would panic, are dropped.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use bytes::Bytes;
use http_body_util::combinators::WithTrailers;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use tonic::body::Body;
use tonic::client::GrpcService;

use crate::answer;
use crate::compression::{self, Compression};
use crate::connection::{self, Client};
use crate::error::{Error, ErrorKind, Status};
use crate::headers::ReadyHeaders;
use crate::payload::{Form, Payload};
use crate::transport::BoxFuture;

const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// The flag and the length in front of every gRPC message.
const PREFIX: usize = 5;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One call's way to the far end.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) headers: ReadyHeaders,
    pub(super) compression: Compression,
    /// What is sent, and what an earlier try has made of it.
    pub(super) payload: Payload,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

type Answer = WithTrailers<Full<Bytes>, Ready<Option<Result<HeaderMap, Infallible>>>>;

impl GrpcService<Body> for Link {
    type ResponseBody = Answer;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response<Answer>, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let link = self.clone();
        Box::pin(async move {
            let request = link.dress(request).await?;
            let response = link.client.request(request).await.map_err(connection::failed)?;
            link.read(response).await
        })
    }
}

impl Link {
    async fn dress(&self, request: Request<Body>) -> Result<Request<Full<Bytes>>, Error> {
        let (mut parts, body) = request.into_parts();
        for (name, value) in &self.headers.map {
            parts.headers.append(name, value.clone());
        }
        let broken =
            |error: BoxError| Error::new(ErrorKind::Refused, "the payload cannot be framed").with_source(error);
        let frame = match self.compression {
            Compression::None => body.collect().await.map_err(|status| broken(status.into()))?.to_bytes(),
            Compression::Gzip => {
                parts.headers.insert(ENCODING, HeaderValue::from_static("gzip"));
                let form = Form { content: self.payload.content, compression: self.compression, framed: true };
                self.payload.ready(form, |message| compressed(message).map_err(|error| broken(error.into())))?
            }
        };
        Ok(Request::from_parts(parts, Full::new(frame)))
    }

    async fn read(&self, response: Response<hyper::body::Incoming>) -> Result<Response<Answer>, Error> {
        let (mut parts, body) = response.into_parts();
        // Something in between answered, not a gRPC server.
        if parts.status != StatusCode::OK {
            let status = parts.status.as_u16();
            let words = match parts.status.is_redirection() {
                true => answer::redirection(&parts.headers),
                false => self.headers.quote(str::from_utf8(&answer::reason(body).await).unwrap_or_default()),
            };
            let error = Error::new(answer::http_kind(status), words).with_status(Status::Http(status));
            return Err(match answer::retry_after(&parts.headers) {
                Some(delay) => error.with_retry_after(delay),
                None => error,
            });
        }
        let content = parts.headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        if !content.is_empty() && !content.starts_with(b"application/grpc") {
            let reason =
                format!("the answer is {}, not gRPC: is this the address of a receiver?", content.escape_ascii());
            return Err(Error::new(ErrorKind::BadResponse, self.headers.quote(&reason)));
        }
        let collected = answer::collect(body).await?;
        let mut trailers = collected.trailers().cloned().unwrap_or_default();
        if !parts.headers.contains_key(STATUS) && !trailers.contains_key(STATUS) {
            return Err(Error::new(ErrorKind::Dropped, "the answer ended without a gRPC status"));
        }
        drop_broken_details(&mut parts.headers);
        drop_broken_details(&mut trailers);
        let message = plain(&mut parts.headers, collected.to_bytes())?;
        let body = Full::new(message).with_trailers(ready(Some(Ok(trailers))));
        Ok(Response::from_parts(parts, body))
    }
}

/// Undoes the compression of an answer. Servers written in Go, OpenTelemetry's collector among them, answer a compressed
/// request in its own compression, whether it was offered or not.
fn plain(headers: &mut HeaderMap, frame: Bytes) -> Result<Bytes, Error> {
    if headers.get(ENCODING).is_none_or(|encoding| encoding != "gzip") || frame.first() != Some(&1) {
        return Ok(frame);
    }
    let broken = |text| Error::new(ErrorKind::BadResponse, text);
    let packed = frame.get(PREFIX..).ok_or_else(|| broken("the answer is half a frame"))?;
    let message = compression::gunzip(packed, answer::LARGEST)
        .map_err(|error| broken("the answer is broken gzip").with_source(error))?
        .ok_or_else(answer::too_long)?;
    headers.remove(ENCODING);
    let mut frame = vec![0; PREFIX];
    let length = u32::try_from(message.len()).map_err(|_| answer::too_long())?;
    frame[1..].copy_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&message);
    Ok(frame.into())
}

/// The message, compressed, in a frame that says so.
fn compressed(message: &Bytes) -> std::io::Result<Bytes> {
    let mut packed = compression::gzip(message, vec![0; PREFIX])?;
    let length = u32::try_from(packed.len() - PREFIX).map_err(std::io::Error::other)?;
    packed[0] = 1;
    packed[1..PREFIX].copy_from_slice(&length.to_be_bytes());
    Ok(packed.into())
}

fn drop_broken_details(headers: &mut HeaderMap) {
    if headers.get(DETAILS).is_some_and(|value| BASE64.decode(value.as_bytes()).is_err()) {
        headers.remove(DETAILS);
    }
}
