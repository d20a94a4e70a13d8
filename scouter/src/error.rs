//! What set-up can fail with.

/// Scouter could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting cannot work. The text names the setting, its value and the way out.
    #[error("{0}")]
    Setting(String),
    /// An address or the security of a connection cannot work.
    #[error("{setting}: {source}")]
    Transport {
        /// The argument or variable.
        setting: String,
        /// What is wrong with it.
        source: scouter_transport::Error,
    },
    /// The pipeline could not be made.
    #[error(transparent)]
    Export(#[from] scouter_export::Error),
    /// A profile cannot be used.
    #[error("{alias}: {source}")]
    Profile {
        /// What the program calls it.
        alias: String,
        /// What is wrong with it.
        source: scouter_queue::Error,
    },
}
