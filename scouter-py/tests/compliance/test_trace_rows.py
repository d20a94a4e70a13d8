"""OpenTelemetry's compliance matrix, "Traces": tracer provider, tracer, span context and span. One test a row, named by its id."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry import context, trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, TraceState
from support import Kept

from scouter import MockConfig
from scouter.tracing import ScouterInstrumentor, TracerProvider

Scopes = dict[str, trace_pb2.ScopeSpans]

REMOTE = SpanContext(0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, True, TraceFlags(1))


def scopes(config: MockConfig) -> Scopes:
    """The scope of each span, by the span's name."""
    return {
        span.name: scope
        for request in config.requests
        for resource in ExportTraceServiceRequest.FromString(request).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    }


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """Does the work in threads that all begin at the same moment, and raises what any of them raised."""
    begin = threading.Barrier(count)

    def run(number: int) -> None:
        begin.wait()
        work(number)

    with ThreadPoolExecutor(count) as pool:
        for done in [pool.submit(run, number) for number in range(count)]:
            done.result()


def test_m001_create_tracer_provider() -> None:
    provider = TracerProvider(transport_config=MockConfig())
    assert isinstance(provider, trace.TracerProvider)
    assert provider.shutdown()


def test_m002_get_a_tracer() -> None:
    provider = TracerProvider(transport_config=MockConfig())
    assert isinstance(provider.get_tracer("shop"), trace.Tracer)
    # An invalid name still gives a working tracer (trace API, "Get a Tracer").
    assert provider.get_tracer("").start_span("works").is_recording()
    provider.shutdown()


def test_m003_get_a_tracer_with_schema_url() -> None:
    config = MockConfig()
    provider = TracerProvider(transport_config=config)
    provider.get_tracer("shop", "1.0", "https://opentelemetry.io/schemas/1.30.0").start_span("one").end()
    assert provider.shutdown()
    assert scopes(config)["one"].schema_url == "https://opentelemetry.io/schemas/1.30.0"


def test_m004_get_a_tracer_with_scope_attributes() -> None:
    config = MockConfig()
    provider = TracerProvider(transport_config=config)
    provider.get_tracer("shop", attributes={"team": "checkout", "size": 3}).start_span("one").end()
    assert provider.shutdown()
    team, size = scopes(config)["one"].scope.attributes
    assert (team.key, team.value.string_value) == ("team", "checkout")
    assert (size.key, size.value.int_value) == ("size", 3)


def test_m005_associate_tracer_with_instrumentation_scope() -> None:
    config = MockConfig()
    provider = TracerProvider(transport_config=config)
    for name, version in (("a", "1"), ("b", None), ("a", "2")):
        provider.get_tracer(name, version).start_span(f"{name} {version}").end()
    assert provider.shutdown()
    found = {name: (spans.scope.name, spans.scope.version) for name, spans in scopes(config).items()}
    assert found == {"a 1": ("a", "1"), "b None": ("b", ""), "a 2": ("a", "2")}


def test_m006_tracer_provider_is_safe_for_concurrent_calls() -> None:
    config = MockConfig()
    provider = TracerProvider(transport_config=config)

    def work(number: int) -> None:
        for i in range(200):
            provider.get_tracer(f"scope {number} {i % 5}").start_span("span").end()
            if i % 50 == 0:
                assert provider.force_flush(20_000)
                provider.stats()

    in_threads(6, work)
    assert provider.shutdown()
    assert len(config.spans) == 1200
    assert len({span["scope"] for span in config.spans}) == 30


def test_m007_shutdown() -> None:
    config = MockConfig()
    provider = TracerProvider(transport_config=config)
    tracer = provider.get_tracer("shop")
    tracer.start_span("before").end()
    assert provider.shutdown()
    after = tracer.start_span("after")
    assert not after.is_recording()
    after.end()
    assert not provider.get_tracer("later").start_span("later").is_recording()
    assert [span["name"] for span in config.spans] == ["before"]


def test_m008_force_flush() -> None:
    config = MockConfig()
    provider = TracerProvider(transport_config=config)
    provider.get_tracer("shop").start_span("one").end()
    assert provider.force_flush(10_000)
    assert [span["name"] for span in config.spans] == ["one"]
    provider.shutdown()


def test_m009_get_active_span(kept: Kept) -> None:
    assert trace.get_current_span() is trace.INVALID_SPAN
    with kept.tracer.start_as_current_span("active") as span:
        assert trace.get_current_span() is span
        assert trace.get_current_span(context.get_current()) is span


def test_m010_set_active_span(kept: Kept) -> None:
    span = kept.tracer.start_span("made active")
    token = context.attach(trace.set_span_in_context(span))
    try:
        assert trace.get_current_span() is span
        kept.tracer.start_span("child").end()
    finally:
        context.detach(token)
    span.end()
    assert kept.span("child")["parent_span_id"] == kept.span("made active")["span_id"]


def test_m011_create_a_new_span(kept: Kept) -> None:
    span = kept.tracer.start_span("new", kind=SpanKind.PRODUCER, attributes={"a": 1})
    assert isinstance(span, trace.Span)
    span.end()
    assert (kept.span()["name"], kept.span()["attributes"]) == ("new", {"a": 1})


def test_m012_attributes_at_creation_are_documented_as_preferred() -> None:
    from scouter.tracing import ScouterTracer

    for method in (ScouterTracer.start_span, ScouterTracer.start_as_current_span):
        assert "samplers" in (inspect.getdoc(method) or ""), method


def test_m013_tracer_gets_active_span(kept: Kept) -> None:
    with kept.tracer.start_as_current_span("active") as span, kept.tracer.current_span as current:
        assert current is span


def test_m014_tracer_marks_span_active(kept: Kept) -> None:
    span = kept.tracer.start_span("outside")
    with trace.use_span(span, end_on_exit=True):
        assert trace.get_current_span() is span
    assert not span.is_recording()
    with kept.tracer.start_as_current_span("inside") as span:
        assert trace.get_current_span() is span
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_m015_tracer_is_safe_for_concurrent_calls(kept: Kept) -> None:
    def work(number: int) -> None:
        for i in range(300):
            outside = kept.tracer.start_as_current_span(f"{number} {i}")
            with outside as outer, kept.tracer.start_as_current_span("inner") as inner:
                assert inner.parent.span_id == outer.context.span_id

    in_threads(6, work)
    assert len(kept.spans()) == 3600


def test_m016_span_context_is_valid(kept: Kept) -> None:
    assert kept.tracer.start_span("one").get_span_context().is_valid
    invalid = NonRecordingSpan(SpanContext(0, 0, False))
    root = kept.tracer.start_span("root", trace.set_span_in_context(invalid))
    assert root.get_span_context().is_valid
    assert root.parent is None


def test_m017_span_context_is_remote(kept: Kept) -> None:
    child = kept.tracer.start_span("child", trace.set_span_in_context(NonRecordingSpan(REMOTE)))
    assert child.parent.is_remote
    assert not child.get_span_context().is_remote
    grandchild = kept.tracer.start_span("grandchild", trace.set_span_in_context(child))
    assert not grandchild.parent.is_remote


def test_m018_span_context_conforms_to_w3c(kept: Kept) -> None:
    state = TraceState([("vendor", "kept"), ("tenant@system", "1")])
    remote = SpanContext(REMOTE.trace_id, REMOTE.span_id, True, TraceFlags(1), state)
    made = kept.tracer.start_span("child", trace.set_span_in_context(NonRecordingSpan(remote))).get_span_context()
    assert made.trace_id == REMOTE.trace_id
    assert 0 < made.span_id < 1 << 64
    assert made.span_id != REMOTE.span_id
    assert made.trace_state.to_header() == "vendor=kept,tenant@system=1"
    assert made.trace_flags.sampled


def test_m019_level_2_randomness(kept: Kept) -> None:
    # Trace Context Level 2, section 3.2.2.5.2: the flag says that the lower 56 bits are random.
    spans = [kept.tracer.start_span("root").get_span_context() for _ in range(512)]
    assert all(span.trace_flags & 0x02 for span in spans)
    random_parts = [span.trace_id & ((1 << 56) - 1) for span in spans]
    ones = [sum(part >> bit & 1 for part in random_parts) for bit in range(56)]
    assert all(156 < count < 356 for count in ones), ones
    child = kept.tracer.start_span("child", trace.set_span_in_context(NonRecordingSpan(REMOTE)))
    assert not child.get_span_context().trace_flags & 0x02, "the flag is the parent's to set"


def test_m020_create_root_span(kept: Kept) -> None:
    with kept.tracer.start_as_current_span("active"):
        kept.tracer.start_span("root", context.Context()).end()
    root, active = kept.span("root"), kept.span("active")
    assert root["parent_span_id"] is None
    assert root["trace_id"] != active["trace_id"]


def test_m021_default_parent_is_the_active_span(kept: Kept) -> None:
    with kept.tracer.start_as_current_span("active"):
        kept.tracer.start_span("child").end()
    assert kept.span("child")["parent_span_id"] == kept.span("active")["span_id"]


def test_m022_parent_from_context(kept: Kept) -> None:
    other = kept.tracer.start_span("other")
    with kept.tracer.start_as_current_span("active"):
        kept.tracer.start_span("child", trace.set_span_in_context(other)).end()
    other.end()
    assert kept.span("child")["parent_span_id"] == kept.span("other")["span_id"]


def test_m023_no_explicit_parent_span_or_span_context(kept: Kept) -> None:
    # Trace API, "Span Creation": the parent comes in a Context, never as a Span or SpanContext.
    parent = kept.tracer.start_span("parent")
    assert "parent" not in inspect.signature(kept.tracer.start_span).parameters
    for wrong in (parent, parent.get_span_context()):
        assert kept.tracer.start_span("child", wrong).parent is None


def test_m025_update_name(kept: Kept) -> None:
    span = kept.tracer.start_span("before")
    span.update_name("after")
    span.end()
    span.update_name("too late")
    assert kept.span()["name"] == "after"


def test_m026_user_defined_start_timestamp(kept: Kept) -> None:
    kept.tracer.start_span("past", start_time=1_600_000_000_000_000_001).end()
    assert kept.span()["start_time"] == 1_600_000_000_000_000_001


def test_m027_end(kept: Kept) -> None:
    span = kept.tracer.start_span("span")
    span.end()
    first = span.end_time
    span.end()
    assert span.end_time == first
    assert len(kept.spans()) == 1


def test_m028_end_with_timestamp(kept: Kept) -> None:
    kept.tracer.start_span("span", start_time=1_000).end(end_time=5_000)
    assert kept.span()["end_time"] == 5_000


def test_m029_is_recording(kept: Kept) -> None:
    assert kept.tracer.start_span("span").is_recording()
    unsampled = SpanContext(1, 2, True, TraceFlags(0))
    span = kept.tracer.start_span("span", trace.set_span_in_context(NonRecordingSpan(unsampled)))
    assert not span.is_recording()


def test_m030_is_recording_is_false_after_end(kept: Kept) -> None:
    span = kept.tracer.start_span("span")
    span.end()
    assert not span.is_recording()
    span.set_attribute("late", 1)
    span.add_event("late")
    assert (kept.span()["attributes"], kept.span()["events"]) == ({}, [])


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([], ("UNSET", "")),
        ([("OK", None)], ("OK", "")),
        ([("ERROR", "broken")], ("ERROR", "broken")),
        ([("ERROR", "broken"), ("OK", None)], ("OK", "")),
        ([("OK", None), ("ERROR", "broken")], ("OK", "")),
        ([("ERROR", "broken"), ("UNSET", None)], ("ERROR", "broken")),
        ([("ERROR", "broken"), ("ERROR", "worse")], ("ERROR", "worse")),
        ([("OK", "ignored")], ("OK", "")),
    ],
)
def test_m031_set_status(kept: Kept, calls: list[tuple[str, str | None]], expected: tuple[str, str]) -> None:
    span = kept.tracer.start_span("span")
    for code, description in calls:
        span.set_status(trace.StatusCode[code], description)
    span.end()
    assert (span.status.status_code.name, span.status.description or "") == expected


def test_m032_span_is_safe_for_concurrent_calls(kept: Kept) -> None:
    span = kept.tracer.start_span("shared")

    def work(number: int) -> None:
        for i in range(20):
            span.set_attribute(f"{number}.{i}", i)
            span.update_name(f"name {number}")
            assert span.is_recording()
            span.get_span_context()

    in_threads(6, work)
    span.end()
    assert len(kept.span()["attributes"]) == 120


def test_m033_events_collection_size_limit(kept: Kept) -> None:
    span = kept.tracer.start_span("span")
    for i in range(130):
        span.add_event(f"event {i}")
    span.end()
    assert len(kept.span()["events"]) == 128
    assert span.dropped_events == 2


def test_m034_attribute_collection_size_limit(kept: Kept) -> None:
    span = kept.tracer.start_span("span")
    for i in range(130):
        span.set_attribute(f"key {i}", i)
    span.end()
    assert len(kept.span()["attributes"]) == 128
    assert span.dropped_attributes == 2


def test_m035_links_collection_size_limit(kept: Kept) -> None:
    span = kept.tracer.start_span("span", links=[trace.Link(REMOTE)] * 130)
    span.end()
    assert len(kept.span()["links"]) == 128
    assert span.dropped_links == 2


def test_m056_new_span_id_also_for_spans_that_are_not_recorded() -> None:
    provider = TracerProvider(transport_config=MockConfig(), sample_ratio=0.0)
    tracer = provider.get_tracer("shop")
    with tracer.start_as_current_span("root") as root, tracer.start_as_current_span("child") as child:
        first, second = root.get_span_context(), child.get_span_context()
    assert not root.is_recording()
    assert first.trace_id == second.trace_id
    assert first.span_id != second.span_id
    assert second.is_valid
    provider.shutdown()


def test_m061_instrumentation_scope_from_readable_span() -> None:
    provider = TracerProvider(transport_config=MockConfig())
    span = provider.get_tracer("shop", "2.1", "https://example.com/schema", {"team": "a"}).start_span("span")
    span.end()
    scope = span.instrumentation_scope
    assert (scope.name, scope.version, scope.schema_url) == ("shop", "2.1", "https://example.com/schema")
    assert dict(scope.attributes) == {"team": "a"}
    provider.shutdown()


def test_global_provider_is_what_rows_are_about() -> None:
    """The rows hold for tracers that come from the API, too."""
    ScouterInstrumentor().instrument(transport_config=MockConfig())
    assert isinstance(trace.get_tracer("shop").start_span("span"), trace.Span)
    assert trace.get_tracer("shop").start_span("span").is_recording()
