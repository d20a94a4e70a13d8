//! Real message brokers in processes of their own, run by `scripts/broker.py`, for tests that kill them.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::Value;

/// A broker that can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// RabbitMQ. Keeps its data over a kill.
    RabbitMq,
    /// Tansu, a small broker that speaks Kafka. Starts at once; a kill loses its topics and what they hold.
    Tansu,
    /// Apache Kafka. Keeps its data over a kill.
    Kafka,
}

impl Kind {
    /// All that speak Kafka and that this machine can have: Apache Kafka is among them where there are Java and Maven.
    #[must_use]
    pub fn kafkas() -> Vec<Self> {
        static APACHE: OnceLock<bool> = OnceLock::new();
        let apache = *APACHE.get_or_init(|| {
            let mut asked = script();
            asked.args(["available", "kafka"]).stdin(Stdio::null());
            asked.status().is_ok_and(|status| status.success())
        });
        if apache { vec![Self::Tansu, Self::Kafka] } else { vec![Self::Tansu] }
    }

    /// All brokers that keep what they hold over a kill and that this machine can have.
    #[must_use]
    pub fn lasting() -> Vec<Self> {
        let kafkas = Self::kafkas().into_iter().filter(|kind| *kind == Self::Kafka);
        std::iter::once(Self::RabbitMq).chain(kafkas).collect()
    }

    /// The name on the script's command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RabbitMq => "rabbitmq",
            Self::Tansu => "tansu",
            Self::Kafka => "kafka",
        }
    }
}

/// A running broker. Dropping it ends it; so does the end of this process, in whatever way.
///
/// Every method panics, with what the broker said, when the broker does not do what is asked: the test has failed.
#[derive(Debug)]
pub struct Broker {
    kind: Kind,
    about: Value,
    talk: Mutex<Talk>,
}

#[derive(Debug)]
struct Talk {
    child: Child,
    say: Option<ChildStdin>,
    hear: BufReader<ChildStdout>,
}

impl Broker {
    /// Starts a broker with its defaults: a free port, data that end with it, topics that make themselves (Kafka).
    #[must_use]
    pub fn start(kind: Kind) -> Self {
        Self::start_with(kind, &[])
    }

    /// Starts a broker with more options of `scripts/broker.py run`, as `&["--partitions", "6"]`.
    ///
    /// # Panics
    ///
    /// When the broker cannot be had or does not start; the script has said why on standard error.
    #[must_use]
    pub fn start_with(kind: Kind, options: &[&str]) -> Self {
        let mut command = script();
        command.args(["run", kind.name()]).args(options).stdin(Stdio::piped()).stdout(Stdio::piped());
        let started = command.spawn().and_then(|mut child| {
            let hear = child.stdout.take().map(BufReader::new).ok_or(std::io::ErrorKind::BrokenPipe)?;
            let say = child.stdin.take();
            Ok(Talk { child, say, hear })
        });
        let mut talk = match started {
            Ok(talk) => talk,
            Err(error) => panic!("{command:?} does not start: {error}"),
        };
        let about = talk.answer(kind);
        Self { kind, about, talk: Mutex::new(talk) }
    }

    /// One broker for all tests of this process that do no harm to it. They keep apart by names of their own.
    #[must_use]
    pub fn shared(kind: Kind) -> &'static Self {
        static RABBITMQ: OnceLock<Broker> = OnceLock::new();
        static TANSU: OnceLock<Broker> = OnceLock::new();
        static KAFKA: OnceLock<Broker> = OnceLock::new();
        let place = match kind {
            Kind::RabbitMq => &RABBITMQ,
            Kind::Tansu => &TANSU,
            Kind::Kafka => &KAFKA,
        };
        place.get_or_init(|| Self::start(kind))
    }

    /// Which one this is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where it listens: an address of the loopback interface.
    #[must_use]
    pub fn host(&self) -> &str {
        self.text("host")
    }

    /// The port it listens on, the same over its whole life.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.number("port")
    }

    /// Host and port, as Kafka clients want them.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}", self.host(), self.port())
    }

    /// The port for TLS of a RabbitMQ started with `--tls-cert`.
    #[must_use]
    pub fn tls_port(&self) -> u16 {
        self.number("tls_port")
    }

    /// The user it lets in.
    #[must_use]
    pub fn username(&self) -> &str {
        self.text("username")
    }

    /// That user's password.
    #[must_use]
    pub fn password(&self) -> &str {
        self.text("password")
    }

    /// The variables of the environment that say where it is and who may use it: with the prefix `SCOUTER_` for who sends,
    /// `SCOUTER_SERVER_` for a server that fetches.
    #[must_use]
    pub fn settings(&self, prefix: &str) -> Vec<(String, String)> {
        let port = self.port().to_string();
        let all: Vec<(&str, String)> = match self.kind {
            Kind::RabbitMq => vec![
                ("RABBITMQ_HOST", self.host().to_owned()),
                ("RABBITMQ_PORT", port),
                ("RABBITMQ_USERNAME", self.username().to_owned()),
                ("RABBITMQ_PASSWORD", self.password().to_owned()),
            ],
            Kind::Tansu | Kind::Kafka => {
                let mut all = vec![("KAFKA_BROKERS", self.address())];
                if prefix == "SCOUTER_SERVER_" {
                    // A server that was killed leaves the group after this time; Tansu lets a new one wait for half of it.
                    let property = "session.timeout.ms=4000;heartbeat.interval.ms=1000";
                    all.push(("KAFKA_PROPERTY", property.to_owned()));
                }
                all
            }
        };
        all.into_iter().map(|(name, value)| (format!("{prefix}{name}"), value)).collect()
    }

    /// Ends it with SIGKILL.
    pub fn kill(&self) {
        self.order("kill");
    }

    /// Ends it in order.
    pub fn stop(&self) {
        self.order("stop");
    }

    /// Starts it again after [`kill`](Self::kill) or [`stop`](Self::stop), on the same port and data; answers when it does.
    pub fn restart(&self) {
        self.order("start");
    }

    /// Lets it stand still: connections stay open, and nothing is answered.
    pub fn pause(&self) {
        self.order("pause");
    }

    /// Ends a [`pause`](Self::pause).
    pub fn resume(&self) {
        self.order("resume");
    }

    /// Makes a topic (Tansu, Apache Kafka). One that exists already is left as it is.
    pub fn topic(&self, name: &str, partitions: u32) {
        self.order(&format!("topic {name} {partitions}"));
    }

    /// Raises RabbitMQ's memory alarm: it blocks every connection that publishes.
    pub fn alarm(&self) {
        self.order("alarm");
    }

    /// Runs RabbitMQ's `rabbitmqctl` with these arguments, separated by spaces: users, permissions, policies.
    pub fn control(&self, arguments: &str) {
        self.order(&format!("control {arguments}"));
    }

    /// Ends the [`alarm`](Self::alarm).
    pub fn calm(&self) {
        self.order("calm");
    }

    fn order(&self, order: &str) {
        let mut talk = self.talk();
        let sent = talk.say.as_mut().map(|say| writeln!(say, "{order}").and_then(|()| say.flush()));
        assert!(matches!(sent, Some(Ok(()))), "the {} script has ended before `{order}`", self.kind.name());
        let answer = talk.answer(self.kind);
        assert!(answer.get("error").is_none(), "{answer}");
    }

    fn talk(&self) -> MutexGuard<'_, Talk> {
        self.talk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn text(&self, key: &str) -> &str {
        self.about[key].as_str().unwrap_or_default()
    }

    fn number(&self, key: &str) -> u16 {
        self.about[key].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or_default()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let mut talk = self.talk();
        drop(talk.say.take());
        drop(talk.child.wait());
    }
}

impl Talk {
    fn answer(&mut self, kind: Kind) -> Value {
        let mut line = String::new();
        match self.hear.read_line(&mut line) {
            Ok(size) if size > 0 => {}
            _ => panic!("no {}: its script has ended, see above for the reason", kind.name()),
        }
        match serde_json::from_str(&line) {
            Ok(answer) => answer,
            Err(error) => panic!("the {} script said {line:?}: {error}", kind.name()),
        }
    }
}

fn script() -> Command {
    let mut command = Command::new("python3");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/broker.py"));
    command
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::time::{Duration, Instant};

    use super::{Broker, Kind};

    #[test]
    fn a_broker_is_killed_and_comes_back_on_its_port_and_ends_when_dropped() {
        let broker = Broker::start(Kind::Tansu);
        let address = (broker.host().to_owned(), broker.port());
        let connects = || TcpStream::connect((address.0.as_str(), address.1)).is_ok();
        assert!(connects());
        broker.topic("some", 2);
        broker.kill();
        assert!(!connects());
        broker.restart();
        assert!(connects());
        drop(broker);
        assert!(!connects());
    }

    #[test]
    fn a_broker_ends_with_its_script_and_the_next_one_removes_what_is_left() {
        let broker = Broker::start(Kind::Tansu);
        let address = (broker.host().to_owned(), broker.port());
        let folder = std::fs::read_link(format!("/proc/{}/cwd", broker.about["pid"])).expect("it runs there");
        broker.talk().child.kill().expect("killed");
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect((address.0.as_str(), address.1)).is_ok() {
            assert!(Instant::now() < deadline, "the broker outlives its script");
        }
        let next = Broker::start(Kind::Tansu);
        assert!(!folder.exists(), "{}", folder.display());
        let others = std::fs::read_link(format!("/proc/{}/cwd", next.about["pid"])).expect("it runs there");
        drop(Broker::start(Kind::Tansu));
        assert!(others.exists(), "what is in use stays");
    }

    #[test]
    #[should_panic(expected = "tansu does not know this")]
    fn what_a_broker_cannot_do_fails_the_test() {
        Broker::start(Kind::Tansu).alarm();
    }

    #[test]
    fn brokers_that_lose_what_they_hold_are_not_among_the_lasting() {
        assert!(Kind::lasting().contains(&Kind::RabbitMq));
        assert!(!Kind::lasting().contains(&Kind::Tansu));
        assert!(Kind::kafkas().contains(&Kind::Tansu));
    }
}
