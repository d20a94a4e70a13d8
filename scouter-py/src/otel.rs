//! The objects of the OpenTelemetry API for Python that the hot path needs, looked up once.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use scouter_span::{SpanContext, SpanKind, StatusCode, TraceFlags, TraceState};

use self::tuple::TupleClass;
use crate::attached::{Attached, Once};

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
    /// A `Context` that nobody has any more, see [`context::recycle`](crate::context::recycle).
    pub(crate) spare_context: Attached<Option<Py<PyDict>>>,
    pub(crate) set_baggage: Py<PyAny>,
    pub(crate) get_all_baggage: Py<PyAny>,
    span_context: Py<PyAny>,
    trace_flags: Py<PyAny>,
    trace_state: Py<PyAny>,
    /// The flags that nearly all contexts have: none, sampled, random, both.
    usual_flags: [Py<PyAny>; 4],
    no_state: Py<PyAny>,
    /// The same class, where a span context is the tuple that we know. Its own `__new__` takes five times as long.
    known_tuple: Option<TupleClass>,
    pub(crate) link: Py<PyAny>,
    pub(crate) bounded_attributes: Py<PyAny>,
    pub(crate) status: Py<PyAny>,
    /// Unset, Ok, Error: the numbers are the same here and there.
    status_codes: [Py<PyAny>; 3],
    /// Internal, Server, Client, Producer, Consumer: OTLP's numbers less one.
    kinds: [Py<PyAny>; 5],
}

static OTEL: Once<Otel> = Once::new();

pub(crate) fn otel(py: Python<'_>) -> PyResult<&'static Otel> {
    OTEL.get_or_try_init(py, || Otel::load(py))
}

#[expect(unsafe_code, reason = "PyO3 has no function that makes an object of a subclass of tuple")]
mod tuple {
    use std::ptr;

    use pyo3::ffi;
    use pyo3::prelude::*;
    use pyo3::types::{PyTuple, PyType};

    /// A class that is a tuple.
    pub(super) struct TupleClass(Py<PyType>);

    impl TupleClass {
        pub(super) fn new(class: &Bound<'_, PyAny>) -> Option<Self> {
            let class = class.cast::<PyType>().ok()?;
            class.is_subclass_of::<PyTuple>().ok()?.then(|| Self(class.clone().unbind()))
        }

        /// What `tuple.__new__(class, items)` makes, in half of its time.
        pub(super) fn make<'py>(&self, items: Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
            let py = items.py();
            let arguments = PyTuple::new(py, [items])?;
            // SAFETY: tuple's own `tp_new` gets a subclass of tuple, a tuple of arguments, and no keywords. We are attached.
            // It gives a new reference, or null with an error set.
            unsafe {
                let Some(new) = (*ptr::addr_of!(ffi::PyTuple_Type)).tp_new else { return Ok(arguments.into_any()) };
                let class = self.0.as_ptr().cast::<ffi::PyTypeObject>();
                Bound::from_owned_ptr_or_err(py, new(class, arguments.as_ptr(), ptr::null_mut()))
            }
        }
    }
}

/// The class of span contexts, if it is the tuple that we know.
fn known_tuple(class: &Bound<'_, PyAny>, flags: &Py<PyAny>, state: &Py<PyAny>) -> PyResult<Option<TupleClass>> {
    let Some(known) = TupleClass::new(class) else { return Ok(None) };
    let made = class.call1((1, 2, true, flags, state))?;
    let direct = known.make((1, 2, true, flags, state, true).into_pyobject(class.py())?)?;
    let same = direct.eq(&made)? && direct.getattr("is_valid")?.is_truthy()?;
    Ok(same.then_some(known))
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
            spare_context: Attached::new(None),
            span_key: key.cast_into::<PyString>()?.unbind(),
            set_baggage: member(&baggage, "set_baggage")?,
            get_all_baggage: member(&baggage, "get_all")?,
            span_context: member(&trace, "SpanContext")?,
            trace_flags: trace_flags.clone().unbind(),
            trace_state: member(&trace, "TraceState")?,
            known_tuple: known_tuple(&trace.getattr("SpanContext")?, &usual_flags[1], &no_state)?,
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
        let ids = (context.trace_id.to_int(), context.span_id.to_int());
        self.span_context_of(py, ids, context.is_remote, context.flags, &context.trace_state)
    }

    /// The same from its parts: trace id and span id, which may be zero here.
    pub(crate) fn span_context_of<'py>(
        &self,
        py: Python<'py>,
        (trace_id, span_id): (u128, u64),
        is_remote: bool,
        flags: TraceFlags,
        trace_state: &TraceState,
    ) -> PyResult<Bound<'py, PyAny>> {
        let flags = match self.usual_flags.get(usize::from(flags.bits())) {
            Some(flags) => flags.bind(py).clone(),
            None => self.trace_flags.bind(py).call1((flags.bits(),))?,
        };
        let state =
            if trace_state.is_empty() { self.no_state.bind(py).clone() } else { self.trace_state(py, trace_state)? };
        let is_valid = trace_id != 0 && span_id != 0;
        match &self.known_tuple {
            Some(known) => known.make((trace_id, span_id, is_remote, flags, state, is_valid).into_pyobject(py)?),
            None => self.span_context.bind(py).call1((trace_id, span_id, is_remote, flags, state)),
        }
    }

    /// Makes an OpenTelemetry `TraceState`. Its own parser knows the keys of Trace Context level 1 only, and drops everything
    /// for one of level 2; what is in ours has been checked already.
    fn trace_state<'py>(&self, py: Python<'py>, state: &TraceState) -> PyResult<Bound<'py, PyAny>> {
        let class = self.trace_state.bind(py);
        let made = class.call0()?;
        match made.getattr_opt(pyo3::intern!(py, "_dict"))?.map(|entries| entries.cast_into::<PyDict>()) {
            Some(Ok(entries)) => {
                for (key, value) in state.iter() {
                    entries.set_item(key, value)?;
                }
                Ok(made)
            }
            _ => class.call_method1("from_header", ([state.as_str()],)),
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
