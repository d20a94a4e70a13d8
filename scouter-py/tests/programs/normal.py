"""What was exported, in one form: of the SDK's finished spans, of Scouter's OTLP bytes, and of Scouter's spans read in Python."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.sdk.trace import ReadableSpan

from .material import REMOTE_SPAN, REMOTE_TRACE
from .runner import Run

Normal = dict[str, Any]

_HEADER = re.compile(r'^([\s|+]*)File "(.*)", line \d+, in ')
_FOREIGN = ("opentelemetry/", "contextlib.py", "scouter/tracing/")


class Namer:
    """Names ids by where in the program their span began, because every run has ids of its own."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._spans = {0: None, REMOTE_SPAN: "remote"}
        self._traces = {0: None, REMOTE_TRACE: "remote"}
        for place in sorted(run.spans):
            context = run.spans[place].get_span_context()
            # `use_span` and decorators may give a span that began elsewhere.
            self._spans.setdefault(context.span_id, place)
            self._traces.setdefault(context.trace_id, f"trace of {place}")

    def span(self, span_id: int) -> str | None:
        return self._spans[span_id]

    def trace(self, trace_id: int) -> str | None:
        return self._traces[trace_id]

    def time(self, nanoseconds: int | None) -> int | str | None:
        if nanoseconds and self._run.began - 1_000_000 <= nanoseconds <= self._run.ended + 1_000_000:
            return "now"
        return nanoseconds or None

    def context(self, context: trace.SpanContext) -> tuple[Any, ...]:
        state = list(context.trace_state.items())
        return (self.trace(context.trace_id), self.span(context.span_id), int(context.trace_flags), state)


def of_sdk(run: Run, spans: Iterable[ReadableSpan]) -> dict[str, Normal]:
    """Spans of the SDK. Taken before its own OTLP encoder, which leaves out what the span holds."""
    namer = Namer(run)
    found = {}
    for span in spans:
        normal = readable(namer, span)
        assert normal["place"] not in found, f"exported twice: {normal}"
        found[normal["place"]] = normal
    return found


def readable(namer: Namer, span: Any) -> Normal:
    """A span as Python shows it."""
    own = span.get_span_context()
    scope = span.instrumentation_scope
    return {
        "place": namer.span(own.span_id),
        "trace": namer.trace(own.trace_id),
        "parent": namer.span(span.parent.span_id) if span.parent else None,
        "remote parent": bool(span.parent and span.parent.is_remote),
        "flags": int(own.trace_flags),
        "trace state": list(own.trace_state.items()),
        "name": span.name,
        "kind": span.kind.name,
        "start": namer.time(span.start_time),
        "end": namer.time(span.end_time),
        "attributes": attributes(span.attributes),
        "dropped": (span.dropped_attributes, span.dropped_events, span.dropped_links),
        "events": [
            {
                "name": event.name,
                "time": namer.time(event.timestamp),
                "attributes": attributes(event.attributes),
                "dropped": event.dropped_attributes,
            }
            for event in span.events
        ],
        "links": [
            {
                "to": namer.context(link.context),
                "remote": link.context.is_remote,
                "attributes": attributes(link.attributes),
                "dropped": link.dropped_attributes,
            }
            for link in span.links
        ],
        "status": (span.status.status_code.name, span.status.description or ""),
        "scope": (scope.name, scope.version or "", scope.schema_url or "", attributes(scope.attributes)),
        "resource": (attributes(span.resource.attributes), span.resource.schema_url),
    }


def of_otlp(run: Run, requests: Iterable[bytes]) -> dict[str, Normal]:
    """Spans as the bytes say that go to the server and to collectors."""
    namer = Namer(run)
    found = {}
    for body in requests:
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = (_otlp_attributes(of_resource.resource.attributes), of_resource.schema_url)
            for of_scope in of_resource.scope_spans:
                scope = (
                    of_scope.scope.name,
                    of_scope.scope.version,
                    of_scope.schema_url,
                    _otlp_attributes(of_scope.scope.attributes),
                )
                for span in of_scope.spans:
                    normal = _otlp_span(namer, span)
                    assert normal["place"] not in found, f"exported twice: {normal}"
                    found[normal["place"]] = {**normal, "scope": scope, "resource": resource}
    return found


def _otlp_span(namer: Namer, span: Any) -> Normal:
    assert span.flags & 0x100, "SpanFlags: whether the parent is remote is known"
    return {
        "place": namer.span(_number(span.span_id)),
        "trace": namer.trace(_number(span.trace_id)),
        "parent": namer.span(_number(span.parent_span_id)),
        "remote parent": bool(span.flags & 0x200),
        "flags": span.flags & 0xFF,
        "trace state": _state(span.trace_state),
        "name": span.name,
        "kind": trace.SpanKind(span.kind - 1).name,
        "start": namer.time(span.start_time_unix_nano),
        "end": namer.time(span.end_time_unix_nano),
        "attributes": _otlp_attributes(span.attributes),
        "dropped": (span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count),
        "events": [
            {
                "name": event.name,
                "time": namer.time(event.time_unix_nano),
                "attributes": _otlp_attributes(event.attributes),
                "dropped": event.dropped_attributes_count,
            }
            for event in span.events
        ],
        "links": [
            {
                "to": (
                    namer.trace(_number(link.trace_id)),
                    namer.span(_number(link.span_id)),
                    link.flags & 0xFF,
                    _state(link.trace_state),
                ),
                "remote": bool(link.flags & 0x200),
                "attributes": _otlp_attributes(link.attributes),
                "dropped": link.dropped_attributes_count,
            }
            for link in span.links
        ],
        "status": (trace.StatusCode(span.status.code).name, span.status.message),
    }


def seen(run: Run) -> dict[str, Any]:
    """What a run looked at while it went on."""
    namer = Namer(run)

    def named(what: Any) -> Any:
        if isinstance(what, trace.SpanContext):
            return namer.context(what)
        return type(what)(map(named, what)) if type(what) in (list, tuple) else what

    return {place: named(what) for place, what in run.seen.items()}


def _number(id_: bytes) -> int:
    return int.from_bytes(id_, "big")


def _state(header: str) -> list[tuple[str, str]]:
    return [tuple(entry.split("=", 1)) for entry in header.split(",")] if header else []  # type: ignore[misc]


def attributes(given: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: _attribute(key, value) for key, value in (given or {}).items()}


def _attribute(key: str, value: Any) -> Any:
    return ("stack", _own_frames(value)) if key == "exception.stacktrace" and isinstance(value, str) else tagged(value)


def _otlp_attributes(given: Iterable[common_pb2.KeyValue]) -> dict[str, Any]:
    given = list(given)
    found = {pair.key: _attribute(pair.key, _otlp_value(pair.value)) for pair in given}
    assert len(found) == len(given), f"a key twice: {given}"
    return found


def _otlp_value(value: common_pb2.AnyValue) -> Any:
    match value.WhichOneof("value"):
        case None:
            return None
        case "array_value":
            return [_otlp_value(item) for item in value.array_value.values]
        case "kvlist_value":
            return {pair.key: _otlp_value(pair.value) for pair in value.kvlist_value.values}
        case kind:
            return getattr(value, kind)


def tagged(value: Any) -> Any:
    """A value with its type, so that 1, 1.0 and True differ, and a NaN equals another."""
    if isinstance(value, str):
        return value
    if value is None:
        return ("none",)
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, int):
        return ("int", int(value))
    if isinstance(value, float):
        return ("float", repr(float(value)))
    if isinstance(value, bytes):
        return value
    if isinstance(value, Mapping):
        return ("map", {str(key): tagged(item) for key, item in value.items()})
    assert isinstance(value, Sequence), value
    return [tagged(item) for item in value]


def _own_frames(stack: str) -> str:
    """A stack trace without the frames of whoever traces."""
    kept = []
    skipped: int | None = None
    for line in stack.splitlines():
        header = _HEADER.match(line)
        if header:
            skipped = len(header[1]) if any(part in header[2] for part in _FOREIGN) else None
        elif skipped is not None and len(line) - len(line.lstrip(" |+")) <= skipped:
            skipped = None
        if skipped is None:
            kept.append(line)
    return "\n".join(kept)
