//! The files of a secure connection.

use std::path::{Path, PathBuf};

use scouter_transport::TlsConfig;

use crate::error::Error;

/// The PEM files of a secure connection; the system's roots without an own authority.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The authority that the server's certificate comes from.
    pub ca: Option<PathBuf>,
    /// The client's certificate chain.
    pub certificate: Option<PathBuf>,
    /// The client's private key.
    pub key: Option<PathBuf>,
}

impl TlsFiles {
    pub(super) fn read(&self) -> Result<Option<TlsConfig>, Error> {
        let mut tls = TlsConfig::new();
        if let Some(ca) = &self.ca {
            tls = tls.ca(read(ca)?);
        }
        match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => tls = tls.client(read(certificate)?, read(key)?),
            (None, None) if self.ca.is_none() => return Ok(None),
            (None, None) => {}
            _ => {
                let text =
                    "a client certificate needs its private key, and the other way round: give both files or none";
                return Err(Error::Setting(text.to_owned()));
            }
        }
        Ok(Some(tls))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| Error::Setting(format!("the file {} cannot be read: {error}", path.display())))
}
