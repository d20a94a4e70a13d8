//! Transports outside of runtimes, and across them.

use scouter_transport::grpc::{Grpc, GrpcConfig};
use scouter_transport::http::{Http, HttpConfig};
use scouter_transport::{Endpoint, Payload, Transport};
use tokio::runtime::{Builder, Runtime};

use crate::server::Server;

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn made(url: &str) -> [Box<dyn Transport>; 2] {
    let endpoint = Endpoint::from_user(url).unwrap();
    [
        Box::new(Http::new(HttpConfig::new(endpoint.clone())).unwrap()),
        Box::new(Grpc::new(GrpcConfig::new(endpoint)).unwrap()),
    ]
}

#[test]
fn a_transport_is_made_without_a_runtime_and_outlives_one() {
    // The receiver lives on a thread of its own.
    let elsewhere = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = elsewhere.block_on(Server::start());
    let send = |runtime: &Runtime, transport: &dyn Transport| {
        runtime.block_on(transport.send(Payload::traces("spans", 1))).unwrap();
    };

    let before = made(&server.url());
    let first = current_thread();
    for transport in &before {
        send(&first, transport);
        send(&first, transport);
    }
    drop(first);

    // As after a fork: the runtime that drove the connections is gone. What is made anew works, and so does the old.
    let second = current_thread();
    for transport in made(&server.url()).iter().chain(&before) {
        send(&second, transport);
        second.block_on(transport.close()).unwrap();
    }
    assert_eq!(server.desk.arrived().len(), 8);
    elsewhere.block_on(server.stop());
}
