"""Pipelines whose servers hang, at the end of the process: one deadline for all of them together."""

from __future__ import annotations

import time
from pathlib import Path

from collector.scripted import HANG, SCRIPTED, ScriptedHttp
from test_lifecycle_exit import start

HANGING = """
import sys
from opentelemetry import trace
from scouter import BatchConfig, GrpcConfig, HttpConfig
from scouter.tracing import *

kind, bad, good = sys.argv[1:]
transport, exporter = {"http": (HttpConfig, HttpSpanExporter), "grpc": (GrpcConfig, GrpcSpanExporter)}[kind]
settings = dict(
    transport_config=transport(uri=bad),
    exporter=HttpSpanExporter(export_config=OtelExportConfig(endpoint=good)),
    batch_config=BatchConfig(scheduled_delay_ms=3_600_000),
)
both = dict(settings, exporter=exporter(export_config=OtelExportConfig(endpoint=bad)))
instrument(**settings)
tracers = [trace.get_tracer("x"), init_tracer(**settings), init_tracer(**both)]
for tracer in tracers:
    for at in range(3000):
        with tracer.start_as_current_span(str(at)):
            pass
"""


def test_a_server_that_hangs_holds_the_end_up_no_longer_than_the_deadline(tmp_path: Path) -> None:
    """One deadline for all pipelines together; what does not hang gets everything; nothing is printed."""
    bad = {protocol: make() for protocol, make in SCRIPTED.items()}
    good = {protocol: ScriptedHttp() for protocol in SCRIPTED}
    for receiver in bad.values():
        receiver.always = HANG
    started = time.monotonic()
    # Side by side, as both wait for the deadline.
    running = {
        protocol: start(tmp_path, HANGING, protocol, receiver.uri, good[protocol].uri)
        for protocol, receiver in bad.items()
    }
    for protocol, process in running.items():
        assert process.communicate(timeout=60) == ("", "")
        assert process.returncode == 0
        assert len(good[protocol].names) == 6000
    # Five seconds for the flush, the rest for starting Python twice on a busy machine.
    assert time.monotonic() - started < 5 + 10
    for receiver in (*bad.values(), *good.values()):
        assert receiver.attempts
        receiver.close()
