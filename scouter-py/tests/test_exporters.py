"""Exporters of every kind as destinations: of the SDK, of users, onto the standard output, into a list."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from support import Receiver, run_script

from scouter import BatchConfig, MockConfig
from scouter.errors import ConfigTypeError
from scouter.tracing import (
    FinishedSpan,
    HttpSpanExporter,
    OtelExportConfig,
    StdoutSpanExporter,
    TestSpanExporter,
    TracerProvider,
)

REMOTE = trace.SpanContext(3, 4, True, trace.TraceFlags(1), trace.TraceState([("vendor", "x")]))


def made(exporter: Any, **arguments: Any) -> tuple[TracerProvider, Any, MockConfig]:
    config = MockConfig()
    provider = TracerProvider(transport_config=config, exporter=exporter, **arguments)
    return provider, provider.get_tracer("scope", "1.0", "https://schema", {"scoped": True}), config


def busy(tracer: Any) -> Any:
    """A span that has one of everything, and its parent."""
    remote = trace.set_span_in_context(trace.NonRecordingSpan(REMOTE), context.Context())
    with tracer.start_as_current_span("parent", remote):
        span = tracer.start_span("all", kind=trace.SpanKind.CLIENT, attributes={"a": 1, "b": (1.5, 2.5), "c": b"\x00"})
        span.add_event("event", {"e": True}, 7)
        span.add_link(REMOTE, {"linked": "yes"})
        span.set_status(trace.StatusCode.ERROR, "why")
        span.end()
    return span


FIELDS = [
    "name",
    "context",
    "parent",
    "kind",
    "start_time",
    "end_time",
    "attributes",
    "resource",
    "instrumentation_scope",
    "dropped_attributes",
    "dropped_events",
    "dropped_links",
    "trace_id",
    "span_id",
]


def test_a_finished_span_reads_like_the_live_one_did() -> None:
    kept = InMemorySpanExporter()
    provider, tracer, _ = made(kept)
    live = busy(tracer)
    assert provider.force_flush(10_000)
    finished = next(span for span in kept.get_finished_spans() if span.name == "all")
    assert isinstance(finished, FinishedSpan)
    for field in FIELDS:
        assert getattr(finished, field) == getattr(live, field), field
    assert finished.to_json() == live.to_json()
    assert (finished.status.status_code, finished.status.description) == (trace.StatusCode.ERROR, "why")
    assert [(e.name, e.timestamp, e.attributes) for e in finished.events] == [("event", 7, {"e": True})]
    assert [(link.context, link.attributes) for link in finished.links] == [(REMOTE, {"linked": "yes"})]
    assert finished.get_span_context() is finished.get_span_context()
    assert not finished.is_recording()
    parent = next(span for span in kept.get_finished_spans() if span.name == "parent").parent
    assert parent == REMOTE
    assert parent.is_remote
    with pytest.raises(TypeError):
        finished.attributes["x"] = 1
    with pytest.raises(AttributeError):
        finished.name = "x"
    with pytest.raises(TypeError):
        FinishedSpan()


class Scripted(SpanExporter):
    """Answers as told, and notes what it gets."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.batches: list[list[str]] = []
        self.told: list[Any] = []
        self.busy = threading.Lock()

    def export(self, spans: Sequence[Any]) -> Any:
        assert self.busy.acquire(blocking=False), "called twice at the same time"
        try:
            self.batches.append([span.name for span in spans])
            answer = self.answers.pop(0) if self.answers else SpanExportResult.SUCCESS
            return answer() if callable(answer) else answer
        finally:
            self.busy.release()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        self.told.append("flush")
        return True

    def shutdown(self) -> None:
        self.told.append("shutdown")


def destination(provider: TracerProvider, name: str) -> Any:
    found = provider.stats()["destinations"][name]
    stats = provider.stats()
    lost = sum(found["dropped"].values())
    assert stats["started"] == stats["live"] + found["exported"] + found["thinned"] + found["queued"] + lost
    return found


def test_it_is_a_destination_like_any_other() -> None:
    exporter = Scripted()
    provider, tracer, config = made(
        exporter, batch_config=BatchConfig(max_export_batch_size=10, scheduled_delay_ms=60_000)
    )
    for number in range(25):
        tracer.start_span(str(number)).end()
    assert provider.force_flush(10_000)
    assert sorted(map(len, exporter.batches)) == [5, 10, 10]
    assert sorted(name for batch in exporter.batches for name in batch) == sorted(span["name"] for span in config.spans)
    assert exporter.told == ["flush"]
    assert destination(provider, "Scripted")["exported"] == 25
    assert provider.shutdown()
    assert provider.shutdown()
    assert exporter.told == ["flush", "shutdown"]


def _raises() -> None:
    raise ZeroDivisionError("in export")


@pytest.mark.parametrize("answer", [SpanExportResult.FAILURE, _raises])
def test_what_fails_is_dropped_and_counted_and_not_tried_again(answer: Any, caplog: pytest.LogCaptureFixture) -> None:
    # A class of its own, because one kind of problem is logged once a minute.
    name = f"Answers{answer.__class__.__name__}"
    exporter = type(name, (Scripted,), {})(answer)
    provider, tracer, config = made(exporter)
    tracer.start_span("lost").end()
    with caplog.at_level(logging.WARNING, "scouter"):
        assert not provider.force_flush(10_000)
    tracer.start_span("arrives").end()
    assert provider.force_flush(10_000)
    found = destination(provider, name)
    assert (found["exported"], found["dropped"]["refused"], found["retries"]) == (1, 1, 0)
    assert name in found["last_error"]
    assert exporter.batches == [["lost"], ["arrives"]]
    assert [span["name"] for span in config.spans] == ["lost", "arrives"]
    assert any(name in record.getMessage() for record in caplog.records)
    assert provider.stats()["plugin_failures_by_role"]["exporter"] == (1 if answer is _raises else 0)


@pytest.mark.parametrize("answer", [None, True, SpanExportResult.SUCCESS, 0])
def test_what_is_no_failure_is_success(answer: Any) -> None:
    provider, tracer, _ = made(Scripted(answer))
    tracer.start_span("a").end()
    assert provider.force_flush(10_000)
    assert destination(provider, "Scripted")["exported"] == 1


def test_one_that_hangs_holds_nobody_up() -> None:
    go = threading.Event()
    exporter = Scripted(lambda: go.wait(30) and SpanExportResult.SUCCESS)
    provider, tracer, config = made(
        exporter, batch_config=BatchConfig(export_timeout_ms=200, max_export_batch_size=1, scheduled_delay_ms=0)
    )
    begun = time.monotonic()
    for name in ("hangs", "waits", "waits too"):
        tracer.start_span(name).end()
        assert not provider.force_flush(10_000)
    assert len(config.spans) == 3
    assert time.monotonic() - begun < 5
    found = destination(provider, "Scripted")
    assert (found["dropped"]["refused"], found["exported"]) == (3, 0)
    assert exporter.batches == [["hangs"]]
    go.set()
    tracer.start_span("after").end()
    provider.force_flush(10_000)
    assert exporter.batches[-1] == ["after"]
    assert provider.shutdown()
    assert exporter.told[-1] == "shutdown"


def test_the_program_goes_on_while_one_exports() -> None:
    """An exporter that keeps the interpreter busy and the threads that make spans share it; nothing waits for ever."""
    total = 0

    class Slow(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            nonlocal total
            for span in spans:
                total += len(span.to_json())
            return SpanExportResult.SUCCESS

    provider, tracer, _ = made(Slow())
    threads = [
        threading.Thread(target=lambda: [tracer.start_span("a", attributes={"k": 1}).end() for _ in range(1_000)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert provider.force_flush(30_000)
    assert destination(provider, "Slow")["exported"] == 4_000
    assert total > 4_000 * 100


def test_what_it_does_on_the_network_is_not_traced() -> None:
    suppressed = []

    class Looks(Scripted):
        def export(self, spans: Any) -> Any:
            suppressed.append(context.get_value(context._SUPPRESS_INSTRUMENTATION_KEY))
            return super().export(spans)

    provider, tracer, _ = made(Looks())
    tracer.start_span("a").end()
    assert provider.force_flush(10_000)
    assert suppressed == [True]


def test_several_of_every_kind(
    receiver: Receiver, second_receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    memory, more, test = InMemorySpanExporter(), InMemorySpanExporter(), TestSpanExporter()
    exporters = [
        HttpSpanExporter(export_config=OtelExportConfig(endpoint=receiver.uri)),
        HttpSpanExporter(export_config=OtelExportConfig(endpoint=second_receiver.uri)),
        OTLPSpanExporter(f"{receiver.uri}/v1/traces"),
        memory,
        more,
        test,
        StdoutSpanExporter(),
    ]
    provider, tracer, config = made(exporters)
    busy(tracer)
    assert provider.force_flush(10_000)
    assert provider.stats()["destinations"].keys() == {
        "scouter",
        "otel",
        "otel-2",
        "OTLPSpanExporter",
        "InMemorySpanExporter",
        "InMemorySpanExporter-2",
        "stdout",
    }
    assert [span["name"] for span in config.spans] == ["all", "parent"]
    assert receiver.names == ["all", "parent"] * 2
    assert second_receiver.names == ["all", "parent"]
    for finished in (memory.get_finished_spans(), more.get_finished_spans(), test.spans):
        assert [span.name for span in finished] == ["all", "parent"]
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [span["name"] for span in printed] == ["all", "parent"]
    assert provider.shutdown()


def test_one_that_has_only_export_is_enough() -> None:
    got: list[str] = []

    class Least:
        def export(self, spans: Any) -> None:
            got.extend(span.name for span in spans)

    provider, tracer, _ = made(Least())
    tracer.start_span("a").end()
    assert provider.force_flush(10_000)
    assert provider.shutdown()
    assert got == ["a"]


@pytest.mark.parametrize("wrong", [1, "console", object(), InMemorySpanExporter, [1], [TestSpanExporter], {"a": 1}])
def test_what_is_no_exporter_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigTypeError, match="exporter"):
        made(wrong)


def test_an_empty_list_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    provider, _, _ = made([])
    assert provider.stats()["destinations"].keys() == {"scouter"}


def test_a_ratio_for_all_wins_over_an_exporters_own() -> None:
    test, alone = TestSpanExporter(sample_ratio=0.0), TestSpanExporter(sample_ratio=0.0)
    made([test], sample_ratio=1.0)[1].start_span("a").end()
    made([alone])[1].start_span("a").end()
    assert [span.name for span in test.spans] == ["a"]
    assert alone.spans == []


def test_spans_still_held_are_exported_at_the_end_of_the_process(tmp_path: Path) -> None:
    script = """
        from opentelemetry import trace
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter
        from scouter import MockConfig
        from scouter.tracing import instrument

        class Says(ConsoleSpanExporter):
            def shutdown(self):
                print("shut down", flush=True)

        instrument(transport_config=MockConfig(), exporter=Says(formatter=lambda span: span.name + "\\n"))
        trace.get_tracer("x").start_span("held").end()
    """
    done = run_script(tmp_path, script)
    assert (done.stdout, done.stderr, done.returncode) == ("held\nshut down\n", "", 0)


def test_a_forked_child_exports_by_itself(tmp_path: Path) -> None:
    script = """
        import os, sys
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter
        from scouter import MockConfig
        from scouter.tracing import TracerProvider

        line = lambda span: f"{os.getpid() == int(sys.argv[1]) if len(sys.argv) > 1 else 'x'} {span.name}\\n"
        parent = os.getpid()
        exporter = ConsoleSpanExporter(formatter=lambda span: f"{os.getpid() == parent} {span.name}\\n")
        provider = TracerProvider(transport_config=MockConfig(), exporter=exporter)
        tracer = provider.get_tracer("x")
        tracer.start_span("before").end()
        assert provider.force_flush()
        tracer.start_span("the parent's").end()
        child = os.fork()
        if not child:
            tracer.start_span("in the child").end()
            assert provider.shutdown()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert provider.shutdown()
    """
    done = run_script(tmp_path, script)
    assert sorted(done.stdout.splitlines()) == ["False in the child", "True before", "True the parent's"]
    assert (done.stderr, done.returncode) == ("", 0)


def test_spans_of_the_sdks_console_exporter_are_the_same_as_under_the_sdk(capsys: pytest.CaptureFixture[str]) -> None:
    import sys

    provider, tracer, _ = made(ConsoleSpanExporter(out=sys.stdout))
    span = busy(tracer)
    assert provider.force_flush(10_000)
    assert capsys.readouterr().out.startswith(span.to_json() + "\n")
