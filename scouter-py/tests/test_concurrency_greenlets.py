"""gevent, its patches included: greenlets trace as they do under ``opentelemetry-sdk``, and nothing waits for ever."""

from __future__ import annotations

from pathlib import Path

from support import Receiver, run_script

GREENLETS = """
from gevent import monkey
monkey.patch_all()
import sys, threading, time
import gevent
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider as SdkProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from scouter import HttpConfig
from scouter.tracing import TestSpanExporter, TracerProvider

def program(tracer):
    def work(name):
        with tracer.start_as_current_span(name) as span:
            for at in range(3):
                gevent.sleep(0)
                assert trace.get_current_span() is span
                with tracer.start_as_current_span(f"{name}, {at}"):
                    time.sleep(0.001)

    with tracer.start_as_current_span("outer"):
        gevent.joinall([gevent.spawn(work, f"greenlet {at}") for at in range(5)], raise_error=True)
        thread = threading.Thread(target=work, args=("thread",))
        thread.start()
        thread.join()

def tree(spans):
    names = {span.context.span_id: span.name for span in spans}
    return sorted((span.name, names[span.parent.span_id] if span.parent else "no parent") for span in spans)

ours = TestSpanExporter()
provider = TracerProvider(transport_config=HttpConfig(sys.argv[1]), exporter=ours)
program(provider.get_tracer("x"))
assert provider.force_flush(20_000)
theirs, sdk = InMemorySpanExporter(), SdkProvider()
sdk.add_span_processor(SimpleSpanProcessor(theirs))
program(sdk.get_tracer("x"))
assert tree(ours.spans) == tree(theirs.get_finished_spans()), tree(ours.spans)
provider.get_tracer("x").start_span("at exit").end()
"""


def test_greenlets(receiver: Receiver, tmp_path: Path) -> None:
    result = run_script(tmp_path, GREENLETS, receiver.uri)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert len(receiver.names) == 26
    assert "at exit" in receiver.names
