"""Set-up and its end: pipelines side by side, handles that outlive them, settings from the environment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from collector.scripted import SCRIPTED, UNAVAILABLE, Scripted, ScriptedGrpc, ScriptedHttp
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanLimits
from support import run_script, until
from test_setup import account

from scouter import BatchConfig, GrpcConfig, HttpConfig, MockConfig
from scouter.errors import ConfigError
from scouter.tracing import (
    GrpcSpanExporter,
    HttpSpanExporter,
    OtelExportConfig,
    ScouterInstrumentor,
    ScouterTracer,
    TracerProvider,
    flush_tracer,
    init_tracer,
    instrument,
    shutdown_tracer,
    uninstrument,
)

WHEN_FLUSHED = BatchConfig(scheduled_delay_ms=3_600_000)


@pytest.fixture
def receivers() -> Iterator[list[Scripted]]:
    receivers = [ScriptedHttp(), ScriptedHttp(), ScriptedGrpc()]
    yield receivers
    for receiver in receivers:
        receiver.close()


class TestPipelinesSideBySide:
    def test_every_setting_belongs_to_one_pipeline(self, receivers: list[Scripted]) -> None:
        first, second, collector = receivers
        instrument(transport_config=MockConfig(), attributes={"service.name": "global"})
        one = init_tracer(
            service_name="one",
            transport_config=HttpConfig(first.uri, headers={"x-who": "one"}),
            exporter=GrpcSpanExporter(export_config=OtelExportConfig(collector.uri, headers={"x-who": "one"})),
            batch_config=BatchConfig(scheduled_delay_ms=3_600_000, max_export_batch_size=2),
            attributes={"default": 1},
            span_limits=SpanLimits(max_span_attributes=2),
        )
        two = init_tracer(
            service_name="two",
            transport_config=HttpConfig(second.uri, compression="gzip"),
            batch_config=WHEN_FLUSHED,
            sample_ratio=1.0,
        )
        none = init_tracer(service_name="none", transport_config=HttpConfig(second.uri), sample_ratio=0.0)
        for tracer in (one, two, none):
            for name in ("a", "b"):
                tracer.start_span(name, attributes={"x": 1, "y": 2}).end()
        until("the full batch of one", lambda: first.names == collector.names == ["a", "b"])
        assert second.attempts == []
        assert flush_tracer(20_000)
        assert second.names == ["a", "b"]
        assert [set(span.attributes) for span in first.spans] == [{"default", "x"}] * 2
        assert [set(span.attributes) for span in second.spans] == [{"x", "y"}] * 2
        assert {span.resource["service.name"] for span in first.spans + collector.spans} == {"one"}
        assert {span.resource["service.name"] for span in second.spans} == {"two"}
        assert [receiver.metadata[0].get("x-who") for receiver in receivers] == ["one", None, "one"]
        assert [receiver.metadata[0].get("content-encoding") for receiver in (first, second)] == [None, "gzip"]
        assert [tracer.stats()["started"] for tracer in (one, two, none)] == [2, 2, 0]
        assert none.stats()["sampled_out"] == 2
        assert list(one.stats()["destinations"]) == ["scouter", "otel"]
        assert list(two.stats()["destinations"]) == ["scouter"]

    def test_each_ends_by_itself(self) -> None:
        configs = [MockConfig() for _ in range(3)]
        instrument(transport_config=configs[0])
        one, two = (TracerProvider(transport_config=config, batch_config=WHEN_FLUSHED) for config in configs[1:])
        for provider in (trace.get_tracer_provider(), one, two):
            provider.get_tracer("x").start_span("before").end()
        assert one.shutdown()
        assert [len(config.spans) for config in configs] == [0, 1, 0]
        for provider in (trace.get_tracer_provider(), one, two):
            provider.get_tracer("x").start_span("after").end()
        uninstrument()
        assert [len(config.spans) for config in configs] == [2, 1, 0]
        two.get_tracer("x").start_span("last").end()
        assert two.shutdown()
        assert [len(config.spans) for config in configs] == [2, 1, 3]

    def test_spans_of_one_may_be_parents_in_another(self) -> None:
        configs = [MockConfig(), MockConfig()]
        one, two = (init_tracer(transport_config=config) for config in configs)
        with (
            one.start_as_current_span("outer") as outer,
            two.start_as_current_span("middle") as middle,
            one.start_as_current_span("inner"),
        ):
            pass
        assert shutdown_tracer()
        assert {span["name"]: span["parent_span_id"] for config in configs for span in config.spans} == {
            "outer": None,
            "middle": outer.span_id,
            "inner": middle.span_id,
        }
        assert len({span["trace_id"] for config in configs for span in config.spans}) == 1


class TestStaleHandles:
    def test_whatever_is_left_from_before_is_harmless(self) -> None:
        config = MockConfig()
        instrument(transport_config=config)
        provider = ScouterInstrumentor().tracer_provider
        assert provider is not None
        tracer = provider.get_tracer("x")
        wrapped = ScouterTracer(tracer)
        proxy = trace.get_tracer("y")

        @tracer.span
        def work(value: int) -> int:
            with tracer.current_span as current:
                current.set_attribute("a", 1)
            return value + 1

        open_span = tracer.start_span("open")
        with tracer.start_as_current_span("current") as current:
            uninstrument()
            assert trace.get_current_span() is current
            current.set_attribute("a", 1)
            current.add_event("late")
            with tracer.start_as_current_span("child") as child:
                assert not child.is_recording()
                # The trace goes on for whoever it is handed to.
                assert child.get_span_context().trace_id == current.get_span_context().trace_id
        open_span.end()
        assert work(1) == 2
        for stale in (tracer, wrapped):
            span = stale.start_span("stale")
            assert not span.is_recording()
            span.set_attribute("a", 1)
            span.record_exception(ValueError())
            span.end()
            span.end()
        assert not proxy.start_span("stale").is_recording()
        assert provider.force_flush()
        assert provider.shutdown()
        assert not provider.get_tracer("z").start_span("stale").is_recording()
        assert config.spans == []
        stats = provider.stats()
        assert stats["destinations"]["scouter"]["dropped"]["shutdown"] == 2
        assert account(stats) == {2}

    def test_a_new_set_up_does_not_revive_them(self) -> None:
        first, second = MockConfig(), MockConfig()
        instrument(transport_config=first)
        stale = ScouterInstrumentor().tracer_provider.get_tracer("x")
        uninstrument()
        instrument(transport_config=second)
        stale.start_span("stale").end()
        trace.get_tracer("x").start_span("fresh").end()
        uninstrument()
        assert (first.spans, [span["name"] for span in second.spans]) == ([], ["fresh"])

    def test_shutting_down_twice_and_from_many_threads(self) -> None:
        from concurrent.futures import ThreadPoolExecutor

        config = MockConfig()
        provider = TracerProvider(transport_config=config, batch_config=WHEN_FLUSHED)
        for _ in range(100):
            provider.get_tracer("x").start_span("x").end()
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda at: (provider.shutdown, provider.force_flush)[at % 2](5000), range(32)))
        assert all(answers)
        assert len(config.spans) == 100
        assert account(provider.stats()) == {100}


AGAIN = """
import gc, json, os, sys, threading
from opentelemetry import trace
from scouter import BatchConfig, GrpcConfig, HttpConfig
from scouter.tracing import GrpcSpanExporter, HttpSpanExporter, OtelExportConfig, TracerProvider, instrument, uninstrument

protocol, server, collector = sys.argv[1:4]
transport, exporter = {"http": (HttpConfig, HttpSpanExporter), "grpc": (GrpcConfig, GrpcSpanExporter)}[protocol]

def settings():
    return dict(
        transport_config=transport(uri=server),
        exporter=exporter(export_config=OtelExportConfig(endpoint=collector)),
        attributes={"service.name": "again"},
    )

def turn():
    instrument(**settings())
    tracer = trace.get_tracer("x")
    for _ in range(20):
        with tracer.start_as_current_span("x", attributes={"a": "b" * 100}):
            pass
    uninstrument()
    # One that nobody ends.
    TracerProvider(**settings()).get_tracer("x").start_span("dropped").end()

def held():
    gc.collect()
    resident = int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return {
        "python threads": threading.active_count(),
        "threads": len(os.listdir("/proc/self/task")),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "objects": len(gc.get_objects()),
        "memory": resident,
    }

for _ in range(10):
    turn()
before = held()
for _ in range(50):
    turn()
json.dump([before, held()], open(sys.argv[4], "w"))
"""


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_fifty_set_ups_leave_nothing_behind(protocol: str, tmp_path: Path) -> None:
    server, collector = SCRIPTED[protocol](), SCRIPTED[protocol]()
    measured = tmp_path / "measured"
    result = run_script(tmp_path, AGAIN, protocol, server.uri, collector.uri, str(measured))
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    before, after = json.loads(measured.read_text())
    assert after["python threads"] == before["python threads"] == 1
    assert after["threads"] <= before["threads"]
    # Connections of the last pipelines may be on their way out.
    assert after["descriptors"] <= before["descriptors"] + 4
    assert after["objects"] <= before["objects"] + 50
    assert after["memory"] - before["memory"] < 3 << 20
    for receiver in (server, collector):
        until("the last spans", lambda of=receiver: len(of.raw) == 60 * 21)
        receiver.close()


class TestEnvironment:
    """What code does not say comes from variables. What it says beats them."""

    @pytest.fixture
    def collector(self, receivers: list[Scripted], monkeypatch: pytest.MonkeyPatch) -> Scripted:
        monkeypatch.setenv("SCOUTER_SERVER_URI", receivers[0].uri)
        return receivers[1]

    def exported(self, provider: TracerProvider, **attributes: Any) -> None:
        provider.get_tracer("x").start_span("x", attributes=attributes).end()
        assert provider.shutdown(20_000), provider.stats()

    @pytest.mark.parametrize(
        ("variables", "code", "expected"),
        [
            ({"OTEL_EXPORTER_OTLP_HEADERS": "a=1,b=x%20y"}, None, {"a": "1", "b": "x y"}),
            (
                {"OTEL_EXPORTER_OTLP_HEADERS": "a=1,b=2", "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "a=3"},
                None,
                {"a": "3"},
            ),
            ({"OTEL_EXPORTER_OTLP_HEADERS": "a=1"}, {"headers": {"a": "code"}}, {"a": "code"}),
            ({"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}, None, {"content-encoding": "gzip"}),
            (
                {"OTEL_EXPORTER_OTLP_COMPRESSION": "none", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "gzip"},
                None,
                {"content-encoding": "gzip"},
            ),
            ({"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}, {"compression": "none"}, {"content-encoding": None}),
        ],
    )
    def test_how_the_collector_is_talked_to(
        self,
        collector: Scripted,
        monkeypatch: pytest.MonkeyPatch,
        variables: dict[str, str],
        code: dict[str, Any] | None,
        expected: dict[str, str | None],
    ) -> None:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.uri)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        config = OtelExportConfig(**code) if code else None
        self.exported(TracerProvider(exporter=HttpSpanExporter(export_config=config)))
        (metadata,) = collector.metadata
        assert {name: metadata.get(name) for name in expected} == expected

    def test_where_the_collector_is(self, receivers: list[Scripted], monkeypatch: pytest.MonkeyPatch) -> None:
        server, general, grpc = receivers
        monkeypatch.setenv("SCOUTER_SERVER_URI", server.uri)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", general.uri)
        self.exported(TracerProvider(exporter=HttpSpanExporter()))
        assert (len(server.raw), len(general.raw)) == (1, 1)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", grpc.uri)
        self.exported(TracerProvider(exporter=GrpcSpanExporter()))
        assert (len(general.raw), len(grpc.raw)) == (1, 1)
        code = OtelExportConfig(endpoint=general.uri)
        self.exported(TracerProvider(exporter=HttpSpanExporter(export_config=code)))
        assert (len(server.raw), len(general.raw), len(grpc.raw)) == (3, 2, 1)

    def test_the_variables_of_the_collector_are_not_for_the_server(
        self, receivers: list[Scripted], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server, collector, _ = receivers
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.uri)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=secret")
        self.exported(TracerProvider(transport_config=HttpConfig(server.uri)))
        assert (len(server.raw), len(collector.raw)) == (1, 0)
        assert "authorization" not in server.metadata[0]

    def test_batches(self, collector: Scripted, receivers: list[Scripted], monkeypatch: pytest.MonkeyPatch) -> None:
        server = receivers[0]
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000")
        monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "3")
        monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "4")
        provider = TracerProvider()
        tracer = provider.get_tracer("x")
        for _ in range(3):
            tracer.start_span("x").end()
        until("the full batch", lambda: len(server.raw) == 3)
        server.always = UNAVAILABLE
        for _ in range(10):
            tracer.start_span("x").end()
        assert provider.stats()["destinations"]["scouter"]["dropped"]["queue_full"] == 6
        provider.shutdown(0)
        server.always = None
        code = TracerProvider(batch_config=BatchConfig(max_export_batch_size=2, max_queue_size=100))
        for _ in range(2):
            code.get_tracer("x").start_span("by code").end()
        until("the smaller batch", lambda: server.names.count("by code") == 2)

    @pytest.mark.parametrize("value", ["0", "-1", "many", "1e3"])
    def test_numbers_that_are_none_are_ignored(self, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
        for name in ("SCHEDULE_DELAY", "MAX_EXPORT_BATCH_SIZE", "MAX_QUEUE_SIZE", "EXPORT_TIMEOUT"):
            monkeypatch.setenv(f"OTEL_BSP_{name}", value)
        monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many")
        config = MockConfig()
        self.exported(TracerProvider(transport_config=config), a=1)
        assert [span["attributes"] for span in config.spans] == [{"a": 1}]

    def test_an_address_that_is_none_is_told_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SCOUTER_SERVER_URI", "not an address")
        with pytest.raises(ConfigError, match="SCOUTER_SERVER_URI"):
            TracerProvider()
        TracerProvider(transport_config=MockConfig())
        TracerProvider(transport_config=GrpcConfig("http://localhost:1")).shutdown(0)

    def test_limits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "2")
        monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "3")
        config = MockConfig()
        self.exported(TracerProvider(transport_config=config), a="abcdef", b=1, c=2)
        assert config.spans[0]["attributes"] == {"a": "abc", "b": 1}
        code = MockConfig()
        limits = SpanLimits(max_span_attributes=3, max_span_attribute_length=4)
        self.exported(TracerProvider(transport_config=code, span_limits=limits), a="abcdef", b=1, c=2)
        assert code.spans[0]["attributes"] == {"a": "abcd", "b": 1, "c": 2}

    @pytest.mark.parametrize(
        ("sampler", "argument", "ratio", "recorded"),
        [
            ("always_off", None, None, 0),
            ("always_on", None, None, 1),
            ("traceidratio", "0", None, 0),
            ("parentbased_traceidratio", "0.0", None, 0),
            ("parentbased_always_on", None, None, 1),
            ("always_off", None, 1.0, 1),
            ("always_on", None, 0.0, 0),
            ("no such sampler", None, None, 1),
        ],
    )
    def test_samplers(
        self,
        monkeypatch: pytest.MonkeyPatch,
        sampler: str,
        argument: str | None,
        ratio: float | None,
        recorded: int,
    ) -> None:
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
        if argument is not None:
            monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", argument)
        config = MockConfig()
        self.exported(TracerProvider(transport_config=config, sample_ratio=ratio))
        assert len(config.spans) == recorded

    @pytest.mark.parametrize(("value", "disabled"), [("true", True), ("TRUE", True), ("1", False), ("", False)])
    def test_disabled(
        self,
        collector: Scripted,
        receivers: list[Scripted],
        monkeypatch: pytest.MonkeyPatch,
        value: str,
        disabled: bool,
    ) -> None:
        monkeypatch.setenv("OTEL_SDK_DISABLED", value)
        instrument(exporter=HttpSpanExporter(export_config=OtelExportConfig(endpoint=collector.uri)))
        manual = init_tracer()
        for tracer in (trace.get_tracer("x"), manual):
            with tracer.start_as_current_span("x") as span:
                assert span.is_recording() is not disabled
        assert flush_tracer(20_000)
        uninstrument()
        assert shutdown_tracer()
        assert (len(receivers[0].raw), len(collector.raw)) == ((0, 0) if disabled else (2, 1))
