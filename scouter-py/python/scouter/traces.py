"""Traces as they come back from the server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.trace import SpanKind, StatusCode

__all__ = ["SpanEvent", "SpanLink", "Trace", "TracePage", "TraceSpan", "TraceSummary"]


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened while a span ran."""

    name: str
    time: int
    """Nanoseconds since the Unix epoch."""
    attributes: Mapping[str, Any]
    dropped_attributes_count: int = 0


@dataclass(frozen=True, slots=True)
class SpanLink:
    """A reference to another span. The ids are ``None`` where a sender's bytes were not an id."""

    trace_id: str | None
    span_id: str | None
    trace_state: str
    attributes: Mapping[str, Any]
    dropped_attributes_count: int = 0


@dataclass(frozen=True, slots=True)
class TraceSpan:
    """A finished span and its place in its trace. Ids are lower-case hex; times are nanoseconds since the Unix epoch."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    """``None`` for a root."""
    name: str
    kind: SpanKind
    service_name: str
    start_time: int
    end_time: int
    duration_ns: int
    status_code: StatusCode
    status_message: str
    attributes: Mapping[str, Any]
    events: tuple[SpanEvent, ...]
    links: tuple[SpanLink, ...]
    resource: Mapping[str, Any]
    """The attributes of what produced it."""
    scope_name: str
    """The library that recorded it."""
    scope_version: str
    trace_state: str
    depth: int
    """How many ancestors it has in its tree: 0 for a root and for an orphan."""
    path: tuple[str, ...]
    """The ids from the top of its tree to this span, itself included."""
    children: tuple[str, ...]
    """The ids of its direct children, in start order."""
    orphan: bool
    """Whether it names a parent that is not there."""
    dropped_attributes_count: int = 0
    dropped_events_count: int = 0
    dropped_links_count: int = 0

    @property
    def duration_ms(self) -> float:
        """How long it took, in milliseconds."""
        return self.duration_ns / 1_000_000

    @property
    def input(self) -> str | None:
        """What went in, as JSON text."""
        return _text(self.attributes.get("scouter.input"))

    @property
    def output(self) -> str | None:
        """What came out, as JSON text."""
        return _text(self.attributes.get("scouter.output"))

    @property
    def label(self) -> str | None:
        """What groups it with others."""
        return _text(self.attributes.get("scouter.label"))

    @property
    def tags(self) -> dict[str, Any]:
        """Its tags."""
        prefix = "scouter.tag."
        return {key[len(prefix) :]: value for key, value in self.attributes.items() if key.startswith(prefix)}

    @classmethod
    def _from_json(cls, span: Mapping[str, Any]) -> TraceSpan:
        return cls(
            trace_id=span["trace_id"],
            span_id=span["span_id"],
            parent_span_id=span["parent_span_id"],
            name=span["name"],
            kind=_kind(span["kind"]),
            service_name=span["service_name"],
            start_time=span["start_time"],
            end_time=span["end_time"],
            duration_ns=span["duration_ns"],
            status_code=StatusCode[span["status"]["code"].upper()],
            status_message=span["status"]["message"],
            attributes=span["attributes"],
            events=tuple(
                SpanEvent(event["name"], event["time"], event["attributes"], event["dropped_attributes_count"])
                for event in span["events"]
            ),
            links=tuple(
                SpanLink(
                    link["trace_id"],
                    link["span_id"],
                    link["trace_state"],
                    link["attributes"],
                    link["dropped_attributes_count"],
                )
                for link in span["links"]
            ),
            resource=span["resource"],
            scope_name=span["scope"]["name"],
            scope_version=span["scope"]["version"],
            trace_state=span["trace_state"],
            depth=span["depth"],
            path=tuple(span["path"]),
            children=tuple(span["children"]),
            orphan=span["orphan"],
            dropped_attributes_count=span["dropped_attributes_count"],
            dropped_events_count=span["dropped_events_count"],
            dropped_links_count=span["dropped_links_count"],
        )


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """What a list of traces shows of one."""

    trace_id: str
    root_span_id: str
    """The span that stands for the trace: its root, or its earliest span while no root has arrived."""
    root_name: str
    root_service: str
    start_time: int
    """The earliest start, nanoseconds since the Unix epoch."""
    end_time: int
    """The latest end, nanoseconds since the Unix epoch."""
    duration_ns: int
    span_count: int
    error_count: int
    """How many spans have the status ERROR."""
    services: tuple[str, ...]
    """The services that took part, in alphabetical order."""

    @property
    def duration_ms(self) -> float:
        """From the earliest start to the latest end, in milliseconds."""
        return self.duration_ns / 1_000_000

    @classmethod
    def _from_json(cls, trace: Mapping[str, Any]) -> TraceSummary:
        return cls(
            trace_id=trace["trace_id"],
            root_span_id=trace["root_span_id"],
            root_name=trace["root_name"],
            root_service=trace["root_service"],
            start_time=trace["start_time"],
            end_time=trace["end_time"],
            duration_ns=trace["duration_ns"],
            span_count=trace["span_count"],
            error_count=trace["error_count"],
            services=tuple(trace["services"]),
        )


@dataclass(frozen=True, slots=True)
class Trace:
    """Every span of one trace: a parent, then its children, siblings in start order."""

    summary: TraceSummary
    spans: tuple[TraceSpan, ...] = field(repr=False)

    @property
    def trace_id(self) -> str:
        """The trace's id."""
        return self.summary.trace_id


@dataclass(frozen=True, slots=True)
class TracePage:
    """Some traces, newest first, and where to go on."""

    items: tuple[TraceSummary, ...]
    next_cursor: str | None
    """What to give as ``cursor`` for the next page; ``None`` on the last one."""


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _kind(name: str) -> SpanKind:
    """A kind by its name; what a sender left unspecified counts as internal, as OTLP says."""
    try:
        return SpanKind[name.upper()]
    except KeyError:
        return SpanKind.INTERNAL
