//! The Python face of Scouter: what `scouter._scouter` holds.
//!
//! The Python package around it checks arguments and is what users import; this module does what has to be fast. It is
//! the only crate that knows Python.

mod abc;
mod arguments;
mod attached;
mod capture;
mod client;
mod context;
mod errors;
mod headers;
mod interrupt;
mod json;
mod memory;
mod observer;
mod otel;
mod plan;
mod plugins;
mod provider;
mod queue;
mod report;
mod server;
mod settings;
mod span;
mod stdout;
mod text;
mod tracer;
mod value;

use pyo3::prelude::*;

#[pymodule]
mod _scouter {
    use super::*;

    #[pymodule_export]
    use super::client::Client;
    #[pymodule_export]
    use super::headers::{current_headers, extract_span_context, format_baggage, inject, parse_baggage};
    #[pymodule_export]
    use super::json::to_json_text;
    #[pymodule_export]
    use super::memory::MemoryTransport;
    #[pymodule_export]
    use super::plan::CallPlan;
    #[pymodule_export]
    use super::provider::{_finish_closing, _flush_all, TracerProvider};
    #[pymodule_export]
    use super::queue::{
        _begin_ending_queues, _end_queues, EvalRecord, Feature, Features, Metric, Metrics, Profile, RecordQueue,
        ScouterQueue,
    };
    #[pymodule_export]
    use super::server::run_server;
    #[pymodule_export]
    use super::settings::_check_transport;
    #[pymodule_export]
    use super::span::{Body, Event, FinishedSpan, Resource, Scope, Span};
    #[pymodule_export]
    use super::tracer::{CurrentSpan, Tracer};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let py = module.py();
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        let trace = py.import("opentelemetry.trace")?;
        for (abstraction, class) in [
            ("Span", py.get_type::<Span>().into_any()),
            ("Span", py.get_type::<CurrentSpan>().into_any()),
            ("Tracer", py.get_type::<Tracer>().into_any()),
            ("TracerProvider", py.get_type::<TracerProvider>().into_any()),
        ] {
            trace.getattr(abstraction)?.call_method1("register", (class,))?;
        }
        silence_worker();
        py.import("atexit")?.call_method1("register", (module.getattr("_finish_closing")?,))?;
        // Looked up now, so that the first span does not pay for it.
        crate::otel::otel(py).map(drop)
    }
}

/// Keeps a panic on the worker's thread from being printed into the user's program: it is caught, counted and reported
/// through `logging`. The hook is this module's own, not that of other Rust code in the process.
fn silence_worker() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() != Some("scouter-worker") {
            print(panic);
        }
    }));
}
