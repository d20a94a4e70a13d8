"""Where Scouter is meant to differ from ``opentelemetry-sdk``, and why. Everything else that differs is a mistake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from canonical import Arrival
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass
class Run:
    """What one scenario left behind under ``opentelemetry-sdk``."""

    request: ExportTraceServiceRequest
    spans: dict[str, Any]
    """The SDK's spans by id."""
    arrivals: list[Arrival]


@dataclass(frozen=True)
class Difference:
    """One thing that Scouter does as the specification says, or as its users were promised, and the SDK does not."""

    name: str
    section: str
    mend: Callable[[Run], bool]
    """Makes the SDK's run what Scouter's is expected to be; tells whether there was anything to do."""


def _trace_flags(run: Run) -> bool:
    for resource in run.request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                theirs = run.spans[span.span_id.hex()]
                assert not span.flags & 0xFF
                span.flags |= theirs.context.trace_flags
                for link, their_link in zip(span.links, theirs.links, strict=True):
                    link.flags |= their_link.context.trace_flags
    return bool(run.spans)


def _sdk_name(run: Run) -> bool:
    for resource in run.request.resource_spans:
        for pair in resource.resource.attributes:
            if pair.key == "telemetry.sdk.name":
                assert pair.value.string_value == "opentelemetry"
                pair.value.string_value = "scouter"
            if pair.key == "telemetry.sdk.version":
                pair.value.string_value = scouter_version()
    return bool(run.spans)


def _instance_id(run: Run) -> bool:
    found = False
    for resource in run.request.resource_spans:
        attributes = resource.resource.attributes
        for index, pair in reversed(list(enumerate(attributes))):
            if pair.key == "service.instance.id":
                del attributes[index]
                found = True
    return found


def _baggage_spaces(run: Run) -> bool:
    before = list(run.arrivals)
    run.arrivals[:] = [
        replace(arrival, baggage=arrival.baggage and arrival.baggage.replace("+", "%20")) for arrival in before
    ]
    return run.arrivals != before


def scouter_version() -> str:
    """What Scouter says its version is."""
    import scouter

    return scouter.__version__


DIFFERENCES = [
    Difference(
        "the lower eight bits of a span's flags are the trace flags of its context",
        "OTLP, trace.proto, Span.flags and Link.flags: bits 0-7 are the W3C trace flags. The SDK's encoder leaves them zero",
        _trace_flags,
    ),
    Difference(
        "the resource names what recorded the spans",
        "Semantic conventions, telemetry.sdk: another SDK sets another telemetry.sdk.name, and its own version",
        _sdk_name,
    ),
    Difference(
        "no service.instance.id unless one is given",
        "Semantic conventions, service.instance.id: recommended, not required. Scouter adds no attribute nobody asked for",
        _instance_id,
    ),
    Difference(
        "a space in baggage is %20",
        "W3C Baggage 3.2.1.3 (value): characters outside of baggage-octet are percent-encoded (RFC 3986 2.1). A plus sign "
        "stands for itself; the SDK writes a form's plus for a space",
        _baggage_spaces,
    ),
]
