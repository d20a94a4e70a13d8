"""Tracing that comes back to itself: while the context changes, and while what is made once is being made."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support import run_script

_AT_EVERY_ALLOCATION = """
import gc
import sys
from contextvars import ContextVar

from opentelemetry import context, trace
from scouter import MockConfig
from scouter.tracing import init_tracer

tracer = init_tracer(service_name="test", transport_config=MockConfig())
others = [ContextVar(str(at)) for at in range(int(sys.argv[1]))]
for at, other in enumerate(others):
    other.set([at])
collections, hoard = 0, []


def callback(phase, info):
    global collections
    gc.disable()
    collections += 1
    with tracer.start_as_current_span("of the callback") as span:
        assert trace.get_current_span() is span
        # What was freed a moment ago now belongs to somebody else.
        hoard.extend(bytes(size) for size in range(0, 480, 8) for _ in range(20))


def collect_after(allocations, call, *arguments):
    keep = [[] for _ in range(5)]
    gc.set_threshold(gc.get_count()[0] + allocations, 1000, 1000)
    gc.enable()
    call(*arguments)
    gc.disable()


gc.disable()
gc.callbacks.append(callback)
for allocations in list(range(8)) * 20:
    gc.collect(0)
    hoard.clear()
    span = tracer.start_as_current_span("x")
    collect_after(allocations, span.__enter__)
    assert trace.get_current_span() is span
    collect_after(allocations, span.__exit__, None, None, None)
    assert (trace.get_current_span(), dict(context.get_current())) == (trace.INVALID_SPAN, {})
    assert [other.get() for other in others] == [[at] for at in range(len(others))]
assert collections > 160
print("held")
"""


@pytest.mark.parametrize("others", [1, 5, 40])
def test_a_collection_that_traces(tmp_path: Path, others: int) -> None:
    """Before Python 3.12 a collection may come with any allocation, in the middle of a change of the context too.

    Whatever runs then (a finaliser, a callback, a signal handler that is due) may trace. How the context's map is built
    depends on how many variables are in it.
    """
    ran = run_script(tmp_path, _AT_EVERY_ALLOCATION, str(others))
    assert (ran.returncode, ran.stdout) == (0, "held\n"), ran.stderr


_WHILE_IT_IS_MADE = """
import builtins

from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from scouter import MockConfig
from scouter.tracing import TracerProvider


class Odd:
    pass


imported, outer, real = [], [], builtins.__import__


def work():
    with tracer.start_as_current_span("x", attributes={"a": 1}) as span:
        outer.append(span)
        for seen in outer[:1] + [span]:
            seen.get_span_context(), seen.instrumentation_scope, seen.resource, seen.attributes
            seen.set_attribute("a", Odd())
            seen.set_input([Odd()])
        assert trace.get_current_span() is span


def importing(*arguments, **options):
    if arguments[0] not in imported:
        imported.append(arguments[0])
        work()
    return real(*arguments, **options)


provider = TracerProvider(transport_config=MockConfig(), sampler=ALWAYS_ON)
provider.add_span_processor(SpanProcessor())
tracer = provider.get_tracer("test", "1", "https://schema", {"a": 1})
builtins.__import__ = importing
work()
builtins.__import__ = real
assert imported
assert trace.get_current_span() is trace.INVALID_SPAN
print("came to an end")
"""


def test_what_is_made_once_is_asked_for_while_it_is_made(tmp_path: Path) -> None:
    """A signal handler may trace in the middle of an import that tracing began; an import that traces always does."""
    try:
        ran = run_script(tmp_path, _WHILE_IT_IS_MADE, seconds=20.0)
    except subprocess.TimeoutExpired:
        pytest.fail("waited for itself")
    assert (ran.returncode, ran.stdout) == (0, "came to an end\n"), ran.stderr
