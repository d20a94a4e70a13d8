//! Receivers that fetch messages by themselves, from a broker, rather than being called.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::metrics::Metrics;

/// Tells a receiver that the server is about to end: take no more messages, finish those that were taken.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Receiver<bool>);

/// The receivers that fetch, before they run.
#[derive(Default)]
pub(crate) struct Background {
    receivers: Vec<Receiver>,
}

/// The receivers that fetch, at work. Dropped, it ends them in the middle of what they do.
#[derive(Debug)]
pub(crate) struct Running {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

struct Receiver {
    name: &'static str,
    run: Box<dyn Fn(Stop) -> Run + Send + Sync>,
}

type Run = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How long a receiver that hit a defect rests before it begins anew.
const REST: Duration = Duration::from_secs(1);

impl Stop {
    /// Resolves when the receiver is to stop; at once when it was told so before.
    pub(crate) async fn requested(&mut self) {
        // Whoever could still say it is gone: that is the end as well.
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    /// Whether the receiver is to stop.
    pub(crate) fn is_requested(&self) -> bool {
        *self.0.borrow()
    }
}

impl Background {
    /// Adds a receiver. `run` is called when the server begins to serve, with the store open, and its future ends soon after
    /// the stop is requested and nothing that was taken is unanswered. Ending earlier is for good; after a panic `run` is called again.
    #[cfg_attr(not(any(test, feature = "kafka", feature = "rabbitmq")), expect(dead_code, reason = "for brokers"))]
    pub(crate) fn add<F>(&mut self, name: &'static str, run: impl Fn(Stop) -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.receivers.push(Receiver { name, run: Box::new(move |stop| Box::pin(run(stop))) });
    }

    /// Starts every receiver.
    pub(crate) fn start(self, metrics: &Arc<Metrics>) -> Running {
        let (stop, stopping) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for receiver in self.receivers {
            tasks.spawn(keep_running(receiver, Stop(stopping.clone()), Arc::clone(metrics)));
        }
        Running { stop, tasks }
    }
}

impl std::fmt::Debug for Background {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.receivers.iter().map(|receiver| receiver.name)).finish()
    }
}

impl Running {
    /// Tells every receiver to stop.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits for the receivers until the deadline, then cuts them off. What they gave to the store stays with it; what they did not
    /// acknowledge their broker delivers again.
    pub(crate) async fn finish(mut self, deadline: Instant) {
        self.stop();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if timeout_at(deadline, all).await.is_err() {
            tracing::warn!(receivers = self.tasks.len(), "receivers did not finish in time and are cut off");
        }
        self.tasks.shutdown().await;
    }
}

/// Runs a receiver, and again after a panic, until it is to stop.
async fn keep_running(receiver: Receiver, mut stop: Stop, metrics: Arc<Metrics>) {
    loop {
        // A task of its own: its panic ends there. When this one is cut off, that one is, too.
        let mut task = JoinSet::new();
        task.spawn((receiver.run)(stop.clone()));
        match task.join_next().await {
            Some(Err(error)) if error.is_panic() => {
                metrics.panicked();
                tracing::error!(receiver = receiver.name, "a receiver hit a defect and begins anew");
            }
            _ => return,
        }
        tokio::select! {
            () = sleep(REST) => {}
            () = stop.requested() => {}
        }
        if stop.is_requested() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn receivers_are_told_to_stop_and_waited_for() {
        let finished = Arc::new(AtomicUsize::new(0));
        let mut background = Background::default();
        for _ in 0..2 {
            let finished = Arc::clone(&finished);
            background.add("quick", move |mut stop| {
                let finished = Arc::clone(&finished);
                async move {
                    stop.requested().await;
                    sleep(Duration::from_secs(2)).await;
                    finished.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        assert_eq!(format!("{background:?}"), r#"["quick", "quick"]"#);
        let running = background.start(&Arc::default());
        let begun = Instant::now();
        running.finish(begun + Duration::from_secs(10)).await;
        assert_eq!(finished.load(Ordering::Relaxed), 2);
        assert_eq!(begun.elapsed(), Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_receiver_that_does_not_stop_is_cut_off() {
        let held = Arc::new(());
        let mut background = Background::default();
        let keep = Arc::clone(&held);
        background.add("stubborn", move |_| {
            let keep = Arc::clone(&keep);
            async move {
                let _keep = keep;
                std::future::pending().await
            }
        });
        let running = background.start(&Arc::default());
        tokio::task::yield_now().await;
        let begun = Instant::now();
        running.finish(begun + Duration::from_secs(10)).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(10));
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_ends_one_run_not_the_receiver() {
        let runs = Arc::new(AtomicUsize::new(0));
        let (seen, mut second) = tokio::sync::mpsc::unbounded_channel();
        let mut background = Background::default();
        let counted = Arc::clone(&runs);
        background.add("faulty", move |mut stop| {
            let (run, seen) = (counted.fetch_add(1, Ordering::Relaxed), seen.clone());
            async move {
                assert!(run > 0, "the first run panics");
                let _ = seen.send(());
                stop.requested().await;
            }
        });
        let metrics: Arc<Metrics> = Arc::default();
        let running = background.start(&metrics);
        second.recv().await.unwrap();
        running.finish(Instant::now() + Duration::from_secs(10)).await;
        assert_eq!(runs.load(Ordering::Relaxed), 2);
        assert!(metrics.render(0).contains("scouter_server_panics_total 1"));
    }
}
