//! Traces: whole, in summary, and by the page.

use std::collections::BTreeSet;

use scouter_span::view::StatusCode;
use scouter_span::{SpanId, TraceId};
use serde::{Deserialize, Serialize};

use crate::{Span, hex, tree};

/// Every span of one trace, in tree order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// What a list of traces shows of it.
    #[serde(flatten)]
    pub summary: TraceSummary,
    /// Its spans as [`tree::arrange`] orders them.
    pub spans: Vec<Span>,
}

/// What a list of traces shows of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceSummary {
    /// The trace.
    #[serde(with = "hex")]
    pub trace_id: TraceId,
    /// The span that stands for the trace: its root, or its earliest span while no root has arrived.
    #[serde(with = "hex")]
    pub root_span_id: SpanId,
    /// That span's name.
    pub root_name: String,
    /// That span's service.
    pub root_service: String,
    /// The earliest start, nanoseconds since the Unix epoch.
    pub start_time: u64,
    /// The latest end, nanoseconds since the Unix epoch.
    pub end_time: u64,
    /// From the earliest start to the latest end, nanoseconds.
    pub duration_ns: u64,
    /// How many spans have arrived.
    pub span_count: u64,
    /// How many of them have the status ERROR.
    pub error_count: u64,
    /// The services that took part, in alphabetical order.
    pub services: Vec<String>,
}

/// Some traces, newest first, and where to go on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracePage {
    /// The traces.
    pub items: Vec<TraceSummary>,
    /// What to give as `cursor` to get the next page; `None` on the last one.
    pub next_cursor: Option<String>,
}

impl Trace {
    /// Puts the spans of one trace into order and sums them up. `None` without spans; spans of other traces than the first
    /// one's are left out.
    pub fn new(mut spans: Vec<Span>) -> Option<Self> {
        let trace_id = spans.first()?.trace_id;
        spans.retain(|span| span.trace_id == trace_id);
        tree::arrange(&mut spans);
        let root = spans.iter().min_by_key(|span| (span.parent_span_id.is_some(), span.start_time, span.span_id))?;
        let start_time = spans.iter().map(|span| span.start_time).min()?;
        // A span that says it ended before it began ended when it began.
        let end_time = spans.iter().map(|span| span.start_time.max(span.end_time)).max()?;
        let services: BTreeSet<&str> = spans.iter().map(|span| &*span.service_name).collect();
        let summary = TraceSummary {
            trace_id,
            root_span_id: root.span_id,
            root_name: root.name.clone(),
            root_service: root.service_name.clone(),
            start_time,
            end_time,
            duration_ns: end_time - start_time,
            span_count: spans.len() as u64,
            error_count: spans.iter().filter(|span| span.status.code == StatusCode::Error).count() as u64,
            services: services.into_iter().map(str::to_owned).collect(),
        };
        Some(Self { summary, spans })
    }
}
