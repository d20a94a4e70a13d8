"""The ways to trace a Python program that are compared, each behind the same few calls."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

HEADERS = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}


class NoSuchRow(Exception):
    """The peer offers nothing that this row could measure."""


class Tracer(Protocol):
    """What all peers have in common: OpenTelemetry's way to open a span."""

    def start_as_current_span(self, name: str) -> AbstractContextManager[Any]:
        """Opens a span that is current inside the block."""


class Peer(Protocol):
    """One way to trace. It is set up once in a process, with everything else left at its defaults."""

    def set_up(self, endpoint: str, *, sampled: bool) -> Tracer:
        """Starts tracing towards the sink at `endpoint`, or with a sampler that drops everything."""

    def decorate(self, tracer: Tracer, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function with a span around each call that holds arguments and result."""

    def inject(self) -> Callable[[], object]:
        """What makes the headers of the current span."""

    def extract(self) -> Callable[[], object]:
        """What reads `HEADERS`."""

    def record(self, metrics: dict[str, float]) -> Callable[[], object]:
        """What hands over a record of these metrics, beside the current span."""

    def finish(self) -> None:
        """Sends what is left and stops."""
