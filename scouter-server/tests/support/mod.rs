//! A server that is really bound, on a store that keeps everything in memory and misbehaves when asked to; and clients.

#![allow(dead_code, unreachable_pub, missing_debug_implementations, reason = "every test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper that cannot go on fails its test")]

pub mod client;
pub mod memory;
pub mod request;

use std::net::SocketAddr;
use std::sync::Arc;

use scouter_server::{Config, Server, ServerError};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use memory::MemoryStore;

/// A running server. Ends with the test's runtime, or in order through [`stop`](Self::stop).
pub struct TestServer {
    pub addr: SocketAddr,
    pub store: Arc<MemoryStore>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), ServerError>>,
}

impl TestServer {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let store = Arc::new(MemoryStore::default());
        let mut config = Config::new("unused");
        config.listen.set_port(0);
        change(&mut config);
        let server = Server::bind_with_store(config, store.clone()).await.unwrap();
        let addr = server.local_addr();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(server.serve(async {
            // A test that drops the sender wants the server to go on.
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        }));
        Self { addr, store, stop, served }
    }

    /// Asks the server to stop and hands back what waits for its end.
    pub fn stop(self) -> (Arc<MemoryStore>, JoinHandle<Result<(), ServerError>>) {
        self.stop.send(()).unwrap();
        (self.store, self.served)
    }

    pub fn uri(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// One value of `/metrics`.
    pub async fn metric(&self, line_start: &str) -> f64 {
        let text = client::get(self, "/metrics").await.text();
        let line = text.lines().find(|line| line.starts_with(line_start) && !line.starts_with('#'));
        let line = line.unwrap_or_else(|| panic!("no {line_start} in\n{text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Whether the server still does its work: a new trace is stored, and nothing is left in flight.
    pub async fn assert_unharmed(&self) {
        let before = self.store.spans();
        let answer = client::post_protobuf(self, request::encode(&request::with_spans(3))).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(self.store.spans(), before + 3);
        assert_eq!(self.metric("scouter_server_in_flight_bytes").await, 0.0);
    }
}
