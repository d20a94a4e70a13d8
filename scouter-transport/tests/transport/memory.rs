//! Memory passes the suite.

use std::time::Duration;

use scouter_transport::conformance::{self, Arrival, Behaviour, FarEnd};
use scouter_transport::memory::Memory;
use scouter_transport::{BoxFuture, ContentType, Error, ErrorKind, Payload, Transport, connect};

#[derive(Debug, Default)]
struct InMemory {
    memory: Memory,
}

impl FarEnd for InMemory {
    fn transport(&self, timeout: Duration) -> Box<dyn Transport> {
        Box::new(self.memory.transport().timeout(timeout))
    }

    fn contents(&self) -> Vec<ContentType> {
        vec![ContentType::Protobuf, ContentType::Json]
    }

    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }

    fn behave(&self, behaviour: Behaviour) {
        let memory = &self.memory;
        memory.take();
        memory.recover();
        memory.release();
        let fail = |error| memory.fail_next(usize::MAX, error);
        match behaviour {
            Behaviour::Answer(body) => memory.answer_with(body),
            Behaviour::AnswerFrom(payloads) => {
                memory.hold();
                let memory = memory.clone();
                tokio::spawn(async move {
                    memory.until_waiting(payloads).await;
                    memory.release();
                });
            }
            Behaviour::Refuse => fail(Error::new(ErrorKind::Refused, "as told")),
            Behaviour::TooLarge => fail(Error::new(ErrorKind::TooLarge, "as told")),
            Behaviour::Unavailable(delay) => {
                fail(Error::new(ErrorKind::Unavailable, "as told").with_retry_after(delay))
            }
            Behaviour::Hang => memory.hold(),
            other => panic!("{other:?} is new"),
        }
    }

    fn arrived(&self) -> Vec<Arrival> {
        let payloads = self.memory.payloads().into_iter();
        payloads.map(|Payload { signal, content, body, .. }| Arrival { signal, content, body }).collect()
    }

    fn until_arrived(&self, payloads: usize) -> BoxFuture<'_, ()> {
        Box::pin(self.memory.until_waiting(payloads))
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        self.memory.recover();
        self.memory.release();
        self.memory.fail_next(usize::MAX, Error::new(ErrorKind::Unreachable, "as told"));
        Box::pin(async {})
    }

    fn start(&self) -> BoxFuture<'_, ()> {
        self.memory.recover();
        Box::pin(async {})
    }
}

#[tokio::test]
async fn passes_the_suite() {
    conformance::all(&InMemory::default()).await;
}

#[tokio::test]
async fn closing_what_was_connected_leaves_the_memory_open() {
    let memory = Memory::default();
    let transport = connect(memory.clone()).unwrap();
    transport.send(Payload::logs("record", 1)).await.unwrap();
    transport.close().await.unwrap();
    memory.send(Payload::logs("record", 1)).await.unwrap();
    assert_eq!(memory.received(), 2);
}
