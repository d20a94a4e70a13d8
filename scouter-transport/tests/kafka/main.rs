//! Kafka against a broker in this process that does as it is told.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod broker;
mod wire;

use std::time::Duration;

use scouter_transport::conformance::{Behaviour, FarEnd, all};
use scouter_transport::kafka::{KafkaCompression, KafkaConfig};
use scouter_transport::{BoxFuture, ContentType, ErrorKind, Payload, Retry, RetryPolicy, Transport, connect};

use crate::broker::{Broker, PASSWORD, USERNAME};

impl Broker {
    fn config(&self) -> KafkaConfig {
        KafkaConfig::new(self.address())
            .username(USERNAME)
            .password(PASSWORD)
            .compression(KafkaCompression::None)
            .max_message_bytes(16 << 20)
            // What a cluster recovers from is tried again inside, within the timeout; here it is to be seen outside.
            .property("retries", "1")
            .property("retry.backoff.ms", "10")
    }
}

impl FarEnd for Broker {
    fn transport(&self, timeout: Duration) -> Box<dyn Transport> {
        connect(self.config().timeout(timeout)).unwrap()
    }

    fn contents(&self) -> Vec<ContentType> {
        vec![ContentType::Protobuf, ContentType::Json]
    }

    fn answers(&self) -> bool {
        false
    }

    fn short_timeout(&self) -> Duration {
        // librdkafka asks for the number of an idempotent producer twice a second.
        Duration::from_secs(4)
    }

    fn secrets(&self) -> Vec<String> {
        vec![PASSWORD.to_owned()]
    }

    fn behave(&self, behaviour: Behaviour) {
        self.told(behaviour);
    }

    fn arrived(&self) -> Vec<scouter_transport::conformance::Arrival> {
        self.messages().into_iter().map(|message| message.arrival).collect()
    }

    fn until_arrived(&self, payloads: usize) -> BoxFuture<'_, ()> {
        Box::pin(self.until(payloads))
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.go_away())
    }

    fn start(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.come_back())
    }
}

#[tokio::test]
async fn conforms() {
    all(&Broker::start().await).await;
}

/// A request of so many traces with one span each.
fn traces(count: u8) -> Payload {
    let nested = |field: u8, inner: Vec<u8>| {
        let mut out = vec![field];
        wire::put_varint(&mut out, inner.len() as u64);
        [out, inner].concat()
    };
    let span = |trace: u8| nested(0x12, [&[0x0a, 16][..], &[trace + 1; 16], &[0x12, 8], &[9; 8]].concat());
    let spans = (0..count).flat_map(span).collect();
    Payload::traces(nested(0x0a, nested(0x12, spans)), count.into())
}

#[tokio::test]
async fn a_retry_sends_only_what_was_not_acknowledged() {
    let broker = Broker::start().await;
    let policy = RetryPolicy::new().initial_backoff(Duration::from_millis(1));
    // One message a request, so that some are taken and some are not.
    let config = broker.config().property("batch.num.messages", "1").property("max.in.flight", "1");
    let transport = Retry::new(connect(config.timeout(Duration::from_secs(20))).unwrap(), policy);
    broker.told(Behaviour::Answer(bytes::Bytes::new()));
    broker.take_only(3);
    let receipt = transport.send(traces(8)).await.unwrap();
    assert!(receipt.body.is_empty());
    let mut keys: Vec<_> =
        broker.messages().into_iter().filter(|message| message.taken).map(|message| message.key).collect();
    keys.sort_unstable();
    let expected: Vec<_> = (1..=8u8).map(|trace| Some(format!("{trace:02x}").repeat(16))).collect();
    assert_eq!(keys, expected);
    transport.close().await.unwrap();
}

#[tokio::test]
async fn wrong_credentials_are_refused_at_once_and_right_ones_pass_later() {
    let broker = Broker::start().await;
    let transport = connect(broker.config().password("another").timeout(Duration::from_secs(30))).unwrap();
    for _ in 0..2 {
        let error = transport.send(traces(1)).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Refused, false), "{error}");
        assert!(error.to_string().contains("do not accept the user name and the password"), "{error}");
        assert!(!format!("{error:?}").contains("another"), "{error:?}");
    }
    broker.transport(Duration::from_secs(30)).send(traces(1)).await.unwrap();
    assert_eq!(broker.messages().len(), 1);
}

#[test]
fn a_transport_outlives_its_runtime() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let serving = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let broker = serving.block_on(Broker::start());
    let transport = broker.transport(Duration::from_secs(30));
    for _ in 0..2 {
        runtime().block_on(transport.send(traces(1))).unwrap();
    }
    runtime().block_on(transport.close()).unwrap();
    assert_eq!(broker.messages().len(), 2);
}
