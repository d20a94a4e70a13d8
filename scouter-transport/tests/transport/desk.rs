//! What a test's receiver takes in, and what it is told to do with it.

use bytes::Bytes;
use hyper::HeaderMap;
use scouter_transport::conformance::{Arrival, Behaviour};
use tokio::sync::watch;

#[derive(Debug)]
pub(crate) struct Desk {
    state: watch::Sender<State>,
}

#[derive(Debug)]
struct State {
    behaviour: Behaviour,
    arrived: Vec<Arrival>,
    requests: Vec<Seen>,
    connections: usize,
}

/// The outside of a request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    /// The body's length as it travelled.
    pub(crate) length: usize,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let behaviour = Behaviour::Answer(Bytes::new());
        let state = State { behaviour, arrived: Vec::new(), requests: Vec::new(), connections: 0 };
        Self { state: watch::Sender::new(state) }
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        self.state.send_modify(|state| {
            state.behaviour = behaviour;
            state.arrived.clear();
        });
    }

    pub(crate) fn arrived(&self) -> Vec<Arrival> {
        self.state.borrow().arrived.clone()
    }

    pub(crate) async fn until_arrived(&self, payloads: usize) {
        let _ = self.state.subscribe().wait_for(|state| state.arrived.len() >= payloads).await;
    }

    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.state.borrow().requests.clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.borrow().connections
    }

    pub(crate) fn connected(&self) {
        self.state.send_modify(|state| state.connections += 1);
    }

    pub(crate) fn saw(&self, seen: Seen) {
        self.state.send_modify(|state| state.requests.push(seen));
    }

    /// Takes in a payload and resolves with what to do about it, once it is time to answer.
    pub(crate) async fn receive(&self, arrival: Arrival) -> Behaviour {
        self.state.send_modify(|state| state.arrived.push(arrival));
        let behaviour = self.state.borrow().behaviour.clone();
        match behaviour {
            Behaviour::AnswerFrom(payloads) => {
                self.until_arrived(payloads).await;
                Behaviour::Answer(Bytes::new())
            }
            Behaviour::Hang => std::future::pending().await,
            other => other,
        }
    }
}
