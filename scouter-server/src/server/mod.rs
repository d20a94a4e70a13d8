//! One port for everything: the routes, the connections, the orderly end.

mod connection;
mod guard;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::get;
use http::header::CONTENT_TYPE;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::config::Config;
use crate::error::{ServerError, ServerErrorKind};
use crate::ingest::{Ingest, Room};
use crate::metrics::Metrics;
use crate::receive::{self, Background, Receiver};
use crate::store::{self, EmbeddedConfig, Store};
use crate::{page, query};
use guard::Gate;

/// A server that listens. It answers once [`serve`](Self::serve) runs.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    router: Router,
    background: Background,
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    shutdown_timeout: Duration,
}

impl Server {
    /// Listens, and opens the embedded store in the configuration's directory.
    ///
    /// # Errors
    /// [`Config`](ServerErrorKind::Config), [`Listen`](ServerErrorKind::Listen) or [`Store`](ServerErrorKind::Store).
    pub async fn bind(config: Config) -> Result<Self, ServerError> {
        let listener = listen(&config).await?;
        let directory = config.directory.clone();
        let opening = tokio::task::spawn_blocking(move || store::open(EmbeddedConfig::new(directory)));
        let opened = opening.await.map_err(|error| {
            ServerError::new(ServerErrorKind::Store, "the store could not be opened: it panicked", error)
        })?;
        let store = opened.map_err(|error| {
            let place = config.directory.display();
            ServerError::new(ServerErrorKind::Store, format!("the store in {place} cannot be opened: {error}"), error)
        })?;
        Self::new(config, listener, store)
    }

    /// Listens, with a store that is open already. The configuration's directory is not used.
    ///
    /// # Errors
    /// [`Config`](ServerErrorKind::Config) or [`Listen`](ServerErrorKind::Listen).
    pub async fn bind_with_store(config: Config, store: Arc<dyn Store>) -> Result<Self, ServerError> {
        let listener = listen(&config).await?;
        Self::new(config, listener, store)
    }

    fn new(config: Config, listener: TcpListener, store: Arc<dyn Store>) -> Result<Self, ServerError> {
        let local_addr = listener.local_addr().map_err(|error| not_listening(&config, error))?;
        let metrics = Arc::new(Metrics::default());
        let room = Room::new(config.max_in_flight_bytes);
        let ingest = Ingest { store: Arc::clone(&store), metrics: Arc::clone(&metrics), room };
        let mut background = Background::default();
        if let Some(source) = &config.kafka {
            receive::kafka::add(&mut background, source, &ingest, config.max_request_bytes)?;
        }
        if let Some(source) = &config.rabbitmq {
            receive::rabbitmq::add(&mut background, source, &ingest, config.max_request_bytes)?;
        }
        let observed = (Arc::clone(&metrics), Arc::clone(&ingest.room));
        let receiver =
            Receiver { ingest, max_request_bytes: config.max_request_bytes, idle_timeout: config.idle_timeout };
        let gate = Gate { tokens: config.tokens.into(), metrics: Arc::clone(&metrics) };
        let router = Router::new()
            .route("/healthz", get(async || "ok\n"))
            .route("/metrics", get(print_metrics).with_state(observed))
            .merge(receive::router(receiver))
            .merge(query::router(Arc::clone(&store)))
            .merge(page::router())
            .fallback(receive::not_found)
            .method_not_allowed_fallback(receive::wrong_method)
            .layer(from_fn_with_state(gate, guard::guard));
        Ok(Self { listener, local_addr, router, background, store, metrics, shutdown_timeout: config.shutdown_timeout })
    }

    /// Where it listens, with the port it was given.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Answers until `shutdown` resolves. Then accepts no more, lets requests and what was fetched from brokers finish for
    /// as long as the configuration says, and closes the store.
    ///
    /// # Errors
    /// [`Store`](ServerErrorKind::Store) when the store could not be closed.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
        let running = self.background.start(&self.metrics);
        let mut stopped = Instant::now();
        let shutdown = async {
            shutdown.await;
            stopped = Instant::now();
            running.stop();
        };
        connection::serve(self.listener, self.router, self.metrics, shutdown, self.shutdown_timeout).await;
        running.finish(stopped + self.shutdown_timeout).await;
        let closed = self.store.close().await;
        closed.map_err(|error| {
            ServerError::new(ServerErrorKind::Store, format!("the store was not closed in order: {error}"), error)
        })
    }
}

async fn listen(config: &Config) -> Result<TcpListener, ServerError> {
    if config.max_in_flight_bytes / 2 < config.max_request_bytes {
        return Err(ServerError::config(format!(
            "max_in_flight_bytes is {}, but it must be at least twice max_request_bytes, which is {}",
            config.max_in_flight_bytes, config.max_request_bytes
        )));
    }
    TcpListener::bind(config.listen).await.map_err(|error| not_listening(config, error))
}

fn not_listening(config: &Config, error: std::io::Error) -> ServerError {
    let message = format!("cannot listen on {}: {error}; choose another address with --listen", config.listen);
    ServerError::new(ServerErrorKind::Listen, message, error)
}

async fn print_metrics(State((metrics, room)): State<(Arc<Metrics>, Arc<Room>)>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render(room.used() as u64))
}
