//! Where a broker is, and what it takes to be let in.

use std::fmt;

use crate::rabbitmq::RabbitMqConfig;

/// Where a broker is and how to log in, taken from settings that have been checked.
#[derive(Clone)]
pub struct Address {
    pub(super) config: RabbitMqConfig,
    pub(super) shown: String,
}

impl Address {
    /// The broker of these settings.
    ///
    /// # Errors
    ///
    /// As of [`RabbitMqConfig::check`], and [`ErrorKind::Config`](crate::ErrorKind::Config) for bad certificates.
    pub fn new(config: RabbitMqConfig) -> Result<Self, crate::Error> {
        config.check()?;
        if let Some(tls) = &config.tls {
            tls.build(crate::tls::Fallback::Nobody)?;
            let host = config.host.clone();
            rustls::pki_types::ServerName::try_from(host).map_err(|_| {
                let reason = format!("the host `{}` is no name that a certificate can have", config.host);
                crate::Error::new(crate::ErrorKind::Config, reason)
            })?;
        }
        Ok(Self { shown: config.shown(), config })
    }

    /// Where it is, without credentials.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// What a broker said, without the password should it be repeated there.
    pub(super) fn scrub(&self, text: String) -> String {
        match self.config.password.as_str() {
            // Words that stand in ordinary sentences are no secret, and hiding them would garble what is said.
            "" | "guest" => text,
            password => text.replace(password, "***"),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}
