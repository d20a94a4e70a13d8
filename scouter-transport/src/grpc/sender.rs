//! The implementation of gRPC.

use std::time::Duration;

use hyper::Uri;
use hyper::http::uri::PathAndQuery;

use super::codec::Passing;
use super::link::Link;
use super::{GrpcConfig, answer};
use crate::compression::Compression;
use crate::connection::{Pool, Protocol};
use crate::error::{Error, ErrorKind};
use crate::headers::ReadyHeaders;
use crate::payload::{ContentType, Payload, Receipt, Signal};
use crate::traffic::Traffic;
use crate::transport::{BoxFuture, Transport};

/// Longer deadlines are not told to the far end.
const LONGEST_TOLD: Duration = Duration::from_secs(24 * 60 * 60);

/// Sends payloads as gRPC calls over one HTTP/2 connection that is kept.
///
/// The bytes of a payload are the message as it travels: nothing is decoded or encoded again. Only protobuf travels
/// over gRPC.
#[derive(Debug)]
pub struct Grpc {
    origin: Uri,
    shown: String,
    headers: ReadyHeaders,
    compression: Compression,
    timeout: Duration,
    max_request_bytes: usize,
    pool: Pool,
    traffic: Traffic,
}

impl Grpc {
    /// Checks the settings. Needs no runtime and does no I/O: the first send connects.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] for an endpoint with a path, and for a header, certificate or timeout that cannot work.
    pub fn new(config: GrpcConfig) -> Result<Self, Error> {
        let GrpcConfig { endpoint, headers, compression, tls, timeout, max_request_bytes } = config;
        if timeout.is_zero() {
            return Err(Error::new(ErrorKind::Config, "the timeout is zero: nothing could be sent within it"));
        }
        let shown = endpoint.origin();
        if !matches!(endpoint.path(), "" | "/") {
            let reason = format!("endpoint `{endpoint}` has a path, which gRPC does not use: write it as {shown}");
            return Err(Error::new(ErrorKind::Config, reason));
        }
        let origin = shown.parse().map_err(|error: hyper::http::uri::InvalidUri| {
            Error::new(ErrorKind::Config, format!("endpoint `{shown}` is not a URL that gRPC can call"))
                .with_source(error)
        })?;
        Ok(Self {
            origin,
            headers: headers.ready(&endpoint)?,
            compression,
            timeout,
            max_request_bytes,
            pool: Pool::new(Protocol::Http2, &tls, endpoint.is_secure())?,
            traffic: Traffic::default(),
            shown,
        })
    }

    async fn call(&self, payload: Payload) -> Result<Receipt, Error> {
        if payload.content != ContentType::Protobuf {
            let reason = "gRPC carries protobuf only: send JSON over HTTP, or encode it as protobuf";
            return Err(Error::new(ErrorKind::Unsupported, reason));
        }
        crate::answer::check_size(payload.body.len(), self.max_request_bytes)?;
        let link = Link {
            client: self.pool.client()?,
            headers: self.headers.clone(),
            compression: self.compression,
            payload: payload.clone(),
        };
        // Sizes are limited in `Link`, where a refusal of ours is not taken for one of the far end.
        let mut grpc = tonic::client::Grpc::with_origin(link, self.origin.clone())
            .max_decoding_message_size(usize::MAX)
            .max_encoding_message_size(usize::MAX);
        let mut request = tonic::Request::new(payload.body);
        request.set_timeout(self.timeout.min(LONGEST_TOLD));
        let method = PathAndQuery::from_static(match payload.signal {
            Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        });
        match grpc.unary(request, method, Passing).await {
            Ok(response) => Ok(Receipt { body: response.into_inner() }),
            Err(status) => Err(answer::error(&status, &self.headers)),
        }
    }
}

impl Transport for Grpc {
    fn send(&self, payload: Payload) -> BoxFuture<'_, Result<Receipt, Error>> {
        Box::pin(async move {
            let operation = match payload.signal {
                Signal::Traces => "send traces to",
                Signal::Logs => "send logs to",
            };
            let outcome = match self.traffic.enter() {
                None => Err(Error::closed()),
                Some(_ticket) => match tokio::time::timeout(self.timeout, self.call(payload)).await {
                    Ok(outcome) => outcome,
                    Err(_) => {
                        // All sends share one connection. If it hangs, later sends must not hang with it.
                        self.pool.forget();
                        Err(Error::timeout(self.timeout))
                    }
                },
            };
            outcome.map_err(|error| error.during(operation, &self.shown))
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
