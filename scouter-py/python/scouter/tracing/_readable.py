"""Spans as JSON text, in the form that OpenTelemetry's console exporter prints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from opentelemetry.trace import SpanContext, format_span_id, format_trace_id

from .._scouter import FinishedSpan, Resource, Span


def to_json(span: Span | FinishedSpan, indent: int | None = 4) -> str:
    """A span, running or finished."""
    status = {"status_code": span.status.status_code.name}
    if span.status.description:
        status["description"] = span.status.description
    readable = {
        "name": span.name,
        "context": _context(span.context),
        "kind": str(span.kind),
        "parent_id": f"0x{format_span_id(span.parent.span_id)}" if span.parent else None,
        "start_time": _time(span.start_time),
        "end_time": _time(span.end_time),
        "status": status,
        "attributes": dict(span.attributes),
        "events": [
            {"name": event.name, "timestamp": _time(event.timestamp), "attributes": dict(event.attributes)}
            for event in span.events
        ],
        "links": [
            {"context": _context(link.context), "attributes": dict(link.attributes or {})} for link in span.links
        ],
        "resource": _resource(span.resource),
    }
    return json.dumps(readable, indent=indent, default=_other)


def resource_to_json(resource: Resource, indent: int | None = 4) -> str:
    """What spans belong to."""
    return json.dumps(_resource(resource), indent=indent, default=_other)


def _resource(resource: Resource) -> dict[str, Any]:
    return {"attributes": dict(resource.attributes), "schema_url": resource.schema_url}


def _context(context: SpanContext) -> dict[str, str]:
    return {
        "trace_id": f"0x{format_trace_id(context.trace_id)}",
        "span_id": f"0x{format_span_id(context.span_id)}",
        "trace_state": repr(context.trace_state),
    }


def _time(nanoseconds: int | None) -> str | None:
    if not nanoseconds:
        return None
    moment = datetime.fromtimestamp(nanoseconds // 1_000_000_000, tz=timezone.utc)
    return moment.strftime(f"%Y-%m-%dT%H:%M:%S.{nanoseconds % 1_000_000_000 // 1000:06}Z")


def _other(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    return value.hex() if isinstance(value, bytes) else str(value)
