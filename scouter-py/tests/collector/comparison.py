"""Spans from the server and spans from the collector in one form, so that ``==`` compares all of them at once."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from scouter import TraceSpan


@dataclass(frozen=True)
class Exported:
    """Everything of a span that a receiver gets and the server gives back."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    kind: str
    start_time: int
    end_time: int
    attributes: Mapping[str, Any]
    events: tuple[tuple[Any, ...], ...]
    links: tuple[tuple[Any, ...], ...]
    status: tuple[str, str]
    trace_state: str
    resource: Mapping[str, Any]
    scope: tuple[str, str]
    dropped: tuple[int, int, int]
    """Attributes, events and links that the limits left out."""


def exported(requests: Iterable[ExportTraceServiceRequest]) -> list[Exported]:
    """The spans of requests as they went over the wire."""
    return [
        _from_wire(span, _attributes(of_resource.resource.attributes), (scope.scope.name, scope.scope.version))
        for request in requests
        for of_resource in request.resource_spans
        for scope in of_resource.scope_spans
        for span in scope.spans
    ]


def stored(spans: Iterable[TraceSpan]) -> list[Exported]:
    """The spans that the server gave back."""
    return [
        Exported(
            trace_id=span.trace_id,
            span_id=span.span_id,
            parent_span_id=span.parent_span_id,
            name=span.name,
            kind=span.kind.name,
            start_time=span.start_time,
            end_time=span.end_time,
            attributes=dict(span.attributes),
            events=tuple(
                (event.name, event.time, dict(event.attributes), event.dropped_attributes_count)
                for event in span.events
            ),
            links=tuple(
                (link.trace_id, link.span_id, link.trace_state, dict(link.attributes), link.dropped_attributes_count)
                for link in span.links
            ),
            status=(span.status_code.name, span.status_message),
            trace_state=span.trace_state,
            resource=dict(span.resource),
            scope=(span.scope_name, span.scope_version),
            dropped=(span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count),
        )
        for span in spans
    ]


def in_order(spans: Iterable[Exported]) -> list[Exported]:
    return sorted(spans, key=lambda span: (span.trace_id, span.span_id))


def _from_wire(span: trace_pb2.Span, resource: Mapping[str, Any], scope: tuple[str, str]) -> Exported:
    return Exported(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_span_id=span.parent_span_id.hex() or None,
        name=span.name,
        kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        start_time=span.start_time_unix_nano,
        end_time=span.end_time_unix_nano,
        attributes=_attributes(span.attributes),
        events=tuple(
            (event.name, event.time_unix_nano, _attributes(event.attributes), event.dropped_attributes_count)
            for event in span.events
        ),
        links=tuple(
            (
                link.trace_id.hex(),
                link.span_id.hex(),
                link.trace_state,
                _attributes(link.attributes),
                link.dropped_attributes_count,
            )
            for link in span.links
        ),
        status=(trace_pb2.Status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_"), span.status.message),
        trace_state=span.trace_state,
        resource=resource,
        scope=scope,
        dropped=(span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count),
    )


def _attributes(pairs: Iterable[common_pb2.KeyValue]) -> dict[str, Any]:
    found = [(pair.key, _value(pair.value)) for pair in pairs]
    assert len(found) == len(dict(found)), f"a key stands there twice: {found}"
    return dict(found)


def _value(value: common_pb2.AnyValue) -> Any:
    """As JSON says it, which is how the server answers."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    plain = getattr(value, kind)
    if kind == "double_value" and not math.isfinite(plain):
        return "NaN" if math.isnan(plain) else "Infinity" if plain > 0 else "-Infinity"
    return plain
