"""Which propagators a program has: `OTEL_PROPAGATORS`, those of other packages, and what becomes of unknown names."""

from __future__ import annotations

import json
import logging
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import baggage, context, propagate, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.propagators.b3 import B3MultiFormat, B3SingleFormat
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.jaeger import JaegerPropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from support import Kept, run_script

from scouter import MockConfig
from scouter.tracing import BaggagePropagator, TraceContextPropagator, instrument
from scouter.tracing.propagation import current_propagator, global_propagator

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
HEADER = f"00-{TRACE}-{SPAN}-01"


def members(propagator: TextMapPropagator) -> list[str]:
    assert isinstance(propagator, CompositePropagator)
    return [type(member).__name__ for member in propagator._propagators]


OURS = ["TraceContextPropagator", "BaggagePropagator"]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("", OURS),
        (" , ", OURS),
        ("tracecontext", OURS[:1]),
        ("baggage", OURS[1:]),
        ("baggage,tracecontext", [OURS[1], OURS[0]]),
        (" TraceContext , BAGGAGE ", OURS),
        ("tracecontext,tracecontext", OURS[:1]),
        ("none", []),
        ("None", []),
        ("tracecontext,none", []),
        ("b3", ["B3SingleFormat"]),
        ("b3multi", ["B3MultiFormat"]),
        ("B3", ["B3SingleFormat"]),
        ("jaeger", ["JaegerPropagator"]),
        ("ottrace", ["OTTracePropagator"]),
        ("xray", ["AwsXRayPropagator"]),
        ("tracecontext,baggage,b3,b3multi,jaeger,ottrace,xray,b3", [
            *OURS, "B3SingleFormat", "B3MultiFormat", "JaegerPropagator", "OTTracePropagator", "AwsXRayPropagator",
        ]),
    ],
)  # fmt: skip
def test_the_environment_chooses(monkeypatch: pytest.MonkeyPatch, asked: str, expected: list[str]) -> None:
    monkeypatch.setenv("OTEL_PROPAGATORS", asked)
    assert members(global_propagator()) == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("carrier-pigeon,b3", ["B3SingleFormat"]), ("carrier-pigeon", OURS), ("baggage,carrier-pigeon", OURS[1:])],
)
def test_unknown_names_are_told_and_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, asked: str, expected: list[str]
) -> None:
    """An unknown value is ignored with a warning (environment variables of the specification, "Enum")."""
    monkeypatch.setenv("OTEL_PROPAGATORS", asked)
    with caplog.at_level(logging.WARNING, "scouter"):
        instrument(transport_config=MockConfig())
    assert members(propagate.get_global_textmap()) == expected
    assert "OTEL_PROPAGATORS names 'carrier-pigeon', which is not installed" in caplog.text


def test_one_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def entry_points(**asked: str) -> list[EntryPoint]:
        return [EntryPoint(asked["name"], "no_such_module_at_all:Class", asked["group"])]

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)
    monkeypatch.setenv("OTEL_PROPAGATORS", "broken,tracecontext")
    with caplog.at_level(logging.WARNING, "scouter"):
        assert members(global_propagator()) == OURS[:1]
    assert "'broken', which cannot be loaded and is left out: No module named 'no_such_module_at_all'" in caplog.text


@pytest.mark.parametrize("first", ["scouter.tracing", "scouter.tracing.instrumentor", "scouter.tracing.propagation"])
def test_an_unknown_name_stops_no_program(tmp_path: Path, first: str) -> None:
    """OpenTelemetry's own `propagate` cannot be imported then, nor can what imports it."""
    script = f"""
        import json, os
        import {first}
        from scouter import MockConfig
        from scouter.tracing import instrument
        from opentelemetry import propagate, trace
        from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

        before = [type(member).__name__ for member in propagate.get_global_textmap()._propagators]
        instrument(transport_config=MockConfig())
        carrier = {{}}
        with trace.get_tracer("x").start_as_current_span("x"):
            propagate.inject(carrier)
        print(json.dumps([before, sorted(carrier), os.environ["OTEL_PROPAGATORS"]]))
    """
    done = run_script(tmp_path, script, environment={"OTEL_PROPAGATORS": "nonsense,tracecontext"})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [["TraceContextTextMapPropagator"], ["traceparent"], "nonsense,tracecontext"]


class TestWhatIsInstalled:
    """What a middleware reads requests with."""

    def test_ours_as_long_as_nobody_has_chosen(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ours = CompositePropagator([])
        untouched = CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()])
        monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", untouched)
        assert current_propagator(ours) is ours

    @pytest.mark.parametrize(
        ("installed", "expected"),
        [
            (CompositePropagator([TraceContextTextMapPropagator()]), OURS[:1]),
            (CompositePropagator([W3CBaggagePropagator(), B3MultiFormat()]), [OURS[1], "B3MultiFormat"]),
            (CompositePropagator([]), []),
        ],
    )
    def test_strict_in_place_of_what_is_not(
        self, monkeypatch: pytest.MonkeyPatch, installed: CompositePropagator, expected: list[str]
    ) -> None:
        monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", installed)
        assert members(current_propagator(CompositePropagator([B3SingleFormat()]))) == expected

    @pytest.mark.parametrize("installed", [B3MultiFormat(), TraceContextPropagator()])
    def test_others_as_they_are(self, monkeypatch: pytest.MonkeyPatch, installed: TextMapPropagator) -> None:
        monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", installed)
        assert current_propagator(CompositePropagator([])) is installed

    def test_a_single_one_that_is_not_strict(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", TraceContextTextMapPropagator())
        assert isinstance(current_propagator(CompositePropagator([])), TraceContextPropagator)


class TestForeignPropagators:
    """They read the attributes of our spans, a live one's parent among them, and we continue what they have read."""

    @pytest.mark.parametrize("name", ["b3", "b3multi", "jaeger", "ottrace", "xray"])
    def test_there_and_back(self, monkeypatch: pytest.MonkeyPatch, kept: Kept, name: str) -> None:
        monkeypatch.setenv("OTEL_PROPAGATORS", name)
        instrument(transport_config=kept.config)
        tracer = trace.get_tracer("x")
        carrier: dict[str, str] = {}
        # Sampled and nothing else: OpenTracing's propagator takes the flag of random identifiers for "not sampled".
        caller = TraceContextPropagator().extract({"traceparent": HEADER})
        with tracer.start_as_current_span("sender", context=caller) as sender:
            propagate.inject(carrier)
        assert carrier
        with tracer.start_as_current_span("receiver", context=propagate.extract(carrier)) as receiver:
            # OpenTracing's trace has 64 bits.
            sent = int(TRACE[16:] if name == "ottrace" else TRACE, 16)
            assert receiver.get_span_context().trace_id == sent
            assert receiver.parent.is_remote
            assert receiver.parent.span_id == sender.get_span_context().span_id
            assert receiver.is_recording()

    def test_what_b3_says_of_our_span(self, kept: Kept) -> None:
        carrier: dict[str, str] = {}
        with kept.tracer.start_as_current_span("x") as span:
            B3MultiFormat().inject(carrier)
        carrier.pop("x-b3-parentspanid", None)
        assert carrier == {"x-b3-traceid": span.trace_id, "x-b3-spanid": span.span_id, "x-b3-sampled": "1"}

    def test_what_jaeger_says_of_our_span(self, kept: Kept) -> None:
        carrier: dict[str, str] = {}
        with (
            kept.tracer.start_as_current_span("parent", baggage={"user": "7"}) as parent,
            kept.tracer.start_as_current_span("x") as span,
        ):
            JaegerPropagator().inject(carrier)
        trace_id, span_id, parent_id, flags = (int(part, 16) for part in carrier["uber-trace-id"].split(":"))
        assert (trace_id, span_id) == (int(span.trace_id, 16), int(span.span_id, 16))
        assert parent_id == int(parent.span_id, 16)
        assert flags & 1
        assert carrier["uberctx-user"] == "7"

    def test_an_unsampled_one(self, kept: Kept) -> None:
        carrier: dict[str, str] = {}
        with kept.tracer.start_as_current_span("x", headers={"traceparent": HEADER[:-1] + "0"}):
            B3SingleFormat().inject(carrier)
        assert carrier["b3"].split("-")[2] == "0"

    def test_several_ways_in(self) -> None:
        """What comes later in the list wins, and nothing takes away what came before."""
        both = CompositePropagator([TraceContextPropagator(), B3MultiFormat(), BaggagePropagator()])
        b3 = {"x-b3-traceid": "1" * 32, "x-b3-spanid": "2" * 16, "x-b3-sampled": "1"}

        def read(carrier: dict[str, Any]) -> trace.SpanContext:
            return trace.get_current_span(both.extract(carrier)).get_span_context()

        assert read({"traceparent": HEADER}).trace_id == int(TRACE, 16)
        assert read(b3).trace_id == int("1" * 32, 16)
        assert read({"traceparent": HEADER, **b3}).trace_id == int("1" * 32, 16)
        assert both.fields >= {"traceparent", "tracestate", "baggage", "x-b3-traceid"}
        found = both.extract({"traceparent": HEADER, "baggage": "a=1"})
        assert baggage.get_all(found) == {"a": "1"}
        assert trace.get_current_span(found).get_span_context().span_id == int(SPAN, 16)
        carrier: dict[str, str] = {}
        both.inject(carrier, found)
        assert carrier["traceparent"] == HEADER
        assert carrier["x-b3-traceid"] == TRACE
        assert carrier["baggage"] == "a=1"


def test_without_a_context_nothing_current_is_read(kept: Kept) -> None:
    """Extracting begins at the root, as a request has nothing to do with what the server is in."""
    with kept.tracer.start_as_current_span("x", baggage={"a": "1"}):
        for propagator in (TraceContextPropagator(), BaggagePropagator()):
            assert propagator.extract({}) == context.Context()
