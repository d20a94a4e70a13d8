"""Scouter's own export and the second one side by side: each with its connection, its batches and its time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from collector.comparison import in_order, stored
from collector.scripted import HANG, SCRIPTED, Scripted, ScriptedHttp
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from support import Server, until
from test_setup import account

from scouter import BatchConfig, CompressionType, HttpConfig
from scouter.errors import ConfigError, ConfigTypeError
from scouter.tracing import (
    GrpcSpanExporter,
    HttpSpanExporter,
    OtelExportConfig,
    StdoutSpanExporter,
    TestSpanExporter,
    TracerProvider,
)

EXPORTERS = {"http": HttpSpanExporter, "grpc": GrpcSpanExporter}
WHEN_FLUSHED = BatchConfig(scheduled_delay_ms=3_600_000)


@pytest.fixture(params=["http", "grpc"])
def protocol(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def collector(protocol: str) -> Iterator[Scripted]:
    receiver = SCRIPTED[protocol]()
    yield receiver
    receiver.close()


@pytest.fixture
def server_side() -> Iterator[Scripted]:
    receiver = ScriptedHttp()
    yield receiver
    receiver.close()


def dual(
    server_side: Scripted,
    collector: Scripted,
    protocol: str,
    batch: BatchConfig | None = WHEN_FLUSHED,
    batch_export: bool = True,
    **options: Any,
) -> TracerProvider:
    return TracerProvider(
        transport_config=HttpConfig(server_side.uri),
        exporter=EXPORTERS[protocol](
            batch_export=batch_export, export_config=OtelExportConfig(**{"endpoint": collector.uri, **options})
        ),
        batch_config=batch,
    )


def record(provider: TracerProvider, *names: str, **attributes: Any) -> None:
    tracer = provider.get_tracer("x")
    for name in names:
        tracer.start_span(name, attributes=attributes).end()


def sizes(receiver: Scripted) -> list[int]:
    return [
        sum(len(scope.spans) for of_resource in request.resource_spans for scope in of_resource.scope_spans)
        for request in receiver.attempts
    ]


class TestConnections:
    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({"headers": {"X-Tenant": "a b", "x-other": "1"}}, {"x-tenant": "a b", "x-other": "1"}),
            ({"auth_token": "t0ken"}, {"authorization": "Bearer t0ken"}),
            ({"username": "me", "password": "pw"}, {"authorization": "Basic bWU6cHc="}),
        ],
    )
    def test_headers_are_the_collector_s_alone(
        self,
        server_side: Scripted,
        collector: Scripted,
        protocol: str,
        options: dict[str, Any],
        expected: dict[str, str],
    ) -> None:
        provider = dual(server_side, collector, protocol, **options)
        record(provider, "a")
        assert provider.shutdown(20_000)
        (metadata,) = collector.metadata
        assert {name: metadata[name] for name in expected} == expected
        assert metadata["user-agent"].startswith("OTel-OTLP-Exporter-")
        assert not expected.keys() & server_side.metadata[0].keys()

    @pytest.mark.parametrize("compression", [CompressionType.GZIP, "gzip", CompressionType.NONE, None])
    def test_compression(
        self, server_side: Scripted, collector: Scripted, protocol: str, compression: CompressionType | str | None
    ) -> None:
        provider = dual(server_side, collector, protocol, compression=compression)
        record(provider, *["a"] * 100, text="x" * 1000)
        assert provider.shutdown(20_000)
        assert (len(server_side.raw), len(collector.raw)) == (100, 100)
        header = {"http": "content-encoding", "grpc": "grpc-encoding"}[protocol]
        # gRPC's library keeps the header for itself; that it understood the message is what counts there.
        if protocol == "http":
            compressed = compression in (CompressionType.GZIP, "gzip")
            assert collector.metadata[0].get(header) == ("gzip" if compressed else None)
            length = int(collector.metadata[0]["content-length"])
            assert (length < 20_000) == compressed

    def test_paths(self, server_side: Scripted) -> None:
        collector = ScriptedHttp()
        for endpoint, path in (
            (collector.uri, "/v1/traces"),
            (f"{collector.uri}/", "/v1/traces"),
            (f"{collector.uri}/own/path", "/own/path"),
            (f"{collector.uri}/v1/traces", "/v1/traces"),
        ):
            provider = dual(server_side, collector, "http", endpoint=endpoint)
            record(provider, "a")
            assert provider.shutdown(20_000)
            assert collector.metadata[-1][":path"] == path
        collector.close()

    @pytest.mark.parametrize(
        ("options", "error"),
        [
            ({"endpoint": "collector:4317"}, ConfigError),
            ({"endpoint": 7}, ConfigTypeError),
            ({"timeout": 0}, ConfigError),
            ({"timeout": -1.0}, ConfigError),
            ({"timeout": float("nan")}, ConfigError),
            ({"compression": "zip"}, ConfigError),
            ({"headers": {"bad name": "x"}}, ConfigError),
            ({"headers": {"x": "line\nbreak"}}, ConfigError),
            ({"ca_file": "/no/such/file.pem"}, ConfigError),
            ({"certificate_file": "/some/file.pem"}, ConfigError),
            ({"username": "me"}, ConfigError),
        ],
    )
    def test_what_cannot_work_is_told_at_once(
        self, server_side: Scripted, protocol: str, options: dict[str, Any], error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            TracerProvider(
                transport_config=HttpConfig(server_side.uri),
                exporter=EXPORTERS[protocol](
                    export_config=OtelExportConfig(**{"endpoint": "http://localhost:1", **options})
                ),
            )


class TestBatches:
    def test_one_by_one_only_where_it_was_asked_for(
        self, server_side: Scripted, collector: Scripted, protocol: str
    ) -> None:
        provider = dual(server_side, collector, protocol, batch_export=False)
        record(provider, *map(str, range(20)))
        until("each by itself", lambda: sizes(collector) == [1] * 20)
        assert server_side.attempts == []
        assert provider.stats()["destinations"]["scouter"]["queued"] == 20
        assert provider.force_flush(20_000)
        assert sizes(server_side) == [20]
        assert sorted(collector.names) == sorted(server_side.names)
        assert account(provider.stats()) == {20}

    def test_a_full_batch_leaves_at_once_and_none_is_larger(
        self, server_side: Scripted, collector: Scripted, protocol: str
    ) -> None:
        batch = BatchConfig(scheduled_delay_ms=3_600_000, max_export_batch_size=10)
        provider = dual(server_side, collector, protocol, batch)
        record(provider, *map(str, range(25)))
        for receiver in (server_side, collector):
            until("two full ones", lambda of=receiver: sizes(of) == [10, 10])
        assert {destination["queued"] for destination in provider.stats()["destinations"].values()} == {5}
        assert provider.force_flush(20_000)
        for receiver in (server_side, collector):
            assert sizes(receiver) == [10, 10, 5]
            assert sorted(receiver.names, key=int) == [str(at) for at in range(25)]

    def test_the_delay_counts_from_the_first_span_of_a_batch(
        self, server_side: Scripted, collector: Scripted, protocol: str
    ) -> None:
        provider = dual(server_side, collector, protocol, BatchConfig(scheduled_delay_ms=200))
        record(provider, "a", "b")
        until("the batch", lambda: server_side.attempts and collector.attempts)
        record(provider, "c")
        until("the next batch", lambda: sizes(server_side) == sizes(collector) == [2, 1])
        assert server_side.times[1] - server_side.times[0] >= 0.15

    def test_a_flush_sends_what_has_ended_and_nothing_else(
        self, server_side: Scripted, collector: Scripted, protocol: str
    ) -> None:
        provider = dual(server_side, collector, protocol)
        left = provider.get_tracer("x").start_span("open")
        record(provider, "ended")
        assert provider.force_flush(20_000)
        assert server_side.names == collector.names == ["ended"]
        # Nothing is left, so nothing is sent.
        assert provider.force_flush(20_000)
        assert len(server_side.attempts) == len(collector.attempts) == 1
        left.end()
        assert provider.shutdown(20_000)
        assert server_side.names == collector.names == ["ended", "open"]

    @pytest.mark.parametrize("at_once", [1, 3])
    def test_how_many_are_under_way_at_once(
        self, server_side: Scripted, collector: Scripted, protocol: str, at_once: int
    ) -> None:
        collector.always = HANG
        batch = BatchConfig(max_export_batch_size=2, max_concurrent_exports=at_once, scheduled_delay_ms=1)
        provider = dual(server_side, collector, protocol, batch)
        record(provider, *map(str, range(20)))
        until("the others have gone", lambda: len(server_side.raw) == 20)
        until("as many as may", lambda: len(collector.attempts) == at_once)
        assert provider.force_flush(100) is False
        assert len(collector.attempts) == at_once
        assert provider.stats()["destinations"]["otel"]["queued"] == 20
        provider.shutdown(50)

    def test_the_queue_is_bounded_in_bytes(self, server_side: Scripted, collector: Scripted, protocol: str) -> None:
        batch = BatchConfig(scheduled_delay_ms=3_600_000, max_queue_bytes=50_000)
        provider = dual(server_side, collector, protocol, batch)
        record(provider, *["a"] * 100, text="x" * 1000)
        stats = provider.stats()
        assert account(stats) == {100}
        for destination in stats["destinations"].values():
            assert 30 < destination["queued"] < 50
            assert destination["dropped"]["queue_full"] == 100 - destination["queued"]
        assert provider.shutdown(20_000)
        assert len(server_side.raw) == len(collector.raw) == stats["destinations"]["otel"]["queued"]

    def test_large_spans_are_split_over_requests(
        self, server_side: Scripted, collector: Scripted, protocol: str
    ) -> None:
        """Requests stay below the four mebibytes that gRPC receivers take."""
        provider = dual(server_side, collector, protocol)
        record(provider, *["a"] * 12, text="x" * 1_000_000)
        assert provider.shutdown(30_000), provider.stats()
        for receiver in (server_side, collector):
            assert len(receiver.raw) == 12
            assert max(request.ByteSize() for request in receiver.attempts) < 4 << 20

    def test_a_slow_destination_takes_nothing_from_the_other_one(
        self, server_side: Scripted, collector: Scripted, protocol: str
    ) -> None:
        """Its queue fills up and it alone loses."""
        collector.always = HANG
        batch = BatchConfig(max_queue_size=100, max_export_batch_size=10, scheduled_delay_ms=1)
        provider = dual(server_side, collector, protocol, batch)
        for at in range(100):
            record(provider, *[str(at)] * 10)
            until("the good one keeps up", lambda sent=at: len(server_side.raw) == 10 * (sent + 1))
        stats = provider.stats()
        assert account(stats) == {1000}
        good, slow = stats["destinations"]["scouter"], stats["destinations"]["otel"]
        assert (good["exported"], sum(good["dropped"].values())) == (1000, 0)
        assert 0 < slow["queued"] <= 100
        assert slow["dropped"]["queue_full"] == 1000 - slow["queued"]
        provider.shutdown(50)


class TestOtherExporters:
    """What else ``exporter`` may be; the server gets the same."""

    def test_any_exporter_of_the_sdk(self, server: Server) -> None:
        received = ScriptedHttp()
        kept = InMemorySpanExporter()
        provider = TracerProvider(
            transport_config=HttpConfig(server.uri),
            exporter=[kept, OTLPSpanExporter(endpoint=f"{received.uri}/v1/traces")],
            attributes={"service.name": "several"},
        )
        tracer = provider.get_tracer("x", "1")
        with tracer.start_as_current_span("outer", attributes={"a": [1, 2]}) as outer:
            outer.add_event("e", {"b": 1.5})
            with pytest.raises(ValueError, match="no"), tracer.start_as_current_span("inner"):
                raise ValueError("no")
        assert provider.shutdown(20_000)
        spans = stored(server.trace(outer.trace_id, 2))
        assert in_order(received.spans) == in_order(spans)
        assert [span.name for span in kept.get_finished_spans()] == ["inner", "outer"]
        assert [span.context.span_id for span in kept.get_finished_spans()] == [
            int(span.span_id, 16) for span in sorted(spans, key=lambda span: span.name)
        ]
        assert account(provider.stats()) == {2}
        received.close()

    def test_one_that_raises_or_refuses_is_counted_and_not_felt(self, server_side: Scripted) -> None:
        class Raising(SpanExporter):
            def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
                raise RuntimeError("broken")

        class Refusing(SpanExporter):
            def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
                return SpanExportResult.FAILURE

        provider = TracerProvider(
            transport_config=HttpConfig(server_side.uri), exporter=[Raising(), Refusing()], batch_config=WHEN_FLUSHED
        )
        record(provider, "a", "b")
        provider.force_flush(20_000)
        assert server_side.names == ["a", "b"]
        stats = provider.stats()
        assert account(stats) == {2}
        lost = [sum(one["dropped"].values()) for name, one in stats["destinations"].items() if name != "scouter"]
        assert lost == [2, 2]

    def test_the_standard_output_and_a_list(self, server_side: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
        listed = TestSpanExporter()
        provider = TracerProvider(
            transport_config=HttpConfig(server_side.uri), exporter=[StdoutSpanExporter(batch_export=False), listed]
        )
        record(provider, "a", "b")
        assert [span.name for span in listed.spans] == ["a", "b"]
        assert provider.shutdown(20_000)
        lines = capsys.readouterr().out.splitlines()
        assert [json.loads(line)["name"] for line in lines] == ["a", "b"]
        assert server_side.names == ["a", "b"]

    def test_ratios_of_each(self, server_side: Scripted) -> None:
        """Each has its own; of the same ratio they keep the same traces."""
        exporters = [TestSpanExporter(sample_ratio=ratio) for ratio in (0.2, 0.2, 0.6, 0.0)]
        provider = TracerProvider(transport_config=HttpConfig(server_side.uri), exporter=exporters)
        tracer = provider.get_tracer("x")
        for _ in range(300):
            with tracer.start_as_current_span("outer"), tracer.start_as_current_span("inner"):
                pass
        assert provider.shutdown(20_000)
        kept = [{span.context.trace_id for span in exporter.spans} for exporter in exporters]
        assert kept[0] == kept[1] < kept[2]
        assert kept[3] == set()
        assert [len(exporter.spans) for exporter in exporters] == [2 * len(ids) for ids in kept]
        assert len(server_side.raw) == 600
        assert account(provider.stats()) == {600}
