//! The objects of the OpenTelemetry API for Python that the hot path needs, looked up once.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyTuple};
use scouter_span::{SpanContext, SpanKind, StatusCode};

/// See the fields. One for the process; OpenTelemetry's API has no second instance either.
pub(crate) struct Otel {
    /// `opentelemetry.context.context.Context`.
    pub(crate) context_type: Py<PyAny>,
    /// The `ContextVar` that holds the current context; none when another runtime context was configured.
    pub(crate) context_variable: Option<Py<PyAny>>,
    pub(crate) get_current: Py<PyAny>,
    pub(crate) attach: Py<PyAny>,
    pub(crate) detach: Py<PyAny>,
    pub(crate) span_key: Py<PyString>,
    pub(crate) set_baggage: Py<PyAny>,
    pub(crate) get_all_baggage: Py<PyAny>,
    span_context: Py<PyAny>,
    trace_flags: Py<PyAny>,
    trace_state: Py<PyAny>,
    /// The flags that nearly all contexts have: none, sampled, random, both.
    usual_flags: [Py<PyAny>; 4],
    no_state: Py<PyAny>,
    /// `tuple.__new__`, where a span context is the tuple that we know. Its own `__new__` takes three times as long.
    new_tuple: Option<Py<PyAny>>,
    pub(crate) link: Py<PyAny>,
    pub(crate) bounded_attributes: Py<PyAny>,
    pub(crate) status: Py<PyAny>,
    /// Unset, Ok, Error: the numbers are the same here and there.
    status_codes: [Py<PyAny>; 3],
    /// Internal, Server, Client, Producer, Consumer: OTLP's numbers less one.
    kinds: [Py<PyAny>; 5],
}

static OTEL: PyOnceLock<Otel> = PyOnceLock::new();

pub(crate) fn otel(py: Python<'_>) -> PyResult<&'static Otel> {
    OTEL.get_or_try_init(py, || Otel::load(py))
}

/// `tuple.__new__`, if it makes the same span context as the class itself.
fn new_tuple(class: &Bound<'_, PyAny>, flags: &Py<PyAny>, state: &Py<PyAny>) -> PyResult<Option<Py<PyAny>>> {
    let py = class.py();
    let new = py.get_type::<PyTuple>().getattr("__new__")?;
    let made = class.call1((1, 2, true, flags, state))?;
    let same = match new.call1((class, (1, 2, true, flags, state, true))) {
        Ok(direct) => direct.eq(&made)? && direct.getattr("is_valid")?.is_truthy()?,
        Err(_) => false,
    };
    Ok(same.then(|| new.unbind()))
}

impl Otel {
    fn load(py: Python<'_>) -> PyResult<Self> {
        let context = py.import("opentelemetry.context")?;
        let context_type = py.import("opentelemetry.context.context")?.getattr("Context")?;
        let runtime = context.getattr("_RUNTIME_CONTEXT")?;
        let usual = py.import("opentelemetry.context.contextvars_context")?.getattr("ContextVarsRuntimeContext")?;
        let context_variable = if runtime.get_type().is(&usual) {
            runtime.getattr_opt("_current_context")?.map(Bound::unbind)
        } else {
            None
        };
        let trace = py.import("opentelemetry.trace")?;
        let (status_code, kind) = (trace.getattr("StatusCode")?, trace.getattr("SpanKind")?);
        let baggage = py.import("opentelemetry.baggage")?;
        let key = py.import("opentelemetry.trace.propagation")?.getattr("_SPAN_KEY")?;
        let member = |of: &Bound<'_, PyAny>, name: &str| of.getattr(name).map(Bound::unbind);
        let trace_flags = trace.getattr("TraceFlags")?;
        let flags = |bits: u8| trace_flags.call1((bits,)).map(Bound::unbind);
        let usual_flags = [flags(0)?, flags(1)?, flags(2)?, flags(3)?];
        let no_state = trace.getattr("TraceState")?.call0()?.unbind();
        Ok(Self {
            context_type: context_type.unbind(),
            context_variable,
            get_current: member(&context, "get_current")?,
            attach: member(&context, "attach")?,
            detach: member(&context, "detach")?,
            span_key: key.cast_into::<PyString>()?.unbind(),
            set_baggage: member(&baggage, "set_baggage")?,
            get_all_baggage: member(&baggage, "get_all")?,
            span_context: member(&trace, "SpanContext")?,
            trace_flags: trace_flags.clone().unbind(),
            trace_state: member(&trace, "TraceState")?,
            new_tuple: new_tuple(&trace.getattr("SpanContext")?, &usual_flags[1], &no_state)?,
            usual_flags,
            no_state,
            link: member(&trace, "Link")?,
            bounded_attributes: py.import("opentelemetry.attributes")?.getattr("BoundedAttributes")?.unbind(),
            status: member(&trace, "Status")?,
            status_codes: [member(&status_code, "UNSET")?, member(&status_code, "OK")?, member(&status_code, "ERROR")?],
            kinds: [
                member(&kind, "INTERNAL")?,
                member(&kind, "SERVER")?,
                member(&kind, "CLIENT")?,
                member(&kind, "PRODUCER")?,
                member(&kind, "CONSUMER")?,
            ],
        })
    }

    /// Makes an OpenTelemetry `SpanContext`.
    pub(crate) fn span_context<'py>(&self, py: Python<'py>, context: &SpanContext) -> PyResult<Bound<'py, PyAny>> {
        let flags = match self.usual_flags.get(usize::from(context.flags.bits())) {
            Some(flags) => flags.bind(py).clone(),
            None => self.trace_flags.bind(py).call1((context.flags.bits(),))?,
        };
        let state = if context.trace_state.is_empty() {
            self.no_state.bind(py).clone()
        } else {
            self.trace_state.bind(py).call_method1("from_header", ([context.trace_state.as_str()],))?
        };
        let class = self.span_context.bind(py);
        let (trace_id, span_id) = (context.trace_id.to_int(), context.span_id.to_int());
        match &self.new_tuple {
            Some(new) => new.bind(py).call1((class, (trace_id, span_id, context.is_remote, flags, state, true))),
            None => class.call1((trace_id, span_id, context.is_remote, flags, state)),
        }
    }

    /// The kind that an OpenTelemetry `SpanKind` means; internal for anything else.
    pub(crate) fn kind_from(&self, kind: &Bound<'_, PyAny>) -> SpanKind {
        let place = self.kinds.iter().position(|member| kind.is(member));
        SpanKind::from_number(place.map_or(1, |place| place as u64 + 1))
    }

    pub(crate) fn kind(&self, kind: SpanKind) -> &Py<PyAny> {
        &self.kinds[(kind as usize).saturating_sub(1).min(4)]
    }

    /// The code that an OpenTelemetry `StatusCode` means.
    pub(crate) fn status_code_from(&self, code: &Bound<'_, PyAny>) -> Option<StatusCode> {
        let place = self.status_codes.iter().position(|member| code.is(member))?;
        Some(StatusCode::from_number(place as u64))
    }

    pub(crate) fn status_code(&self, code: StatusCode) -> &Py<PyAny> {
        &self.status_codes[code as usize]
    }
}
