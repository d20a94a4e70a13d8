//! The web page: what is served, with which headers, and that its parts belong together.

#![expect(clippy::unwrap_used, reason = "a helper of a test stops the test as the test itself would")]

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use scouter_server::page;
use tower::ServiceExt;

struct Answer {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    text: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

async fn get(path: &str) -> Answer {
    let request = Request::builder().uri(path).body(Body::empty()).unwrap();
    let response = page::router().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    Answer { status: parts.status, headers: parts.headers, text }
}

/// The values between `before` and the next quote.
fn quoted<'a>(text: &'a str, before: &str) -> BTreeSet<&'a str> {
    text.match_indices(before).filter_map(|(at, _)| text[at + before.len()..].split('"').next()).collect()
}

const PAGES: [&str; 3] = ["/", "/traces/4bf92f3577b34da6a3ce929d0e0e4736", "/records"];

const FILES: [(&str, &str); 11] = [
    ("/page/page.css", "text/css; charset=utf-8"),
    ("/page/icon.svg", "image/svg+xml"),
    ("/page/common.js", "text/javascript; charset=utf-8"),
    ("/page/ask.js", "text/javascript; charset=utf-8"),
    ("/page/listing.js", "text/javascript; charset=utf-8"),
    ("/page/found.js", "text/javascript; charset=utf-8"),
    ("/page/traces.js", "text/javascript; charset=utf-8"),
    ("/page/trace.js", "text/javascript; charset=utf-8"),
    ("/page/details.js", "text/javascript; charset=utf-8"),
    ("/page/records.js", "text/javascript; charset=utf-8"),
    ("/page/values.js", "text/javascript; charset=utf-8"),
];

#[tokio::test]
async fn everything_is_served_with_strict_headers() {
    for (path, content_type) in PAGES.map(|page| (page, "text/html; charset=utf-8")).into_iter().chain(FILES) {
        let answer = get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_eq!(answer.header("content-type"), content_type);
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("http"), "{policy}");
    }
    assert_eq!(get("/page/other.js").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn nothing_runs_inline_and_nothing_comes_from_elsewhere() {
    for path in PAGES.into_iter().chain(FILES.map(|(path, _)| path)) {
        let text = get(path).await.text.replace("http://www.w3.org/2000/svg", "");
        assert!(!text.contains("http://") && !text.contains("https://") && !text.contains("url("), "{path}");
        // Text becomes text nodes; nothing that could turn it into markup is used.
        for forbidden in
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "setTimeout(\""]
        {
            assert!(!text.contains(forbidden), "{path}: {forbidden}");
        }
        if path.ends_with(".js") || path.ends_with(".css") {
            continue;
        }
        assert!(!text.contains("<style") && !text.contains("style=") && !text.contains(" on"), "{path}");
        assert!(
            text.match_indices("<script").all(|(at, _)| text[at..].starts_with("<script type=\"module\" src=\"/page/"))
        );
    }
}

#[tokio::test]
async fn whatever_a_page_asks_for_is_served() {
    let mut wanted: Vec<String> = Vec::new();
    for path in PAGES {
        let text = get(path).await.text;
        wanted.extend(quoted(&text, "src=\"").into_iter().chain(quoted(&text, "href=\"")).map(str::to_owned));
    }
    for (path, _) in FILES {
        let text = get(path).await.text;
        wanted.extend(quoted(&text, "from \"./").into_iter().map(|file| format!("/page/{file}")));
    }
    assert!(wanted.iter().any(|path| path == "/page/details.js") && wanted.iter().any(|path| path == "/page/page.css"));
    for path in wanted {
        assert_eq!(get(&path).await.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn scripts_find_the_elements_they_look_for() {
    for (page, scripts) in [
        ("/", ["traces.js", "listing.js", "ask.js", "common.js"].as_slice()),
        (PAGES[1], &["trace.js", "ask.js", "common.js", "details.js", "records.js"]),
        (PAGES[2], &["found.js", "listing.js", "ask.js", "common.js", "records.js"]),
    ] {
        let html = get(page).await.text;
        for script in scripts {
            let script = get(&format!("/page/{script}")).await.text;
            for id in quoted(&script, "getElementById(\"") {
                assert!(html.contains(&format!("id=\"{id}\"")), "{page} has no {id}");
            }
        }
    }
}
