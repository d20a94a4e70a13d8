"""Recording an exception on a span by hand, as leaving a ``with`` block does."""

from __future__ import annotations

from opentelemetry import trace


def record(span: trace.Span, error: Exception) -> None:
    """Records the exception and sets the status ERROR."""
    if span.is_recording():
        span.record_exception(error)
        span.set_status(trace.Status(trace.StatusCode.ERROR, _words(error)))


def _words(error: Exception) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001
        # An exception that cannot be printed is still the one to raise.
        return type(error).__name__
