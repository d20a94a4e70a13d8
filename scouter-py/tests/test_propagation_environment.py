"""Trace context and baggage for processes that start other processes: `TRACEPARENT`, `TRACESTATE`, `BAGGAGE`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from opentelemetry import baggage, context, propagate, trace
from opentelemetry.propagators.b3 import B3MultiFormat
from support import Kept, clean_environment, run_script

from scouter.tracing import (
    EnvironmentGetter,
    EnvironmentSetter,
    TraceContextPropagator,
    context_from_environment,
    environment_for_child,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
HEADER = f"00-{TRACE}-{SPAN}-01"

CHILD = """
    import json, os, subprocess, sys
    from opentelemetry import baggage, context, trace
    from scouter import MockConfig
    from scouter.tracing import context_from_environment, environment_for_child, init_tracer

    config = MockConfig()
    tracer = init_tracer(service_name="child", transport_config=config)
    with tracer.start_as_current_span("child", context=context_from_environment()) as span:
        context.attach(baggage.set_baggage("step", "1", trace.set_span_in_context(span, context_from_environment())))
        mine = {"trace": span.trace_id, "parent": format(span.parent.span_id, "016x") if span.parent else None,
                "state": span.get_span_context().trace_state.to_header(), "baggage": dict(baggage.get_all())}
        below = None
        if len(sys.argv) > 1:
            done = subprocess.run([sys.executable, __file__], env=environment_for_child(), capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            below = json.loads(done.stdout)
            assert below["parent"] == span.span_id
    print(json.dumps({**mine, "below": below}))
"""


def test_a_child_and_its_child(tmp_path: Path, kept: Kept) -> None:
    script = tmp_path / "child.py"
    script.write_text(textwrap.dedent(CHILD))
    parent = {"traceparent": HEADER, "tracestate": "vendor=1"}
    with kept.tracer.start_as_current_span("x", headers=parent, baggage={"user": "Amélie"}) as span:
        environment = environment_for_child(clean_environment())
    done = subprocess.run(
        [sys.executable, str(script), "once more"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    child = json.loads(done.stdout)
    assert child["parent"] == span.span_id
    assert child["baggage"] == {"user": "Amélie", "step": "1"}
    for process in (child, child["below"]):
        assert process["trace"] == TRACE
        assert process["state"] == "vendor=1"
    assert child["below"]["baggage"] == {"user": "Amélie", "step": "1"}


def test_a_process_without_a_parent(tmp_path: Path) -> None:
    done = run_script(tmp_path, CHILD, environment={"TRACEPARENT": HEADER.upper(), "BAGGAGE": "not valid"})
    assert done.returncode == 0, done.stderr
    child = json.loads(done.stdout)
    assert child["parent"] is None
    assert child["baggage"] == {"step": "1"}


def test_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"TRACEPARENT": HEADER, "TRACESTATE": "a=1,b=2", "BAGGAGE": "k=%20v;p=1"}
    found = context_from_environment(variables)
    span = trace.get_current_span(found).get_span_context()
    assert (span.trace_id, span.span_id, span.is_remote) == (int(TRACE, 16), int(SPAN, 16), True)
    assert span.trace_state.to_header() == "a=1,b=2"
    assert baggage.get_all(found) == {"k": " v"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert trace.get_current_span(context_from_environment()).get_span_context() == span
    # Names are in upper case ("Case Sensitivity").
    lower = {name.lower(): value for name, value in variables.items()}
    assert not trace.get_current_span(context_from_environment(lower)).get_span_context().is_valid


def test_writing(kept: Kept) -> None:
    stale = {"PATH": "/bin", "TRACEPARENT": HEADER, "TRACESTATE": "old=1", "BAGGAGE": "old=1"}
    with kept.tracer.start_as_current_span("x") as span:
        made = environment_for_child(stale)
    assert made == {"PATH": "/bin", "TRACEPARENT": f"00-{span.trace_id}-{span.span_id}-03"}
    # A copy: what this process was started with stays as it is ("Environment Variable Immutability").
    assert stale["TRACEPARENT"] == HEADER
    assert environment_for_child(stale) == {"PATH": "/bin"}
    given = baggage.set_baggage("a", "1", context.Context())
    assert environment_for_child({}, given) == {"BAGGAGE": "a=1"}
    assert environment_for_child().keys() >= {"PATH"}
    assert "TRACEPARENT" not in os.environ


def test_carriers_of_any_propagator() -> None:
    getter, setter = EnvironmentGetter(), EnvironmentSetter()
    sent: dict[str, str] = {}
    parent = TraceContextPropagator().extract({"traceparent": HEADER})
    B3MultiFormat().inject(sent, parent, setter)
    assert sent == {"X_B3_TRACEID": TRACE, "X_B3_SPANID": SPAN, "X_B3_SAMPLED": "1"}
    found = trace.get_current_span(B3MultiFormat().extract(sent, None, getter)).get_span_context()
    assert (found.trace_id, found.span_id) == (int(TRACE, 16), int(SPAN, 16))


@pytest.mark.parametrize(
    ("field", "variable"),
    [
        ("traceparent", "TRACEPARENT"),
        ("x-b3-traceid", "X_B3_TRACEID"),
        ("already_OK_1", "ALREADY_OK_1"),
        ("1st", "_1ST"),
        ("a.b c", "A_B_C"),
        ("é", "_"),
        ("", "_"),
    ],
)
def test_names(field: str, variable: str) -> None:
    carrier: dict[str, str] = {}
    EnvironmentSetter().set(carrier, field, "v")
    assert carrier == {variable: "v"}
    assert EnvironmentGetter().get(carrier, field) == ["v"]
    assert EnvironmentGetter().get({}, field) is None


def test_keys() -> None:
    variables = {"TRACEPARENT": "", "lower": "", "_X1": "", "1X": "", "A-B": "", "": ""}
    assert EnvironmentGetter().keys(variables) == ["TRACEPARENT", "_X1"]


def test_through_the_global_functions(kept: Kept) -> None:
    with kept.tracer.start_as_current_span("x") as span:
        carrier: dict[str, str] = {}
        propagate.inject(carrier, setter=EnvironmentSetter())
    found = propagate.extract(carrier, getter=EnvironmentGetter())
    assert trace.get_current_span(found).get_span_context().span_id == int(span.span_id, 16)
