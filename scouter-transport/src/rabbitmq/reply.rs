//! What a broker says when it will not, and what that means.

use std::fmt;

use crate::error::{Error, ErrorKind};

/// The reason that a broker gave, with its reply code. Found as the source of an [`Error`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The reply code of AMQP 0-9-1, such as 404.
    pub code: u16,
    /// The broker's words, such as `NOT_FOUND - no queue 'x' in vhost '/'`.
    pub text: String,
}

impl Reply {
    pub(crate) const NO_ROUTE: u16 = 312;
    pub(crate) const ACCESS_REFUSED: u16 = 403;
    pub(crate) const NOT_FOUND: u16 = 404;
    pub(crate) const RESOURCE_LOCKED: u16 = 405;
    pub(crate) const PRECONDITION_FAILED: u16 = 406;

    /// The reply that led to this error, if one did.
    pub fn of(error: &Error) -> Option<&Self> {
        let mut next = std::error::Error::source(error);
        while let Some(source) = next {
            if let Some(reply) = source.downcast_ref() {
                return Some(reply);
            }
            next = source.source();
        }
        None
    }

    /// The largest message that the broker takes, when it said so because one was larger.
    pub(crate) fn size_limit(&self) -> Option<usize> {
        let words = self.text.to_ascii_lowercase();
        let is_size = words.contains("message size") && (words.contains("larger") || words.contains("exceeds"));
        let mut numbers = words.split(|c: char| !c.is_ascii_digit()).filter(|text| !text.is_empty());
        is_size.then(|| numbers.next_back()?.parse().ok()).flatten()
    }

    /// What kind of failure the reply is.
    pub(crate) fn kind(&self) -> ErrorKind {
        let says = |words: &str| self.text.contains(words);
        match self.code {
            311 => ErrorKind::TooLarge,
            Self::PRECONDITION_FAILED if self.size_limit().is_some() => ErrorKind::TooLarge,
            // A limit of connections, or a queue whose node is away: both pass.
            530 if says("limit (") => ErrorKind::Unavailable,
            Self::NOT_FOUND if says("is down or inaccessible") => ErrorKind::Unavailable,
            Self::ACCESS_REFUSED | Self::NOT_FOUND | Self::PRECONDITION_FAILED | 402 | 530 => ErrorKind::Refused,
            540 => ErrorKind::Unsupported,
            Self::NO_ROUTE | 313 | 320 | Self::RESOURCE_LOCKED | 506 | 541 => ErrorKind::Unavailable,
            _ => ErrorKind::Dropped,
        }
    }

    /// What the library says, if it is something that the broker said.
    pub(crate) fn from_library(error: &lapin::Error) -> Option<Self> {
        match error.kind() {
            lapin::ErrorKind::ProtocolError(error) => {
                Some(Self { code: error.get_id(), text: error.get_message().as_str().to_owned() })
            }
            _ => None,
        }
    }

    pub(crate) fn error(self, what: &str) -> Error {
        let detail = if what.is_empty() { self.to_string() } else { format!("{what}: {self}") };
        Error::new(self.kind(), detail).with_source(self)
    }
}

/// An error of the library in words of ours. Nothing of it is kept: it may hold more than may be shown.
pub fn failed(error: &lapin::Error) -> Error {
    use lapin::ErrorKind as Library;
    if let Some(reply) = Reply::from_library(error) {
        return reply.error("");
    }
    let (kind, reason) = match error.kind() {
        Library::InvalidProtocolVersion(_) => {
            (ErrorKind::BadResponse, "the far end speaks another version of AMQP than 0-9-1".to_owned())
        }
        Library::ParsingError(_) => {
            let reason = "the answer is not AMQP 0-9-1: is this the port of TLS, or of the management page?";
            (ErrorKind::BadResponse, reason.to_owned())
        }
        Library::SerialisationError(_) => (ErrorKind::Refused, "the message cannot be written as AMQP".to_owned()),
        Library::ChannelsLimitReached => (ErrorKind::Unavailable, "no channel of the connection is free".to_owned()),
        Library::IOError(error) if error.kind() != std::io::ErrorKind::ConnectionAborted => {
            (ErrorKind::Dropped, error.to_string())
        }
        Library::MissingHeartbeatError => (ErrorKind::Dropped, "the broker was silent for two heartbeats".to_owned()),
        // States of the library's that follow from a connection that has ended.
        _ => (ErrorKind::Dropped, "the broker closed the connection".to_owned()),
    };
    Error::new(kind, reason)
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // RabbitMQ puts the code's name in front: `NOT_FOUND - no queue`.
        let words = match self.text.split_once(" - ") {
            Some((name, words)) if name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') => words,
            _ => &self.text,
        };
        write!(f, "the broker says: {} (code {})", words.trim_end_matches('.'), self.code)
    }
}

impl std::error::Error for Reply {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_become_kinds() {
        for (code, text, kind) in [
            (403, "ACCESS_REFUSED - Login was refused", ErrorKind::Refused),
            (404, "NOT_FOUND - no exchange 'x' in vhost '/'", ErrorKind::Refused),
            (404, "NOT_FOUND - home node 'a@b' of durable queue 'q' is down or inaccessible", ErrorKind::Unavailable),
            (406, "PRECONDITION_FAILED - message size 200 is larger than configured max size 100", ErrorKind::TooLarge),
            (406, "PRECONDITION_FAILED - inequivalent arg 'durable'", ErrorKind::Refused),
            (530, "NOT_ALLOWED - vhost x not found", ErrorKind::Refused),
            (530, "NOT_ALLOWED - access to vhost '/' refused: connection limit (1) is reached", ErrorKind::Unavailable),
            (530, "NOT_ALLOWED - access to vhost '/' refused for user 'limited'", ErrorKind::Refused),
            (320, "CONNECTION_FORCED - broker forced connection closure", ErrorKind::Unavailable),
            (501, "FRAME_ERROR", ErrorKind::Dropped),
        ] {
            assert_eq!(Reply { code, text: text.to_owned() }.kind(), kind, "{text}");
        }
    }

    #[test]
    fn the_brokers_words_are_told_once() {
        let reply =
            Reply { code: 406, text: "PRECONDITION_FAILED - message size 200 is larger than max size 100".into() };
        assert_eq!(reply.size_limit(), Some(100));
        let error = reply.clone().error("cannot publish");
        let told = "cannot publish: the broker says: message size 200 is larger than max size 100 (code 406)";
        assert_eq!(error.to_string(), told);
        assert_eq!(Reply::of(&error), Some(&reply));
    }
}
