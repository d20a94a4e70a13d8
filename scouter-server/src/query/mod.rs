//! The JSON API: asks the store, answers with the client's types.
//!
//! | request | answer |
//! |---|---|
//! | `GET /api/v1/traces/{trace_id}` | a [`Trace`], or 404 |
//! | `GET`, `POST /api/v1/traces/search` | a [`TracePage`] |
//! | `POST /api/v1/spans/search` | a list of [`Span`]s: trace after trace, each as a tree |
//! | `GET /api/v1/services` | a list of names |
//! | `GET`, `POST /api/v1/records` | a [`RecordPage`] |
//! | `GET`, `POST /api/v1/tags` | a list of [`Tag`]s |
//!
//! Filters are [`TraceFilters`], [`RecordFilters`] or [`TagFilters`]: a JSON object in the body, or the same names in the URL. What cannot be used answers 400
//! and says which field, with which value, and what it may be.

mod problem;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use scouter_client::{FilterError, RecordFilters, RecordPage, Span, Tag, TagFilters, Trace, TraceFilters, TracePage};
use scouter_span::TraceId;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::store::Store;
use problem::Problem;

/// The most bytes of filters: room for tens of thousands of trace ids.
const BODY_LIMIT: usize = 2 << 20;

type Shared = State<Arc<dyn Store>>;
type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;
type Body = Result<Bytes, BytesRejection>;

/// An answer that must not be kept: the next one may have more spans.
struct Fresh<T>(T);

impl<T: Serialize> IntoResponse for Fresh<T> {
    fn into_response(self) -> Response {
        ([(CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(self.0)).into_response()
    }
}

/// The routes of the JSON API.
pub fn router(store: Arc<dyn Store>) -> Router {
    Router::new()
        .route("/api/v1/traces/{trace_id}", get(trace))
        .route("/api/v1/traces/search", get(search_by_url).post(search))
        .route("/api/v1/spans/search", post(spans))
        .route("/api/v1/services", get(services))
        .route("/api/v1/records", get(records_by_url).post(records))
        .route("/api/v1/tags", get(tags_by_url).post(tags))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(store)
}

async fn trace(State(store): Shared, Path(id): Path<String>) -> Result<Fresh<Trace>, Problem> {
    let id: TraceId = id
        .parse()
        .map_err(|_| FilterError::new("trace_id", id.as_str(), "give 32 hexadecimal digits that are not all zero"))?;
    let trace = store.trace(id).await?;
    trace.map(Fresh).ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "not_found", format!("there is no trace {id}")))
}

async fn search_by_url(State(store): Shared, pairs: Pairs) -> Result<Fresh<TracePage>, Problem> {
    Ok(Fresh(store.search(TraceFilters::from_query(given(pairs)?)?).await?))
}

async fn search(State(store): Shared, body: Body) -> Result<Fresh<TracePage>, Problem> {
    Ok(Fresh(store.search(TraceFilters::from_json(&filters(body)?)?).await?))
}

async fn spans(State(store): Shared, body: Body) -> Result<Fresh<Vec<Span>>, Problem> {
    Ok(Fresh(store.spans(TraceFilters::from_json(&filters(body)?)?).await?))
}

async fn records_by_url(State(store): Shared, pairs: Pairs) -> Result<Fresh<RecordPage>, Problem> {
    Ok(Fresh(store.records(RecordFilters::from_query(given(pairs)?)?).await?))
}

async fn records(State(store): Shared, body: Body) -> Result<Fresh<RecordPage>, Problem> {
    Ok(Fresh(store.records(RecordFilters::from_json(&filters(body)?)?).await?))
}

async fn tags_by_url(State(store): Shared, pairs: Pairs) -> Result<Fresh<Vec<Tag>>, Problem> {
    Ok(Fresh(store.tags(TagFilters::from_query(given(pairs)?)?).await?))
}

async fn tags(State(store): Shared, body: Body) -> Result<Fresh<Vec<Tag>>, Problem> {
    Ok(Fresh(store.tags(TagFilters::from_json(&filters(body)?)?).await?))
}

async fn services(State(store): Shared) -> Result<Fresh<Vec<String>>, Problem> {
    Ok(Fresh(store.services().await?))
}

/// The pairs of a URL's query.
fn given(pairs: Pairs) -> Result<Vec<(String, String)>, Problem> {
    let invalid = |error: QueryRejection| Problem::new(StatusCode::BAD_REQUEST, "invalid_query", error.body_text());
    pairs.map(|Query(pairs)| pairs).map_err(invalid)
}

/// The filters in a body. An empty one asks for everything.
fn filters(body: Body) -> Result<Map<String, Value>, Problem> {
    let body = body.map_err(|error| {
        let message = format!("{}: filters may have up to {BODY_LIMIT} bytes", error.body_text().to_lowercase());
        Problem::new(error.status(), "invalid_body", message)
    })?;
    if body.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    let invalid = |message: String| Problem::new(StatusCode::BAD_REQUEST, "invalid_body", message);
    match serde_json::from_slice(&body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => {
            Err(invalid("the body is not a JSON object: give filters like {\"service_name\": \"shop\"}".to_owned()))
        }
        Err(error) => Err(invalid(format!("the body is not JSON: {error}"))),
    }
}
