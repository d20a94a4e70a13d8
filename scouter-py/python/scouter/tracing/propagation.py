"""Trace context and baggage across processes: strict W3C propagators, and two short cuts.

The propagators read and write exactly what the standards allow (Trace Context level 2, Baggage). What a standard calls
invalid starts a new trace, or is left out. ``instrument()`` installs them globally.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from opentelemetry import baggage
from opentelemetry.context.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import (
    CarrierT,
    DefaultGetter,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)
from opentelemetry.trace import NonRecordingSpan, set_span_in_context
from typing_extensions import Self

from .. import _scouter

__all__ = [
    "BaggagePropagator",
    "BaggageValue",
    "TraceContextPropagator",
    "current_propagator",
    "extract_span_context_from_headers",
    "get_tracing_headers_from_current_span",
    "global_propagator",
]

_log = logging.getLogger("scouter")

_TRACEPARENT = "traceparent"
_TRACESTATE = "tracestate"
_BAGGAGE = "baggage"
_VARIABLE = "OTEL_PROPAGATORS"
_DEFAULT = ("tracecontext", "baggage")

# Nothing stands between the caller and these native functions.

# The headers that continue the current trace in another service: `traceparent`, and `tracestate` and `baggage` where there
# is something to say. Empty when no span is current.
get_tracing_headers_from_current_span = _scouter.current_headers

# The span context that the sender of these headers was in, or `None` when they do not hold a valid one. Names may be in any
# case. Headers are a dict, or a list of pairs where a header may come more than once. Raises `ConfigTypeError` for what
# is neither.
extract_span_context_from_headers = _scouter.extract_span_context


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
        # The names in a plain dict have a case, and a mapping may hold a header more than once; natively both is known.
        if type(getter) is DefaultGetter and isinstance(carrier, Mapping):
            found = _scouter.extract_span_context(carrier)
        else:
            pairs = [(name, value) for name in (_TRACEPARENT, _TRACESTATE) for value in _values(carrier, getter, name)]
            found = _scouter.extract_span_context(pairs) if pairs else None
        return before if found is None else set_span_in_context(NonRecordingSpan(found), before)

    def inject(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        setter: Setter[CarrierT] = default_setter,
    ) -> None:
        """Writes the context's span into the carrier; nothing when it has none."""
        for name, value in _scouter.inject(context):
            setter.set(carrier, name, value)

    @property
    def fields(self) -> set[str]:
        """The headers that ``inject`` writes."""
        return {_TRACEPARENT, _TRACESTATE}


class BaggageValue(str):
    """A value of baggage that came with properties, such as ``ttl=5``. They travel on with it.

    Args:
        value: The value.
        metadata: The properties as they stand in the header, ``;`` between them.
    """

    __slots__ = ("metadata",)

    metadata: str

    def __new__(cls, value: str, metadata: str = "") -> Self:
        made = super().__new__(cls, value)
        made.metadata = metadata
        return made

    def __reduce__(self) -> tuple[type[BaggageValue], tuple[str, str]]:
        return BaggageValue, (str(self), self.metadata)


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
        header = ",".join(_values(carrier, getter, _BAGGAGE))
        if header:
            for key, value, metadata in _scouter.parse_baggage(header):
                after = baggage.set_baggage(key, BaggageValue(value, metadata) if metadata else value, after)
        return after

    def inject(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        setter: Setter[CarrierT] = default_setter,
    ) -> None:
        """Writes the context's baggage into the carrier; nothing when it has none."""
        entries = baggage.get_all(context)
        header = _scouter.format_baggage(entries) if entries else ""
        if header:
            setter.set(carrier, _BAGGAGE, header)

    @property
    def fields(self) -> set[str]:
        """The headers that ``inject`` writes."""
        return {_BAGGAGE}


def global_propagator(asked: Sequence[str] = ()) -> TextMapPropagator:
    """The propagators of these names, else those that ``OTEL_PROPAGATORS`` asks for, ours for the W3C ones and for nothing.

    Names of the specification are read in any case. What is not installed, or fails to load, is left out with a warning;
    when nothing is left, the default is used.
    """
    names = list(asked) or _asked()
    if "none" in map(str.lower, names):
        return CompositePropagator([])
    made = [propagator for propagator in map(_made, names) if propagator is not None]
    return CompositePropagator(made or [_w3c[name]() for name in _DEFAULT])


def current_propagator(default: TextMapPropagator) -> TextMapPropagator:
    """The propagator that is installed globally, strict where OpenTelemetry's own would read W3C headers; ``default`` as
    long as nobody has installed one."""
    installed: TextMapPropagator = propagate.get_global_textmap()
    members = getattr(installed, "_propagators", None)
    if members is None:
        return _strict(installed)
    if all(type(member) in _replaced for member in members) and len(members) == len(_DEFAULT):
        return default
    if not any(type(member) in _replaced for member in members):
        return installed
    return CompositePropagator([_strict(member) for member in members])


_w3c: dict[str, type[TextMapPropagator]] = {"tracecontext": TraceContextPropagator, _BAGGAGE: BaggagePropagator}


def _asked() -> list[str]:
    names = [name.strip() for name in os.environ.get(_VARIABLE, "").split(",")]
    return [name for name in dict.fromkeys(names) if name]


def _made(name: str) -> TextMapPropagator | None:
    """The propagator of this name; a warning where there is none."""
    from importlib.metadata import entry_points

    own = _w3c.get(name.lower())
    if own is not None:
        return own()
    for spelled in dict.fromkeys((name, name.lower())):
        for entry in entry_points(group="opentelemetry_propagator", name=spelled):
            try:
                propagator: TextMapPropagator = entry.load()()
            except Exception as error:  # noqa: BLE001
                # Whatever somebody else's package does while it loads, tracing without it is better than none.
                _log.warning("%s names %r, which cannot be loaded and is left out: %s", _VARIABLE, name, error)
                return None
            return propagator
    _log.warning("%s names %r, which is not installed and is left out: install its package", _VARIABLE, name)
    return None


def _import_propagate() -> Any:
    """``opentelemetry.propagate``, which cannot be imported while the variable names something that is not installed."""
    try:
        from opentelemetry import propagate
    except Exception:  # noqa: BLE001
        before = os.environ.get(_VARIABLE, "")
        usable = [name for name in _asked() if name.lower() in _w3c or _made(name) is not None]
        os.environ[_VARIABLE] = ",".join(usable or _DEFAULT)
        try:
            from opentelemetry import propagate
        finally:
            os.environ[_VARIABLE] = before
    return propagate


propagate = _import_propagate()


def _replacements() -> dict[type, type[TextMapPropagator]]:
    """OpenTelemetry's own propagators for the W3C headers, and ours."""
    from opentelemetry.baggage.propagation import W3CBaggagePropagator
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return {TraceContextTextMapPropagator: TraceContextPropagator, W3CBaggagePropagator: BaggagePropagator}


_replaced = _replacements()


def _strict(propagator: TextMapPropagator) -> TextMapPropagator:
    ours = _replaced.get(type(propagator))
    return propagator if ours is None else ours()


def _values(carrier: CarrierT, getter: Getter[CarrierT], name: str) -> Iterator[str]:
    """Every value that the carrier has under this name. Header names have no case, and plain dicts do not know that."""
    if type(getter) is DefaultGetter and isinstance(carrier, Mapping):
        for key, value in carrier.items():
            if isinstance(key, bytes):
                key = key.decode("latin-1")
            if isinstance(key, str) and key.lower() == name:
                yield from _texts(value)
    else:
        yield from _texts(getter.get(carrier, name))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield value.decode("latin-1")
    elif isinstance(value, Iterable):
        for item in value:
            yield from _texts(item)
