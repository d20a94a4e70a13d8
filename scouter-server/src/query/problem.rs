//! Answers that are not what was asked for.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use scouter_client::FilterError;
use serde_json::json;

use crate::store::{StoreError, StoreErrorKind};

/// `{"error": {"kind": …, "message": …}}`, with `field`, `value` and `expected` when a filter is at fault.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    kind: &'static str,
    message: String,
    filter: Option<FilterError>,
    is_retryable: bool,
}

impl Problem {
    pub(super) fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into(), filter: None, is_retryable: false }
    }
}

impl From<FilterError> for Problem {
    fn from(error: FilterError) -> Self {
        let problem = Self::new(StatusCode::BAD_REQUEST, "invalid_filter", error.to_string());
        Self { filter: Some(error), ..problem }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if let Some(filter) = error.filter() {
            return filter.clone().into();
        }
        tracing::error!(error = %error, "the store could not answer a query");
        let (status, kind) = match error.kind() {
            StoreErrorKind::Closed => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "storage"),
        };
        let is_retryable = status == StatusCode::SERVICE_UNAVAILABLE;
        Self { is_retryable, ..Self::new(status, kind, error.to_string()) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut error = json!({"kind": self.kind, "message": self.message});
        if let Some(filter) = self.filter {
            error["field"] = filter.field.into();
            error["value"] = filter.value.into();
            error["expected"] = filter.expected.into();
        }
        let mut response = (self.status, Json(json!({"error": error}))).into_response();
        if self.is_retryable {
            response.headers_mut().insert(RETRY_AFTER, axum::http::HeaderValue::from_static("1"));
        }
        response
    }
}
