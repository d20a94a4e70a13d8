//! What can be wrong with a profile.

use std::error::Error as StdError;
use std::sync::Arc;

/// What went wrong. The list may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no such file.
    Missing,
    /// The file could not be read or written.
    File,
    /// The text is not JSON.
    Syntax,
    /// The JSON is not a profile.
    Profile,
}

/// Why there is no profile.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text}")]
pub struct Error {
    kind: ErrorKind,
    path: String,
    text: String,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A profile is wrong at a place.
    pub(crate) fn at(path: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        let path = path.into();
        Self { kind: ErrorKind::Profile, text: format!("profile: {path}: {reason}"), path, source: None }
    }

    pub(crate) fn new(kind: ErrorKind, text: String, source: impl StdError + Send + Sync + 'static) -> Self {
        Self { kind, path: String::new(), text, source: Some(Arc::new(source)) }
    }

    /// The same, with the file it is about.
    pub(crate) fn in_file(mut self, file: &std::path::Path) -> Self {
        self.text = format!("{}: {}", file.display(), self.text);
        self
    }

    /// What went wrong.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The place in the profile as a JSON path, such as `$.features[2].type`; `""` when it is about the whole file.
    pub fn path(&self) -> &str {
        &self.path
    }
}
