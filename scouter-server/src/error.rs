//! Why a server does not start or does not go on.

use std::error::Error;
use std::fmt;

/// What went wrong, in one of a few kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerErrorKind {
    /// The settings contradict each other.
    Config,
    /// The address cannot be listened on.
    Listen,
    /// The store cannot be opened or closed.
    Store,
    /// The operating system gave the server no threads or no signals.
    System,
}

/// Why a server does not start or does not go on.
#[derive(Debug)]
pub struct ServerError {
    kind: ServerErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl ServerError {
    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self { kind: ServerErrorKind::Config, message: message.into(), source: None }
    }

    pub(crate) fn new(
        kind: ServerErrorKind,
        message: impl Into<String>,
        source: impl Error + Send + Sync + 'static,
    ) -> Self {
        Self { kind, message: message.into(), source: Some(Box::new(source)) }
    }

    /// What went wrong.
    pub fn kind(&self) -> ServerErrorKind {
        self.kind
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for ServerError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
