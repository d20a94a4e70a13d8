"""Which traces, records and tags are wanted. Every filter is checked when it is made."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta, timezone
from typing import Any, TypeAlias, TypeVar

from opentelemetry.trace import StatusCode

from . import arguments
from .errors import ConfigError, ConfigTypeError

__all__ = ["RecordFilters", "TagFilters", "TraceFilters"]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_HEX = frozenset("0123456789abcdefABCDEF")
_KINDS = ("spc", "psi", "custom", "agent")
_Check: TypeAlias = Callable[[str, object], object]


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
        _check(self, [("min_duration_ms", "max_duration_ms"), ("start_time", "end_time")])

    def _json(self) -> str:
        return _json_of(self)


@dataclass(frozen=True, slots=True)
class RecordFilters:
    """Which records are wanted: those for which everything holds that is given here. Texts match exactly.

    Args:
        trace_id: The trace it belongs to.
        span_id: The span it belongs to.
        entity_uid: The uid of what it is about.
        space: The space of what it is about.
        name: The name of what it is about.
        version: The version of what it is about.
        alias: What the program calls its queue.
        event_name: Its event name, ``scouter.record.`` and the kind.
        kind: ``spc``, ``psi``, ``custom`` or ``agent``.
        record_id: The id that the program gave it.
        session_id: The session it belongs to.
        service_name: The service that inserted it.
        start_time: It was inserted at or after this time: a ``datetime`` that knows its time zone, or nanoseconds since the
            Unix epoch.
        end_time: It was inserted before this time.
        attributes: Attributes it or its resource has with these very values.
        tags: Tags it has with these values.
        limit: How many records a page has, 1 to 1000; 100 when left out.
        cursor: The ``next_cursor`` of the page before.

    Raises:
        ConfigError: a filter has a value that cannot work.
        ConfigTypeError: a filter is of the wrong type.
    """

    trace_id: str | None = None
    span_id: str | None = None
    entity_uid: str | None = None
    space: str | None = None
    name: str | None = None
    version: str | None = None
    alias: str | None = None
    event_name: str | None = None
    kind: str | None = None
    record_id: str | None = None
    session_id: str | None = None
    service_name: str | None = None
    start_time: datetime | int | None = None
    end_time: datetime | int | None = None
    attributes: Mapping[str, Any] | None = None
    tags: Mapping[str, str] | None = None
    limit: int | None = None
    cursor: str | None = None

    def __post_init__(self) -> None:
        _check(self, [("start_time", "end_time")], kind=_kind)

    def _json(self) -> str:
        return _json_of(self)


@dataclass(frozen=True, slots=True)
class TagFilters:
    """Which tags are wanted: those for which everything holds that is given here.

    Args:
        key: This tag.
        value_prefix: Its value begins with this.
        entity_uid: A span or record of this entity has it.
        trace_id: A span or record of this trace has it.
        start_time: Something with it happened at or after this time: a ``datetime`` that knows its time zone, or nanoseconds
            since the Unix epoch.
        end_time: Something with it happened before this time.
        limit: How many tags there are at most, 1 to 10000; 1000 when left out.

    Raises:
        ConfigError: a filter has a value that cannot work.
        ConfigTypeError: a filter is of the wrong type.
    """

    key: str | None = None
    value_prefix: str | None = None
    entity_uid: str | None = None
    trace_id: str | None = None
    start_time: datetime | int | None = None
    end_time: datetime | int | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        _check(self, [("start_time", "end_time")], limit=lambda name, value: arguments.count(name, value, most=10_000))

    def _json(self) -> str:
        return _json_of(self)


F = TypeVar("F", TraceFilters, RecordFilters, TagFilters)


def combined(kind: type[F], filters: F | None, given: Mapping[str, Any]) -> F:
    """These filters, with the given ones in the place of theirs."""
    known = [field.name for field in fields(kind)]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}" if near else "there are " + ", ".join(known)
            raise ConfigTypeError(f"{kind.__name__} has no filter {name}: {hint}")
    if filters is None:
        return kind(**given)
    return replace(arguments.instance("filters", filters, kind, kind.__name__), **given)


def _check(filters: TraceFilters | RecordFilters | TagFilters, ranges: list[tuple[str, str]], **own: _Check) -> None:
    """Checks every filter that is given, and puts what it comes to in its place."""
    checks = {**_CHECKS, **own}
    for field in fields(filters):
        value = getattr(filters, field.name)
        if value is not None:
            object.__setattr__(filters, field.name, checks.get(field.name, arguments.text)(field.name, value))
    for least, most in ranges:
        low, high = getattr(filters, least), getattr(filters, most)
        if low is not None and high is not None and low > high:
            raise ConfigError(f"{least} is {low}, more than the {high} of {most}: lower it, or raise that")


def _json_of(filters: TraceFilters | RecordFilters | TagFilters) -> str:
    given = {field.name: getattr(filters, field.name) for field in fields(filters)}
    try:
        return json.dumps({name: value for name, value in given.items() if value is not None}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigTypeError(f"attributes hold a value that JSON cannot carry: {error}") from None


def _kind(name: str, value: object) -> str:
    given = arguments.text(name, value)
    if given not in _KINDS:
        raise ConfigError(f"{name} is {given!r}: give one of {', '.join(_KINDS)}")
    return given


def checked_trace_id(name: str, value: object) -> str:
    """A trace id in lower case."""
    return _hex(name, value, 32)


def _hex(name: str, value: object, digits: int) -> str:
    given = arguments.text(name, value)
    if len(given) != digits or not _HEX.issuperset(given) or set(given) == {"0"}:
        raise ConfigError(f"{name} is {given!r}: give {digits} hexadecimal digits that are not all zero")
    return given.lower()


def _trace_ids(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ConfigTypeError(f"{name} must be a list of trace ids, not {type(value).__name__}")
    return tuple(checked_trace_id(name, trace_id) for trace_id in value)


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


_CHECKS: dict[str, _Check] = {
    "trace_id": checked_trace_id,
    "span_id": lambda name, value: _hex(name, value, 16),
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
