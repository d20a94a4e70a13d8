"""Spans of this process, kept in memory for whoever wants to look at them: tests, and evaluations without a server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import ConfigError

if TYPE_CHECKING:
    from .._scouter import FinishedSpan
    from .provider import TracerProvider

__all__ = [
    "disable_local_capture",
    "drain_local_spans",
    "enable_local_capture",
    "get_local_spans_by_trace_ids",
]

LIMIT = 100_000
"""How many spans are kept where nobody says."""


def enable_local_capture(limit: int = LIMIT) -> None:
    """Keeps a copy of every sampled span that ends from now on, beside sending it.

    For the provider of :class:`ScouterInstrumentor`. When there are ``limit`` copies, further ones are left out and counted
    in ``stats()["capture"]``.

    Raises:
        ConfigError: nothing is instrumented, or the limit is below 1.
    """
    _provider().enable_local_capture(limit)


def disable_local_capture() -> None:
    """Keeps no more copies, and lets go of those there are.

    Raises:
        ConfigError: nothing is instrumented.
    """
    _provider().disable_local_capture()


def drain_local_spans() -> list[FinishedSpan]:
    """Takes the copies out: of every span that ended before this call, in the order in which the spans ended.

    Raises:
        ConfigError: nothing is instrumented.
    """
    return _provider().drain_local_spans()


def get_local_spans_by_trace_ids(trace_ids: Sequence[str]) -> list[FinishedSpan]:
    """The copies of these traces' spans, in the order in which the spans ended. Takes nothing out.

    Args:
        trace_ids: As 32 hexadecimal digits each.

    Raises:
        ConfigError: nothing is instrumented, or one of these is no trace id.
    """
    return _provider().get_local_spans_by_trace_ids(trace_ids)


def _provider() -> TracerProvider:
    from .instrumentor import ScouterInstrumentor

    provider = ScouterInstrumentor().tracer_provider
    if provider is None:
        raise ConfigError("nothing is captured before ScouterInstrumentor().instrument(): call that first")
    return provider
