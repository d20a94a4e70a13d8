//! Whom to trust, and who we are.

use std::fmt;

/// TLS settings of an `https` endpoint. Without any, the system's roots are trusted.
///
/// Everything is PEM as read from a file; this crate reads no files of the user's.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TlsConfig {
    ca: Option<Vec<u8>>,
    client: Option<(Vec<u8>, Vec<u8>)>,
}

impl TlsConfig {
    /// Trusts the system's roots and shows no certificate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts these certificates instead of the system's roots.
    #[must_use]
    pub fn ca(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca = Some(pem.into());
        self
    }

    /// Shows this certificate chain, leaf first, and proves it with this private key.
    #[must_use]
    pub fn client(mut self, chain_pem: impl Into<Vec<u8>>, key_pem: impl Into<Vec<u8>>) -> Self {
        self.client = Some((chain_pem.into(), key_pem.into()));
        self
    }

    /// The certificates to trust, where they are not the system's.
    #[cfg(feature = "kafka")]
    pub(crate) fn ca_pem(&self) -> Option<&[u8]> {
        self.ca.as_deref()
    }

    /// The certificate chain to show, and its private key.
    #[cfg(feature = "kafka")]
    pub(crate) fn client_pem(&self) -> Option<(&[u8], &[u8])> {
        self.client.as_ref().map(|(chain, key)| (&chain[..], &key[..]))
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig")
            .field("ca", &self.ca.as_ref().map_or("system", |_| "own"))
            .field("client", &self.client.is_some())
            .finish()
    }
}

#[cfg(any(feature = "http", feature = "grpc", feature = "rabbitmq"))]
mod build {
    use std::sync::Arc;

    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{ClientConfig, RootCertStore};

    use super::TlsConfig;
    use crate::error::{Error, ErrorKind};

    /// Which roots to trust when no own ones are given.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Fallback {
        /// Those of the system, read from its files.
        System,
        /// None: for a first check, and for endpoints without TLS.
        Nobody,
    }

    impl TlsConfig {
        pub(crate) fn build(&self, fallback: Fallback) -> Result<ClientConfig, Error> {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let builder = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .map_err(|error| Error::new(ErrorKind::Tls, "no usable TLS version is built in").with_source(error))?;
            let builder = match (&self.ca, fallback) {
                (Some(pem), _) => builder.with_root_certificates(roots(pem)?),
                (None, Fallback::Nobody) => builder.with_root_certificates(RootCertStore::empty()),
                (None, Fallback::System) => builder.with_root_certificates(native_roots()?),
            };
            let Some((chain, key)) = &self.client else { return Ok(builder.with_no_client_auth()) };
            let chain = certificates(chain, "client certificate")?;
            let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
                Error::new(
                    ErrorKind::Config,
                    "the client key holds no PEM private key: begin it with -----BEGIN PRIVATE KEY-----",
                )
            })?;
            builder.with_client_auth_cert(chain, key).map_err(|error| {
                let reason = "the client certificate and the client key do not work together";
                Error::new(ErrorKind::Config, reason).with_source(error)
            })
        }
    }

    fn native_roots() -> Result<RootCertStore, Error> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let error = Error::new(
                ErrorKind::Tls,
                "the system has no root certificates: install them or give a CA certificate",
            );
            return Err(match found.errors.into_iter().next() {
                Some(source) => error.with_source(source),
                None => error,
            });
        }
        Ok(roots)
    }

    fn roots(pem: &[u8]) -> Result<RootCertStore, Error> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(pem, "CA certificate")? {
            roots.add(certificate).map_err(|error| {
                Error::new(ErrorKind::Config, "the CA certificate is not one that TLS can use").with_source(error)
            })?;
        }
        Ok(roots)
    }

    fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|error| Error::new(ErrorKind::Config, format!("the {what} is broken PEM")).with_source(error))?;
        if certificates.is_empty() {
            let reason = format!("the {what} holds no PEM certificate: begin it with -----BEGIN CERTIFICATE-----");
            return Err(Error::new(ErrorKind::Config, reason));
        }
        Ok(certificates)
    }
}

#[cfg(any(feature = "http", feature = "grpc", feature = "rabbitmq"))]
pub(crate) use build::Fallback;

#[cfg(test)]
#[cfg(any(feature = "http", feature = "grpc", feature = "rabbitmq"))]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn bad_pem_is_named() {
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (config, reason) in [
            (TlsConfig::new().ca("not pem"), "CA certificate holds no PEM certificate"),
            (TlsConfig::new().ca(garbage), "CA certificate is not one that TLS can use"),
            (TlsConfig::new().client("", ""), "client certificate holds no PEM certificate"),
            (TlsConfig::new().client(garbage, "x"), "client key holds no PEM private key"),
        ] {
            let error = config.build(Fallback::Nobody).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains(reason), "{error}");
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let config = TlsConfig::new().ca("hush").client("hush", "hush");
        assert_eq!(format!("{config:?}"), r#"TlsConfig { ca: "own", client: true }"#);
    }
}
