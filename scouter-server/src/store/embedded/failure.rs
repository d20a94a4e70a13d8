//! What can go wrong inside, and what the store's users hear of it.

use std::io;

use rusqlite::ErrorCode;
use scouter_client::FilterError;

use crate::store::{StoreError, StoreErrorKind};

/// What went wrong, before anybody said what was being done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{0}")]
    Database(#[from] rusqlite::Error),
    #[error("{0}")]
    Compression(#[from] io::Error),
    #[error("the database is damaged: {0}")]
    Corrupt(String),
    #[error("{0}")]
    Filter(#[from] FilterError),
}

impl Failure {
    /// The error for something that was being done.
    pub(super) fn during(self, doing: &str) -> StoreError {
        let kind = match &self {
            Self::Filter(error) => return error.clone().into(),
            Self::Database(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => StoreErrorKind::Full,
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreErrorKind::Corrupt,
                _ => StoreErrorKind::Storage,
            },
            Self::Compression(_) | Self::Corrupt(_) => StoreErrorKind::Corrupt,
        };
        StoreError::new(kind, format!("{doing} failed: {self}")).with_source(self)
    }
}

/// The error for something that was being done with the database.
pub(super) fn failed(doing: &str, error: rusqlite::Error) -> StoreError {
    Failure::from(error).during(doing)
}

/// The store was closed, or its writer ended.
pub(super) fn closed() -> StoreError {
    StoreError::new(StoreErrorKind::Closed, "the store is closed")
}
