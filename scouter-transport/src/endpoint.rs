//! Where payloads go: a user's URL, checked, with its credentials out of sight.

use std::fmt;
use std::net::Ipv6Addr;

use crate::error::{Error, ErrorKind};
use crate::headers::Secret;
use crate::payload::Signal;

/// An `http://` or `https://` URL of a receiver.
///
/// `user:password@` in the URL becomes Basic authentication. Neither it nor the query, which may hold a key, is ever
/// shown: `Display`, `Debug` and errors show scheme, host, port and path.
///
/// ```
/// use scouter_transport::{Endpoint, Signal};
///
/// let endpoint = Endpoint::from_user("https://me:secret@collector.example:4318")?;
/// assert_eq!(endpoint.shown(Signal::Traces), "https://collector.example:4318/v1/traces");
/// # Ok::<(), scouter_transport::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    secure: bool,
    user: Option<(String, Secret)>,
    /// Host and, where given, port.
    authority: String,
    /// As given; empty or beginning with `/`.
    path: String,
    query: Option<Secret>,
    /// Whether the signal's path is appended.
    appends: bool,
}

impl Endpoint {
    /// A base: `v1/traces` or `v1/logs` is always joined to its path. This is the rule of
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` (OpenTelemetry, "Endpoint URLs for OTLP/HTTP").
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] for a URL that cannot work.
    pub fn base(url: &str) -> Result<Self, Error> {
        parse(url, |_| true)
    }

    /// The whole URL, used as it is; without a path it is `/`. This is the rule of
    /// `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] for a URL that cannot work.
    pub fn exact(url: &str) -> Result<Self, Error> {
        parse(url, |_| false)
    }

    /// What a person writes in code: a base when it has no path (or only `/`), else used as it is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] for a URL that cannot work.
    pub fn from_user(url: &str) -> Result<Self, Error> {
        parse(url, |path| matches!(path, "" | "/"))
    }

    /// Whether this is `https`.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Host and, where given, port: `host:4318`, `[::1]:4318`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Scheme, host and port, without a path.
    pub fn origin(&self) -> String {
        format!("{}://{}", if self.secure { "https" } else { "http" }, self.authority)
    }

    /// The path as given, before a signal's path is joined. Empty or beginning with `/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The URL for one signal as it may be shown, without credentials and query.
    pub fn shown(&self, signal: Signal) -> String {
        let mut url = self.origin();
        if self.appends {
            url.push_str(self.path.trim_end_matches('/'));
            url.push('/');
            url.push_str(signal.path());
        } else if self.path.is_empty() {
            url.push('/');
        } else {
            url.push_str(&self.path);
        }
        url
    }

    /// The URL for one signal as it is requested: without credentials, with the query.
    #[cfg(feature = "http")]
    pub(crate) fn requested(&self, signal: Signal) -> String {
        let mut url = self.shown(signal);
        if let Some(query) = &self.query {
            url.push('?');
            url.push_str(query.reveal());
        }
        url
    }

    /// User and password, decoded.
    #[cfg(any(feature = "http", feature = "grpc"))]
    pub(crate) fn user(&self) -> Option<(&str, &str)> {
        self.user.as_ref().map(|(user, password)| (user.as_str(), password.reveal()))
    }

    /// The query, which may hold a key.
    #[cfg(any(feature = "http", feature = "grpc"))]
    pub(crate) fn query(&self) -> Option<&str> {
        self.query.as_ref().map(Secret::reveal)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.path)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Endpoint").field(&self.to_string()).finish()
    }
}

fn parse(url: &str, appends: impl FnOnce(&str) -> bool) -> Result<Endpoint, Error> {
    let url = url.trim();
    let bad = |reason: &str| Error::new(ErrorKind::Config, format!("endpoint `{}` {reason}", showable(url)));
    if url.is_empty() {
        return Err(Error::new(ErrorKind::Config, "the endpoint is empty: write it like http://localhost:4318"));
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(bad("has no scheme: begin it with http:// or https://"));
    };
    let secure = match scheme.to_ascii_lowercase().as_str() {
        "http" => false,
        "https" => true,
        _ => return Err(bad("is neither http:// nor https://: only these two are built in")),
    };
    let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
    let (rest, query) = match rest.split_once('?') {
        Some((before, query)) if !query.is_empty() => (before, Some(query)),
        Some((before, _)) => (before, None),
        None => (rest, None),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (user, host_port) = match authority.rsplit_once('@') {
        Some((user, host_port)) => (userinfo(user).map_err(bad)?, host_port),
        None => (None, authority),
    };
    let authority = checked_authority(host_port).map_err(bad)?;
    if !path.bytes().all(is_url_byte) || !query.is_none_or(|query| query.bytes().all(is_url_byte)) {
        return Err(bad("holds a character that a URL cannot hold: percent-encode it"));
    }
    Ok(Endpoint {
        secure,
        user,
        authority,
        path: path.to_owned(),
        query: query.map(Secret::new),
        appends: appends(path),
    })
}

/// The part of a URL, good or bad, that cannot hold a credential.
pub(crate) fn showable(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, url),
    };
    // A password may hold any of `/?#` by mistake, so everything up to the last `@` goes first.
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    match scheme {
        Some(scheme) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) => {
            format!("{scheme}://{rest}")
        }
        _ => rest.to_owned(),
    }
}

fn userinfo(text: &str) -> Result<Option<(String, Secret)>, &'static str> {
    if text.is_empty() {
        return Ok(None);
    }
    let (user, password) = text.split_once(':').unwrap_or((text, ""));
    let decode = |text| percent_decode(text).ok_or("has a user or password with a broken percent-encoding");
    let (user, password) = (decode(user)?, decode(password)?);
    // RFC 7617, section 2.
    if user.contains(':') {
        return Err("has a user with a colon, which Basic authentication cannot carry");
    }
    Ok(Some((user, Secret::new(password))))
}

fn checked_authority(text: &str) -> Result<String, &'static str> {
    const NO_HOST: &str = "has no host: write it like http://localhost:4318";
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or("has an IPv6 address without its closing bracket")?;
        if address.parse::<Ipv6Addr>().is_err() {
            return Err("has brackets around something that is not an IPv6 address");
        }
        let port = match port.strip_prefix(':') {
            Some(port) => Some(port),
            None if port.is_empty() => None,
            None => return Err("has something other than a port after the IPv6 address"),
        };
        (&text[..address.len() + 2], port)
    } else {
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        if host.is_empty() {
            return Err(NO_HOST);
        }
        if !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
            return Err("has a host with a character that a host name cannot hold: write an international name as \
                        punycode");
        }
        (host, port)
    };
    match port {
        None | Some("") => Ok(host.to_owned()),
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => match port.parse::<u16>() {
            Ok(1..) => Ok(format!("{host}:{port}")),
            _ => Err("has a port outside 1 to 65535"),
        },
        Some(_) => Err("has a port that is not a number, or an IPv6 address without brackets"),
    }
}

/// What RFC 3986 allows in a path or query, percent signs included.
fn is_url_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte)
}

fn percent_decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    let digit = |bytes: &mut std::str::Bytes<'_>| (bytes.next()? as char).to_digit(16);
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let value = digit(&mut bytes)? * 16 + digit(&mut bytes)?;
            decoded.push(u8::try_from(value).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_rule_joins_paths_its_own_way() {
        let table = [
            ("http://h:4318", "http://h:4318/v1/traces", "http://h:4318/", "http://h:4318/v1/traces"),
            ("http://h/", "http://h/v1/traces", "http://h/", "http://h/v1/traces"),
            ("https://h/otlp", "https://h/otlp/v1/traces", "https://h/otlp", "https://h/otlp"),
            ("https://h/otlp/", "https://h/otlp/v1/traces", "https://h/otlp/", "https://h/otlp/"),
            (
                "HTTP://[::1]:80/v1/traces",
                "http://[::1]:80/v1/traces/v1/traces",
                "http://[::1]:80/v1/traces",
                "http://[::1]:80/v1/traces",
            ),
            (" http://h:/a?key=1#top ", "http://h/a/v1/traces", "http://h/a", "http://h/a"),
        ];
        for (url, base, exact, user) in table {
            assert_eq!(Endpoint::base(url).unwrap().shown(Signal::Traces), base, "{url}");
            assert_eq!(Endpoint::exact(url).unwrap().shown(Signal::Traces), exact, "{url}");
            assert_eq!(Endpoint::from_user(url).unwrap().shown(Signal::Traces), user, "{url}");
        }
        assert_eq!(Endpoint::base("http://h").unwrap().shown(Signal::Logs), "http://h/v1/logs");
    }

    #[cfg(feature = "http")]
    #[test]
    fn the_query_travels_but_is_not_shown() {
        let endpoint = Endpoint::base("http://h/x?api-key=hush").unwrap();
        assert_eq!(endpoint.requested(Signal::Logs), "http://h/x/v1/logs?api-key=hush");
        assert!(!format!("{endpoint} {endpoint:?} {}", endpoint.shown(Signal::Logs)).contains("hush"));
    }

    #[cfg(any(feature = "http", feature = "grpc"))]
    #[test]
    fn user_and_password_are_decoded_and_hidden() {
        let endpoint = Endpoint::base("http://m%40e:p%3Aa%2Fss@h:1").unwrap();
        assert_eq!(endpoint.user(), Some(("m@e", "p:a/ss")));
        assert_eq!(endpoint.to_string(), "http://h:1");
        assert_eq!(format!("{endpoint:?}"), "Endpoint(\"http://h:1\")");
        assert_eq!(Endpoint::base("http://me@h").unwrap().user(), Some(("me", "")));
        assert_eq!(Endpoint::base("http://@h").unwrap().user(), None);
    }

    #[test]
    fn bad_urls_say_what_and_how() {
        let table = [
            ("", "is empty"),
            ("localhost:4318", "`localhost:4318` has no scheme"),
            ("me:secret@localhost:4318", "`localhost:4318` has no scheme"),
            ("grpc://h:1", "`grpc://h:1` is neither http:// nor https://"),
            ("http://", "has no host"),
            ("http://:80", "has no host"),
            ("http:///v1/traces", "has no host"),
            ("http://h:0", "port outside"),
            ("http://h:65536", "port outside"),
            ("http://h:+1", "port that is not a number"),
            ("http://::1:80", "has no host"),
            ("http://1::1:80", "without brackets"),
            ("http://[::1", "closing bracket"),
            ("http://[h]", "not an IPv6 address"),
            ("http://[::1]80", "other than a port"),
            ("http://h st", "host name cannot hold"),
            ("http://h%41", "host name cannot hold"),
            ("http://h/a b", "percent-encode it"),
            ("http://h/ä", "percent-encode it"),
            ("http://h/?a b", "percent-encode it"),
            ("http://a%3ab:c@h", "user with a colon"),
            ("http://a%zz:c@h", "broken percent-encoding"),
            ("http://a:%ff@h", "broken percent-encoding"),
            ("http://me:sec/ret@h:x", "`http://h:x`"),
        ];
        for (url, reason) in table {
            let error = Endpoint::from_user(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(error.to_string().contains(reason), "{url}: {error}");
            assert!(!error.to_string().contains("sec"), "{url}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC{0,40}", prefix in "(https?://)?") {
            let _ = Endpoint::from_user(&format!("{prefix}{text}"));
        }

        #[test]
        fn a_password_never_shows(password in "[!-~]{1,20}", port in "[0-9a]{0,6}", path in "[/a-z ]{0,8}") {
            // Marked so that a match is no accident.
            let url = format!("http://user:QZX{}@host:{port}{path}", password.replace(['/', '?', '#'], ""));
            let shown = match Endpoint::from_user(&url) {
                Ok(endpoint) => format!("{endpoint} {endpoint:?} {}", endpoint.shown(Signal::Logs)),
                Err(error) => format!("{error} {error:?}"),
            };
            prop_assert!(!shown.contains("QZX"), "{}", shown);
        }

        #[test]
        fn what_is_shown_parses_to_the_same(host in "[a-z][a-z0-9.-]{0,10}", port in 1u16.., path in "(/[a-z0-9%~]{1,5}){0,3}") {
            let url = format!("https://{host}:{port}{path}");
            let endpoint = Endpoint::exact(&url).unwrap();
            prop_assert_eq!(endpoint.to_string(), url.clone());
            prop_assert_eq!(Endpoint::exact(&endpoint.to_string()).unwrap(), endpoint);
        }
    }
}
