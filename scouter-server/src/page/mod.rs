//! The web page: plain files inside the binary, which ask the JSON API.
//!
//! Nothing is fetched from elsewhere and nothing runs inline, and the headers make the browser see to it.

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::IntoResponse;
use axum::routing::get;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// One of the page's files.
#[derive(Clone, Copy)]
struct Asset {
    path: &'static str,
    content_type: &'static str,
    text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

const ASSETS: [Asset; 14] = [
    Asset { path: "/", content_type: HTML, text: include_str!("assets/traces.html") },
    Asset { path: "/traces/{trace_id}", content_type: HTML, text: include_str!("assets/trace.html") },
    Asset { path: "/records", content_type: HTML, text: include_str!("assets/records.html") },
    Asset { path: "/page/page.css", content_type: "text/css; charset=utf-8", text: include_str!("assets/page.css") },
    Asset { path: "/page/icon.svg", content_type: "image/svg+xml", text: include_str!("assets/icon.svg") },
    Asset { path: "/page/common.js", content_type: JAVASCRIPT, text: include_str!("assets/common.js") },
    Asset { path: "/page/ask.js", content_type: JAVASCRIPT, text: include_str!("assets/ask.js") },
    Asset { path: "/page/listing.js", content_type: JAVASCRIPT, text: include_str!("assets/listing.js") },
    Asset { path: "/page/found.js", content_type: JAVASCRIPT, text: include_str!("assets/found.js") },
    Asset { path: "/page/traces.js", content_type: JAVASCRIPT, text: include_str!("assets/traces.js") },
    Asset { path: "/page/trace.js", content_type: JAVASCRIPT, text: include_str!("assets/trace.js") },
    Asset { path: "/page/details.js", content_type: JAVASCRIPT, text: include_str!("assets/details.js") },
    Asset { path: "/page/records.js", content_type: JAVASCRIPT, text: include_str!("assets/records.js") },
    Asset { path: "/page/values.js", content_type: JAVASCRIPT, text: include_str!("assets/values.js") },
];

/// The routes of the page.
pub fn router() -> Router {
    ASSETS.iter().fold(Router::new(), |router, asset| router.route(asset.path, get(async || *asset)))
}

impl IntoResponse for Asset {
    fn into_response(self) -> axum::response::Response {
        let headers: [(HeaderName, HeaderValue); 5] = [
            (CONTENT_TYPE, HeaderValue::from_static(self.content_type)),
            (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            // A newer server must not meet an older page.
            (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ];
        (headers, self.text).into_response()
    }
}
