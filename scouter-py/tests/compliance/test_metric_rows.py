"""OpenTelemetry's compliance matrix, "SDK Self-Observability". One test a row; the metrics SDK does the reading."""

from __future__ import annotations

from typing import Any

import pytest
from collector.scripted import Say, ScriptedHttp
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.trace import SpanContext, TraceFlags

from scouter import MockConfig
from scouter.tracing import HttpSpanExporter, OtelExportConfig, TracerProvider

UNSAMPLED = trace.NonRecordingSpan(SpanContext(1, 2, True, TraceFlags(0)))


class Watched:
    """A provider with a collector that refuses its second request, and what its metrics say."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])
        self.collector = ScriptedHttp()
        self.provider = TracerProvider(
            transport_config=MockConfig(),
            exporter=HttpSpanExporter(export_config=OtelExportConfig(endpoint=self.collector.uri)),
            meter_provider=self.meters,
        )
        tracer = self.provider.get_tracer("rows")
        tracer.start_span("first").end()
        assert self.provider.force_flush(20_000)
        self.collector.script += [Say(400, message="never")]
        tracer.start_span("second").end()
        self.provider.force_flush(20_000)
        tracer.start_span("not sampled", trace.set_span_in_context(UNSAMPLED)).end()
        self.live = tracer.start_span("live")

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """The attributes and the value of each point of a metric."""
        found = self.reader.get_metrics_data()
        return [
            (dict(point.attributes), getattr(point, "value", None) or getattr(point, "count", 0))
            for resource in (found.resource_metrics if found else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def total(self, metric: str, **attributes: str) -> float:
        wanted = {name.replace("__", "."): value for name, value in attributes.items()}
        return sum(value for found, value in self.points(metric) if wanted.items() <= found.items())

    def close(self) -> None:
        self.live.end()
        self.provider.shutdown()
        self.meters.shutdown()
        self.collector.close()


@pytest.fixture(scope="module")
def watched() -> Any:
    watched = Watched()
    yield watched
    watched.close()


def test_m195_span_started(watched: Watched) -> None:
    assert watched.total("otel.sdk.span.started", otel__span__sampling_result="RECORD_AND_SAMPLE") == 3
    assert watched.total("otel.sdk.span.started", otel__span__sampling_result="DROP") == 1


def test_m196_span_live(watched: Watched) -> None:
    assert watched.total("otel.sdk.span.live") == 1


def test_m197_processor_span_queue_size(watched: Watched) -> None:
    assert watched.points("otel.sdk.processor.span.queue.size")
    assert watched.total("otel.sdk.processor.span.queue.size") == 0


def test_m198_processor_span_queue_capacity(watched: Watched) -> None:
    assert {value for _, value in watched.points("otel.sdk.processor.span.queue.capacity")} == {131_072}


def test_m199_processor_span_processed(watched: Watched) -> None:
    assert watched.total("otel.sdk.processor.span.processed") == 2
    assert all("otel.component.name" in found for found, _ in watched.points("otel.sdk.processor.span.processed"))


def test_m200_exporter_span_inflight(watched: Watched) -> None:
    assert watched.points("otel.sdk.exporter.span.inflight")
    assert watched.total("otel.sdk.exporter.span.inflight") == 0


def test_m201_exporter_span_exported(watched: Watched) -> None:
    points = watched.points("otel.sdk.exporter.span.exported")
    assert sum(value for found, value in points if "error.type" not in found) == 3
    assert sum(value for found, value in points if "error.type" in found) == 1


def test_m211_exporter_operation_duration(watched: Watched) -> None:
    points = watched.points("otel.sdk.exporter.operation.duration")
    assert sum(count for _, count in points) == 4
    assert sum(count for found, count in points if "error.type" in found) == 1
