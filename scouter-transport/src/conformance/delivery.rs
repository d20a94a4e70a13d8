//! What is sent arrives, and the answer comes back.

use bytes::Bytes;

use super::{Arrival, Behaviour, FarEnd, PATIENT, answering};
use crate::payload::{Payload, Signal};
use crate::transport::Transport;

/// No byte, one byte, every byte, and 5 MiB arrive as they were sent, in every encoding that is carried.
///
/// # Panics
///
/// When they do not.
pub async fn bytes_arrive_unchanged(far_end: &dyn FarEnd) {
    far_end.behave(answering());
    let transport = far_end.transport(PATIENT);
    let bodies = [Bytes::new(), Bytes::from_static(&[0]), (0..=255).collect(), noise(5 * 1024 * 1024)];
    let mut sent = Vec::new();
    for content in far_end.contents() {
        for body in &bodies {
            let payload = Payload::traces(body.clone(), 1).with_content(content);
            let outcome = transport.send(payload).await;
            assert!(outcome.is_ok(), "{} bytes of {content:?} were not taken: {outcome:?}", body.len());
            sent.push(Arrival { signal: Signal::Traces, content, body: body.clone() });
        }
    }
    let arrived = far_end.arrived();
    assert_eq!(arrived.len(), sent.len(), "how many payloads arrived");
    for (arrival, sent) in arrived.iter().zip(&sent) {
        assert!(arrival == sent, "{} bytes did not arrive as they were sent", sent.body.len());
    }
}

/// Traces and logs arrive at their own places.
///
/// # Panics
///
/// When they do not.
pub async fn signals_keep_apart(far_end: &dyn FarEnd) {
    far_end.behave(answering());
    let transport = far_end.transport(PATIENT);
    let order = [Signal::Traces, Signal::Logs, Signal::Logs, Signal::Traces];
    for signal in order {
        let payload = match signal {
            Signal::Traces => Payload::traces(signal.name(), 1),
            Signal::Logs => Payload::logs(signal.name(), 1),
        };
        let outcome = transport.send(payload).await;
        assert!(outcome.is_ok(), "{signal} were not taken: {outcome:?}");
    }
    let arrived = far_end.arrived();
    assert_eq!(arrived.iter().map(|arrival| arrival.signal).collect::<Vec<_>>(), order, "the places they came to");
    assert!(arrived.iter().all(|arrival| arrival.body == arrival.signal.name()), "the wrong bytes at a place");
}

/// The answer's bytes come back: none, few, and 1 MiB.
///
/// # Panics
///
/// When they do not.
pub async fn answers_come_back(far_end: &dyn FarEnd) {
    let transport = far_end.transport(PATIENT);
    for answer in [Bytes::new(), Bytes::from_static(b"\x0a\x02\x08\x01"), noise(1024 * 1024)] {
        far_end.behave(Behaviour::Answer(answer.clone()));
        match transport.send(Payload::traces("spans", 1)).await {
            Ok(receipt) => assert!(receipt.body == answer, "{} bytes of answer came back changed", answer.len()),
            Err(error) => panic!("an answer of {} bytes did not come back: {error}", answer.len()),
        }
    }
}

/// A far end that answers nobody before it has eight payloads gets them all at once.
///
/// # Panics
///
/// When sends wait for each other.
pub async fn sends_overlap(far_end: &dyn FarEnd) {
    const SENDS: usize = 8;
    far_end.behave(Behaviour::AnswerFrom(SENDS));
    let transport = std::sync::Arc::new(far_end.transport(PATIENT));
    let mut sends = tokio::task::JoinSet::new();
    for number in 0..SENDS {
        let transport = std::sync::Arc::clone(&transport);
        sends.spawn(async move { transport.send(Payload::traces(vec![b'x'; number], 1)).await });
    }
    for outcome in sends.join_all().await {
        assert!(outcome.is_ok(), "sends do not overlap: {outcome:?}");
    }
    let mut sizes: Vec<_> = far_end.arrived().iter().map(|arrival| arrival.body.len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, (0..SENDS).collect::<Vec<_>>(), "what arrived of overlapping sends");
}

/// Bytes that do not compress well and repeat nowhere near.
fn noise(length: usize) -> Bytes {
    let mut random = fastrand::Rng::with_seed(length as u64);
    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
}
