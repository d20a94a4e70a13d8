"""Exporters that stay in the process, and what OTEL_TRACES_EXPORTER names."""

from __future__ import annotations

import json
import logging
import threading
import time
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from support import Receiver
from test_exporters import busy, destination, made

from scouter import BatchConfig, MockConfig
from scouter.errors import ConfigError, ConfigTypeError
from scouter.tracing import (
    GrpcSpanExporter,
    ScouterInstrumentor,
    StdoutSpanExporter,
    TestSpanExporter,
    init_tracer,
    instrument,
)


class TestTestSpanExporter:
    def test_spans_are_there_as_they_end(self) -> None:
        exporter = TestSpanExporter()
        tracer = init_tracer(transport_config=MockConfig(), exporter=exporter)
        with tracer.start_as_current_span("outer") as outer:
            tracer.start_span("inner").end()
            assert [span.name for span in exporter.spans] == ["inner"]
        assert [span.name for span in exporter.spans] == ["inner", "outer"]
        assert exporter.spans[0].parent == outer.get_span_context()
        before = exporter.spans
        exporter.clear()
        assert (exporter.spans, len(before)) == ([], 2)

    def test_whole_traces_are_kept_or_left_out(self) -> None:
        exporter = TestSpanExporter(sample_ratio=0.5)
        provider, tracer, config = made(exporter)
        for _ in range(100):
            with tracer.start_as_current_span("a"):
                tracer.start_span("b").end()
        kept = {span.trace_id for span in exporter.spans}
        assert 20 < len(kept) < 80
        assert len(exporter.spans) == 2 * len(kept)
        assert provider.force_flush(10_000)
        assert len(config.spans) == 200

    def test_many_threads(self) -> None:
        exporter = TestSpanExporter()
        _, tracer, _ = made(exporter)
        threads = [
            threading.Thread(target=lambda: [tracer.start_span("a").end() for _ in range(500)]) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(exporter.spans) == 4_000

    def test_unsampled_spans_are_not_kept(self) -> None:
        exporter = TestSpanExporter()
        made(exporter, sample_ratio=0.0)[1].start_span("a").end()
        assert exporter.spans == []

    def test_one_exporter_for_two_pipelines(self) -> None:
        exporter = TestSpanExporter()
        for name in ("a", "b"):
            init_tracer(service_name=name, transport_config=MockConfig(), exporter=exporter).start_span(name).end()
        assert [span.resource.attributes["service.name"] for span in exporter.spans] == ["a", "b"]


class TestStdoutSpanExporter:
    def test_a_line_of_json_for_every_span(self, capsys: pytest.CaptureFixture[str]) -> None:
        instrument(transport_config=MockConfig(), exporter=StdoutSpanExporter())
        span = busy(trace.get_tracer("x"))
        ScouterInstrumentor().uninstrument()
        first, second = capsys.readouterr().out.splitlines()
        assert json.loads(first) == json.loads(span.to_json())
        assert json.loads(second)["name"] == "parent"

    def test_one_by_one(self, capsys: pytest.CaptureFixture[str]) -> None:
        exporter = StdoutSpanExporter(batch_export=False)
        provider, tracer, config = made(exporter, batch_config=BatchConfig(scheduled_delay_ms=600_000))
        for _ in range(3):
            tracer.start_span("a").end()
        deadline, printed = time.monotonic() + 10, ""
        while printed.count("\n") < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
            printed += capsys.readouterr().out
        assert printed.count("\n") == 3
        # Nobody else's batches are torn apart by that.
        assert config.requests == []
        assert provider.stats()["destinations"]["stdout"]["requests"] == 3
        assert provider.shutdown()
        assert len(config.requests) == 1

    def test_a_ratio(self, capsys: pytest.CaptureFixture[str]) -> None:
        provider, tracer, _ = made(StdoutSpanExporter(sample_ratio=0.0))
        tracer.start_span("a").end()
        assert provider.force_flush(10_000)
        assert capsys.readouterr().out == ""
        assert destination(provider, "stdout")["thinned"] == 1

    def test_it_works_behind_the_sdks_processor_too(self, capsys: pytest.CaptureFixture[str]) -> None:
        provider, tracer, _ = made(None)
        provider.add_span_processor(SimpleSpanProcessor(StdoutSpanExporter()))
        tracer.start_span("a").end()
        assert json.loads(capsys.readouterr().out)["name"] == "a"

    def test_a_console_that_is_gone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        provider, tracer, _ = made(StdoutSpanExporter())
        monkeypatch.setattr("sys.stdout", None)
        tracer.start_span("a").end()
        assert provider.force_flush(10_000)

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            ({"batch_export": 1}, ConfigTypeError),
            ({"sample_ratio": 2.0}, ConfigError),
            ({"sample_ratio": "1"}, TypeError),
        ],
    )
    def test_arguments_are_checked(self, arguments: dict[str, Any], error: type[Exception]) -> None:
        with pytest.raises(error):
            StdoutSpanExporter(**arguments)


class TestVariable:
    def test_console(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
        provider, tracer, _ = made(None)
        tracer.start_span("a").end()
        assert provider.force_flush(10_000)
        assert json.loads(capsys.readouterr().out)["name"] == "a"

    def test_several(
        self, monkeypatch: pytest.MonkeyPatch, receiver: Receiver, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp, console,none")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.uri)
        provider, tracer, _ = made(None)
        tracer.start_span("a").end()
        assert provider.force_flush(10_000)
        assert receiver.names == ["a"]
        assert len(capsys.readouterr().out.splitlines()) == 1

    def test_an_exporter_of_a_package(self, monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> None:
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp_proto_http")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.uri)
        provider, tracer, _ = made(None)
        assert provider.stats()["destinations"].keys() == {"scouter", "OTLPSpanExporter"}
        tracer.start_span("a").end()
        assert provider.force_flush(10_000)
        assert receiver.names == ["a"]
        assert "OTel-OTLP-Exporter-Python" in receiver.headers[0]["user-agent"]

    def test_one_that_is_not_there(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", "carrier-pigeon")
        with caplog.at_level(logging.WARNING, "scouter"):
            provider, _, _ = made(None)
        assert provider.stats()["destinations"].keys() == {"scouter"}
        assert "carrier-pigeon" in caplog.text

    @pytest.mark.parametrize("value", ["", "none", " "])
    def test_none(self, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", value)
        assert made(None)[0].stats()["destinations"].keys() == {"scouter"}

    def test_code_wins(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
        provider, _, _ = made(GrpcSpanExporter())
        assert provider.stats()["destinations"].keys() == {"scouter", "otel"}
