"""Trace context and baggage across processes: strict W3C propagators, and two short cuts.

The propagators read and write exactly what the standards allow (Trace Context level 2, Baggage). What a standard calls
invalid starts a new trace, or is left out. ``instrument()`` installs them globally.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from opentelemetry import baggage
from opentelemetry.context.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)
from opentelemetry.trace import NonRecordingSpan, SpanContext, set_span_in_context

from .. import _scouter
from ..errors import ConfigError, ConfigTypeError

__all__ = [
    "BaggagePropagator",
    "TraceContextPropagator",
    "extract_span_context_from_headers",
    "get_tracing_headers_from_current_span",
    "global_propagator",
]

# The headers that continue the current trace in another service: `traceparent`, and `tracestate` and `baggage` where there
# is something to say. Empty when no span is current. Nothing stands between the caller and the native function.
get_tracing_headers_from_current_span = _scouter.current_headers

_TRACEPARENT = "traceparent"
_TRACESTATE = "tracestate"
_BAGGAGE = "baggage"


def extract_span_context_from_headers(
    headers: Mapping[str, str] | list[tuple[str | bytes, str | bytes]],
) -> SpanContext | None:
    """The span that the sender of these headers was in, or ``None`` when they do not hold a valid one.

    Names may be in any case. Give a list of pairs where a header may come more than once.
    """
    try:
        return _scouter.extract_span_context(headers)
    except (TypeError, AttributeError):
        raise ConfigTypeError(
            f"headers must be a dict or a list of pairs, of str or bytes, not {type(headers).__name__}"
        ) from None


class TraceContextPropagator(TextMapPropagator):
    """``traceparent`` and ``tracestate`` (W3C Trace Context, level 2)."""

    def extract(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        getter: Getter[CarrierT] = default_getter,
    ) -> Context:
        """A context with the sender's span in it, or the given one when the carrier holds no valid span."""
        before = Context() if context is None else context
        pairs = _values(carrier, getter, _TRACEPARENT)
        if not pairs:
            return before
        found = _scouter.extract_span_context([*pairs, *_values(carrier, getter, _TRACESTATE)])
        return before if found is None else set_span_in_context(NonRecordingSpan(found), before)

    def inject(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        setter: Setter[CarrierT] = default_setter,
    ) -> None:
        """Writes the context's span into the carrier; nothing when it has none."""
        for name, value in _scouter.inject(context):
            if name != _BAGGAGE:
                setter.set(carrier, name, value)

    @property
    def fields(self) -> set[str]:
        """The headers that ``inject`` writes."""
        return {_TRACEPARENT, _TRACESTATE}


class BaggagePropagator(TextMapPropagator):
    """``baggage`` (W3C Baggage)."""

    def extract(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        getter: Getter[CarrierT] = default_getter,
    ) -> Context:
        """A context with the sender's baggage added to the given one's."""
        after = Context() if context is None else context
        # Several header lines are one list (RFC 9110, section 5.3).
        header = ",".join(value for _, value in _values(carrier, getter, _BAGGAGE))
        if header:
            for key, value in _scouter.parse_baggage(header).items():
                after = baggage.set_baggage(key, value, after)
        return after

    def inject(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        setter: Setter[CarrierT] = default_setter,
    ) -> None:
        """Writes the context's baggage into the carrier; nothing when it has none."""
        entries = baggage.get_all(context)
        if entries:
            header = _scouter.format_baggage({str(key): str(value) for key, value in entries.items()})
            if header:
                setter.set(carrier, _BAGGAGE, header)

    @property
    def fields(self) -> set[str]:
        """The headers that ``inject`` writes."""
        return {_BAGGAGE}


def global_propagator() -> TextMapPropagator:
    """The propagators that ``OTEL_PROPAGATORS`` asks for, ours where it names the W3C ones or nothing.

    Raises:
        ConfigError: it names one that is not installed.
    """
    names = [name.strip() for name in os.environ.get("OTEL_PROPAGATORS", "").split(",")]
    names = [name for name in dict.fromkeys(names) if name] or ["tracecontext", _BAGGAGE]
    if any(name.lower() == "none" for name in names):
        return CompositePropagator([])
    return CompositePropagator([_propagator(name) for name in names])


def _propagator(name: str) -> TextMapPropagator:
    if name == "tracecontext":
        return TraceContextPropagator()
    if name == _BAGGAGE:
        return BaggagePropagator()
    from importlib.metadata import entry_points

    for entry in entry_points(group="opentelemetry_propagator", name=name):
        propagator: TextMapPropagator = entry.load()()
        return propagator
    raise ConfigError(f"OTEL_PROPAGATORS names {name!r}, which is not installed: install its package, or take it out")


def _values(carrier: CarrierT, getter: Getter[CarrierT], name: str) -> list[tuple[str, str]]:
    """Every value that the carrier has under this name. Header names have no case, and plain dicts do not know that."""
    names = [name]
    if getter is default_getter and isinstance(carrier, Mapping):
        names = [key for key in carrier if isinstance(key, str) and key.lower() == name]
    return [(name, value) for given in names for value in getter.get(carrier, given) or ()]
