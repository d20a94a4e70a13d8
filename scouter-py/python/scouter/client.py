"""Reading traces back from a Scouter server."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta, timezone
from typing import Any

from opentelemetry.trace import StatusCode

from . import _scouter, arguments
from .errors import ConfigError, ConfigTypeError, NotFoundError
from .traces import SpanEvent, SpanLink, Trace, TracePage, TraceSpan, TraceSummary
from .transport import HttpConfig

__all__ = [
    "ScouterClient",
    "SpanEvent",
    "SpanLink",
    "Trace",
    "TraceFilters",
    "TracePage",
    "TraceSpan",
    "TraceSummary",
]

_DEFAULT_URI = "http://localhost:8000"
_DEFAULT_TIMEOUT = 30.0
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_HEX = frozenset("0123456789abcdefABCDEF")


@dataclass(frozen=True, slots=True)
class TraceFilters:
    """Which traces are wanted: those for which everything holds that is given here.

    ``service_name``, ``span_name``, ``status_code``, ``attributes``, ``tags`` and ``entity_uid`` speak of a span: one and
    the same span of the trace must satisfy all that are given. The others speak of the trace as a whole.

    Args:
        trace_id: This trace.
        trace_ids: One of these traces.
        service_name: The span's service, exactly.
        span_name: The span's name, exactly.
        has_errors: Whether any span has the status ERROR.
        status_code: The span's status: a ``StatusCode``, its name, or its number.
        start_time: The trace begins at or after this time: a ``datetime`` that knows its time zone, or nanoseconds since the
            Unix epoch.
        end_time: The trace begins before this time.
        min_duration_ms: It takes at least this many milliseconds, from its earliest start to its latest end.
        max_duration_ms: It takes at most this many milliseconds.
        attributes: Attributes the span or its resource has with these very values.
        tags: Tags the span has with these values.
        entity_uid: The entity the span belongs to.
        limit: How many traces a page has, 1 to 1000; 100 when left out.
        cursor: The ``next_cursor`` of the page before.

    Raises:
        ConfigError: a filter has a value that cannot work.
        ConfigTypeError: a filter is of the wrong type.
    """

    trace_id: str | None = None
    trace_ids: Iterable[str] | None = None
    service_name: str | None = None
    span_name: str | None = None
    has_errors: bool | None = None
    status_code: StatusCode | str | int | None = None
    start_time: datetime | int | None = None
    end_time: datetime | int | None = None
    min_duration_ms: float | None = None
    max_duration_ms: float | None = None
    attributes: Mapping[str, Any] | None = None
    tags: Mapping[str, str] | None = None
    entity_uid: str | None = None
    limit: int | None = None
    cursor: str | None = None

    def __post_init__(self) -> None:
        checks: dict[str, Callable[[str, object], object]] = {
            "trace_id": _trace_id,
            "trace_ids": _trace_ids,
            "has_errors": arguments.flag,
            "status_code": _status,
            "start_time": _time,
            "end_time": _time,
            "min_duration_ms": _milliseconds,
            "max_duration_ms": _milliseconds,
            "attributes": arguments.attributes,
            "tags": _tags,
            "limit": lambda name, value: arguments.count(name, value, most=1000),
        }
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                object.__setattr__(self, field.name, checks.get(field.name, arguments.text)(field.name, value))
        for least, most in (("min_duration_ms", "max_duration_ms"), ("start_time", "end_time")):
            low, high = getattr(self, least), getattr(self, most)
            if low is not None and high is not None and low > high:
                raise ConfigError(f"{least} is {low}, more than the {high} of {most}: lower it, or raise that")

    def _json(self) -> str:
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        try:
            return json.dumps({name: value for name, value in given.items() if value is not None}, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ConfigTypeError(f"attributes hold a value that JSON cannot carry: {error}") from None


class ScouterClient:
    """Asks a Scouter server for traces. May be used from several threads.

    Example::

        client = ScouterClient()
        for span in client.get_trace_spans_from_filters(TraceFilters(trace_id=trace_id)):
            print("  " * span.depth, span.name, span.duration_ms)

    Args:
        config: Where the server is; ``SCOUTER_SERVER_URI``, else ``http://localhost:8000`` when left out.

    Raises:
        ConfigError: the address cannot work, or the configuration asks for what the client cannot do.
    """

    def __init__(self, config: HttpConfig | None = None) -> None:
        if config is None:
            config = HttpConfig()
        if not isinstance(config, HttpConfig):
            raise ConfigTypeError(f"config must be an HttpConfig, not {type(config).__name__}")
        for name in ("username", "headers", "ca_file", "certificate_file"):
            if getattr(config, name):
                raise ConfigError(f"config has {name}, which the client cannot use: give auth_token only")
        self._address = config.uri or os.environ.get("SCOUTER_SERVER_URI") or _DEFAULT_URI
        timeout = _DEFAULT_TIMEOUT if config.timeout is None else config.timeout
        self._client = _scouter.Client(self._address, config.auth_token, timeout)

    def get_trace_spans_from_filters(self, filters: TraceFilters) -> list[TraceSpan]:
        """The spans of the traces that satisfy the filters: newest trace first, each as a tree in start order.

        Raises:
            ServerError: the server refused or failed.
            ConnectionFailedError: nothing answers at the address.
            TimeoutExceededError: the answer did not come in time.
        """
        return [TraceSpan._from_json(span) for span in json.loads(self._client.spans(_checked(filters)._json()))]

    def get_traces(self, filters: TraceFilters | None = None) -> TracePage:
        """A page of the traces that satisfy the filters, newest first. Raises as :meth:`get_trace_spans_from_filters`."""
        page = json.loads(self._client.search(_checked(filters or TraceFilters())._json()))
        return TracePage(tuple(TraceSummary._from_json(trace) for trace in page["items"]), page["next_cursor"])

    def get_trace(self, trace_id: str) -> Trace:
        """One trace with all its spans.

        Raises:
            NotFoundError: the server does not have it, or not yet.
            ServerError, ConnectionFailedError, TimeoutExceededError: as :meth:`get_trace_spans_from_filters`.
        """
        found = json.loads(self._client.trace(_trace_id("trace_id", trace_id)))
        if found is None:
            raise NotFoundError(f"the server has no trace {trace_id}: it was not sampled, or has not arrived yet")
        spans = tuple(TraceSpan._from_json(span) for span in found["spans"])
        return Trace(TraceSummary._from_json(found), spans)

    def get_services(self) -> list[str]:
        """The names of the services that ever sent a span, in alphabetical order. Raises as
        :meth:`get_trace_spans_from_filters`.
        """
        services: list[str] = json.loads(self._client.services())
        return services

    def __repr__(self) -> str:
        return f"ScouterClient({arguments.shown_url(self._address)!r})"


def _checked(filters: TraceFilters) -> TraceFilters:
    return arguments.instance("filters", filters, TraceFilters, "TraceFilters")


def _trace_id(name: str, value: object) -> str:
    given = arguments.text(name, value)
    if len(given) != 32 or not _HEX.issuperset(given) or set(given) == {"0"}:
        raise ConfigError(f"{name} is {given!r}: give 32 hexadecimal digits that are not all zero")
    return given.lower()


def _trace_ids(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ConfigTypeError(f"{name} must be a list of trace ids, not {type(value).__name__}")
    return tuple(_trace_id(name, trace_id) for trace_id in value)


def _status(name: str, value: object) -> str:
    if isinstance(value, StatusCode):
        return value.name
    for code in StatusCode:
        if not isinstance(value, bool) and (value == code.value or str(value).upper() == code.name):
            return code.name
    raise ConfigError(f"{name} is {value!r}: give a StatusCode: UNSET, OK or ERROR")


def _time(name: str, value: object) -> int:
    if not isinstance(value, datetime):
        return arguments.count(name, value, least=0, most=2**64 - 1)
    if value.tzinfo is None:
        raise ConfigError(f"{name} is {value.isoformat()}, without a time zone: add one, such as tzinfo=timezone.utc")
    # In whole microseconds, because a float cannot hold nanoseconds since 1970.
    moment = (value - _EPOCH) // timedelta(microseconds=1) * 1000
    return arguments.count(name, moment, least=0, most=2**64 - 1)


def _milliseconds(name: str, value: object) -> float:
    return arguments.number(name, value, least=0.0, what="milliseconds, 0 or more")


def _tags(name: str, value: object) -> dict[str, str]:
    checked = arguments.attributes(name, value)
    return {key: arguments.instance(f"{name}[{key!r}]", text, str, "a str") for key, text in checked.items()}
