//! Headers that a user adds, and the credentials among them.

use std::fmt;

#[cfg(any(feature = "http", feature = "grpc"))]
use crate::{
    endpoint::Endpoint,
    error::{Error, ErrorKind},
};

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    #[cfg(any(feature = "http", feature = "grpc"))]
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Headers as configured. Names are shown, values are not.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Headers {
    entries: Vec<(String, Secret)>,
    bearer: Option<Secret>,
}

impl Headers {
    pub(crate) fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.entries.push((name.into(), Secret::new(value)));
    }

    pub(crate) fn set_bearer(&mut self, token: &str) {
        // Tokens read from files end with a line break.
        self.bearer = Some(Secret::new(token.trim()));
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.entries.iter().map(|(name, _)| name.as_str());
        f.debug_set().entries(names).entries(self.bearer.iter().map(|_| "authorization")).finish()
    }
}

/// Headers ready to send, and the texts in them that no message may repeat.
#[cfg(any(feature = "http", feature = "grpc"))]
#[derive(Clone)]
pub(crate) struct ReadyHeaders {
    pub(crate) map: hyper::HeaderMap,
    secrets: Vec<String>,
}

#[cfg(any(feature = "http", feature = "grpc"))]
impl Headers {
    /// Checks the names and values and adds what the endpoint and this crate bring: `User-Agent`, `Authorization`.
    ///
    /// An `authorization` header goes before the bearer token, which goes before the URL's user and password.
    pub(crate) fn ready(&self, endpoint: &Endpoint) -> Result<ReadyHeaders, Error> {
        use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, USER_AGENT};

        let mut secrets: Vec<String> = endpoint.query().map(str::to_owned).into_iter().collect();
        let mut map = HeaderMap::new();
        let mut agent = AGENT.to_owned();
        for (name, value) in &self.entries {
            let parsed = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| {
                Error::new(ErrorKind::Config, format!("header name `{name}` holds a character that is not allowed"))
            })?;
            if RESERVED.contains(&parsed.as_str()) || parsed.as_str().starts_with("grpc-") {
                let reason = format!("header `{parsed}` is set by the transport: remove it from the headers");
                return Err(Error::new(ErrorKind::Config, reason));
            }
            let text = value.reveal().trim();
            let mut value = HeaderValue::from_str(text).map_err(|_| {
                let reason =
                    format!("the value of header `{parsed}` holds a character that is not allowed in a header");
                Error::new(ErrorKind::Config, reason)
            })?;
            if parsed == USER_AGENT {
                agent.push(' ');
                agent.push_str(text);
                continue;
            }
            value.set_sensitive(true);
            secrets.push(text.to_owned());
            map.append(parsed, value);
        }
        if !map.contains_key(AUTHORIZATION) {
            let credentials = match (&self.bearer, endpoint.user()) {
                (Some(token), _) => {
                    secrets.push(token.reveal().to_owned());
                    Some(format!("Bearer {}", token.reveal()))
                }
                (None, Some((user, password))) => {
                    use base64::Engine as _;
                    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
                    secrets.extend([password.to_owned(), encoded.clone()]);
                    Some(format!("Basic {encoded}"))
                }
                (None, None) => None,
            };
            if let Some(credentials) = credentials {
                let mut value = HeaderValue::from_str(&credentials).map_err(|_| {
                    Error::new(ErrorKind::Config, "the bearer token holds a character that is not allowed in a header")
                })?;
                value.set_sensitive(true);
                map.insert(AUTHORIZATION, value);
            }
        }
        let agent = HeaderValue::from_str(&agent)
            .map_err(|_| Error::new(ErrorKind::Config, "the user agent holds a character that is not allowed"))?;
        map.insert(USER_AGENT, agent);
        // Short values such as `1` would tear messages apart and hide nothing.
        secrets.retain(|secret| secret.len() >= 4);
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Ok(ReadyHeaders { map, secrets })
    }
}

/// How every request of this crate names its sender (OpenTelemetry, "OTLP exporter user agent").
#[cfg(any(feature = "http", feature = "grpc"))]
const AGENT: &str = concat!("OTel-OTLP-Exporter-Scouter/", env!("CARGO_PKG_VERSION"));

/// What the transports decide themselves.
#[cfg(any(feature = "http", feature = "grpc"))]
const RESERVED: [&str; 10] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

#[cfg(any(feature = "http", feature = "grpc"))]
impl ReadyHeaders {
    /// A far end's words, made fit for a message: our secrets struck out, one line, not too long.
    pub(crate) fn quote(&self, words: &str) -> String {
        const LONGEST: usize = 300;
        let mut words = words.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
        let mut text = words.next().unwrap_or_default().to_owned();
        for word in words {
            text.push(' ');
            text.push_str(word);
        }
        for secret in &self.secrets {
            text = text.replace(secret.as_str(), "…");
        }
        if let Some((end, _)) = text.char_indices().nth(LONGEST) {
            text.truncate(end);
            text.push('…');
        }
        text
    }
}

#[cfg(any(feature = "http", feature = "grpc"))]
impl fmt::Debug for ReadyHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.map.keys()).finish()
    }
}

#[cfg(test)]
#[cfg(any(feature = "http", feature = "grpc"))]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> Endpoint {
        Endpoint::base(url).unwrap()
    }

    fn authorization(headers: &Headers, url: &str) -> Option<String> {
        let ready = headers.ready(&endpoint(url)).unwrap();
        ready.map.get("authorization").map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn authorization_has_an_order() {
        let mut headers = Headers::default();
        assert_eq!(authorization(&headers, "http://h"), None);
        assert_eq!(
            authorization(&headers, "http://Aladdin:open%20sesame@h").unwrap(),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        );
        headers.set_bearer("token\n");
        assert_eq!(authorization(&headers, "http://me:pw@h").unwrap(), "Bearer token");
        headers.add("Authorization", "Custom x");
        assert_eq!(authorization(&headers, "http://me:pw@h").unwrap(), "Custom x");
    }

    #[test]
    fn the_agent_keeps_its_beginning() {
        let mut headers = Headers::default();
        headers.add("user-agent", "mine/1");
        let ready = headers.ready(&endpoint("http://h")).unwrap();
        assert_eq!(ready.map["user-agent"], format!("OTel-OTLP-Exporter-Scouter/{} mine/1", env!("CARGO_PKG_VERSION")));
    }

    #[test]
    fn bad_headers_are_named_without_their_values() {
        for (name, value, reason) in [
            ("x y", "hush", "header name `x y`"),
            ("x-key", "hu\nsh", "value of header `x-key`"),
            ("Content-Type", "hush", "header `content-type` is set by the transport"),
            ("grpc-timeout", "hush", "header `grpc-timeout` is set by the transport"),
        ] {
            let mut headers = Headers::default();
            headers.add(name, value);
            let error = headers.ready(&endpoint("http://h")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains(reason), "{error}");
            assert!(!error.to_string().contains("hu"), "{error}");
        }
        let mut headers = Headers::default();
        headers.set_bearer("to\nken");
        assert!(headers.ready(&endpoint("http://h")).unwrap_err().to_string().contains("bearer token"));
    }

    #[test]
    fn nothing_shows_values() {
        let mut headers = Headers::default();
        headers.add("x-key", "hush-hush");
        headers.set_bearer("hush-token");
        let ready = headers.ready(&endpoint("http://h/?k=hush-query")).unwrap();
        assert_eq!(format!("{headers:?}"), r#"{"x-key", "authorization"}"#);
        assert!(!format!("{ready:?}").contains("hush"));
        assert_eq!(ready.quote("no\r\n  hush-token,\thush-hush k=hush-query"), "no …, … …");
        assert_eq!(ready.quote(&"ä".repeat(400)).chars().count(), 301);
    }
}
