from __future__ import annotations

import logging
import time
from pathlib import Path

import pytest
from opentelemetry import trace
from support import Kept, Receiver, Server, run_script, until
from test_setup import account

from scouter import BatchConfig, GrpcConfig, HttpConfig, MockConfig
from scouter.tracing import (
    GrpcSpanExporter,
    HttpSpanExporter,
    OtelExportConfig,
    TracerProvider,
    init_tracer,
    instrument,
    shutdown_tracer,
    uninstrument,
)


@pytest.mark.parametrize("config", [HttpConfig, GrpcConfig])
@pytest.mark.parametrize("compression", [None, "gzip"])
def test_from_the_program_to_the_server(server: Server, config: type, compression: str | None) -> None:
    instrument(
        transport_config=config(uri=server.uri, compression=compression), attributes={"service.name": config.__name__}
    )
    tracer = trace.get_tracer("x")
    with tracer.start_as_current_span("outer", attributes={"text": "é" * 1000}) as outer:
        for _ in range(10):
            with tracer.start_as_current_span("inner"):
                pass
    uninstrument()
    spans = server.trace(outer.trace_id, 11)
    assert {span.service_name for span in spans} == {config.__name__}
    assert spans[0].attributes["text"] == "é" * 1000


def test_the_default_is_the_server_of_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCOUTER_SERVER_URI", server.uri)
    tracer = init_tracer(service_name="by-variable")
    with tracer.start_as_current_span("x") as span:
        pass
    assert shutdown_tracer()
    assert server.trace(span.trace_id, 1)[0].service_name == "by-variable"


def test_a_full_batch_does_not_wait(receiver: Receiver) -> None:
    tracer = init_tracer(
        transport_config=HttpConfig(receiver.uri),
        batch_config=BatchConfig(scheduled_delay_ms=3_600_000, max_export_batch_size=10),
    )
    for _ in range(10):
        tracer.start_span("x").end()
    until("the batch arrives", lambda: len(receiver.spans) == 10)
    assert receiver.paths == ["/v1/traces"]
    assert receiver.headers[0]["content-type"] == "application/x-protobuf"
    assert receiver.headers[0]["user-agent"].startswith("OTel-OTLP-Exporter-")


def test_a_batch_that_does_not_fill_goes_when_its_time_has_come(receiver: Receiver) -> None:
    tracer = init_tracer(transport_config=HttpConfig(receiver.uri), batch_config=BatchConfig(scheduled_delay_ms=50))
    tracer.start_span("x").end()
    until("the span arrives", lambda: receiver.names == ["x"])


def test_credentials_and_headers_are_sent(receiver: Receiver) -> None:
    for config, name, value in (
        (HttpConfig(receiver.uri, auth_token="s3cret"), "authorization", "Bearer s3cret"),
        (HttpConfig(receiver.uri, username="me", password="pw"), "authorization", "Basic bWU6cHc="),
        (HttpConfig(receiver.uri, headers={"X-Tenant": "a"}), "x-tenant", "a"),
        (HttpConfig(receiver.uri, compression="gzip"), "content-encoding", "gzip"),
    ):
        init_tracer(transport_config=config).start_span("x").end()
        assert shutdown_tracer()
        assert receiver.headers[-1][name] == value


class TestTwoDestinations:
    def test_both_get_every_span_in_the_same_bytes(self, receiver: Receiver, second_receiver: Receiver) -> None:
        instrument(
            transport_config=HttpConfig(receiver.uri),
            exporter=HttpSpanExporter(
                export_config=OtelExportConfig(endpoint=second_receiver.uri, headers={"x-key": "1"})
            ),
            attributes={"service.name": "both"},
        )
        tracer = trace.get_tracer("x")
        for at in range(100):
            tracer.start_span(str(at)).end()
        uninstrument()
        assert sorted(receiver.names, key=int) == sorted(second_receiver.names, key=int) == [str(i) for i in range(100)]
        assert [r.SerializeToString() for r in receiver.requests] == [
            r.SerializeToString() for r in second_receiver.requests
        ]
        assert receiver.services == second_receiver.services == {"both"}
        assert second_receiver.headers[0]["x-key"] == "1"
        assert "x-key" not in receiver.headers[0]

    def test_one_that_is_down_does_not_hold_the_other_up(self, receiver: Receiver) -> None:
        for transport, collector in (
            (HttpConfig("http://127.0.0.1:1"), OtelExportConfig(receiver.uri)),
            (HttpConfig(receiver.uri), OtelExportConfig("http://127.0.0.1:1")),
        ):
            provider = TracerProvider(
                transport_config=transport,
                exporter=HttpSpanExporter(export_config=collector),
                batch_config=BatchConfig(scheduled_delay_ms=20),
            )
            receiver.requests.clear()
            provider.get_tracer("x").start_span("x").end()
            until("the span arrives", lambda: receiver.names == ["x"])
            assert provider.shutdown(200) is False
            assert account(provider.stats()) == {1}

    def test_over_grpc(self, server: Server, receiver: Receiver) -> None:
        """The Scouter server plays the collector."""
        tracer = init_tracer(
            transport_config=HttpConfig(receiver.uri),
            exporter=GrpcSpanExporter(export_config=OtelExportConfig(endpoint=server.uri)),
        )
        with tracer.start_as_current_span("x") as span:
            pass
        assert shutdown_tracer()
        assert receiver.names == ["x"]
        server.trace(span.trace_id, 1)

    def test_an_exporter_s_ratio_thins_only_the_collector_and_keeps_traces_whole(
        self, receiver: Receiver, second_receiver: Receiver
    ) -> None:
        tracer = init_tracer(
            transport_config=HttpConfig(receiver.uri),
            exporter=HttpSpanExporter(sample_ratio=0.25, export_config=OtelExportConfig(second_receiver.uri)),
            batch_config=BatchConfig(max_queue_size=10_000),
        )
        for _ in range(1000):
            with tracer.start_as_current_span("parent"), tracer.start_as_current_span("child"):
                pass
        assert shutdown_tracer()
        assert len(receiver.spans) == 2000
        thinned = [span.trace_id for span in second_receiver.spans]
        assert 150 < len(set(thinned)) < 350
        assert len(thinned) == 2 * len(set(thinned))

    def test_the_global_ratio_beats_the_exporter_s(self, receiver: Receiver, second_receiver: Receiver) -> None:
        tracer = init_tracer(
            transport_config=HttpConfig(receiver.uri),
            exporter=HttpSpanExporter(sample_ratio=0.0, export_config=OtelExportConfig(second_receiver.uri)),
            sample_ratio=1.0,
        )
        tracer.start_span("x").end()
        assert shutdown_tracer()
        assert (receiver.names, second_receiver.names) == (["x"], ["x"])

    def test_the_collector_of_the_environment(
        self, receiver: Receiver, second_receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", second_receiver.uri)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%20b")
        tracer = init_tracer(transport_config=HttpConfig(receiver.uri), exporter=HttpSpanExporter())
        tracer.start_span("x").end()
        assert shutdown_tracer()
        assert (receiver.names, second_receiver.names) == (["x"], ["x"])
        assert second_receiver.headers[0]["x-key"] == "a b"


def test_what_may_be_retried_is_and_what_may_not_is_dropped_and_counted(receiver: Receiver) -> None:
    receiver.statuses += [503, 429]
    provider = TracerProvider(transport_config=HttpConfig(receiver.uri))
    provider.get_tracer("x").start_span("retried").end()
    assert provider.force_flush(20_000)
    assert receiver.names == ["retried"]
    receiver.statuses += [400]
    provider.get_tracer("x").start_span("refused").end()
    assert provider.force_flush(20_000) is False
    (destination,) = provider.stats()["destinations"].values()
    assert (destination["exported"], destination["retries"]) == (1, 2)
    assert sum(destination["dropped"].values()) == 1
    assert account(provider.stats()) == {2}


DOWN = """
import logging, sys, time
from scouter import HttpConfig
from scouter.tracing import TracerProvider

provider = TracerProvider(transport_config=HttpConfig(sys.argv[1]))
tracer = provider.get_tracer("x")
started = time.perf_counter()
for at in range(10_000):
    with tracer.start_as_current_span("x") as span:
        span.set_attribute("at", at)
took = time.perf_counter() - started
stats = provider.stats()
(destination,) = stats["destinations"].values()
total = destination["exported"] + destination["queued"] + sum(destination["dropped"].values())
assert (stats["started"], total) == (10_000, 10_000), stats
assert took < 2, took
open(sys.argv[2], "w").write(f"{span.trace_id} {destination['queued']}")
# The server comes back.
deadline = time.monotonic() + 30
while provider.stats()["destinations"]["scouter"]["queued"] and time.monotonic() < deadline:
    provider.force_flush(1000)
stats = provider.stats()["destinations"]["scouter"]
assert stats["queued"] == 0, stats
assert stats["exported"] + sum(stats["dropped"].values()) == 10_000, stats
open(sys.argv[3], "w").write(str(stats["exported"]))
"""


def test_ten_thousand_spans_while_the_server_is_down(fresh_server: Server, tmp_path: Path) -> None:
    """Nothing is slowed, raised or printed; every span is accounted for; what waits arrives when the server is back."""
    import threading

    fresh_server.kill()
    made, arrived = tmp_path / "made", tmp_path / "arrived"
    done = []
    uri = fresh_server.uri
    script = threading.Thread(
        target=lambda: done.append(run_script(tmp_path, DOWN, uri, str(made), str(arrived))), daemon=True
    )
    script.start()
    until("the spans are made", lambda: done or (made.exists() and made.read_text()))
    fresh_server.restart()
    script.join()
    (result,) = done
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    last_trace, queued = made.read_text().split()
    assert int(arrived.read_text()) == int(queued) > 0
    assert fresh_server.trace(last_trace, 1)[0].attributes == {"at": 9_999}


@pytest.mark.parametrize("config", [HttpConfig, GrpcConfig])
def test_acknowledged_spans_survive_a_kill_and_are_there_once(fresh_server: Server, config: type) -> None:
    provider = TracerProvider(transport_config=config(uri=fresh_server.uri))
    tracer = provider.get_tracer("x")
    with tracer.start_as_current_span("outer") as span, tracer.start_as_current_span("inner"):
        pass
    assert provider.force_flush(20_000)
    fresh_server.kill()
    fresh_server.restart()
    assert [found.name for found in fresh_server.client.get_trace(span.trace_id).spans] == ["outer", "inner"]
    provider.get_tracer("x").start_span("afterwards").end()
    assert provider.force_flush(20_000)


def test_problems_are_logged_and_rarely(caplog: pytest.LogCaptureFixture) -> None:
    provider = TracerProvider(
        transport_config=HttpConfig("http://127.0.0.1:1"), batch_config=BatchConfig(scheduled_delay_ms=1)
    )
    tracer = provider.get_tracer("x")
    with caplog.at_level(logging.DEBUG, logger="scouter"):
        for _ in range(20):
            tracer.start_span("x").end()
            provider.force_flush(20)
        provider.shutdown(100)
    messages = [record.getMessage() for record in caplog.records if record.name == "scouter"]
    assert len(messages) == len(set(messages)) <= 3


def test_a_queue_that_is_full_drops_and_counts() -> None:
    provider = TracerProvider(
        transport_config=HttpConfig("http://127.0.0.1:1"),
        batch_config=BatchConfig(max_queue_size=10, max_export_batch_size=10),
    )
    tracer = provider.get_tracer("x")
    for _ in range(1000):
        tracer.start_span("x").end()
    (destination,) = provider.stats()["destinations"].values()
    assert account(provider.stats()) == {1000}
    assert sum(destination["dropped"].values()) >= 900
    provider.shutdown(100)
    assert account(provider.stats()) == {1000}


def test_mock_config_keeps_what_would_be_sent(kept: Kept) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    kept.tracer.start_span("x").end()
    assert [span["name"] for span in kept.spans()] == ["x"]
    (request,) = kept.config.requests
    assert ExportTraceServiceRequest.FromString(request).resource_spans[0].scope_spans[0].spans[0].name == "x"
    kept.config.clear()
    assert (kept.config.spans, kept.config.requests) == ([], [])
    assert repr(MockConfig()) == "MockConfig()"


def test_flush_says_whether_it_succeeded(receiver: Receiver) -> None:
    good = TracerProvider(transport_config=HttpConfig(receiver.uri))
    bad = TracerProvider(transport_config=HttpConfig("http://127.0.0.1:1"))
    for provider in (good, bad):
        provider.get_tracer("x").start_span("x").end()
    assert good.force_flush()
    started = time.monotonic()
    assert bad.force_flush(200) is False
    assert bad.shutdown(200) is False
    assert time.monotonic() - started < 5
