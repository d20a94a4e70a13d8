"""scouter-ml from PyPI. It sends to a server of its own kind only, so its spans go to the mock that it ships."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scouter.mock import MockConfig
from scouter.tracing import get_tracer, get_tracing_headers_from_current_span, init_tracer, shutdown_tracer

from . import NoSuchRow, Tracer


class ScouterMl:
    """Its global tracer, everything else at its defaults."""

    def set_up(self, endpoint: str, *, sampled: bool) -> Tracer:
        """Starts its global tracer; without `sampled` the ratio is zero."""
        init_tracer(service_name="benches", transport_config=MockConfig(), sample_ratio=1.0 if sampled else 0.0)
        return get_tracer("benches")

    def decorate(self, tracer: Any, function: Callable[..., Any]) -> Callable[..., Any]:
        """The tracer's own decorator."""
        return tracer.span("decorated")(function)

    def inject(self) -> Callable[[], object]:
        """The helper for outgoing headers."""
        return get_tracing_headers_from_current_span

    def extract(self) -> Callable[[], object]:
        """There is none."""
        raise NoSuchRow("scouter-ml has no call that reads headers alone")

    def record(self, metrics: dict[str, float]) -> Callable[[], object]:
        """Not measured."""
        raise NoSuchRow("no row for records")

    def finish(self) -> None:
        """Flushes and stops."""
        shutdown_tracer()
