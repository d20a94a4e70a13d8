"""Nothing grows over 600 000 spans, whatever becomes of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import run_script

# Each makes ten spans a turn.
TURNS = {
    "plain": """
def turn():
    for _ in range(10):
        with tracer.start_as_current_span("x", attributes={"a": 1, "b": "text"}) as span:
            span.add_event("e", {"k": [1, "v"]})
            span.set_input({"a": [1]})
            span.get_span_context()
""",
    "exceptions": """
def turn():
    for _ in range(10):
        try:
            with tracer.start_as_current_span("x"):
                raise ValueError("text")
        except ValueError:
            pass
""",
    "decorated": """
@tracer.span("x", tags={"a": "b"}, baggage={"k": "v"})
def work(value, *rest, **more):
    return [value]

@tracer.start_as_current_span("x")
def current():
    pass

@tracer.span("x")
async def asynchronous():
    return 1

def turn():
    for at in range(8):
        work(at, object(), more={"k": 1})
    current()
    try:
        asynchronous().send(None)
    except StopIteration:
        pass
""",
    "generators abandoned": """
@tracer.span("x")
def stream():
    for at in range(3):
        yield [at]

def turn():
    for _ in range(10):
        for item in stream():
            break
""",
    "never ended": """
def turn():
    for _ in range(4):
        tracer.start_span("x", attributes={"a": "text" * 100}).add_event("e")
        block = tracer.start_as_current_span("x")
        contextvars.copy_context().run(block.__enter__)
    spans = [tracer.start_span("x") for _ in range(2)]
    spans.append(spans)
""",
    "decorators made anew": """
class Box:
    pass

def turn():
    for _ in range(10):
        box = Box()

        @tracer.span("x", attributes={"box": box})
        def work(value=box):
            return value

        work()
        box.work = work
""",
    "links, headers and remote parents": """
from scouter.tracing import get_tracing_headers_from_current_span
def turn():
    headers = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate": "a=b"}
    for _ in range(5):
        with tracer.start_as_current_span("x", headers=headers) as span:
            get_tracing_headers_from_current_span()
            with tracer.start_as_current_span("x", links=[trace.Link(span.get_span_context(), {"a": 1})]) as inner:
                inner.links, inner.attributes, inner.events, inner.to_json()
""",
    "not sampled": """
tracer = init_tracer(transport_config=config, sample_ratio=0.0)
def turn():
    for at in range(10):
        with tracer.start_as_current_span("x", attributes={"a": "text"}) as span:
            span.get_span_context()
            span.set_input([at])
""",
    "records": """
from scouter.queue import AgentProfile, CustomProfile, EvalRecord, Feature, Metrics, ScouterQueue
profiles = [CustomProfile("s", "m", "1", ["x"]), AgentProfile("s", "a", "1", [{"id": "t"}])]
queue = ScouterQueue.from_profile(profiles, config)
tracer.set_scouter_queue(queue)
def turn():
    for at in range(10):
        with tracer.start_as_current_span("x") as span:
            span.insert_queue_item("m", Metrics({"x": at}))
            queue["a"].insert(EvalRecord({"at": [at]}, id=at, tags={"a": "b"}))
            queue["m"].insert({"x": "does not fit"})
            context = {}
            context["own"] = [EvalRecord(context), Feature("a", context)]
            queue["a"].insert(context)
    queue.flush(10)
    config.clear()
""",
}
SPANS = {
    "exceptions": 40_000,
    "decorators made anew": 10_000,
    "links, headers and remote parents": 40_000,
    "records": 40_000,
}
SPANS |= {name: (600_000 - sum(SPANS.values())) // (len(TURNS) - len(SPANS)) for name in TURNS if name not in SPANS}

SCRIPT = """
import contextvars, gc, resource, sys, tracemalloc
from opentelemetry import context, trace
from scouter import MockConfig
from scouter.tracing import init_tracer

config = MockConfig()
tracer = init_tracer(transport_config=config)

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

def run(spans):
    for at in range(spans // 10):
        turn()
        if at % 500 == 0:
            assert tracer.flush(10_000)
            config.clear()
    assert tracer.flush(10_000)
    config.clear()
    gc.collect()

TURN

run(20_000)
before = resident()
run(int(sys.argv[1]))
grown = resident() - before
tracemalloc.start()
run(2_000)
before, _ = tracemalloc.get_traced_memory()
run(10_000)
after, _ = tracemalloc.get_traced_memory()
assert trace.get_current_span() is trace.INVALID_SPAN
stats = tracer.stats()
assert stats["live"] == 0 and stats["panics"] == 0, stats
print(grown, after - before)
"""


def test_it_is_600_000_spans() -> None:
    assert sum(SPANS.values()) >= 600_000 - len(SPANS)


@pytest.mark.parametrize("kind", TURNS)
def test_nothing_grows(tmp_path: Path, kind: str) -> None:
    done = run_script(tmp_path, SCRIPT.replace("TURN\n", TURNS[kind], 1), str(SPANS[kind]))
    assert done.returncode == 0, done.stderr
    grown, traced = map(int, done.stdout.split())
    assert grown < 4_000_000
    # Nothing that is kept for a span fits into four bytes.
    assert traced < 40_000
