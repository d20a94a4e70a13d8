//! Settings of RabbitMQ.

use std::fmt;
use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::payload::{LARGEST_REQUEST, Signal};
use crate::tls::TlsConfig;

/// The queues that messages go to when nobody says, for [`Signal::Traces`] and [`Signal::Logs`].
const QUEUES: [&str; 2] = ["otlp_spans", "otlp_logs"];

/// The longest name of AMQP 0-9-1, in bytes (a short string).
const LONGEST_NAME: usize = 255;

/// How to send through a RabbitMQ broker, or another that speaks AMQP 0-9-1.
///
/// Every payload is one persistent message with the properties `content_type` and `message_id`. It counts as sent when
/// the broker has confirmed it, which for a durable queue means that it is on disk.
#[derive(Clone, PartialEq, Eq)]
pub struct RabbitMqConfig {
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) vhost: String,
    pub(crate) exchange: String,
    pub(crate) queues: [String; 2],
    pub(crate) tls: Option<TlsConfig>,
    pub(crate) timeout: Duration,
    pub(crate) heartbeat: Duration,
    pub(crate) max_message_bytes: usize,
}

impl RabbitMqConfig {
    /// Sends to the broker on this host (a name or an address, no URL) as `guest` in the virtual host `/`: traces into
    /// the queue `otlp_spans`, records into `otlp_logs`. Gives up after 10 s.
    pub fn new(host: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            port: None,
            username: "guest".to_owned(),
            password: "guest".to_owned(),
            vhost: "/".to_owned(),
            exchange: String::new(),
            queues: QUEUES.map(str::to_owned),
            tls: None,
            timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(30),
            max_message_bytes: LARGEST_REQUEST,
        }
    }

    /// The broker's port; 5672 unless set, or 5671 with TLS.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Whom to log in as.
    #[must_use]
    pub fn username(mut self, username: impl Into<String>) -> Self {
        self.username = username.into();
        self
    }

    /// The password of the user. Never shown.
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = password.into();
        self
    }

    /// The virtual host, `/` unless set.
    #[must_use]
    pub fn vhost(mut self, vhost: impl Into<String>) -> Self {
        self.vhost = vhost.into();
        self
    }

    /// The durable queue for one signal. It is declared when it is not there; one that is there keeps its arguments.
    #[must_use]
    pub fn queue(mut self, signal: Signal, name: impl Into<String>) -> Self {
        self.queues[signal.index()] = name.into();
        self
    }

    /// Publishes to this exchange, with the names of the queues as routing keys. Then nothing is declared: exchange,
    /// queues and bindings are the operator's. A message that no queue is bound for is an error, not a loss.
    #[must_use]
    pub fn exchange(mut self, name: impl Into<String>) -> Self {
        self.exchange = name.into();
        self
    }

    /// Connects with TLS, trusting whom this says.
    #[must_use]
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = Some(tls);
        self
    }

    /// How long one send may take, connecting included. Not zero.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How often the ends assure each other that they are there, in whole seconds; 30 s unless set, and less if the
    /// broker asks for less. A connection that is silent for twice as long is given up. Zero: never.
    #[must_use]
    pub fn heartbeat(mut self, heartbeat: Duration) -> Self {
        self.heartbeat = heartbeat;
        self
    }

    /// The largest message that is sent, in bytes; 64 MiB unless set. A larger one fails with
    /// [`ErrorKind::TooLarge`] without being sent. The broker has a limit of its own (`max_message_size`).
    #[must_use]
    pub fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.max_message_bytes = bytes;
        self
    }

    /// Where the broker is, as it may be shown: `amqp://host:port/vhost`, or `amqps://` with TLS.
    pub fn shown(&self) -> String {
        let scheme = if self.tls.is_some() { "amqps" } else { "amqp" };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let vhost = if self.vhost == "/" { "" } else { &self.vhost };
        format!("{scheme}://{host}:{}/{vhost}", self.effective_port())
    }

    /// The queue of one signal.
    pub fn queue_of(&self, signal: Signal) -> &str {
        &self.queues[signal.index()]
    }

    /// How long one send may take, and whatever else is asked of the broker.
    pub fn effective_timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn effective_port(&self) -> u16 {
        self.port.unwrap_or(if self.tls.is_some() { 5671 } else { 5672 })
    }

    /// Whether the settings can work.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`], naming the setting.
    pub fn check(&self) -> Result<(), Error> {
        let fail = |reason: String| Err(Error::new(ErrorKind::Config, reason));
        let host = &self.host;
        if host.is_empty() {
            return fail("the host of the RabbitMQ broker is empty: give its name or address".to_owned());
        }
        // What is wrong with it is not shown: a URL may hold a password.
        if host.contains(['/', '@']) || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
            let reason =
                "the host of the RabbitMQ broker is no host name: give name, port, user and virtual host apart";
            return fail(reason.to_owned());
        }
        if host.contains(':') && host.parse::<std::net::Ipv6Addr>().is_err() {
            return fail(format!("the host `{host}` of the RabbitMQ broker is no host name: give the port apart"));
        }
        if self.port == Some(0) {
            return fail("the port of the RabbitMQ broker is 0: nothing listens there".to_owned());
        }
        let names = [
            ("virtual host", &self.vhost),
            ("exchange", &self.exchange),
            ("queue for traces", &self.queues[0]),
            ("queue for records", &self.queues[1]),
        ];
        for (what, name) in names {
            if name.len() > LONGEST_NAME {
                return fail(format!("the {what} `{name}` is longer than {LONGEST_NAME} bytes"));
            }
            if name.contains('\0') {
                return fail(format!("the {what} {name:?} holds a zero byte"));
            }
        }
        if self.vhost.is_empty() {
            return fail("the virtual host is empty: the usual one is `/`".to_owned());
        }
        for (signal, queue) in Signal::ALL.iter().zip(&self.queues) {
            if queue.is_empty() {
                return fail(format!("the name of the queue for {signal} is empty"));
            }
            if self.exchange.is_empty() && queue.starts_with("amq.") {
                return fail(format!("the queue `{queue}` cannot be declared: names with `amq.` are the broker's own"));
            }
        }
        if self.username.contains('\0') || self.password.contains('\0') {
            return fail("the user name or the password of RabbitMQ holds a zero byte".to_owned());
        }
        if self.timeout.is_zero() {
            return fail("the timeout is zero: nothing could be sent within it".to_owned());
        }
        if self.heartbeat.subsec_nanos() != 0 || self.heartbeat.as_secs() > u64::from(u16::MAX) {
            let heartbeat = self.heartbeat;
            return fail(format!("the heartbeat {heartbeat:?} must be whole seconds, at most {}", u16::MAX));
        }
        if self.max_message_bytes == 0 {
            return fail("max_message_bytes is zero: nothing could be sent".to_owned());
        }
        Ok(())
    }
}

impl fmt::Debug for RabbitMqConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitMqConfig")
            .field("broker", &self.shown())
            .field("username", &self.username)
            .field("exchange", &self.exchange)
            .field("queues", &self.queues)
            .field("tls", &self.tls)
            .field("timeout", &self.timeout)
            .field("heartbeat", &self.heartbeat)
            .field("max_message_bytes", &self.max_message_bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(config: &RabbitMqConfig) -> String {
        let error = config.check().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        error.to_string()
    }

    #[test]
    fn what_cannot_work_is_named() {
        let good = || RabbitMqConfig::new("localhost");
        for (config, reason) in [
            (RabbitMqConfig::new(""), "host of the RabbitMQ broker is empty"),
            (RabbitMqConfig::new("amqp://me:hush@host"), "is no host name"),
            (RabbitMqConfig::new("host:5672"), "give the port apart"),
            (good().port(0), "port of the RabbitMQ broker is 0"),
            (good().vhost(""), "virtual host is empty"),
            (good().vhost("v".repeat(256)), "longer than 255 bytes"),
            (good().queue(Signal::Logs, ""), "queue for logs is empty"),
            (good().queue(Signal::Traces, "amq.spans"), "the broker's own"),
            (good().exchange("a\0b"), "zero byte"),
            (good().username("a\0b"), "zero byte"),
            (good().timeout(Duration::ZERO), "timeout is zero"),
            (good().heartbeat(Duration::from_millis(1500)), "whole seconds"),
            (good().heartbeat(Duration::from_secs(70_000)), "whole seconds"),
            (good().max_message_bytes(0), "max_message_bytes"),
        ] {
            let complaint = complaint(&config);
            assert!(complaint.contains(reason), "{complaint}");
            assert!(!complaint.contains("hush"), "{complaint}");
        }
        for host in ["localhost", "10.0.0.1", "::1", "rabbit.example"] {
            assert!(RabbitMqConfig::new(host).check().is_ok(), "{host}");
        }
        assert!(good().queue(Signal::Traces, "amq.spans").exchange("mine").check().is_ok());
    }

    #[test]
    fn it_is_shown_without_the_password() {
        let config = RabbitMqConfig::new("::1").username("me").password("hush").vhost("team").tls(TlsConfig::new());
        let shown = format!("{config:?}");
        assert!(
            shown.contains("amqps://[::1]:5671/team") && shown.contains("me") && !shown.contains("hush"),
            "{shown}"
        );
        assert_eq!(RabbitMqConfig::new("h").shown(), "amqp://h:5672/");
    }
}
