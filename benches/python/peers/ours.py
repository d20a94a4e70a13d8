"""Scouter, set up as its README recommends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry import trace

from scouter import HttpConfig
from scouter.queue import CustomProfile, Metrics, ScouterQueue
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
        self._transport = HttpConfig(uri=endpoint)
        self._queue: ScouterQueue | None = None
        ScouterInstrumentor().instrument(
            transport_config=self._transport,
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

    def record(self, metrics: dict[str, float]) -> Callable[[], object]:
        """A queue with one profile, to the same server."""
        profile = CustomProfile(space="shop", name="basket", version="1.0.0", metrics=list(metrics))
        self._queue = ScouterQueue.from_profile(profile, transport_config=self._transport)
        insert = self._queue["basket"].insert
        return lambda: insert(Metrics(metrics))

    def finish(self) -> None:
        """Flushes and restores what was global before."""
        if self._queue is not None:
            self._queue.shutdown()
        ScouterInstrumentor().uninstrument()
