//! The end of a span.

use pyo3::prelude::*;
use scouter_span::clock::Clock;

use super::{Phase, Span};
use crate::interrupt;

/// Ends a span, now or at this time, and tells its processors. A second end has no effect. What processors raise is not
/// raised here, except an interrupt or an exit, and then the span has ended all the same.
#[inline]
pub(super) fn end(slf: &Bound<'_, Span>, time: Option<u64>) -> PyResult<()> {
    let (py, span) = (slf.py(), slf.get());
    if !span.tracer.get().plugins().processors.is_empty() {
        return end_told(slf, time);
    }
    span.change(py, |span| match time {
        Some(time) => span.end_at(time),
        None => span.end(),
    });
    Ok(())
}

/// Ends a span that nobody will, because its beginning was interrupted.
#[cold]
pub(crate) fn of_nobody(slf: &Bound<'_, Span>) {
    if let Err(error) = end(slf, None) {
        // An interrupt of a processor, beside the one that is being raised.
        interrupt::swallow(slf.py(), error);
    }
}

#[cold]
fn end_told(slf: &Bound<'_, Span>, time: Option<u64>) -> PyResult<()> {
    let (py, span) = (slf.py(), slf.get());
    let plugins = span.tracer.get().plugins();
    // The time that processors take is not the span's.
    let time = time.unwrap_or_else(|| Clock::System.now());
    let is_first = {
        let mut inner = span.lock(py);
        let is_open = matches!(&inner.phase, Phase::Begun(span) if span.is_recording());
        is_open && !std::mem::replace(&mut inner.ending, true)
    };
    if !is_first {
        return Ok(());
    }
    let ending = plugins.processors.on_ending(slf, &plugins.failures);
    span.change(py, |span| span.end_at(time));
    let ended = plugins.processors.on_end(slf, &plugins.failures);
    ending.and(ended)
}
