"""Exported spans as trees that can be compared: without ids, times, ports, and lines of stack traces."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

EPHEMERAL = 32768
"""From here on, a port that nobody named was chosen by the operating system."""

# Frames of the code that runs the block: which functions stand between the block and the recording is not told apart.
_RECORDERS = re.compile(r"opentelemetry/(trace|sdk|util/_decorator)|/contextlib\.py|scouter/tracing/")


@dataclass
class Names:
    """What the parts of a program that change from run to run are called."""

    ports: dict[int, str] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)
    """Ids that came from outside, and stay as they are."""

    def text(self, text: str) -> str:
        for port, name in self.ports.items():
            text = re.sub(rf"\b{port}\b", name, text)
        return re.sub(r"0x[0-9a-f]{6,}", "<address>", text)

    def port(self, port: int) -> str:
        return self.ports.get(port) or ("<ephemeral>" if port >= EPHEMERAL else repr(port))


@dataclass(frozen=True)
class Arrival:
    """The trace headers of one request as a server saw it."""

    what: str
    traceparent: str | None
    tracestate: str | None = None
    baggage: str | None = None


@dataclass
class _Recorded:
    resource: ResourceSpans
    scope: ScopeSpans
    span: Span

    @property
    def span_id(self) -> str:
        return self.span.span_id.hex()

    @property
    def trace_id(self) -> str:
        return self.span.trace_id.hex()


class Forest:
    """All spans of a scenario."""

    def __init__(self, requests: Iterable[ExportTraceServiceRequest], names: Names) -> None:
        self._names = names
        self._recorded = [
            _Recorded(resource, scope, span)
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        self._by_id = {recorded.span_id: recorded for recorded in self._recorded}
        self._children: dict[str, list[_Recorded]] = defaultdict(list)
        for recorded in self._recorded:
            self._children[recorded.span.parent_span_id.hex()].append(recorded)
        self._arrivals: dict[str, list[Any]] = defaultdict(list)
        self._roots: dict[str, list[str]] = defaultdict(list)
        for recorded in self._recorded:
            if recorded.span.parent_span_id.hex() not in self._by_id:
                self._roots[recorded.trace_id].append(recorded.span.name)

    def trees(self, arrivals: Iterable[Arrival] = ()) -> dict[str, Any]:
        """The traces, each with its roots, and the requests that carried no exported span."""
        assert len(self._by_id) == len(self._recorded), "a span was exported twice"
        elsewhere = [arrival for arrival in arrivals if not self._arrived(arrival)]
        traces: dict[str, list[_Recorded]] = defaultdict(list)
        for recorded in self._recorded:
            if recorded.span.parent_span_id.hex() not in self._by_id:
                traces[recorded.trace_id].append(recorded)
        return {
            "traces": _in_order(
                {"trace": self._outside(trace_id, "<new>"), "roots": _in_order(self._tree(root) for root in roots)}
                for trace_id, roots in traces.items()
            ),
            "carried elsewhere": _in_order(self._elsewhere(arrival) for arrival in elsewhere),
        }

    def label(self, text: str) -> str:
        """A text with the ids of spans replaced by what they are the ids of."""

        def name(found: re.Match[str]) -> str:
            if found[0] in self._by_id:
                return f"<{self._names.text(self._by_id[found[0]].span.name)}>"
            if found[0] not in self._names.ids and found[0] in self._roots:
                return f"<trace of {', '.join(self._roots[found[0]])}>"
            return self._outside(found[0], "<not exported>")

        return self._names.text(re.sub(r"\b(?:[0-9a-f]{32}|[0-9a-f]{16})\b", name, text))

    def _arrived(self, arrival: Arrival) -> bool:
        parts = (arrival.traceparent or "").split("-")
        recorded = self._by_id.get(parts[2]) if len(parts) == 4 else None
        if recorded is None:
            return False
        assert parts[:2] == ["00", recorded.trace_id], arrival
        self._arrivals[recorded.span_id].append(
            {"request": arrival.what, "flags": parts[3], "state": arrival.tracestate, "baggage": arrival.baggage}
        )
        return True

    def _elsewhere(self, arrival: Arrival) -> dict[str, Any]:
        return {
            "request": arrival.what,
            "traceparent": arrival.traceparent and self.label(arrival.traceparent),
            "state": arrival.tracestate,
            "baggage": arrival.baggage,
        }

    def _outside(self, id: str, otherwise: str) -> str:
        return id if id in self._names.ids or not id.strip("0") else otherwise

    def _tree(self, recorded: _Recorded) -> dict[str, Any]:
        span, names = recorded.span, self._names
        parent = span.parent_span_id.hex()
        if parent and parent in self._by_id:
            assert self._by_id[parent].trace_id == recorded.trace_id
        assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano
        tree: dict[str, Any] = {
            "name": names.text(span.name),
            "kind": Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
            "parent": "<span>" if parent in self._by_id else self._outside(parent, "<not exported>"),
            "flags": hex(span.flags),
            "state": span.trace_state,
            "attributes": self._attributes(span.attributes),
            "status": [
                Status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_"),
                names.text(span.status.message),
            ],
            "events": [
                {"name": event.name, "attributes": self._attributes(event.attributes), "in time": _within(span, event)}
                for event in span.events
            ],
            "links": [self._link(link) for link in span.links],
            "dropped": [span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count],
            "scope": {
                "name": recorded.scope.scope.name,
                "version": recorded.scope.scope.version,
                "schema": recorded.scope.schema_url,
                "attributes": self._attributes(recorded.scope.scope.attributes),
            },
            "resource": {
                "schema": recorded.resource.schema_url,
                "attributes": self._attributes(recorded.resource.resource.attributes),
            },
            "carried by": _in_order(self._arrivals[recorded.span_id]),
        }
        tree["children"] = _in_order(self._tree(child) for child in self._children[recorded.span_id])
        return tree

    def _link(self, link: Span.Link) -> dict[str, Any]:
        return {
            "to": self.label(f"{link.trace_id.hex()} {link.span_id.hex()}"),
            "flags": hex(link.flags),
            "state": link.trace_state,
            "attributes": self._attributes(link.attributes),
        }

    def _attributes(self, attributes: Iterable[KeyValue]) -> dict[str, str]:
        pairs = [(pair.key, self._value(pair.key, pair.value)) for pair in attributes]
        assert len(dict(pairs)) == len(pairs), pairs
        return dict(sorted(pairs))

    def _value(self, key: str, value: AnyValue) -> str:
        """The value with its type: the text that Python writes for it."""
        if value.HasField("int_value") and key.endswith(".port"):
            return self._names.port(value.int_value)
        if key == "exception.stacktrace":
            return self._names.text(stack(value.string_value))
        return self._names.text(repr(_plain(value)))


def stack(text: str) -> str:
    """A stack trace without line numbers, marks under the code, and the frames of who recorded it."""
    kept: list[str] = []
    skipping = False
    for line in text.splitlines():
        if line.startswith("  File "):
            skipping = bool(_RECORDERS.search(line))
            line = re.sub(r", line \d+", "", line)
        elif not line.startswith("    "):
            skipping = False
        if not skipping and line.strip(" ^~"):
            kept.append(line)
    return "\n".join(kept)


def _plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: _plain(pair.value) for pair in value.kvlist_value.values}
    return getattr(value, kind) if kind else None


def _within(span: Span, event: Span.Event) -> bool:
    return span.start_time_unix_nano <= event.time_unix_nano <= span.end_time_unix_nano


def _in_order(items: Iterable[Any]) -> list[Any]:
    """In an order that does not depend on who was first."""
    return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))


def seen_in(value: Any, forest: Forest) -> Any:
    """What a program saw, as JSON, with ids replaced."""
    if isinstance(value, str):
        return forest.label(value)
    if isinstance(value, Mapping):
        return {str(key): seen_in(item, forest) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [seen_in(item, forest) for item in value]
    return value if value is None or isinstance(value, bool | int | float) else forest.label(repr(value))
