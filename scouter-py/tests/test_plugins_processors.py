"""Span processors of OpenTelemetry's SDK, and of users, on our spans."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace import ConcurrentMultiSpanProcessor, SpanProcessor, SynchronousMultiSpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from support import Receiver, run_script

from scouter import MockConfig
from scouter.errors import ConfigTypeError
from scouter.tracing import ScouterInstrumentor, ScouterTracer, SpanKind, TracerProvider


class Notes(SpanProcessor):
    """Writes down what it is told."""

    def __init__(self, name: str = "", told: list[str] | None = None) -> None:
        self.name = name
        self.told = [] if told is None else told

    def on_start(self, span: Any, parent_context: context.Context | None = None) -> None:
        self.told.append(f"{self.name}start {span.name}")

    def _on_ending(self, span: Any) -> None:
        self.told.append(f"{self.name}ending {span.name}")

    def on_end(self, span: Any) -> None:
        self.told.append(f"{self.name}end {span.name}")

    def shutdown(self) -> None:
        self.told.append(f"{self.name}shutdown")

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        self.told.append(f"{self.name}flush")
        return True


class Made:
    def __init__(self, *processors: Any, **arguments: Any) -> None:
        self.config = MockConfig()
        self.provider = TracerProvider(transport_config=self.config, **arguments)
        for processor in processors:
            self.provider.add_span_processor(processor)
        self.tracer = self.provider.get_tracer("scope", "1.0", "https://schema", {"scoped": True})

    def names(self) -> list[str]:
        assert self.provider.force_flush(10_000)
        return [span["name"] for span in self.config.spans]


def test_several_are_told_in_order() -> None:
    told: list[str] = []
    made = Made(Notes("1 ", told), Notes("2 ", told))
    with made.tracer.start_as_current_span("a"):
        pass
    assert told == ["1 start a", "2 start a", "1 ending a", "2 ending a", "1 end a", "2 end a"]
    told.clear()
    assert made.provider.force_flush()
    assert made.provider.shutdown()
    assert made.provider.shutdown()
    assert told == ["1 flush", "2 flush", "1 shutdown", "2 shutdown"]


def test_one_that_comes_late_is_told_from_then_on() -> None:
    made, notes = Made(), Notes()
    with made.tracer.start_as_current_span("before"):
        made.provider.add_span_processor(notes)
        made.tracer.start_span("inside").end()
    assert notes.told[:3] == ["start inside", "ending inside", "end inside"]
    assert notes.told[3:] == ["ending before", "end before"]


def _decorated(tracer: ScouterTracer) -> None:
    tracer.span("x")(lambda: None)()


def _asynchronous(tracer: ScouterTracer) -> None:
    async def main() -> None:
        async with tracer.start_as_current_span("x"):
            await asyncio.sleep(0)

    asyncio.run(main())


def _generator(tracer: ScouterTracer) -> None:
    @tracer.span("x")
    def stream() -> Any:
        yield 1

    list(stream())


def _not_current(tracer: ScouterTracer) -> None:
    with tracer.start_span("x"):
        pass


def _as_decorator(tracer: ScouterTracer) -> None:
    tracer.start_as_current_span("x")(lambda: None)()


@pytest.mark.parametrize("way", [_decorated, _asynchronous, _generator, _not_current, _as_decorator])
def test_every_way_to_make_a_span_tells(way: Callable[[ScouterTracer], None]) -> None:
    notes = Notes()
    way(Made(notes).tracer)
    assert notes.told == ["start x", "ending x", "end x"]


def test_a_span_ends_once() -> None:
    class Ends(Notes):
        def _on_ending(self, span: Any) -> None:
            super()._on_ending(span)
            span.end()

        def on_end(self, span: Any) -> None:
            super().on_end(span)
            span.end()

    ends = Ends()
    made = Made(ends)
    span = made.tracer.start_span("a")
    span.end()
    span.end()
    assert ends.told == ["start a", "ending a", "end a"]
    assert made.names() == ["a"]


def test_threads_that_end_the_same_span_end_it_once() -> None:
    notes = Notes()
    made = Made(notes)
    for _ in range(50):
        span = made.tracer.start_span("a")
        barrier = threading.Barrier(4)

        def end(span: Any = span, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            span.end()

        threads = [threading.Thread(target=end) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert notes.told == ["start a", "ending a", "end a"] * 50
    assert len(made.names()) == 50


def test_what_a_processor_takes_is_not_the_spans_time() -> None:
    class Slow(SpanProcessor):
        def _on_ending(self, span: Any) -> None:
            time.sleep(0.2)

    made = Made(Slow())
    span = made.tracer.start_span("a")
    span.end()
    assert span.end_time - span.start_time < 150_000_000


def test_the_name_of_the_specification_for_on_ending() -> None:
    ended = []

    class Own:
        def on_start(self, span: Any, parent_context: Any = None) -> None: ...

        def on_ending(self, span: Any) -> None:
            span.set_attribute("late", 1)

        def on_end(self, span: Any) -> None:
            span.set_attribute("too.late", 1)
            ended.append(span.is_recording())

    made = Made(Own())
    made.tracer.start_span("a").end()
    assert made.names() == ["a"]
    assert made.config.spans[0]["attributes"] == {"late": 1}
    assert ended == [False]


def test_the_parent_context_is_what_was_given() -> None:
    given: list[Any] = []

    class Keeps(SpanProcessor):
        def on_start(self, span: Any, parent_context: context.Context | None = None) -> None:
            given.append(parent_context)

    tracer = Made(Keeps()).tracer
    mine = baggage.set_baggage("a", "b", context.Context())
    with tracer.start_as_current_span("none"):
        tracer.start_span("inside").end()
    tracer.start_span("given", mine).end()
    # As in the SDK: nothing given is nothing, and means the current context.
    assert given[:2] == [None, None]
    assert given[2] is mine
    tracer.start_span("headers", headers={"traceparent": f"00-{1:032x}-{2:016x}-01"}).end()
    parent = trace.get_current_span(given[3]).get_span_context()
    assert (parent.trace_id, parent.span_id, parent.is_remote) == (1, 2, True)
    tracer.start_span("no headers", headers={}).end()
    assert trace.get_current_span(given[4]) is trace.INVALID_SPAN


def test_only_recorded_spans_are_told() -> None:
    notes = Notes()
    made = Made(notes, sample_ratio=0.0)
    with made.tracer.start_as_current_span("a") as span:
        assert not span.is_recording()
    assert notes.told == []


@pytest.mark.parametrize("method", ["on_start", "_on_ending", "on_end"])
def test_one_that_raises_is_counted_and_logged_and_not_felt(method: str, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(SpanProcessor):
        pass

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError(f"in {method}")

    setattr(Broken, method, fail)
    notes = Notes()
    made = Made(Broken(), notes)
    with caplog.at_level(logging.WARNING, "scouter"):
        for _ in range(3):
            with made.tracer.start_as_current_span("a"):
                pass
    assert notes.told == ["start a", "ending a", "end a"] * 3
    assert made.names() == ["a"] * 3
    stats = made.provider.stats()
    assert (stats["plugin_failures"], stats["plugin_failures_by_role"]["processor"]) == (3, 3)
    # At most once a minute for one kind of problem.
    assert len([record for record in caplog.records if "ZeroDivisionError" in record.getMessage()]) <= 1


def test_one_that_raises_at_the_end_of_all() -> None:
    class Broken(SpanProcessor):
        def force_flush(self, timeout_millis: int = 0) -> bool:
            raise OSError("gone")

        def shutdown(self) -> None:
            raise OSError("gone")

    notes = Notes()
    made = Made(Broken(), notes)
    made.tracer.start_span("a").end()
    assert made.provider.force_flush() is False
    assert made.provider.shutdown()
    assert notes.told == ["start a", "ending a", "end a", "flush", "shutdown"]
    assert made.provider.stats()["plugin_failures"] == 2
    assert [span["name"] for span in made.config.spans] == ["a"]


def test_an_interrupt_in_one_is_the_programs() -> None:
    class Interrupted(SpanProcessor):
        def __init__(self, method: str) -> None:
            setattr(self, method, self._raise)

        def _raise(self, *_: object, **__: object) -> None:
            raise KeyboardInterrupt

    for method in ("on_start", "_on_ending", "on_end"):
        made = Made(Interrupted(method))
        with pytest.raises(KeyboardInterrupt), made.tracer.start_as_current_span("a"):
            pass
        assert trace.get_current_span() is trace.INVALID_SPAN
        stats = made.provider.stats()
        assert (stats["plugin_failures"], stats["live"]) == (0, 0)


def test_one_that_makes_spans_does_not_go_on_for_ever() -> None:
    class Traces(SpanProcessor):
        made: Made

        def on_start(self, span: Any, parent_context: Any = None) -> None:
            self.made.tracer.start_span("from on_start").end()

        def on_end(self, span: Any) -> None:
            with self.made.tracer.start_as_current_span("from on_end"):
                pass

    traces, notes = Traces(), Notes()
    traces.made = made = Made(traces, notes)
    made.tracer.start_span("a").end()
    assert notes.told == ["start a", "ending a", "end a"]
    assert sorted(made.names()) == ["a", "from on_end", "from on_start"]


def test_an_exporter_that_makes_spans_does_not_go_on_for_ever() -> None:
    class Traces(InMemorySpanExporter):
        made: Made

        def export(self, spans: Any) -> Any:
            assert context.get_value(context._SUPPRESS_INSTRUMENTATION_KEY)
            with self.made.tracer.start_as_current_span("from export"):
                return super().export(spans)

    traces = Traces()
    traces.made = made = Made(SimpleSpanProcessor(traces))
    made.tracer.start_span("a").end()
    assert [span.name for span in traces.get_finished_spans()] == ["a"]
    assert sorted(made.names()) == ["a", "from export"]


@pytest.mark.parametrize("wrong", [None, 1, "x", SimpleSpanProcessor, object()])
def test_what_is_no_processor_is_refused(wrong: Any) -> None:
    made = Made()
    with pytest.raises(ConfigTypeError, match="span_processor"):
        made.provider.add_span_processor(wrong)


def _busy(tracer: ScouterTracer) -> Any:
    """A span that has one of everything."""
    link = trace.Link(trace.SpanContext(3, 4, True, trace.TraceFlags(1)), {"linked": 1})
    with tracer.start_as_current_span("parent"):
        span = tracer.start_span("all", kind=SpanKind.Client, attributes={"a": 1, "list": ["x", "y"]}, links=[link])
        span.add_event("event", {"e": 2.5}, 7)
        span.set_status(trace.StatusCode.ERROR, "why")
        span.end()
    return span


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_the_sdks_otlp_exporters_read_all_of_a_span(kind: str, receiver: Receiver) -> None:
    """What the SDK's exporter makes of our span is what we make of it."""
    if kind == "grpc":
        from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

        finished = InMemorySpanExporter()
        made = Made(SimpleSpanProcessor(finished), resource={"service.name": "s", "r": (1, 2)})
        _busy(made.tracer)
        encoded = encode_spans(finished.get_finished_spans())
        GrpcExporter(endpoint="http://127.0.0.1:1", timeout=0.1).shutdown()
    else:
        exporter = HttpExporter(f"{receiver.uri}/v1/traces")
        made = Made(BatchSpanProcessor(exporter), resource={"service.name": "s", "r": (1, 2)})
        _busy(made.tracer)
        assert made.provider.force_flush(10_000)
        (encoded,) = receiver.requests
    assert made.provider.force_flush(10_000)
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    (ours,) = map(ExportTraceServiceRequest.FromString, made.config.requests)
    (theirs_resource,), (our_resource,) = encoded.resource_spans, ours.resource_spans
    assert theirs_resource.resource.attributes == our_resource.resource.attributes
    (theirs_scope,), (our_scope,) = theirs_resource.scope_spans, our_resource.scope_spans
    assert (theirs_scope.scope, theirs_scope.schema_url) == (our_scope.scope, our_scope.schema_url)
    for theirs, our in zip(theirs_scope.spans, our_scope.spans, strict=True):
        # The SDK leaves the lower bits, W3C's flags, out, and sends a status that says nothing.
        for span in (theirs, our):
            span.flags &= ~0xFF
            if not span.status.code:
                span.ClearField("status")
            for link in span.links:
                link.flags &= ~0xFF
        assert theirs == our


def test_the_sdks_console_exporter_prints_our_spans() -> None:
    out = io.StringIO()
    made = Made(SimpleSpanProcessor(ConsoleSpanExporter(out=out)))
    _busy(made.tracer)
    printed = json.loads("[" + out.getvalue().replace("}\n{", "},\n{") + "]")
    assert [span["name"] for span in printed] == ["all", "parent"]
    assert printed[0]["attributes"] == {"a": 1, "list": ["x", "y"]}
    assert printed[0]["links"][0]["context"]["span_id"] == f"0x{4:016x}"


@pytest.mark.parametrize("multi", [SynchronousMultiSpanProcessor, ConcurrentMultiSpanProcessor])
def test_the_sdks_multi_processors(multi: type[Any]) -> None:
    first, second = InMemorySpanExporter(), InMemorySpanExporter()
    together = multi()
    for exporter in (first, second):
        together.add_span_processor(SimpleSpanProcessor(exporter))
    made = Made(together)
    made.tracer.start_span("a").end()
    assert made.provider.force_flush()
    for exporter in (first, second):
        assert [span.name for span in exporter.get_finished_spans()] == ["a"]
    assert made.provider.shutdown()


def test_resources_and_scopes_are_keys_of_dicts() -> None:
    kept = InMemorySpanExporter()
    made = Made(SimpleSpanProcessor(kept))
    again = made.provider.get_tracer("scope", "1.0", "https://schema", {"scoped": True})
    other = made.provider.get_tracer("scope", "2.0")
    for tracer in (made.tracer, again, other):
        tracer.start_span("a").end()
    spans = kept.get_finished_spans()
    assert len({span.resource for span in spans}) == 1
    assert len({span.instrumentation_scope for span in spans}) == 2
    assert spans[0].instrumentation_scope == spans[1].instrumentation_scope != spans[2].instrumentation_scope
    assert spans[0].resource == made.provider.resource
    assert spans[0].instrumentation_scope != "scope"


def test_the_instrumented_provider_takes_processors() -> None:
    kept = InMemorySpanExporter()
    ScouterInstrumentor().instrument(transport_config=MockConfig())
    trace.get_tracer_provider().add_span_processor(BatchSpanProcessor(kept))  # type: ignore[attr-defined]
    with trace.get_tracer("x").start_as_current_span("a"):
        pass
    ScouterInstrumentor().uninstrument()
    assert [span.name for span in kept.get_finished_spans()] == ["a"]


def test_a_provider_that_is_dropped_is_ended_with_the_process(tmp_path: Path) -> None:
    """A processor that holds spans back gives them out at the end, whoever has forgotten its provider."""
    script = """
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
        from scouter import MockConfig
        from scouter.tracing import TracerProvider

        def work():
            provider = TracerProvider(transport_config=MockConfig())
            provider.add_span_processor(
                BatchSpanProcessor(ConsoleSpanExporter(formatter=lambda span: span.name + "\\n"))
            )
            provider.get_tracer("x").start_span("held back").end()

        work()
    """
    done = run_script(tmp_path, script)
    assert (done.stdout, done.stderr, done.returncode) == ("held back\n", "", 0)


def test_forked_children_tell_their_own_processors(tmp_path: Path) -> None:
    script = """
        import os
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        from scouter import MockConfig
        from scouter.tracing import TracerProvider

        kept = InMemorySpanExporter()
        provider = TracerProvider(transport_config=MockConfig())
        provider.add_span_processor(SimpleSpanProcessor(kept))
        tracer = provider.get_tracer("x")
        tracer.start_span("parent").end()
        child = os.fork()
        if not child:
            tracer.start_span("child").end()
            ok = provider.force_flush() and [span.name for span in kept.get_finished_spans()] == ["parent", "child"]
            os._exit(0 if ok else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert [span.name for span in kept.get_finished_spans()] == ["parent"]
    """
    done = run_script(tmp_path, script)
    assert (done.stderr, done.returncode) == ("", 0)


def test_without_the_sdk_nothing_of_it_is_imported(tmp_path: Path) -> None:
    script = """
        import sys
        from scouter import MockConfig
        from scouter.tracing import TestSpanExporter, TracerProvider, instrument, uninstrument

        class Own:
            told = []
            def on_start(self, span, parent_context=None):
                self.told.append("start")
            def on_end(self, span):
                self.told.append("end")

        exporter = TestSpanExporter()
        instrument(transport_config=MockConfig(), exporter=exporter)
        provider = TracerProvider(transport_config=MockConfig(), exporter=exporter)
        provider.add_span_processor(Own())
        provider.get_tracer("x").start_span("a").end()
        assert provider.force_flush()
        assert Own.told == ["start", "end"]
        assert [span.name for span in exporter.spans] == ["a"]
        uninstrument()
        print(sorted(name for name in sys.modules if name.startswith("opentelemetry.sdk")))
    """
    done = run_script(tmp_path, script)
    assert (done.stdout, done.stderr) == ("['opentelemetry.sdk']\n", "")
