//! Wrappers forward what they do not change, and change what they are for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use scouter_transport::memory::Memory;
use scouter_transport::{BoxFuture, Error, ErrorKind, Payload, Receipt, Retry, RetryPolicy, Timeout, Transport};
use tokio::time::Instant;

/// Counts calls, and fails each for good.
#[derive(Debug, Default)]
struct Counting {
    sends: AtomicUsize,
    flushes: AtomicUsize,
    closes: AtomicUsize,
}

impl Counting {
    fn calls(&self) -> [usize; 3] {
        [&self.sends, &self.flushes, &self.closes].map(|count| count.load(Ordering::Relaxed))
    }

    fn fail<T: Send>(&self, count: &AtomicUsize, what: &'static str) -> BoxFuture<'_, Result<T, Error>> {
        count.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move { Err(Error::new(ErrorKind::Refused, what)) })
    }
}

impl Transport for Counting {
    fn send(&self, _: Payload) -> BoxFuture<'_, Result<Receipt, Error>> {
        self.fail(&self.sends, "send")
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.fail(&self.flushes, "flush")
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.fail(&self.closes, "close")
    }
}

fn payload() -> Payload {
    Payload::traces("spans", 1)
}

#[tokio::test]
async fn every_wrapper_forwards_every_method_and_its_error() {
    let second = Duration::from_secs(1);
    type Wrap = fn(Arc<Counting>, Duration) -> Box<dyn Transport>;
    let wrappers: [Wrap; 4] = [
        |inner, _| Box::new(Retry::new(inner, RetryPolicy::new())),
        |inner, limit| Box::new(Timeout::new(inner, limit).unwrap()),
        |inner, _| Box::new(inner),
        |inner, _| Box::new(Box::new(inner) as Box<dyn Transport>),
    ];
    for wrap in wrappers {
        let inner = Arc::new(Counting::default());
        let wrapper = wrap(Arc::clone(&inner), second);
        assert_eq!(wrapper.send(payload()).await.unwrap_err().to_string(), "send");
        assert_eq!(inner.calls(), [1, 0, 0], "{wrapper:?}");
        assert_eq!(wrapper.flush().await.unwrap_err().to_string(), "flush");
        assert_eq!(inner.calls(), [1, 1, 0], "{wrapper:?}");
        assert_eq!(wrapper.close().await.unwrap_err().to_string(), "close");
        assert_eq!(inner.calls(), [1, 1, 1], "{wrapper:?}");
        assert!(format!("{wrapper:?}").contains("Counting"));
    }
}

fn unavailable() -> Error {
    Error::new(ErrorKind::Unavailable, "as told")
}

fn policy() -> RetryPolicy {
    RetryPolicy::new().initial_backoff(Duration::from_secs(1)).max_backoff(Duration::from_secs(5))
}

#[tokio::test(start_paused = true)]
async fn retry_sends_again_until_it_passes_and_reports_each_wait() {
    let memory = Memory::default();
    memory.answer_with("answer");
    memory.fail_next(3, unavailable());
    let waits = Arc::new(Mutex::new(Vec::new()));
    let retry = Retry::new(memory.clone(), policy()).with_seed(1).on_retry({
        let waits = Arc::clone(&waits);
        move |retrying| {
            assert_eq!(retrying.error.kind(), ErrorKind::Unavailable);
            assert_eq!(retrying.payload.items, 1);
            waits.lock().unwrap().push((retrying.attempt, retrying.wait));
        }
    });
    let begun = Instant::now();
    assert_eq!(retry.send(payload()).await.unwrap().body, "answer");
    let waits = waits.lock().unwrap().clone();
    assert_eq!(waits.iter().map(|(attempt, _)| *attempt).collect::<Vec<_>>(), [1, 2, 3]);
    for (attempt, wait) in &waits {
        assert!(*wait <= Duration::from_secs(1 << (attempt - 1)), "{waits:?}");
    }
    let total: Duration = waits.iter().map(|(_, wait)| *wait).sum();
    let elapsed = begun.elapsed();
    assert!(elapsed >= total && elapsed < total + Duration::from_millis(10), "{elapsed:?} for {total:?}");
    assert_eq!(memory.received(), 1);
}

#[tokio::test(start_paused = true)]
async fn retry_draws_other_waits_from_other_seeds() {
    let mut elapsed = Vec::new();
    for seed in [1, 1, 2] {
        let memory = Memory::default();
        memory.fail_next(4, unavailable());
        let begun = Instant::now();
        Retry::new(memory, policy()).with_seed(seed).send(payload()).await.unwrap();
        elapsed.push(begun.elapsed());
    }
    assert_eq!(elapsed[0], elapsed[1]);
    assert_ne!(elapsed[0], elapsed[2]);
}

#[tokio::test(start_paused = true)]
async fn retry_obeys_the_far_end() {
    let memory = Memory::default();
    memory.fail_next(1, unavailable().with_retry_after(Duration::from_secs(30)));
    let begun = Instant::now();
    Retry::new(memory, policy()).send(payload()).await.unwrap();
    let elapsed = begun.elapsed();
    assert!(elapsed >= Duration::from_secs(30) && elapsed < Duration::from_secs(31), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn retry_gives_up_with_the_last_error() {
    for (error, policy, longest) in [
        (Error::new(ErrorKind::Refused, "last"), policy(), Duration::ZERO),
        (Error::new(ErrorKind::TooLarge, "last"), policy(), Duration::ZERO),
        (Error::new(ErrorKind::Timeout, "last"), policy().max_attempts(1), Duration::ZERO),
        (Error::new(ErrorKind::Dropped, "last"), policy().max_attempts(4), Duration::from_secs(7)),
        (Error::new(ErrorKind::Unreachable, "last"), policy(), Duration::from_secs(60)),
        (unavailable().with_retry_after(Duration::from_secs(61)), policy(), Duration::ZERO),
    ] {
        let memory = Memory::default();
        memory.fail_next(usize::MAX, error.clone());
        let begun = Instant::now();
        let last = Retry::new(memory, policy).send(payload()).await.unwrap_err();
        assert_eq!(last.to_string(), error.to_string());
        assert!(begun.elapsed() <= longest + Duration::from_millis(20), "{last}: {:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn closing_a_retry_ends_its_waits() {
    let memory = Memory::default();
    memory.fail_next(usize::MAX, unavailable().with_retry_after(Duration::from_secs(50)));
    let waiting = Arc::new(tokio::sync::Notify::new());
    let retry = Retry::new(memory.clone(), policy()).on_retry({
        let waiting = Arc::clone(&waiting);
        move |_| waiting.notify_one()
    });
    let begun = Instant::now();
    let (sent, closed) = tokio::join!(retry.send(payload()), async {
        waiting.notified().await;
        retry.close().await
    });
    assert_eq!(sent.unwrap_err().kind(), ErrorKind::Unavailable);
    closed.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(retry.send(payload()).await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(memory.send(payload()).await.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test(start_paused = true)]
async fn flushing_a_retry_waits_for_its_retries() {
    let memory = Memory::default();
    memory.fail_next(1, unavailable().with_retry_after(Duration::from_secs(20)));
    let retry = Retry::new(memory.clone(), policy());
    let (sent, flushed) = tokio::join!(retry.send(payload()), async {
        retry.flush().await.unwrap();
        memory.received()
    });
    sent.unwrap();
    assert_eq!(flushed, 1);
}

#[tokio::test(start_paused = true)]
async fn timeout_limits_each_method() {
    let memory = Memory::default();
    memory.hold();
    let limit = Duration::from_secs(2);
    let timeout = Timeout::new(memory.clone(), limit).unwrap();
    let begun = Instant::now();
    let error = timeout.send(payload()).await.unwrap_err();
    assert_eq!((error.kind(), begun.elapsed().as_secs()), (ErrorKind::Timeout, 2));
    assert_eq!(error.to_string(), "cannot send: not done within 2s");

    let waiting = tokio::spawn({
        let memory = memory.clone().timeout(Duration::from_secs(600));
        async move { memory.send(payload()).await }
    });
    memory.until_waiting(1).await;
    for (outcome, what) in [(timeout.flush().await, "flush"), (timeout.close().await, "close")] {
        let error = outcome.unwrap_err();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::Timeout, Some(what)));
    }
    memory.release();
    waiting.await.unwrap().unwrap();
    timeout.close().await.unwrap();
    assert_eq!(Timeout::new(Memory::default(), Duration::ZERO).unwrap_err().kind(), ErrorKind::Config);
}
