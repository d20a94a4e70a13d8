"""OpenTelemetry's compliance matrix, "Traces": attributes, links, events and exceptions of a span. One test a row."""

from __future__ import annotations

import inspect

import pytest
from opentelemetry import trace
from opentelemetry.trace import Link, SpanContext, TraceFlags, TraceState
from support import Kept
from test_trace_rows import in_threads

from scouter.tracing import ScouterSpan

TARGETS = [SpanContext(100 + i, 200 + i, True, TraceFlags(1)) for i in range(3)]


def only_attributes(of: Kept, **attributes: object) -> object:
    span = of.tracer.start_span("span")
    for key, value in attributes.items():
        span.set_attribute(key, value)
    span.end()
    return of.span()["attributes"]


def test_m037_set_attribute(kept: Kept) -> None:
    span = kept.tracer.start_span("span", attributes={"kept": 1, "replaced": "before"})
    span.set_attribute("replaced", "after")
    span.set_attributes({"one": 1, "two": 2})
    span.end()
    assert kept.span()["attributes"] == {"kept": 1, "replaced": "after", "one": 1, "two": 2}


def test_m038_string_type(kept: Kept) -> None:
    assert only_attributes(kept, empty="", text="text") == {"empty": "", "text": "text"}


def test_m039_boolean_type(kept: Kept) -> None:
    attributes = only_attributes(kept, yes=True, no=False)
    assert attributes == {"yes": True, "no": False}
    assert all(isinstance(value, bool) for value in attributes.values())


def test_m040_double_type(kept: Kept) -> None:
    values = {"half": 0.5, "whole": 2.0, "tiny": 5e-324, "large": 1.7976931348623157e308, "negative": -0.0}
    attributes = only_attributes(kept, **values)
    assert attributes == values
    assert all(isinstance(value, float) for value in attributes.values())


def test_m041_signed_int64_type(kept: Kept) -> None:
    values = {"zero": 0, "least": -(2**63), "most": 2**63 - 1}
    attributes = only_attributes(kept, **values)
    assert attributes == values
    assert all(type(value) is int for value in attributes.values())


def test_m042_array_of_primitives(kept: Kept) -> None:
    values = {"texts": ["a", "b"], "ints": (1, 2), "floats": [0.5, 1.5], "flags": [True, False], "none": []}
    attributes = only_attributes(kept, **values)
    assert {key: list(value) for key, value in attributes.items()} == {
        key: list(value) for key, value in values.items()
    }


def test_m043_null_is_documented_as_invalid(kept: Kept) -> None:
    assert "None" in (inspect.getdoc(ScouterSpan.set_attribute) or "")
    assert only_attributes(kept, null=None, kept=1) == {"kept": 1}


def test_m044_unicode_keys_and_values(kept: Kept) -> None:
    values = {"Ελληνικά": "ключ", "鍵": "値", "🗝": "👩‍🔬", "combining": "e\u0301"}
    assert only_attributes(kept, **values) == values


def test_m045_links_at_creation(kept: Kept) -> None:
    state = TraceState([("vendor", "1")])
    target = SpanContext(7, 8, True, TraceFlags(1), state)
    span = kept.tracer.start_span("span", links=[Link(target, {"why": "batch"})])
    span.end()
    (link,) = span.links
    assert (link.context.trace_id, link.context.span_id) == (7, 8)
    assert link.context.trace_state.to_header() == "vendor=1"
    assert dict(link.attributes) == {"why": "batch"}
    assert len(kept.span()["links"]) == 1


def test_m046_links_after_creation(kept: Kept) -> None:
    span = kept.tracer.start_span("span")
    span.add_link(TARGETS[0], {"late": True})
    span.end()
    span.add_link(TARGETS[1])
    assert [dict(link.attributes) for link in span.links] == [{"late": True}]


def test_m047_links_order_is_preserved(kept: Kept) -> None:
    span = kept.tracer.start_span("span", links=[Link(TARGETS[2]), Link(TARGETS[0])])
    span.add_link(TARGETS[1])
    span.end()
    assert [link.context.span_id for link in span.links] == [202, 200, 201]
    assert [link["span_id"] for link in kept.span()["links"]] == [f"{number:016x}" for number in (202, 200, 201)]


def test_m048_add_event(kept: Kept) -> None:
    span = kept.tracer.start_span("span")
    span.add_event("plain")
    span.add_event("full", {"a": 1}, 1_234)
    span.end()
    plain, full = span.events
    assert (plain.name, dict(plain.attributes)) == ("plain", {})
    assert span.start_time <= plain.timestamp <= span.end_time
    assert (full.name, dict(full.attributes), full.timestamp) == ("full", {"a": 1}, 1_234)


def test_m049_add_order_is_preserved(kept: Kept) -> None:
    span = kept.tracer.start_span("span")
    for time, name in ((3_000, "first"), (1_000, "second"), (2_000, "third")):
        span.add_event(name, timestamp=time)
    span.end()
    assert [event["name"] for event in kept.span()["events"]] == ["first", "second", "third"]


def test_m050_events_are_safe_for_concurrent_calls(kept: Kept) -> None:
    span = kept.tracer.start_span("span")

    def work(number: int) -> None:
        for i in range(30):
            span.add_event(f"{number}", {"i": i})

    in_threads(4, work)
    span.end()
    assert len(kept.span()["events"]) == 120


def test_m051_record_exception(kept: Kept) -> None:
    span = kept.tracer.start_span("span")
    try:
        raise ValueError("broken")
    except ValueError as error:
        span.record_exception(error)
    span.end()
    (event,) = span.events
    assert event.name == "exception"
    assert event.attributes["exception.type"] == "ValueError"
    assert event.attributes["exception.message"] == "broken"
    assert 'raise ValueError("broken")' in event.attributes["exception.stacktrace"]
    assert span.status.status_code is trace.StatusCode.UNSET


@pytest.mark.parametrize("key", ["extra", "exception.message"])
def test_m052_record_exception_with_extra_parameters(kept: Kept, key: str) -> None:
    span = kept.tracer.start_span("span")
    span.record_exception(ValueError("broken"), {key: "said"}, 1_234, escaped=True)
    span.end()
    (event,) = span.events
    # What the caller says wins over what was found out.
    assert event.attributes[key] == "said"
    assert event.attributes["exception.escaped"] == "True"
    assert event.timestamp == 1_234
