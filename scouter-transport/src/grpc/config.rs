//! Settings of gRPC.

use std::time::Duration;

use crate::compression::Compression;
use crate::endpoint::Endpoint;
use crate::headers::Headers;
use crate::payload::LARGEST_REQUEST;
use crate::tls::TlsConfig;

/// How to send over gRPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcConfig {
    pub(crate) endpoint: Endpoint,
    pub(crate) headers: Headers,
    pub(crate) compression: Compression,
    pub(crate) tls: TlsConfig,
    pub(crate) timeout: Duration,
    pub(crate) max_request_bytes: usize,
}

impl GrpcConfig {
    /// Sends both signals to `endpoint`, which has no path: the service and method names take its place. Uncompressed,
    /// gives up after 10 s (the default of `OTEL_EXPORTER_OTLP_TIMEOUT`).
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            headers: Headers::default(),
            compression: Compression::None,
            tls: TlsConfig::new(),
            timeout: Duration::from_secs(10),
            max_request_bytes: LARGEST_REQUEST,
        }
    }

    /// Adds metadata to every call. The name may repeat. Names and values are checked when the transport is made.
    ///
    /// `authorization` goes before [`bearer_token`](Self::bearer_token); `user-agent` is put behind our own.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.add(name, value);
        self
    }

    /// Sends `Authorization: Bearer <token>`, which goes before a user and password in the URL.
    #[must_use]
    pub fn bearer_token(mut self, token: impl AsRef<str>) -> Self {
        self.headers.set_bearer(token.as_ref());
        self
    }

    /// Compresses requests.
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Whom to trust, and who we are.
    #[must_use]
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = tls;
        self
    }

    /// How long one send may take, connecting included. Not zero.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The largest request that is sent, in bytes before compression; 64 MiB by default, which is what Scouter's server
    /// takes. A larger one fails with [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge) without being sent (OTLP
    /// specification, "Request").
    ///
    /// Whoever gathers batches keeps them far below; this is for the single span that is larger than all limits.
    #[must_use]
    pub fn max_request_bytes(mut self, bytes: usize) -> Self {
        self.max_request_bytes = bytes;
        self
    }

    /// Where both signals go.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}
