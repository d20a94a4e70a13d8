"""The plug-ins of OpenTelemetry's SDK: what they must have to be used here, and finding those that variables name.

Nothing here imports the SDK. A plug-in is known by its methods, so one that does not derive from the SDK's classes works
as well.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Any, Protocol, TypeVar, runtime_checkable

from ..errors import ConfigTypeError

__all__ = ["IdGeneratorLike", "SamplerLike", "SpanExporterLike", "SpanProcessorLike"]

T = TypeVar("T")

_logger = logging.getLogger("scouter")


@runtime_checkable
class SpanProcessorLike(Protocol):
    """A span processor as the OpenTelemetry SDK has them (``opentelemetry.sdk.trace.SpanProcessor``).

    ``_on_ending`` (or ``on_ending``), ``force_flush`` and ``shutdown`` are called too where a processor has them.
    """

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """Called when a span has begun, on the thread that begins it. It must not block."""

    def on_end(self, span: Any) -> None:
        """Called when a span has ended, on the thread that ends it. It must not block."""


@runtime_checkable
class SpanExporterLike(Protocol):
    """An exporter as the OpenTelemetry SDK has them (``opentelemetry.sdk.trace.export.SpanExporter``).

    ``force_flush`` and ``shutdown`` are called too where an exporter has them.
    """

    def export(self, spans: Sequence[Any]) -> Any:
        """Called with spans that have ended, on a thread of its own, never twice at the same time."""


@runtime_checkable
class SamplerLike(Protocol):
    """A sampler as the OpenTelemetry SDK has them (``opentelemetry.sdk.trace.sampling.Sampler``)."""

    def should_sample(
        self,
        parent_context: Any,
        trace_id: int,
        name: str,
        kind: Any = None,
        attributes: Any = None,
        links: Any = None,
    ) -> Any:
        """What becomes of a span that is about to begin: an object with ``decision``, ``attributes`` and ``trace_state``."""


@runtime_checkable
class IdGeneratorLike(Protocol):
    """An id generator as the OpenTelemetry SDK has them (``opentelemetry.sdk.trace.id_generator.IdGenerator``).

    ``is_trace_id_random`` is asked too where a generator has it.
    """

    def generate_span_id(self) -> int:
        """A new span id, from 1 to 2**64 - 1."""

    def generate_trace_id(self) -> int:
        """A new trace id, from 1 to 2**128 - 1."""


def checked(name: str, value: object, kind: type[T], expected: str) -> T:
    """The value, which must be an object of this shape; a class of such is the usual slip."""
    if isinstance(value, type) or not isinstance(value, kind):
        raise wrong(name, value, expected)
    return value


def wrong(name: str, value: object, expected: str) -> ConfigTypeError:
    """The error for an argument that is of no use."""
    shown = f"the class {value.__name__}" if isinstance(value, type) else f"of type {type(value).__name__}"
    return ConfigTypeError(f"{name} is {shown}: give an object of {expected}")


def named(kind: type[T], group: str, variable: str, name: str, *arguments: object) -> T | None:
    """What an installed package offers under this name, made; ``None``, with a warning, where that does not work."""
    problem = f"no installed package offers it as {group}"
    try:
        for entry in entry_points(group=group, name=name):
            made = entry.load()(*arguments)
            if isinstance(made, kind):
                return made
            problem = f"it makes an object of type {type(made).__name__}, which is none"
            break
    except Exception as error:  # noqa: BLE001
        # Somebody else's package; a variable that cannot be used never ends the program.
        problem = f"it could not be made: {error!r}"
    _logger.warning("%s names %r, which was ignored: %s", variable, name, problem)
    return None


def variable(name: str) -> str:
    """An environment variable without blanks around it; ``""`` for one that is not set.

    Beside a configuration file OpenTelemetry's other variables say nothing.
    """
    if name.startswith("OTEL_") and os.environ.get("OTEL_CONFIG_FILE", "").strip():
        return ""
    return os.environ.get(name, "").strip()
