//! Why a store did not do what it was asked to.

use std::error::Error as StdError;
use std::fmt;

use scouter_client::FilterError;

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreErrorKind {
    /// Another server holds the storage.
    InUse,
    /// A newer version of the server wrote the storage, or something else than a Scouter server.
    UnknownFormat,
    /// The filters of a search cannot be used; [`StoreError::filter`] says which and why.
    InvalidFilter,
    /// What was to be written is not a request of its signal.
    InvalidRequest,
    /// The storage has no room left.
    Full,
    /// What was read is not what was written.
    Corrupt,
    /// The store was closed.
    Closed,
    /// The storage failed in another way.
    Storage,
}

/// Why a store did not do what it was asked to.
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    message: String,
    filter: Option<FilterError>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl StoreError {
    /// An error of this kind with these words.
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), filter: None, source: None }
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What went wrong.
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// Whether doing the same again later may work.
    pub const fn is_retryable(&self) -> bool {
        matches!(self.kind, StoreErrorKind::Full | StoreErrorKind::Storage | StoreErrorKind::Closed)
    }

    /// The filter that cannot be used, for [`StoreErrorKind::InvalidFilter`].
    pub const fn filter(&self) -> Option<&FilterError> {
        self.filter.as_ref()
    }
}

impl From<FilterError> for StoreError {
    fn from(error: FilterError) -> Self {
        let message = error.to_string();
        Self { kind: StoreErrorKind::InvalidFilter, message, filter: Some(error), source: None }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
