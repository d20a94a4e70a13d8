"""The same program exports to a real Scouter server and to a real OpenTelemetry collector, and both have the same spans."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from collector.comparison import Exported, in_order, stored
from collector.front import Front
from collector.process import Collector, collector_of_this_run
from collector.tls import Authority
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags, TraceState
from support import Server, until
from test_setup import account

from scouter import BatchConfig, GrpcConfig, HttpConfig
from scouter.tracing import GrpcSpanExporter, HttpSpanExporter, OtelExportConfig, TracerProvider

TRANSPORTS = {"http": HttpConfig, "grpc": GrpcConfig}
EXPORTERS = {"http": HttpSpanExporter, "grpc": GrpcSpanExporter}
ONLY_WHEN_FLUSHED = BatchConfig(scheduled_delay_ms=3_600_000)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def collector(authority: Authority) -> Iterator[Collector]:
    collector = collector_of_this_run(authority)
    yield collector
    collector.stop()


class TestTheSameSpans:
    """Ids, parents, names, kinds, times, attributes, events, links, status, trace state, resource and scope."""

    @pytest.mark.parametrize("batch", [True, False], ids=["batch", "simple"])
    @pytest.mark.parametrize("compression", ["none", "gzip"])
    @pytest.mark.parametrize("protocol", ["http", "grpc"])
    def test_from_a_program_with_everything(
        self, server: Server, collector: Collector, protocol: str, compression: str, batch: bool
    ) -> None:
        provider = TracerProvider(
            transport_config=TRANSPORTS[protocol](uri=server.uri, compression=compression),
            exporter=EXPORTERS[protocol](
                batch_export=batch,
                export_config=OtelExportConfig(endpoint=collector.endpoint(protocol), compression=compression),
            ),
            attributes={"service.name": "everything", "service.version": "1.2", "of every span": "yes"},
            resource=Resource({"host.name": "here", "numbers": [1, 2]}, "https://example.com/resource"),
            span_limits=SpanLimits(max_span_attributes=20, max_events=4, max_links=2, max_event_attributes=3),
        )
        names, trace_id = everything(provider)
        assert provider.force_flush(20_000)
        from_server = in_order(stored(server.trace(trace_id, len(names))))
        from_collector = in_order(collector.trace(trace_id, len(names)))
        assert from_collector == from_server
        assert sorted(span.name for span in from_server) == sorted(names)
        check_everything({span.name: span for span in from_server})
        assert account(provider.stats()) == {len(names)}
        assert provider.shutdown()

    def test_what_only_the_wire_shows(self, server: Server, collector: Collector) -> None:
        """Flags, schema URLs and attributes of the scope, which the server's answers do not have."""
        provider = TracerProvider(
            transport_config=HttpConfig(server.uri),
            exporter=HttpSpanExporter(export_config=OtelExportConfig(collector.endpoint("http"))),
            resource=Resource({}, "https://example.com/resource"),
        )
        tracer = provider.get_tracer("lib", "3", "https://example.com/scope", {"a": True})
        parent = SpanContext(0xAB, 0xCD, is_remote=True, trace_flags=TraceFlags(0x03))
        links = [Link(SpanContext(1, 2, is_remote=True)), Link(SpanContext(3, 4, is_remote=False))]
        context = trace.set_span_in_context(NonRecordingSpan(parent))
        with (
            tracer.start_as_current_span("outer", context, links=links) as outer,
            tracer.start_as_current_span("inner"),
        ):
            pass
        assert provider.shutdown()
        collector.trace(outer.trace_id, 2)
        found = {
            span.name: (of_resource, scope, span)
            for request in collector.requests
            for of_resource in request.resource_spans
            for scope in of_resource.scope_spans
            for span in scope.spans
            if span.trace_id.hex() == outer.trace_id
        }
        of_resource, scope, span = found["outer"]
        assert of_resource.schema_url == "https://example.com/resource"
        assert (scope.scope.name, scope.scope.version) == ("lib", "3")
        assert scope.schema_url == "https://example.com/scope"
        assert [(pair.key, pair.value.bool_value) for pair in scope.scope.attributes] == [("a", True)]
        # Bits 0 to 7 are the W3C flags, 8 says that bit 9 is known, 9 that the parent, or the link, is remote.
        assert span.flags == 0x303
        assert [link.flags & 0x300 for link in span.links] == [0x300, 0x100]
        assert found["inner"][2].flags == 0x103

    def test_ten_thousand_of_many_threads(self, server: Server, collector: Collector) -> None:
        from concurrent.futures import ThreadPoolExecutor

        provider = TracerProvider(
            transport_config=HttpConfig(server.uri),
            exporter=GrpcSpanExporter(export_config=OtelExportConfig(collector.endpoint("grpc"))),
            batch_config=BatchConfig(max_export_batch_size=500),
        )
        tracer = provider.get_tracer("x")

        def work(at: int) -> str:
            with tracer.start_as_current_span("outer", attributes={"at": at}) as outer:
                for inner in range(99):
                    with tracer.start_as_current_span(f"inner {inner}"):
                        pass
            return outer.trace_id

        with ThreadPoolExecutor(8) as pool:
            ids = list(pool.map(work, range(100)))
        assert provider.force_flush(30_000)
        until("all spans left the collector", lambda: len(collector.spans(*ids)) >= 10_000)
        from_server = [span for trace_id in ids for span in stored(server.trace(trace_id, 100))]
        assert in_order(collector.spans(*ids)) == in_order(from_server)
        assert account(provider.stats()) == {10_000}
        assert provider.shutdown()


class TestSampling:
    def run(self, server: Server, collector: Collector, **ratios: float | None) -> tuple[dict[str, Any], Any, Any]:
        """200 traces of three spans each, and which traces came, with how many spans, to the server and the collector."""
        provider = TracerProvider(
            transport_config=HttpConfig(server.uri),
            exporter=HttpSpanExporter(
                export_config=OtelExportConfig(collector.endpoint("http")), sample_ratio=ratios["of_exporter"]
            ),
            sample_ratio=ratios["of_all"],
            batch_config=ONLY_WHEN_FLUSHED,
        )
        tracer = provider.get_tracer("x")
        ids = []
        for _ in range(200):
            with tracer.start_as_current_span("a") as span, tracer.start_as_current_span("b"):
                with tracer.start_as_current_span("c"):
                    pass
                ids.append(format(span.get_span_context().trace_id, "032x"))
        assert provider.force_flush(20_000)
        stats = provider.stats()
        assert account(stats) == {stats["started"]}
        assert stats["started"] + stats["sampled_out"] == 600
        of_collector = stats["destinations"]["otel"]
        assert of_collector["exported"] + of_collector["thinned"] == stats["started"]
        until("everything left the collector", lambda: len(collector.spans(*ids)) == of_collector["exported"])
        recorded = [trace_id for trace_id in ids if _is_stored(server, trace_id)]
        from_server = [span for trace_id in recorded for span in stored(server.trace(trace_id, 3))]
        assert provider.shutdown()
        return stats, _by_trace(from_server), _by_trace(collector.spans(*ids))

    def test_an_exporter_s_own_ratio_thins_only_the_collector_by_whole_traces(
        self, server: Server, collector: Collector
    ) -> None:
        stats, at_server, at_collector = self.run(server, collector, of_exporter=0.3, of_all=None)
        assert len(at_server) == 200
        assert 20 < len(at_collector) < 110
        assert at_collector.keys() < at_server.keys()
        assert all(at_server[trace_id] == spans for trace_id, spans in at_collector.items())
        assert stats["destinations"]["otel"]["thinned"] == 600 - 3 * len(at_collector)

    def test_the_global_ratio_is_for_both(self, server: Server, collector: Collector) -> None:
        stats, at_server, at_collector = self.run(server, collector, of_exporter=None, of_all=0.3)
        assert 20 < len(at_server) < 110
        assert at_server == at_collector
        assert stats["sampled_out"] == 600 - 3 * len(at_server)

    @pytest.mark.parametrize("of_exporter", [0.0, 0.1, 1.0])
    def test_the_global_ratio_wins(self, server: Server, collector: Collector, of_exporter: float) -> None:
        _, at_server, at_collector = self.run(server, collector, of_exporter=of_exporter, of_all=0.6)
        assert 80 < len(at_server) < 160
        assert at_server == at_collector


class TestTls:
    @pytest.mark.parametrize("compression", ["none", "gzip"])
    @pytest.mark.parametrize("asks_for_certificates", [False, True], ids=["server", "mutual"])
    @pytest.mark.parametrize("protocol", ["http", "grpc"])
    def test_both_ways_end_in_tls_with_an_own_authority(
        self,
        server: Server,
        collector: Collector,
        authority: Authority,
        protocol: str,
        asks_for_certificates: bool,
        compression: str,
    ) -> None:
        """The server does not end TLS by itself, so a front does, as a load balancer would."""
        front = Front(server.port, authority.server_side(protocol, asks_for_certificates))
        endpoint = collector.behind_tls(protocol, asks_for_certificates)
        files: dict[str, Any] = {"ca_file": authority.ca_file, "compression": compression}
        if asks_for_certificates:
            files |= {"certificate_file": authority.certificate_file, "key_file": authority.key_file}
        provider = TracerProvider(
            transport_config=TRANSPORTS[protocol](uri=front.uri, **files),
            exporter=EXPORTERS[protocol](export_config=OtelExportConfig(endpoint=endpoint, **files)),
        )
        with provider.get_tracer("x").start_as_current_span("x") as span:
            pass
        assert provider.force_flush(20_000), provider.stats()
        assert collector.trace(span.trace_id, 1) == stored(server.trace(span.trace_id, 1))
        assert provider.shutdown()
        assert front.connections == 1
        front.close()

    @pytest.mark.parametrize("files", [[], ["ca_file"]], ids=["unknown authority", "no client certificate"])
    @pytest.mark.parametrize("protocol", ["http", "grpc"])
    def test_a_collector_that_is_not_trusted_or_does_not_trust_gets_nothing(
        self, server: Server, collector: Collector, authority: Authority, protocol: str, files: list[str]
    ) -> None:
        endpoint = collector.behind_tls(protocol, client_certificates=bool(files))
        provider = TracerProvider(
            transport_config=HttpConfig(server.uri),
            exporter=EXPORTERS[protocol](
                export_config=OtelExportConfig(
                    endpoint=endpoint, **{name: str(getattr(authority, name)) for name in files}
                )
            ),
            batch_config=BatchConfig(scheduled_delay_ms=1),
        )
        with provider.get_tracer("x").start_as_current_span("x") as span:
            pass
        server.trace(span.trace_id, 1)
        until("the handshake failed", lambda: provider.stats()["destinations"]["otel"]["last_error"])
        provider.shutdown(100)
        assert collector.spans(span.trace_id) == []
        assert account(provider.stats()) == {1}
        until("it is counted", lambda: sum(provider.stats()["destinations"]["otel"]["dropped"].values()) == 1)
        assert provider.stats()["destinations"]["scouter"]["exported"] == 1

    def test_certificates_by_environment(
        self, server: Server, collector: Collector, authority: Authority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.behind_tls("http", client_certificates=True))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(authority.ca_file))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", str(authority.certificate_file))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_CLIENT_KEY", str(authority.key_file))
        provider = TracerProvider(transport_config=HttpConfig(server.uri), exporter=HttpSpanExporter())
        with provider.get_tracer("x").start_as_current_span("x") as span:
            pass
        assert provider.shutdown(20_000), provider.stats()
        assert collector.trace(span.trace_id, 1) == stored(server.trace(span.trace_id, 1))


def everything(provider: TracerProvider) -> tuple[list[str], str]:
    """Records one trace that has something of everything. Answers with the names of its spans, and its id."""
    tracer = provider.get_tracer("program", "0.1")
    other = provider.get_tracer("library", "2.0", "https://example.com/scope", {"x": 1})
    state = TraceState([("vendor", "a:b"), ("other", "1")])
    remote = SpanContext(_random_trace_id(), 0xFEDC, is_remote=True, trace_flags=TraceFlags(1), trace_state=state)
    linked = SpanContext(0x1, 0x2, is_remote=True, trace_state=TraceState([("l", "1")]))
    context = trace.set_span_in_context(NonRecordingSpan(remote))
    with tracer.start_as_current_span(
        "root",
        context,
        kind=SpanKind.SERVER,
        attributes={
            "text": "Zürich 東京 🛰",
            "empty": "",
            "yes": True,
            "no": False,
            "small": -(2**63),
            "large": 2**63 - 1,
            "zero": 0,
            "half": 0.5,
            "not a number": float("nan"),
            "endless": float("-inf"),
            "texts": ["a", "", "ü"],
            "numbers": [1, -2],
            "halves": [0.5, 1e300],
            "flags": [True, False],
            "nothing": [],
            "bytes": b"\x00\xff",
            "of every span": "but not of this one",
        },
        links=[Link(linked, {"why": "test", "n": 1}), Link(remote)],
        label="group",
    ) as root:
        root.set_tag("environment", "test")
        root.set_input({"question": [1, None]})
        root.set_output("answer")
        root.set_status(StatusCode.OK)
        for at in range(6):
            root.add_event(f"event {at}", {"at": at, "b": "c"})
        root.add_link(remote, {"one": "too many"})
        for kind in SpanKind:
            with other.start_as_current_span(kind.name, kind=kind) as span:
                span.set_attribute("kind", kind.value)
        with suppress(ValueError), tracer.start_as_current_span("failing"):
            raise ValueError("no")
        with other.start_as_current_span("too much", attributes={f"key {at}": at for at in range(30)}) as span:
            span.add_event("many", {f"key {at}": at for at in range(5)})
            span.set_status(StatusCode.ERROR, "by hand")
        begun = root.start_time
        tracer.start_span("by the clock", start_time=begun + 1).end(begun + 1_000_001)
        call = tracer.span(name="decorated")(lambda number: number * 2)
        assert call(21) == 42
    names = ["root", *(kind.name for kind in SpanKind), "failing", "too much", "by the clock", "decorated"]
    return names, root.trace_id


def check_everything(spans: dict[str, Exported]) -> None:
    """That the program recorded what it should, so that the comparison compares something."""
    root = spans["root"]
    assert root.parent_span_id == "000000000000fedc"
    assert {span.parent_span_id for span in spans.values()} == {root.parent_span_id, root.span_id}
    assert {span.trace_state for span in spans.values()} == {"vendor=a:b,other=1"}
    assert {spans[kind.name].kind for kind in SpanKind} == {kind.name for kind in SpanKind}
    assert root.attributes["text"] == "Zürich 東京 🛰"
    assert (root.attributes["small"], root.attributes["large"]) == (-(2**63), 2**63 - 1)
    assert root.attributes["bytes"] == "AP8="
    assert root.attributes["scouter.tag.environment"] == "test"
    assert root.attributes["of every span"] == "but not of this one"
    assert spans["failing"].attributes["of every span"] == "yes"
    assert [name for name, *_ in root.events] == [f"event {at}" for at in range(4)]
    assert root.links[0][:3] == (f"{1:032x}", f"{2:016x}", "l=1")
    assert root.dropped == (1, 2, 1)
    assert root.status == ("OK", "")
    assert spans["failing"].status[0] == "ERROR"
    assert spans["failing"].events[0][2]["exception.message"] == "no"
    assert spans["too much"].dropped == (11, 0, 0)
    assert spans["too much"].events[0][3] == 2
    assert spans["too much"].status == ("ERROR", "by hand")
    clock = spans["by the clock"]
    assert (clock.start_time, clock.end_time) == (root.start_time + 1, root.start_time + 1_000_001)
    assert spans["decorated"].attributes["scouter.output"] == "42"
    for span in spans.values():
        assert span.resource["service.name"] == "everything"
        assert (span.resource["service.version"], span.resource["host.name"]) == ("1.2", "here")
        assert span.resource["numbers"] == [1, 2]
    assert {span.scope for span in spans.values()} == {("program", "0.1"), ("library", "2.0")}


def _random_trace_id() -> int:
    import secrets

    return secrets.randbits(127) | 1 << 127


def _is_stored(server: Server, trace_id: str) -> bool:
    from scouter import NotFoundError

    try:
        return bool(server.client.get_trace(trace_id).spans)
    except NotFoundError:
        return False


def _by_trace(spans: list[Exported]) -> dict[str, list[Exported]]:
    found: dict[str, list[Exported]] = {}
    for span in in_order(spans):
        found.setdefault(span.trace_id, []).append(span)
    return found
