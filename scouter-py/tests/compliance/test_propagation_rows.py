"""OpenTelemetry's compliance matrix, "Baggage" and "Context Propagation". One test a row, named by its id."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from opentelemetry import baggage, context, propagate, trace
from opentelemetry.propagators.b3 import B3MultiFormat, B3SingleFormat
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.jaeger import JaegerPropagator
from opentelemetry.propagators.ot_trace import OTTracePropagator
from opentelemetry.propagators.textmap import Getter, Setter, TextMapPropagator
from opentelemetry.trace import SpanContext
from support import Kept

from scouter import MockConfig
from scouter.tracing import (
    BaggagePropagator,
    EnvironmentGetter,
    EnvironmentSetter,
    OpenCensusBinaryPropagator,
    TraceContextPropagator,
    context_from_environment,
    environment_for_child,
    instrument,
    uninstrument,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
HEADER = f"00-{TRACE}-{SPAN}-01"

Lines = list[tuple[str, str]]


class LineGetter(Getter[Lines]):
    """Reads header lines, repeated ones too."""

    def get(self, carrier: Lines, key: str) -> list[str] | None:
        asked.append(key)
        return [value for name, value in carrier if name.lower() == key] or None

    def keys(self, carrier: Lines) -> list[str]:
        asked.append("keys")
        return [name for name, _ in carrier]


class LineSetter(Setter[Lines]):
    """Adds header lines."""

    def set(self, carrier: Lines, key: str, value: str) -> None:
        carrier.append((key, value))


asked: list[str] = []


def sender_of(found: context.Context) -> SpanContext:
    return trace.get_current_span(found).get_span_context()


def round_trip(kept: Kept, propagator: TextMapPropagator) -> dict[str, str]:
    """What the propagator writes of one of our spans, after one of our spans has continued it."""
    carrier: dict[str, str] = {}
    with kept.tracer.start_as_current_span("sender", headers={"traceparent": HEADER}) as sender:
        propagator.inject(carrier)
    sent = dict(carrier)
    with kept.tracer.start_as_current_span("receiver", context=propagator.extract(carrier)) as receiver:
        assert receiver.is_recording()
        assert receiver.parent.is_remote
        assert format(receiver.parent.span_id, "016x") == sender.span_id
        assert receiver.trace_id[-16:] == TRACE[-16:]
    return sent


def test_m065_baggage_basic_support(kept: Kept) -> None:
    made = baggage.set_baggage("user", "7", context.Context())
    made = baggage.set_baggage("gone", "1", made)
    made = baggage.remove_baggage("gone", made)
    assert baggage.get_all(made) == {"user": "7"}
    token = context.attach(made)
    try:
        with kept.tracer.start_as_current_span("x", baggage={"shop": "berlin"}):
            assert baggage.get_baggage("user") == "7"
            assert baggage.get_baggage("shop") == "berlin"
        assert baggage.get_baggage("shop") is None
    finally:
        context.detach(token)
    assert baggage.get_all(baggage.clear(made)) == {}


def test_m066_official_header_name(kept: Kept) -> None:
    carrier: dict[str, str] = {}
    with kept.tracer.start_as_current_span("x", baggage={"user": "Amélie"}):
        BaggagePropagator().inject(carrier)
    assert carrier == {"baggage": "user=Am%C3%A9lie"}
    assert baggage.get_all(BaggagePropagator().extract(carrier)) == {"user": "Amélie"}


def test_m074_create_context_key() -> None:
    # Keys of the same name are different keys.
    assert context.create_key("name") != context.create_key("name")


def test_m075_get_value_from_context() -> None:
    key = context.create_key("k")
    assert context.get_value(key, context.Context()) is None
    assert context.get_value(key, context.set_value(key, 1, context.Context())) == 1


def test_m076_set_value_for_context(kept: Kept) -> None:
    key = context.create_key("k")
    with kept.tracer.start_as_current_span("x") as span:
        made = context.set_value(key, 1)
        # A new context; the current one is as it was, and our span is in both.
        assert context.get_value(key) is None
        assert trace.get_current_span(made) is span


def test_m077_attach_context(kept: Kept) -> None:
    key = context.create_key("k")
    token = context.attach(context.set_value(key, 1))
    try:
        with kept.tracer.start_as_current_span("x"):
            assert context.get_value(key) == 1
    finally:
        context.detach(token)


def test_m078_detach_context(kept: Kept) -> None:
    with kept.tracer.start_as_current_span("outer") as outer:
        token = context.attach(context.Context())
        assert trace.get_current_span() is trace.INVALID_SPAN
        context.detach(token)
        assert trace.get_current_span() is outer


def test_m079_get_current_context(kept: Kept) -> None:
    with kept.tracer.start_as_current_span("x", baggage={"a": "1"}) as span:
        current = context.get_current()
    assert trace.get_current_span(current) is span
    assert baggage.get_all(current) == {"a": "1"}


def test_m080_composite_propagator() -> None:
    both = CompositePropagator([TraceContextPropagator(), BaggagePropagator()])
    found = both.extract({"traceparent": HEADER, "baggage": "a=1"})
    assert sender_of(found).trace_id == int(TRACE, 16)
    assert baggage.get_all(found) == {"a": "1"}
    carrier: dict[str, str] = {}
    both.inject(carrier, found)
    assert carrier == {"traceparent": HEADER, "baggage": "a=1"}


def test_m081_global_propagator() -> None:
    before = propagate.get_global_textmap()
    instrument(transport_config=MockConfig())
    assert propagate.get_global_textmap() is not before
    with trace.get_tracer("x").start_as_current_span("x") as span:
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
    assert sender_of(propagate.extract(carrier)).span_id == int(span.span_id, 16)
    uninstrument()
    assert propagate.get_global_textmap() is before


def test_m082_trace_context_propagator(kept: Kept) -> None:
    sent = round_trip(kept, TraceContextPropagator())
    assert sent.keys() == {"traceparent"}
    found = TraceContextPropagator().extract({"traceparent": HEADER, "tracestate": "a=1,b=2"})
    assert sender_of(found).trace_state.to_header() == "a=1,b=2"


@pytest.mark.parametrize("propagator", [B3SingleFormat(), B3MultiFormat()])
def test_m083_b3_propagator(kept: Kept, propagator: TextMapPropagator) -> None:
    assert any(name.startswith(("b3", "x-b3")) for name in round_trip(kept, propagator))


def test_m084_jaeger_propagator(kept: Kept) -> None:
    assert round_trip(kept, JaegerPropagator()).keys() == {"uber-trace-id"}


def test_m085_ot_propagator(kept: Kept) -> None:
    assert round_trip(kept, OTTracePropagator())["ot-tracer-sampled"] == "true"


class TestM086OpenCensusBinary:
    ENCODED = bytes.fromhex(f"0000{TRACE}01{SPAN}0201")

    def test_m086_opencensus_binary_propagator(self, kept: Kept) -> None:
        assert round_trip(kept, OpenCensusBinaryPropagator()).keys() == {"grpc-trace-bin"}
        found = OpenCensusBinaryPropagator.from_bytes(self.ENCODED)
        assert found is not None
        assert (found.trace_id, found.span_id, found.is_remote) == (int(TRACE, 16), int(SPAN, 16), True)
        assert found.trace_flags.sampled
        assert OpenCensusBinaryPropagator.to_bytes(found) == self.ENCODED

    @pytest.mark.parametrize(
        ("encoded", "read"),
        [
            (f"0000{TRACE}01{SPAN}0200", True),
            (f"0000{TRACE}01{SPAN}", True),
            (f"0001{SPAN}00{TRACE}", True),
            (f"0000{TRACE}01{SPAN}0201ff00", True),
            (f"0100{TRACE}01{SPAN}0201", False),
            (f"0000{'0' * 32}01{SPAN}0201", False),
            (f"0000{TRACE}01{'0' * 16}0201", False),
            (f"0000{TRACE}01{SPAN[:-2]}", False),
            (f"0000{TRACE}", False),
            (f"00ff{TRACE}01{SPAN}", False),
            ("00", False),
            ("", False),
        ],
    )
    def test_encodings(self, encoded: str, read: bool) -> None:
        assert (OpenCensusBinaryPropagator.from_bytes(bytes.fromhex(encoded)) is not None) is read

    @pytest.mark.parametrize("value", ["", "%", "AAAA", "é", "AA===", b"", 7, ["AAAA", "AAAA"], None])
    def test_what_is_none_starts_a_new_trace(self, value: object) -> None:
        before = context.Context()
        assert OpenCensusBinaryPropagator().extract({"grpc-trace-bin": value}, before) is before

    def test_bytes_as_grpc_has_them(self) -> None:
        found = OpenCensusBinaryPropagator().extract({"grpc-trace-bin": self.ENCODED})
        assert sender_of(found).span_id == int(SPAN, 16)
        assert OpenCensusBinaryPropagator().fields == {"grpc-trace-bin"}


def test_m087_text_map_propagator() -> None:
    for propagator in (TraceContextPropagator(), BaggagePropagator(), OpenCensusBinaryPropagator()):
        assert isinstance(propagator, TextMapPropagator)
        # What cannot be read raises nothing, and leaves the context as it was (API propagators, "Extract").
        before = context.set_value("k", 1, context.Context())
        nonsense = dict.fromkeys(propagator.fields, "\0 nonsense é")
        assert propagator.extract(nonsense, before) == before


def test_m088_fields() -> None:
    assert TraceContextPropagator().fields == {"traceparent", "tracestate"}
    assert BaggagePropagator().fields == {"baggage"}
    instrument(transport_config=MockConfig())
    assert propagate.get_global_textmap().fields == {"traceparent", "tracestate", "baggage"}


def test_m089_setter_argument(kept: Kept) -> None:
    lines: Lines = []
    with kept.tracer.start_as_current_span("x", baggage={"a": "1"}) as span:
        TraceContextPropagator().inject(lines, setter=LineSetter())
        BaggagePropagator().inject(lines, setter=LineSetter())
    assert lines == [("traceparent", f"00-{span.trace_id}-{span.span_id}-03"), ("baggage", "a=1")]


def test_m090_getter_argument() -> None:
    lines = [
        ("Traceparent", HEADER),
        ("Tracestate", "a=1"),
        ("tracestate", "b=2"),
        ("Baggage", "c=3"),
        ("baggage", "d=4"),
    ]
    found = TraceContextPropagator().extract(lines, getter=LineGetter())
    found = BaggagePropagator().extract(lines, found, LineGetter())
    assert sender_of(found).trace_state.to_header() == "a=1,b=2"
    assert baggage.get_all(found) == {"c": "3", "d": "4"}


def test_m091_getter_argument_returning_keys() -> None:
    lines = [("uber-trace-id", f"{TRACE}:{SPAN}:0:1"), ("uberctx-user", "7")]
    asked.clear()
    found = JaegerPropagator().extract(lines, getter=LineGetter())
    assert "keys" in asked
    assert baggage.get_all(found) == {"user": "7"}
    assert EnvironmentGetter().keys({"TRACEPARENT": "", "other": ""}) == ["TRACEPARENT"]


def test_m092_environment_variables_as_carriers(kept: Kept) -> None:
    script = """
import json
from opentelemetry import baggage, trace
from scouter.tracing import context_from_environment
found = context_from_environment()
sender = trace.get_current_span(found).get_span_context()
state = sender.trace_state.to_header()
print(json.dumps([f"{sender.trace_id:032x}", f"{sender.span_id:016x}", state, dict(baggage.get_all(found))]))
"""
    headers = {"traceparent": HEADER, "tracestate": "vendor=1"}
    with kept.tracer.start_as_current_span("x", headers=headers, baggage={"user": "7"}) as span:
        environment = environment_for_child()
        by_hand = dict(os.environ)
        propagate.inject(by_hand, setter=EnvironmentSetter())
    assert {name: environment[name] for name in ("TRACEPARENT", "TRACESTATE", "BAGGAGE")} == {
        "TRACEPARENT": f"00-{TRACE}-{span.span_id}-01",
        "TRACESTATE": "vendor=1",
        "BAGGAGE": "user=7",
    }
    assert by_hand == environment
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [TRACE, span.span_id, "vendor=1", {"user": "7"}]
    assert not sender_of(context_from_environment({})).is_valid
