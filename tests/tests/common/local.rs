//! Servers in the process of the test, several of them over one store that can be made to fail.
#![allow(dead_code, reason = "each test file uses some of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use scouter_client::{RecordFilters, RecordPage, Span, Tag, TagFilters, Trace, TraceFilters, TracePage};
use scouter_server::store::{BoxFuture, EmbeddedConfig, Signal, Store, StoreError, StoreErrorKind, Written, open};
use scouter_server::{Config, RabbitMqSource, Server, ServerError};
use scouter_span::TraceId;
use scouter_transport::rabbitmq::RabbitMqConfig;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// It is kept.
    Keeps,
    /// It fails, and may work later.
    Fails,
    /// It waits until the mood changes.
    Waits,
    /// It is kept, and nobody is told.
    KeepsInSilence,
}

/// The real store, behind a door.
#[derive(Debug)]
pub(crate) struct Moody {
    inner: Arc<dyn Store>,
    mood: watch::Sender<Mood>,
    /// How often something was to be written.
    writes: AtomicUsize,
    _directory: TempDir,
}

impl Moody {
    pub(crate) fn new() -> Arc<Self> {
        let directory = TempDir::new().unwrap();
        let inner = open(EmbeddedConfig::new(directory.path())).unwrap();
        let mood = watch::Sender::new(Mood::Keeps);
        Arc::new(Self { inner, mood, writes: AtomicUsize::new(0), _directory: directory })
    }

    pub(crate) fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    pub(crate) fn writes(&self) -> usize {
        self.writes.load(Ordering::Relaxed)
    }
}

impl Store for Moody {
    fn write(&self, signal: Signal, request: Bytes) -> BoxFuture<'_, Result<Written, StoreError>> {
        Box::pin(async move {
            self.writes.fetch_add(1, Ordering::Relaxed);
            let mut mood = self.mood.subscribe();
            let current = *mood.wait_for(|mood| *mood != Mood::Waits).await.unwrap();
            match current {
                Mood::Fails => Err(StoreError::new(StoreErrorKind::Full, "no space left")),
                Mood::KeepsInSilence => {
                    self.inner.write(signal, request).await.unwrap();
                    std::future::pending().await
                }
                Mood::Keeps | Mood::Waits => self.inner.write(signal, request).await,
            }
        })
    }

    fn trace(&self, id: TraceId) -> BoxFuture<'_, Result<Option<Trace>, StoreError>> {
        self.inner.trace(id)
    }

    fn search(&self, filters: TraceFilters) -> BoxFuture<'_, Result<TracePage, StoreError>> {
        self.inner.search(filters)
    }

    fn spans(&self, filters: TraceFilters) -> BoxFuture<'_, Result<Vec<Span>, StoreError>> {
        self.inner.spans(filters)
    }

    fn services(&self) -> BoxFuture<'_, Result<Vec<String>, StoreError>> {
        self.inner.services()
    }

    fn records(&self, filters: RecordFilters) -> BoxFuture<'_, Result<RecordPage, StoreError>> {
        self.inner.records(filters)
    }

    fn tags(&self, filters: TagFilters) -> BoxFuture<'_, Result<Vec<Tag>, StoreError>> {
        self.inner.tags(filters)
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        // Other servers go on.
        Box::pin(async { Ok(()) })
    }
}

/// A server in this process. Dropping it ends it as a kill would: nothing that it has is acknowledged.
pub(crate) struct Local {
    runtime: Runtime,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), ServerError>>,
}

impl Local {
    pub(crate) fn start(store: &Arc<Moody>, connection: RabbitMqConfig, max_request_bytes: usize) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let mut config = Config::new("unused");
        config.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        config.max_request_bytes = max_request_bytes;
        config.rabbitmq = Some(RabbitMqSource::new(connection));
        let store: Arc<dyn Store> = Arc::<Moody>::clone(store);
        let server = runtime.block_on(Server::bind_with_store(config, store)).unwrap();
        let address = server.local_addr();
        let (stop, stopped) = oneshot::channel();
        let task = runtime.spawn(server.serve(async { drop(stopped.await) }));
        Self { runtime, address, stop, task }
    }

    /// Ends it in order.
    pub(crate) fn stop(self) {
        self.stop.send(()).unwrap();
        self.runtime.block_on(self.task).unwrap().unwrap();
    }

    /// The sum of the counters of this name that begin so, labels included.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let mut stream = TcpStream::connect(self.address).unwrap();
        write!(stream, "GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let lines = text.lines().filter(|line| line.starts_with(name));
        lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
    }
}
