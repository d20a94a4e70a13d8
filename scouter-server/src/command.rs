//! The command line: `scouter-server`, and `scouter server` of the Python package.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Parser;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Config, DEFAULT_LISTEN, DEFAULT_MAX_IN_FLIGHT_BYTES, DEFAULT_MAX_REQUEST_BYTES, Token};
use crate::error::{ServerError, ServerErrorKind};
use crate::receive::kafka::KafkaFlags;
use crate::receive::rabbitmq::RabbitMqFlags;
use crate::server::Server;

/// Receives OpenTelemetry traces and records, keeps them, answers queries and shows them on a web page. All on one port; messages of
/// Kafka and RabbitMQ are fetched where a broker is named.
#[derive(Debug, Parser)]
#[command(name = "scouter-server", version)]
struct Options {
    /// Where to listen; port 0 takes a free one
    #[arg(long, env = "SCOUTER_SERVER_LISTEN", value_name = "ADDRESS:PORT", default_value_t = DEFAULT_LISTEN)]
    listen: SocketAddr,
    /// Where to keep the data
    #[arg(long, env = "SCOUTER_SERVER_DIRECTORY", value_name = "PATH", default_value = "scouter-data")]
    directory: PathBuf,
    /// The longest request, before and after decompression
    #[arg(long, env = "SCOUTER_SERVER_MAX_REQUEST_BYTES", value_name = "BYTES", default_value_t = DEFAULT_MAX_REQUEST_BYTES)]
    max_request_bytes: usize,
    /// How much of requests to hold at once before refusing more [default: 256 MiB, or four requests if that is more]
    #[arg(long, env = "SCOUTER_SERVER_MAX_IN_FLIGHT_BYTES", value_name = "BYTES")]
    max_in_flight_bytes: Option<usize>,
    /// A file of tokens, one a line; ingest and API then ask for one of them
    #[arg(long, env = "SCOUTER_SERVER_TOKEN_FILE", value_name = "PATH")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    kafka: KafkaFlags,
    #[command(flatten)]
    rabbitmq: RabbitMqFlags,
}

/// Runs the server until SIGTERM or SIGINT, and returns the process's exit status: 0 after an orderly end, 1 after an error, which
/// has been printed, 2 for options that make no sense. The first of `args` is the program's name.
///
/// Prints `listening on http://ADDRESS:PORT` when it answers requests.
pub fn run<A: Into<OsString> + Clone>(args: impl IntoIterator<Item = A>) -> u8 {
    let options = match Options::try_parse_from(args) {
        Ok(options) => options,
        Err(error) => {
            // Without a terminal or a pipe there is nobody to tell.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    // A host process that has a subscriber already keeps it.
    let _ = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_max_level(tracing::Level::WARN)
        .with_ansi(false)
        .with_target(false)
        .finish()
        // What matters of it comes back as an error and is told here, once a minute.
        .with(Targets::new().with_default(tracing::Level::WARN).with_target("lapin", LevelFilter::OFF))
        .try_init();
    match options.config().and_then(serve) {
        Ok(()) => 0,
        Err(error) => {
            let _ = writeln!(io::stderr(), "scouter-server: {error}");
            1
        }
    }
}

impl Options {
    fn config(self) -> Result<Config, ServerError> {
        let mut config = Config::new(self.directory);
        config.listen = self.listen;
        config.max_request_bytes = self.max_request_bytes;
        let fitting = DEFAULT_MAX_IN_FLIGHT_BYTES.max(self.max_request_bytes.saturating_mul(4));
        config.max_in_flight_bytes = self.max_in_flight_bytes.unwrap_or(fitting);
        config.kafka = self.kafka.source()?;
        config.rabbitmq = self.rabbitmq.source()?;
        if let Some(file) = &self.token_file {
            config.tokens = tokens(file)?;
        }
        Ok(config)
    }
}

fn tokens(file: &Path) -> Result<Vec<Token>, ServerError> {
    let place = file.display();
    let text = fs::read_to_string(file).map_err(|error| {
        ServerError::new(ServerErrorKind::Config, format!("the token file {place} cannot be read: {error}"), error)
    })?;
    let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty());
    let token = |(at, line): (usize, &str)| {
        let message =
            format!("line {} of the token file {place} is no token: it has spaces or special characters", at + 1);
        Token::new(line).ok_or_else(|| ServerError::config(message))
    };
    let tokens: Vec<Token> = lines.map(token).collect::<Result<_, _>>()?;
    // Whoever names a file wants the server closed; an empty one would open it.
    if tokens.is_empty() {
        return Err(ServerError::config(format!("the token file {place} has no token")));
    }
    Ok(tokens)
}

fn system(error: io::Error) -> ServerError {
    ServerError::new(ServerErrorKind::System, format!("the operating system refused: {error}"), error)
}

fn serve(config: Config) -> Result<(), ServerError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(system)?;
    runtime.block_on(async {
        let terminate = signal(SignalKind::terminate()).map_err(system)?;
        let interrupt = signal(SignalKind::interrupt()).map_err(system)?;
        let server = Server::bind(config).await?;
        // Whoever started the server may not be reading; it serves all the same.
        let mut out = io::stdout();
        let _ = writeln!(out, "listening on http://{}", server.local_addr());
        let _ = out.flush();
        server.serve(either(terminate, interrupt)).await
    })
}

async fn either(mut first: Signal, mut second: Signal) {
    tokio::select! {
        _ = first.recv() => {}
        _ = second.recv() => {}
    }
}
