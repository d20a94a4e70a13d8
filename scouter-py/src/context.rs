//! The current context of OpenTelemetry: reading it, and making a span current in it.
//!
//! OpenTelemetry keeps it in a `ContextVar`. Going there through the C API costs a third of going through
//! `opentelemetry.context`; where another runtime context is configured, the public functions are used.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use scouter_span::context::TraceState;
use scouter_span::{SpanContext, SpanId, TraceFlags, TraceId};

use crate::otel::otel;
use crate::span::Span;

#[expect(unsafe_code, reason = "PyO3 has no safe functions for context variables and counts of references")]
pub(crate) mod variable {
    use pyo3::exceptions::PyRuntimeError;
    use pyo3::ffi;
    use pyo3::prelude::*;

    /// The value in the current context, or the variable's default.
    pub(crate) fn get<'py>(variable: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = variable.py();
        let mut value = std::ptr::null_mut();
        // SAFETY: `variable` is a live object and we are attached. On success `value` is a new reference, or null.
        let answer = unsafe { ffi::PyContextVar_Get(variable.as_ptr(), std::ptr::null_mut(), &mut value) };
        if answer < 0 {
            return Err(PyErr::fetch(py));
        }
        // SAFETY: a new reference that nobody else owns, or null.
        let value = unsafe { Bound::from_owned_ptr_or_opt(py, value) };
        value.ok_or_else(|| PyRuntimeError::new_err("the context variable has no value"))
    }

    /// Whether nobody else refers to an object.
    pub(super) fn is_only_reference(object: &Bound<'_, PyAny>) -> bool {
        // SAFETY: a live object, and we are attached.
        unsafe { ffi::Py_REFCNT(object.as_ptr()) == 1 }
    }

    /// Keeps the collector of cycles out while it lives. No other code of Python's may run under it.
    ///
    /// Before Python 3.12 a collection may come with any allocation, and run Python: finalisers, callbacks, and the signal
    /// handlers that are due by then. `set` and `reset` allocate there while they hold pointers into the context's map that
    /// own nothing: a span that begins and ends in such code puts another map in its place, the first is freed, and what
    /// comes next reads freed memory, or leaves the variable with a cached value that nobody owns.
    struct Undisturbed {
        #[cfg(not(Py_3_12))]
        collects: bool,
    }

    impl Undisturbed {
        #[inline]
        fn new(_attached: Python<'_>) -> Self {
            Self {
                #[cfg(not(Py_3_12))]
                // SAFETY: we are attached. It changes a flag, and gives the former one.
                collects: unsafe { ffi::PyGC_Disable() } != 0,
            }
        }
    }

    #[cfg(not(Py_3_12))]
    impl Drop for Undisturbed {
        #[inline]
        fn drop(&mut self) {
            if self.collects {
                // SAFETY: we are still attached, for its maker's `Python` outlives the call it guards.
                unsafe { ffi::PyGC_Enable() };
            }
        }
    }

    /// Sets the value and returns the token that undoes it.
    pub(crate) fn set<'py>(variable: &Bound<'py, PyAny>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let _undisturbed = Undisturbed::new(variable.py());
        // SAFETY: both are live objects and we are attached; the result is a new reference, or null with an error set.
        unsafe {
            let token = ffi::PyContextVar_Set(variable.as_ptr(), value.as_ptr());
            Bound::from_owned_ptr_or_err(variable.py(), token)
        }
    }

    /// Gives the variable the value again that it had before the `set` that made the token.
    pub(crate) fn reset(variable: &Bound<'_, PyAny>, token: &Bound<'_, PyAny>) -> PyResult<()> {
        let _undisturbed = Undisturbed::new(variable.py());
        // SAFETY: both are live objects and we are attached. A token of another variable or context is an error, not harm.
        let answer = unsafe { ffi::PyContextVar_Reset(variable.as_ptr(), token.as_ptr()) };
        if answer == 0 { Ok(()) } else { Err(PyErr::fetch(variable.py())) }
    }
}

/// The current context.
pub(crate) fn current(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let otel = otel(py)?;
    match &otel.context_variable {
        Some(context) => variable::get(context.bind(py)),
        None => otel.get_current.bind(py).call0(),
    }
}

/// Makes a context current; the token is for [`detach`].
pub(crate) fn attach<'py>(context: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let otel = otel(context.py())?;
    match &otel.context_variable {
        Some(current) => variable::set(current.bind(context.py()), context),
        None => otel.attach.bind(context.py()).call1((context,)),
    }
}

/// Makes the context current again that was current before.
pub(crate) fn detach(token: &Bound<'_, PyAny>) -> PyResult<()> {
    let otel = otel(token.py())?;
    match &otel.context_variable {
        Some(current) => variable::reset(current.bind(token.py()), token),
        None => otel.detach.bind(token.py()).call1((token,)).map(drop),
    }
}

/// A copy of a context in which this span is the current one.
///
/// What the span before left behind is used again where it has the same keys: to make a `Context` and throw it away takes
/// longer than to record a span.
pub(crate) fn with_span<'py>(context: &Bound<'py, PyAny>, span: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = context.py();
    let otel = otel(py)?;
    let key = otel.span_key.bind(py);
    let before = context.cast::<PyDict>()?;
    let holds_spans_only = match before.len() {
        0 => true,
        1 => before.contains(key)?,
        _ => false,
    };
    let spare = if holds_spans_only { otel.spare_context.lock(py).take() } else { None };
    if let Some(spare) = spare {
        let spare = spare.into_bound(py);
        spare.set_item(key, span)?;
        return Ok(spare.into_any());
    }
    let copy = otel.context_type.bind(py).call0()?;
    // `Context` is a dict that refuses changes through its own methods; the dict underneath does not.
    let entries = copy.cast::<PyDict>()?;
    if !before.is_empty() {
        entries.update(before.as_mapping())?;
    }
    entries.set_item(key, span)?;
    Ok(copy)
}

/// Keeps a context that [`with_span`] made for the next one, if nobody else has it. The span does not stay in it.
pub(crate) fn recycle(context: Bound<'_, PyAny>) {
    let py = context.py();
    let Ok(otel) = otel(py) else { return };
    // Nobody can tell that it is used again, but by a weak reference. The variable does not cache it either: `detach` has put
    // the former context there, and nothing that Python runs came between.
    if !variable::is_only_reference(&context) {
        return;
    }
    let Ok(entries) = context.cast_into::<PyDict>() else { return };
    // One entry is then this one.
    if entries.set_item(otel.span_key.bind(py), py.None()).is_ok() && entries.len() == 1 {
        let before = otel.spare_context.lock(py).replace(entries.unbind());
        drop(before);
    }
}

/// The span that is current in a context.
pub(crate) fn span_in<'py>(context: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let key = otel(context.py())?.span_key.bind(context.py());
    match context.cast::<PyDict>() {
        Ok(entries) => entries.get_item(key),
        Err(_) => {
            let found = context.call_method1("get", (key,))?;
            Ok(if found.is_none() { None } else { Some(found) })
        }
    }
}

/// The span context that a new span has for its parent: that of the given context, else of the current one.
pub(crate) fn parent_in(py: Python<'_>, context: Option<&Bound<'_, PyAny>>) -> PyResult<Option<SpanContext>> {
    let span = match context {
        Some(context) if !context.is_none() => span_in(context)?,
        _ => span_in(&current(py)?)?,
    };
    let Some(span) = span else { return Ok(None) };
    match span.cast::<Span>() {
        Ok(span) => Ok(span.get().span_context(py)),
        Err(_) => span_context_from(&span.call_method0("get_span_context")?),
    }
}

/// Reads an OpenTelemetry `SpanContext`; `None` for an invalid one.
pub(crate) fn span_context_from(context: &Bound<'_, PyAny>) -> PyResult<Option<SpanContext>> {
    if context.is_none() {
        return Ok(None);
    }
    let trace_id = TraceId::from_int(context.getattr("trace_id")?.extract()?);
    let span_id = SpanId::from_int(context.getattr("span_id")?.extract()?);
    let (Some(trace_id), Some(span_id)) = (trace_id, span_id) else { return Ok(None) };
    let flags: u64 = context.getattr("trace_flags")?.extract()?;
    let mut read = SpanContext::new(trace_id, span_id, TraceFlags::from_bits(flags as u8));
    read.is_remote = context.getattr("is_remote")?.is_truthy()?;
    read.trace_state = trace_state_of(context)?;
    Ok(Some(read))
}

/// What a link leads to: an OpenTelemetry `SpanContext`, valid or not.
pub(crate) struct LinkTarget {
    trace_id: u128,
    span_id: u64,
    flags: TraceFlags,
    is_remote: bool,
    trace_state: TraceState,
}

impl LinkTarget {
    /// Reads one; `None` for what is nothing.
    pub(crate) fn read(context: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        if context.is_none() {
            return Ok(None);
        }
        let flags: u64 = context.getattr("trace_flags")?.extract()?;
        Ok(Some(Self {
            // What is no id at all is as invalid as zero.
            trace_id: context.getattr("trace_id")?.extract().unwrap_or_default(),
            span_id: context.getattr("span_id")?.extract().unwrap_or_default(),
            flags: TraceFlags::from_bits(flags as u8),
            is_remote: context.getattr("is_remote")?.is_truthy()?,
            trace_state: trace_state_of(context)?,
        }))
    }

    /// Whether a link to it may be left out when it has no attributes (trace API, "Link").
    pub(crate) fn says_nothing(&self) -> bool {
        (self.trace_id == 0 || self.span_id == 0) && self.trace_state.is_empty()
    }

    pub(crate) fn target(&self) -> scouter_span::LinkTarget<'_> {
        scouter_span::LinkTarget {
            trace_id: self.trace_id.to_be_bytes(),
            span_id: self.span_id.to_be_bytes(),
            flags: self.flags,
            is_remote: self.is_remote,
            trace_state: self.trace_state.as_str(),
        }
    }
}

fn trace_state_of(context: &Bound<'_, PyAny>) -> PyResult<TraceState> {
    let state = context.getattr("trace_state")?;
    if state.is_none() || state.len()? == 0 {
        return Ok(TraceState::EMPTY);
    }
    let header: String = state.call_method0("to_header")?.extract()?;
    Ok(TraceState::parse(&header).unwrap_or_default())
}

/// Makes an OpenTelemetry `SpanContext`.
pub(crate) fn span_context<'py>(py: Python<'py>, context: &SpanContext) -> PyResult<Bound<'py, PyAny>> {
    otel(py)?.span_context(py, context)
}
