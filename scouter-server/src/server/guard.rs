//! What holds for every request, whatever its route: tokens, panics, unread bodies, counting.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::EXPECT;
use http::{StatusCode, Version};

use crate::access;
use crate::config::Token;
use crate::metrics::{Metrics, Outcome};
use crate::receive::{self, Ended, Lent, Refusal};

#[derive(Clone, Debug)]
pub(super) struct Gate {
    pub(super) tokens: Arc<[Token]>,
    pub(super) metrics: Arc<Metrics>,
}

pub(super) async fn guard(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let protocol = receive::protocol(request.headers());
    let is_ingest = receive::is_ingest(request.uri().path());
    let guarded = is_ingest || request.uri().path().starts_with("/api/");
    // A sender that waits for `100 Continue` sends no body when it gets a final answer instead.
    let waits = request.headers().contains_key(EXPECT);
    let one_at_a_time = request.version() < Version::HTTP_2;
    let lent = Lent::new(std::mem::take(request.body_mut()));
    *request.body_mut() = Body::new(lent.clone());

    let response = if guarded && !access::is_allowed(&gate.tokens, request.headers()) {
        receive::refuse(protocol, &Refusal::Unauthorized)
    } else {
        caught(next.run(request)).await.unwrap_or_else(|| {
            gate.metrics.panicked();
            receive::refuse(protocol, &Refusal::Panicked)
        })
    };

    let outcome = response.extensions().get::<Ended>().map(|Ended(outcome)| *outcome);
    let silent = outcome == Some(Outcome::TimedOut) || (waits && !lent.is_touched());
    if one_at_a_time && !silent && !lent.is_end_stream() {
        lent.drain().await;
    }
    if is_ingest {
        let outcome = outcome.unwrap_or(match response.status() {
            StatusCode::OK => Outcome::Ok,
            _ => Outcome::Unsupported,
        });
        gate.metrics.answered(protocol, outcome);
    }
    response
}

/// What the future comes to; nothing if it panics.
async fn caught<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(poll) => poll.map(Some),
        // A future that panicked is not polled again.
        Err(_) => Poll::Ready(None),
    })
    .await
}
