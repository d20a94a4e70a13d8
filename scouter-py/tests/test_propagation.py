from __future__ import annotations

import pytest
from opentelemetry import baggage, context, propagate, trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState
from support import Kept

from scouter.errors import ConfigTypeError
from scouter.tracing import (
    BaggagePropagator,
    TraceContextPropagator,
    extract_span_context_from_headers,
    get_tracing_headers_from_current_span,
    instrument,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
HEADER = f"00-{TRACE}-{SPAN}-01"


def test_headers_of_the_current_span(kept: Kept) -> None:
    # Sampled, and the trace id is random: both flags of Trace Context level 2.
    assert get_tracing_headers_from_current_span() == {}
    with kept.tracer.start_as_current_span("x") as span:
        headers = get_tracing_headers_from_current_span()
        assert headers == {"traceparent": f"00-{span.trace_id}-{span.span_id}-03"}
    assert get_tracing_headers_from_current_span() == {}


def test_tracestate_and_baggage_travel_on(kept: Kept) -> None:
    parent = {"traceparent": HEADER, "tracestate": "vendor=1,other=a:b"}
    with kept.tracer.start_as_current_span("x", headers=parent, baggage={"user id": "a b,c"}) as span:
        headers = get_tracing_headers_from_current_span()
    assert headers["traceparent"] == f"00-{TRACE}-{span.span_id}-01"
    assert headers["tracestate"] == "vendor=1,other=a:b"
    # A baggage name cannot be encoded, so this one is left out; values can.
    assert "baggage" not in headers
    with kept.tracer.start_as_current_span("x", baggage={"user": "a b,c"}):
        assert get_tracing_headers_from_current_span()["baggage"] == "user=a%20b%2Cc"


def test_headers_of_somebody_else_s_span() -> None:
    foreign = NonRecordingSpan(
        SpanContext(int(TRACE, 16), int(SPAN, 16), True, TraceFlags(0), TraceState([("a", "1")]))
    )
    with trace.use_span(foreign):
        assert get_tracing_headers_from_current_span() == {"traceparent": f"00-{TRACE}-{SPAN}-00", "tracestate": "a=1"}


@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": HEADER},
        {"TraceParent": HEADER},
        [("traceparent", HEADER)],
        [(b"traceparent", HEADER.encode())],
        {"traceparent": HEADER.replace("-01", "-03")},
        {"traceparent": f"01-{TRACE}-{SPAN}-01-later"},
    ],
    ids=str,
)
def test_valid_headers(headers: object) -> None:
    found = extract_span_context_from_headers(headers)
    assert found is not None
    assert (found.trace_id, found.span_id, found.is_remote) == (int(TRACE, 16), int(SPAN, 16), True)
    assert found.trace_flags.sampled


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"traceparent": ""},
        {"traceparent": HEADER.upper()},
        {"traceparent": HEADER + "-"},
        {"traceparent": f"ff-{TRACE}-{SPAN}-01"},
        {"traceparent": f"00-{'0' * 32}-{SPAN}-01"},
        {"traceparent": f"00-{TRACE}-{'0' * 16}-01"},
        {"traceparent": f"00-{TRACE}-{SPAN}-1"},
        {"traceparent": f"{HEADER}, {HEADER}"},
        [("traceparent", HEADER), ("Traceparent", HEADER)],
        [("traceparent", HEADER), ("traceparent", HEADER)],
    ],
    ids=str,
)
def test_invalid_headers(headers: object) -> None:
    assert extract_span_context_from_headers(headers) is None


def test_tracestate_of_several_lines_is_joined() -> None:
    found = extract_span_context_from_headers(
        [("traceparent", HEADER), ("tracestate", "a=1"), ("tracestate", "b=2"), ("TraceState", "c=3")]
    )
    assert found is not None
    assert found.trace_state.to_header() == "a=1,b=2,c=3"


def test_an_invalid_tracestate_costs_only_itself() -> None:
    found = extract_span_context_from_headers({"traceparent": HEADER, "tracestate": "NOT VALID"})
    assert found is not None
    assert len(found.trace_state) == 0


def test_what_is_no_carrier_is_refused() -> None:
    with pytest.raises(ConfigTypeError, match="headers must be a dict"):
        extract_span_context_from_headers(7)


class TestPropagators:
    def test_round_trip(self, kept: Kept) -> None:
        carrier: dict[str, str] = {}
        with kept.tracer.start_as_current_span("x") as span:
            TraceContextPropagator().inject(carrier)
        found = trace.get_current_span(TraceContextPropagator().extract(carrier)).get_span_context()
        assert (found.trace_id, found.span_id) == (span.get_span_context().trace_id, span.get_span_context().span_id)
        assert found.is_remote

    def test_nothing_in_nothing_out(self) -> None:
        carrier: dict[str, str] = {}
        TraceContextPropagator().inject(carrier)
        BaggagePropagator().inject(carrier)
        assert carrier == {}
        before = context.set_value("k", 1, context.Context())
        assert TraceContextPropagator().extract({}, before) is before
        assert BaggagePropagator().extract({}, before) is before

    def test_keys_of_plain_dicts_have_no_case(self) -> None:
        found = TraceContextPropagator().extract({"Traceparent": HEADER, "TRACESTATE": "a=1"})
        assert trace.get_current_span(found).get_span_context().trace_state.to_header() == "a=1"
        twice = TraceContextPropagator().extract({"Traceparent": HEADER, "traceparent": HEADER})
        assert not trace.get_current_span(twice).get_span_context().is_valid

    def test_baggage(self) -> None:
        found = BaggagePropagator().extract({"Baggage": ["a=1;meta, b=%20x", "c=3"]})
        assert baggage.get_all(found) == {"a": "1", "b": " x", "c": "3"}
        carrier: dict[str, str] = {}
        BaggagePropagator().inject(carrier, baggage.set_baggage("k", "é,", context.Context()))
        assert carrier == {"baggage": "k=%C3%A9%2C"}
        BaggagePropagator().inject(carrier, baggage.set_baggage("n", 5, context.Context()))
        assert carrier == {"baggage": "n=5"}

    def test_what_baggage_forbids_is_left_out(self) -> None:
        found = BaggagePropagator().extract({"baggage": "good=1,=2,bad name=3,x=a b,y"})
        assert baggage.get_all(found) == {"good": "1"}

    def test_through_the_global_functions(self, kept: Kept) -> None:
        instrument(transport_config=kept.config)
        with trace.get_tracer("x").start_as_current_span("x", baggage={"a": "1"}) as span:
            carrier: dict[str, str] = {}
            propagate.inject(carrier)
        assert carrier == {"traceparent": f"00-{span.trace_id}-{span.span_id}-03", "baggage": "a=1"}
