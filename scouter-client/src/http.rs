//! The HTTP client: asks a Scouter server for traces, records and tags.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use scouter_span::TraceId;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, ErrorKind, RecordFilters, RecordPage, Span, Tag, TagFilters, Trace, TraceFilters, TracePage};

/// The largest answer that is read.
const ANSWER_LIMIT: usize = 512 << 20;

/// Where the server is and how to ask it.
#[derive(Clone)]
pub struct ClientConfig {
    /// The server's address, such as `http://localhost:8000`; a path in it goes before the API's own.
    pub uri: String,
    /// Sent as `Authorization: Bearer …`.
    pub token: Option<String>,
    /// How long one answer may take, connecting included.
    pub timeout: Duration,
}

/// Asks one Scouter server. Clones share their connections. Its futures run on a Tokio runtime with I/O and time.
#[derive(Clone)]
pub struct Client {
    base: String,
    authorization: Option<HeaderValue>,
    timeout: Duration,
    pool: Pool<HttpConnector, Full<Bytes>>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self { uri: "http://localhost:8000".to_owned(), token: None, timeout: Duration::from_secs(30) }
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not even the address: someone may have written a password into it, which `Client::new` then refuses.
        let token = self.token.as_ref().map(|_| "hidden");
        f.debug_struct("ClientConfig").field("token", &token).field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.base).field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl Client {
    /// Sets a client up. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] for an address that is not `http://host[:port][/path]` and for a token that cannot stand
    /// in a header.
    pub fn new(config: ClientConfig) -> Result<Self, Error> {
        let invalid = |message: String| Error::new(ErrorKind::InvalidConfig, message);
        if config.uri.contains(['@', '?']) {
            return Err(invalid("the address must not hold credentials or a query: give a token instead".to_owned()));
        }
        let uri: Uri = config.uri.parse().map_err(|error: http::uri::InvalidUri| {
            invalid(format!("{} is not an address: give one like http://localhost:8000", config.uri)).with_source(error)
        })?;
        if uri.scheme_str() != Some("http") || uri.host().is_none_or(str::is_empty) {
            return Err(invalid(format!("{} cannot be asked: give an address like http://localhost:8000", config.uri)));
        }
        let authorization = config.token.map(|token| {
            let mut value = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|_| invalid("the token has characters that cannot stand in a header".to_owned()))?;
            value.set_sensitive(true);
            Ok(value)
        });
        Ok(Self {
            base: config.uri.trim_end_matches('/').to_owned(),
            authorization: authorization.transpose()?,
            timeout: config.timeout,
            pool: Pool::builder(TokioExecutor::new()).build_http(),
        })
    }

    /// One trace, its spans in tree order; `None` when the server does not have it.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub async fn trace(&self, id: TraceId) -> Result<Option<Trace>, Error> {
        match self.ask(Method::GET, &format!("/api/v1/traces/{id}"), None::<&()>).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// Traces that satisfy the filters, newest first, a page at a time.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub async fn search(&self, filters: &TraceFilters) -> Result<TracePage, Error> {
        self.ask(Method::POST, "/api/v1/traces/search", Some(filters)).await
    }

    /// The spans of the traces that satisfy the filters: newest trace first, each in tree order.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub async fn spans(&self, filters: &TraceFilters) -> Result<Vec<Span>, Error> {
        self.ask(Method::POST, "/api/v1/spans/search", Some(filters)).await
    }

    /// The names of the services that ever sent a span, in alphabetical order.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub async fn services(&self) -> Result<Vec<String>, Error> {
        self.ask(Method::GET, "/api/v1/services", None::<&()>).await
    }

    /// Records that satisfy the filters, newest first, a page at a time.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub async fn records(&self, filters: &RecordFilters) -> Result<RecordPage, Error> {
        self.ask(Method::POST, "/api/v1/records", Some(filters)).await
    }

    /// The tags of spans and records with each of their values: by key, the values that most traces and records have first.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub async fn tags(&self, filters: &TagFilters) -> Result<Vec<Tag>, Error> {
        self.ask(Method::POST, "/api/v1/tags", Some(filters)).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, Error> {
        let url = format!("{}{path}", self.base);
        let exchange = tokio::time::timeout(self.timeout, self.exchange(method, &url, body));
        let (status, answer) = exchange
            .await
            .map_err(|_| Error::new(ErrorKind::Timeout, format!("{url} did not answer within {:?}", self.timeout)))??;
        if !status.is_success() {
            return Err(refused(&url, status, &answer));
        }
        serde_json::from_slice(&answer).map_err(|error| {
            let message = format!("the answer of {url} is not one of a scouter server of this version");
            Error::new(ErrorKind::InvalidAnswer, message).with_source(error)
        })
    }

    async fn exchange(
        &self,
        method: Method,
        url: &str,
        body: Option<&impl Serialize>,
    ) -> Result<(StatusCode, Bytes), Error> {
        let invalid = |source: Box<dyn std::error::Error + Send + Sync>| {
            Error::new(ErrorKind::InvalidConfig, format!("{url} cannot be asked")).with_source(source)
        };
        let mut request = Request::builder().method(method).uri(url).header(ACCEPT, "application/json");
        request = request.header(USER_AGENT, concat!("scouter-client/", env!("CARGO_PKG_VERSION")));
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let content = match body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                serde_json::to_vec(body).map_err(|error| invalid(error.into()))?
            }
            None => Vec::new(),
        };
        let request = request.body(Full::from(content)).map_err(|error| invalid(error.into()))?;
        let response = self.pool.request(request).await.map_err(|error| {
            Error::new(ErrorKind::Unreachable, format!("{url} cannot be reached: is the server running there?"))
                .with_source(error)
        })?;
        let status = response.status();
        let answer = Limited::new(response.into_body(), ANSWER_LIMIT).collect().await.map_err(|error| {
            let message = format!("the answer of {url} broke off or is larger than {} MiB", ANSWER_LIMIT >> 20);
            Error::new(ErrorKind::InvalidAnswer, message).with_source(error)
        })?;
        Ok((status, answer.to_bytes()))
    }
}

/// What a status other than success means, in the server's own words where it gave some.
fn refused(url: &str, status: StatusCode, answer: &[u8]) -> Error {
    let kind = match status {
        StatusCode::NOT_FOUND => ErrorKind::NotFound,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ErrorKind::Unauthorized,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => ErrorKind::Server,
        _ if status.is_client_error() => ErrorKind::BadRequest,
        _ if status.is_server_error() => ErrorKind::Server,
        _ => ErrorKind::InvalidAnswer,
    };
    let words = serde_json::from_slice::<serde_json::Value>(answer).ok();
    let words = words.as_ref().and_then(|answer| answer["error"]["message"].as_str());
    match words {
        Some(words) => Error::new(kind, words),
        None if kind == ErrorKind::Unauthorized => {
            Error::new(kind, format!("{url} answered {status}: the server asks for a token, give one it knows"))
        }
        None => Error::new(kind, format!("{url} answered {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(uri: &str, token: Option<&str>) -> Result<Client, Error> {
        Client::new(ClientConfig { uri: uri.to_owned(), token: token.map(str::to_owned), ..ClientConfig::default() })
    }

    #[test]
    fn addresses_that_cannot_be_asked_are_refused() {
        for uri in ["localhost:8000", "https://localhost", "ftp://x", "http://", "", "http://a b", "http://a/?b=c"] {
            assert_eq!(client(uri, None).unwrap_err().kind(), ErrorKind::InvalidConfig, "{uri}");
        }
        assert_eq!(client("http://localhost:8000/scouter/", None).unwrap().base, "http://localhost:8000/scouter");
    }

    #[test]
    fn credentials_are_never_shown() {
        let secret = "s3cret";
        let config =
            ClientConfig { token: Some(secret.to_owned()), uri: format!("http://u:{secret}@h"), ..Default::default() };
        assert!(!format!("{config:?}").contains(secret));
        assert!(!format!("{:?}", Client::new(config).unwrap_err()).contains(secret));
        assert!(!format!("{:?}", client("http://h", Some(secret)).unwrap()).contains(secret));
        assert!(!format!("{:?}", client("http://h", Some("s3cret\n")).unwrap_err()).contains(secret));
    }

    #[test]
    fn the_words_of_the_server_are_kept() {
        let answer = br#"{"error": {"field": "limit", "message": "limit: 0 cannot be used"}}"#;
        let error = refused("http://h/x", StatusCode::BAD_REQUEST, answer);
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::BadRequest, "limit: 0 cannot be used"));
        let error = refused("http://h/x", StatusCode::BAD_GATEWAY, b"<html>");
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Server, true));
        assert_eq!(error.to_string(), "http://h/x answered 502 Bad Gateway");
    }
}
