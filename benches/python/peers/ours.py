"""Scouter, set up as its README recommends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry import trace

from scouter import HttpConfig
from scouter.tracing import (
    ScouterInstrumentor,
    extract_span_context_from_headers,
    get_tracing_headers_from_current_span,
)

from . import HEADERS, Tracer


class Ours:
    """`ScouterInstrumentor` and a tracer of the OpenTelemetry API."""

    def set_up(self, endpoint: str, *, sampled: bool) -> Tracer:
        """Registers the provider globally; without `sampled` the ratio is zero."""
        ScouterInstrumentor().instrument(
            transport_config=HttpConfig(uri=endpoint),
            sample_ratio=None if sampled else 0.0,
            attributes={"service.name": "benches"},
        )
        return trace.get_tracer("benches")

    def decorate(self, tracer: Any, function: Callable[..., Any]) -> Callable[..., Any]:
        """The tracer's own decorator."""
        return tracer.span("decorated")(function)

    def inject(self) -> Callable[[], object]:
        """The helper for outgoing headers."""
        return get_tracing_headers_from_current_span

    def extract(self) -> Callable[[], object]:
        """The helper for incoming headers."""
        return lambda: extract_span_context_from_headers(HEADERS)

    def finish(self) -> None:
        """Flushes and restores what was global before."""
        ScouterInstrumentor().uninstrument()
