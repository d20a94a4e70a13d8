from __future__ import annotations

import asyncio
import json
import time

import pytest
from opentelemetry import baggage, trace
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.sdk.trace import TracerProvider as SdkProvider
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags
from support import Kept

from scouter import MockConfig
from scouter.tracing import SpanKind, TracerProvider, init_tracer


def test_spans_nest_and_become_current(kept: Kept) -> None:
    with kept.tracer.start_as_current_span("parent") as parent:
        assert trace.get_current_span() is parent
        with kept.tracer.start_as_current_span("child") as child:
            assert trace.get_current_span() is child
            assert child.parent.span_id == parent.get_span_context().span_id
        assert trace.get_current_span() is parent
        with kept.tracer.start_span("not current"):
            assert trace.get_current_span() is parent
    assert trace.get_current_span() is trace.INVALID_SPAN
    parent_span, child_span = kept.span("parent"), kept.span("child")
    assert parent_span["parent_span_id"] is None
    assert child_span["parent_span_id"] == parent_span["span_id"]
    assert child_span["trace_id"] == parent_span["trace_id"]
    assert kept.span("not current")["parent_span_id"] == parent_span["span_id"]


def test_async_with(kept: Kept) -> None:
    async def main() -> None:
        async with kept.tracer.start_as_current_span("workflow") as span:
            span.set_tag("environment", "production")
            await asyncio.sleep(0)
            assert trace.get_current_span() is span
            span.set_output({"done": True})

    asyncio.run(main())
    attributes = kept.span()["attributes"]
    assert attributes == {"scouter.tag.environment": "production", "scouter.output": '{"done": true}'}


def test_start_as_current_span_decorates(kept: Kept) -> None:
    @kept.tracer.start_as_current_span("sync", kind=SpanKind.Client)
    def sync(a: int) -> int:
        """Doc."""
        assert trace.get_current_span().is_recording()
        return a + 1

    @kept.tracer.start_as_current_span("async")
    async def asynchronous() -> str:
        await asyncio.sleep(0)
        return trace.get_current_span().name

    assert (sync.__name__, sync.__doc__) == ("sync", "Doc.")
    assert [sync(1), sync(2)] == [2, 3]
    assert asyncio.iscoroutinefunction(asynchronous)
    assert asyncio.run(asynchronous()) == "async"
    found = kept.spans()
    assert [span["name"] for span in found] == ["sync", "sync", "async"]
    assert found[0]["kind"] is trace.SpanKind.CLIENT
    assert found[0]["span_id"] != found[1]["span_id"]


def test_end_on_exit(kept: Kept) -> None:
    with kept.tracer.start_as_current_span("x", end_on_exit=False) as span:
        pass
    assert span.is_recording()
    span.end()
    assert not span.is_recording()


def test_kinds_in_both_spellings(kept: Kept) -> None:
    for ours, theirs in (
        (SpanKind.Internal, trace.SpanKind.INTERNAL),
        (SpanKind.Server, trace.SpanKind.SERVER),
        (SpanKind.Client, trace.SpanKind.CLIENT),
        (SpanKind.Producer, trace.SpanKind.PRODUCER),
        (SpanKind.Consumer, trace.SpanKind.CONSUMER),
    ):
        assert ours is theirs
        assert getattr(SpanKind, theirs.name) is theirs
        span = kept.tracer.start_span("x", kind=ours)
        assert span.kind is theirs
        span.end()
    assert [span["kind"] for span in kept.spans()] == list(trace.SpanKind)


def test_the_keywords_of_our_own(kept: Kept) -> None:
    headers = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    with kept.tracer.start_as_current_span(
        "x", tags={"tier": "gold"}, baggage={"user": "7"}, label="ml", headers=headers
    ) as span:
        assert baggage.get_all() == {"user": "7"}
        assert span.parent.is_remote
    assert baggage.get_all() == {}
    found = kept.span()
    assert found["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert found["parent_span_id"] == "00f067aa0ba902b7"
    assert found["attributes"] == {"scouter.tag.tier": "gold", "scouter.label": "ml"}


def test_current_span(kept: Kept) -> None:
    with kept.tracer.start_as_current_span("x") as outer:
        assert isinstance(kept.tracer.current_span, trace.Span)
        with kept.tracer.current_span as span:
            assert span is outer
            span.set_tag("user_id", "1")
            span.set_attribute("action_type", "a")
            span.add_event("validation_completed", {"checks_passed": 5, "duration_ms": 23})
        assert outer.is_recording()
        kept.tracer.current_span.set_attribute("direct", True)
    with kept.tracer.current_span as span:
        assert not span.is_recording()
        span.set_attribute("nobody", "cares")
    found = kept.span()
    assert found["attributes"] == {"scouter.tag.user_id": "1", "action_type": "a", "direct": True}
    assert found["events"][0]["attributes"] == {"checks_passed": 5, "duration_ms": 23}


def test_attributes_of_all_types_and_upsert(kept: Kept) -> None:
    with kept.tracer.start_as_current_span("x", attributes={"a": 1, "b": "first"}) as span:
        span.set_attributes({"b": "second", "f": 1.5, "t": True, "list": ["a", "b"], "numbers": (1, 2)})
        span.set_attribute("bytes", b"\x00\xff")
        span.set_attribute("", "no name")
        span.set_attribute("none", None)
    attributes = kept.span()["attributes"]
    assert attributes["a"] == 1
    assert attributes["b"] == "second"
    assert (attributes["f"], attributes["t"]) == (1.5, True)
    assert list(attributes["list"]) == ["a", "b"]
    assert list(attributes["numbers"]) == [1, 2]
    assert attributes["bytes"] == b"\x00\xff"
    assert not {"", "none"} & set(attributes)


def test_links(kept: Kept) -> None:
    other = SpanContext(0xA, 0xB, is_remote=True, trace_flags=TraceFlags(1))
    with kept.tracer.start_as_current_span("x", links=[Link(other, {"why": "batch"})]) as span:
        span.add_link(SpanContext(0xC, 0xD, is_remote=False), {"late": True})
        assert [link.context.span_id for link in span.links] == [0xB, 0xD]
        assert dict(span.links[0].attributes) == {"why": "batch"}
    assert [link["span_id"] for link in kept.span()["links"]] == ["000000000000000b", "000000000000000d"]


def test_times_given_by_hand(kept: Kept) -> None:
    span = kept.tracer.start_span("x", start_time=1_000)
    span.add_event("e", timestamp=1_500)
    span.end(end_time=2_000)
    assert (span.start_time, span.end_time, span.events[0].timestamp) == (1_000, 2_000, 1_500)
    found = kept.span()
    assert (found["start_time"], found["end_time"]) == (1_000, 2_000)


def test_real_times(kept: Kept) -> None:
    before = time.time_ns()
    with kept.tracer.start_as_current_span("x") as span:
        assert span.end_time is None
    after = time.time_ns()
    assert before - 1_000_000 <= span.start_time <= span.end_time <= after + 1_000_000


def test_status_precedence(kept: Kept) -> None:
    span = kept.tracer.start_span("x")
    assert span.status.status_code is StatusCode.UNSET
    span.set_status(StatusCode.ERROR, "bad")
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "bad")
    span.set_status(Status(StatusCode.OK))
    span.set_status(Status(StatusCode.ERROR, "too late"))
    assert (span.status.status_code, span.status.description) == (StatusCode.OK, None)
    span.end()
    assert kept.span()["status"].upper() == "OK"


def test_success_leaves_the_status_unset(kept: Kept) -> None:
    with kept.tracer.start_as_current_span("x"):
        pass
    assert kept.span()["status"].upper() == "UNSET"


class TestExceptions:
    def test_recorded_once_and_propagated_unchanged(self, kept: Kept) -> None:
        error = ValueError("wrong value")
        with pytest.raises(ValueError, match="wrong value") as caught, kept.tracer.start_as_current_span("x"):
            raise error
        assert caught.value is error
        assert error.__context__ is None
        found = kept.span()
        assert (found["status"].upper(), found["status_message"]) == ("ERROR", "ValueError: wrong value")
        (event,) = found["events"]
        assert event["name"] == "exception"
        assert event["attributes"]["exception.type"] == "ValueError"
        assert event["attributes"]["exception.message"] == "wrong value"
        stack = event["attributes"]["exception.stacktrace"]
        assert stack.startswith("Traceback (most recent call last):")
        assert "test_recorded_once_and_propagated_unchanged" in stack
        assert stack.rstrip().endswith("ValueError: wrong value")

    def test_chained_ones_are_recorded_whole(self, kept: Kept) -> None:
        def fail() -> None:
            try:
                raise KeyError("inner")
            except KeyError as error:
                raise RuntimeError("outer") from error

        with pytest.raises(RuntimeError), kept.tracer.start_as_current_span("x"):
            fail()
        stack = kept.span()["events"][0]["attributes"]["exception.stacktrace"]
        assert "KeyError: 'inner'" in stack
        assert "direct cause" in stack

    def test_not_recorded_when_not_asked_for(self, kept: Kept) -> None:
        with (
            pytest.raises(ValueError, match="x"),
            kept.tracer.start_as_current_span("x", record_exception=False, set_status_on_exception=False),
        ):
            raise ValueError("x")
        found = kept.span()
        assert (found["status"].upper(), found["events"]) == ("UNSET", [])

    def test_leaving_for_other_reasons_is_no_error(self, kept: Kept) -> None:
        for reason in (SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError):
            with pytest.raises(reason), kept.tracer.start_as_current_span("x"):
                raise reason
        assert {span["status"].upper() for span in kept.spans()} == {"UNSET"}
        assert all(not span["events"] for span in kept.spans())

    def test_one_that_cannot_be_printed(self, kept: Kept) -> None:
        class Silent(Exception):
            def __str__(self) -> str:
                raise RuntimeError("no words")

        with pytest.raises(Silent), kept.tracer.start_as_current_span("x"):
            raise Silent
        assert kept.span()["events"][0]["attributes"]["exception.type"].endswith("Silent")

    def test_by_hand(self, kept: Kept) -> None:
        with kept.tracer.start_as_current_span("x") as span:
            span.record_exception(ValueError("a"), {"extra": 1}, timestamp=5)
        (event,) = kept.span()["events"]
        assert event["time"] == 5
        assert event["attributes"]["extra"] == 1


class TestReadable:
    """A span reads like the SDK's, while it runs and when it has ended."""

    def test_live_and_finished(self, kept: Kept) -> None:
        with kept.tracer.start_as_current_span("parent") as parent:
            span = kept.tracer.start_span("x", kind=SpanKind.Server, attributes={"a": 1})
        for end in (lambda: None, span.end):
            end()
            assert span.name == "x"
            assert span.context == span.get_span_context()
            assert span.parent.span_id == parent.context.span_id
            assert span.parent.trace_id == span.context.trace_id
            assert span.kind is trace.SpanKind.SERVER
            assert span.attributes == {"a": 1}
            assert span.events == ()
            assert span.links == ()
            assert span.status.status_code is StatusCode.UNSET
            assert span.resource.attributes["service.name"] == "test"
            assert span.instrumentation_scope.name == "test"
            assert (span.dropped_attributes, span.dropped_events, span.dropped_links) == (0, 0, 0)
        with pytest.raises(TypeError):
            span.attributes["b"] = 2
        parent_json = json.loads(parent.to_json())
        assert parent_json["parent_id"] is None

    def test_to_json_is_the_sdk_s(self, kept: Kept) -> None:
        sdk = SdkProvider(shutdown_on_exit=False).get_tracer("test")
        texts = []
        for tracer in (sdk, kept.tracer):
            headers = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

            parent = TraceContextTextMapPropagator().extract(headers)
            link = Link(SpanContext(0xA, 0xB, is_remote=False), {"why": "x"})
            span = tracer.start_span("x", parent, trace.SpanKind.CLIENT, {"a": 1, "l": ["b"]}, [link], 1_000_000_001)
            span.add_event("e", {"k": True}, 2_000_000_002)
            span.set_status(StatusCode.ERROR, "bad")
            span.end(3_000_000_003)
            parsed = json.loads(span.to_json())
            assert span.to_json(indent=None).count("\n") == 0
            parsed["context"]["span_id"] = parsed["resource"] = None
            texts.append(parsed)
        assert texts[0] == texts[1]
        resource = json.loads(span.resource.to_json())
        assert resource["attributes"]["service.name"] == "test"


class TestLimits:
    def test_of_a_provider(self) -> None:
        config = MockConfig()
        limits = SpanLimits(
            max_span_attributes=2,
            max_events=1,
            max_links=1,
            max_event_attributes=1,
            max_link_attributes=1,
            max_attribute_length=4,
        )
        tracer = TracerProvider(transport_config=config, span_limits=limits).get_tracer("x")
        to = SpanContext(0xA, 0xB, is_remote=False)
        with tracer.start_as_current_span("x", attributes={"a": "123456", "b": 1, "c": 2}) as span:
            span.add_event("kept", {"a": 1, "b": 2})
            span.add_event("dropped")
            span.add_link(to, {"a": 1, "b": 2})
            span.add_link(to)
            span.set_attribute("a", "abcdef")
        assert span.attributes == {"a": "abcd", "b": 1}
        assert (span.dropped_attributes, span.dropped_events, span.dropped_links) == (1, 1, 1)
        assert span.events[0].dropped_attributes == 1
        assert dict(span.links[0].attributes) == {"a": 1}

    def test_of_the_environment_and_the_defaults(self, monkeypatch: pytest.MonkeyPatch) -> None:
        tracer = init_tracer(transport_config=MockConfig())
        span = tracer.start_span("x", attributes={f"a{at}": at for at in range(200)})
        assert (len(span.attributes), span.dropped_attributes) == (128, 72)
        span.end()
        monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "3")
        span = init_tracer(transport_config=MockConfig()).start_span("x", attributes={f"a{at}": at for at in range(5)})
        assert (len(span.attributes), span.dropped_attributes) == (3, 2)
        span.end()


class TestTruncation:
    def test_whole_text_in_characters(self, kept: Kept) -> None:
        with kept.tracer.start_as_current_span("x") as span:
            span.set_input("é" * 20_000)
            span.set_output("short", max_length=10_000)
        attributes = kept.span()["attributes"]
        assert len(attributes["scouter.input"]) <= 5000
        assert attributes["scouter.input"].startswith('"éé')
        assert "truncated" in attributes["scouter.input"]
        assert attributes["scouter.output"] == '"short"'

    def test_at_the_limit_nothing_is_cut(self, kept: Kept) -> None:
        with kept.tracer.start_as_current_span("x") as span:
            span.set_input("a" * 4_998)
            span.set_output("a" * 9_999, max_length=10_000)
        attributes = kept.span()["attributes"]
        assert attributes["scouter.input"] == '"' + "a" * 4_998 + '"'
        assert len(attributes["scouter.output"]) == 10_000
        assert "truncated" in attributes["scouter.output"]


def test_nothing_is_changed_after_the_end(kept: Kept) -> None:
    span = kept.tracer.start_span("x", attributes={"a": 1})
    span.end()
    end_time = span.end_time
    span.set_attribute("b", 2)
    span.add_event("late")
    span.update_name("late")
    span.end()
    assert (span.name, span.attributes, span.events, span.end_time) == ("x", {"a": 1}, (), end_time)
    assert len(kept.spans()) == 1


def test_bad_values_are_left_out_without_raising(kept: Kept) -> None:
    class Hostile:
        def __str__(self) -> str:
            raise RuntimeError("no")

        __repr__ = __str__

    with kept.tracer.start_as_current_span("x", attributes={"ok": 1}) as span:
        span.set_attribute("hostile", Hostile())
        span.set_attribute("huge", 2**80)
        span.set_attributes({1: "no text"})
        span.add_event("e", {"hostile": Hostile()})
    assert kept.span()["attributes"]["ok"] == 1


def test_an_entity(kept: Kept) -> None:
    with kept.tracer.start_as_current_span("x") as span:
        span.set_entity("uid-1")
    assert kept.span()["attributes"] == {"scouter.entity": "uid-1"}


def test_update_name(kept: Kept) -> None:
    with kept.tracer.start_as_current_span("x") as span:
        span.update_name("y")
        assert span.name == "y"
    assert kept.span()["name"] == "y"
