"""Spans that are ended twice, late, elsewhere or never."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry import context, trace
from support import Kept

from scouter import MockConfig
from scouter.tracing import TracerProvider, init_tracer


def never_ended(kept: Kept) -> int:
    dropped: dict[str, int] = kept.tracer.stats()["destinations"]["scouter"]["dropped"]
    return dropped["never_ended"]


def balanced(kept: Kept) -> bool:
    stats = kept.tracer.stats()
    (found,) = stats["destinations"].values()
    fates = stats["live"] + found["exported"] + found["thinned"] + found["queued"] + sum(found["dropped"].values())
    return bool(stats["started"] == fates)


def test_twice(kept: Kept) -> None:
    span = kept.tracer.start_span("x")
    span.end(5_000_000_000_000_000_000)
    span.end(6_000_000_000_000_000_000)
    with span:
        pass
    span.__exit__(ValueError, ValueError("late"), None)
    found = kept.span()
    assert (found["end_time"], found["events"], found["status"].upper()) == (5_000_000_000_000_000_000, [], "UNSET")


def test_after_the_shutdown() -> None:
    config = MockConfig()
    provider = TracerProvider(transport_config=config)
    tracer = provider.get_tracer("x")
    begun = tracer.start_as_current_span("begun")
    with begun as span:
        inner = tracer.start_span("inner")
        assert provider.shutdown(5_000)
        assert trace.get_current_span() is span
        inner.set_attribute("a", 1)
        inner.end()
        with tracer.start_as_current_span("later") as later:
            assert not later.is_recording()
            assert later.get_span_context().trace_id == span.get_span_context().trace_id
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert config.spans == []
    stats = provider.stats()
    assert (stats["started"], stats["live"]) == (2, 0)
    assert sum(stats["destinations"]["scouter"]["dropped"].values()) == 2


def test_in_another_thread(kept: Kept) -> None:
    begun, ended = threading.Event(), threading.Event()
    spans = []

    def owner() -> None:
        with kept.tracer.start_as_current_span("x") as span:
            spans.append(span)
            begun.set()
            assert ended.wait(10)
            span.set_attribute("late", 1)
            assert trace.get_current_span() is span
        assert trace.get_current_span() is trace.INVALID_SPAN

    thread = threading.Thread(target=owner)
    thread.start()
    assert begun.wait(10)
    spans[0].set_attribute("there", 1)
    spans[0].end()
    ended.set()
    thread.join()
    assert kept.span()["attributes"] == {"there": 1}


def test_by_many_threads_at_once(kept: Kept) -> None:
    with ThreadPoolExecutor(8) as pool:
        for _ in range(200):
            span = kept.tracer.start_span("x")
            together = threading.Barrier(8)

            def end(span: trace.Span = span, together: threading.Barrier = together) -> None:
                together.wait()
                span.set_attribute("a", 1)
                span.end()

            for done in [pool.submit(end) for _ in range(8)]:
                done.result()
    assert len(kept.spans()) == 200
    assert balanced(kept)


def test_entered_in_one_thread_and_left_in_another(kept: Kept) -> None:
    block = kept.tracer.start_as_current_span("x")

    def inside(work: Callable[[], object]) -> None:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    inside(block.__enter__)
    with kept.tracer.start_as_current_span("mine") as mine:
        block.__exit__(None, None, None)
        assert trace.get_current_span() is mine
    assert {span["name"] for span in kept.spans()} == {"x", "mine"}


def test_entered_twice(kept: Kept) -> None:
    with kept.tracer.start_as_current_span("outer") as outer:
        block = kept.tracer.start_as_current_span("x")
        with block as first:
            with block as second:
                assert first is second
                assert trace.get_current_span() is first
            assert trace.get_current_span() is first
        assert trace.get_current_span() is outer
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert [span["name"] for span in kept.spans()] == ["x", "outer"]


def test_entered_again_after_its_end(kept: Kept) -> None:
    block = kept.tracer.start_as_current_span("x")
    for recording in (True, False):
        with block as span:
            assert span.is_recording() is recording
        assert trace.get_current_span() is trace.INVALID_SPAN
    assert len(kept.spans()) == 1


def test_entered_by_many_threads_at_once(kept: Kept) -> None:
    """One object, asked for once: it is one span, whoever comes first."""
    with ThreadPoolExecutor(4) as pool:
        for _ in range(100):
            block = kept.tracer.start_as_current_span("x")
            together = threading.Barrier(4)

            def enter(block: trace.Span = block, together: threading.Barrier = together) -> None:
                together.wait()
                with block:
                    pass
                assert trace.get_current_span() is trace.INVALID_SPAN

            for done in [pool.submit(enter) for _ in range(4)]:
                done.result()
    assert len(kept.spans()) == 100
    assert balanced(kept)


def test_left_without_having_been_entered(kept: Kept) -> None:
    waiting = kept.tracer.start_as_current_span("never begun")
    waiting.__exit__(None, None, None)
    assert not waiting.is_recording()
    begun = kept.tracer.start_span("begun")
    begun.__exit__(ValueError, ValueError("x"), None)
    begun.__exit__(None, None, None)
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert kept.span()["status"].upper() == "ERROR"

    async def main() -> None:
        await kept.tracer.start_as_current_span("never begun").__aexit__(None, None, None)

    asyncio.run(main())
    assert len(kept.spans()) == 1


def test_used_while_it_waits_for_its_block(kept: Kept) -> None:
    waiting = kept.tracer.start_as_current_span("x")
    waiting.set_attribute("lost", 1)
    waiting.add_event("lost")
    waiting.set_status(trace.StatusCode.ERROR)
    waiting.record_exception(ValueError())
    waiting.update_name("lost")
    waiting.set_input(1)
    waiting.end()
    assert (waiting.name, dict(waiting.attributes), waiting.events, waiting.links) == ("x", {}, (), ())
    assert (waiting.parent, waiting.start_time, waiting.end_time, waiting.is_recording()) == (None, None, None, False)
    assert waiting.get_span_context() is trace.INVALID_SPAN_CONTEXT
    assert waiting.to_json()
    with trace.use_span(waiting), kept.tracer.start_as_current_span("root") as root:
        assert root.parent is None
    with waiting as span:
        assert span.is_recording()
    assert kept.span("x")["attributes"] == {}


def test_left_out_of_order(kept: Kept) -> None:
    first, second = kept.tracer.start_as_current_span("first"), kept.tracer.start_as_current_span("second")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert trace.get_current_span() is trace.INVALID_SPAN
    second.__exit__(None, None, None)
    # As under the SDK: each makes that current again which was current when it was entered.
    assert trace.get_current_span() is first
    context.attach(context.Context())
    assert len(kept.spans()) == 2


def test_current_and_collected(kept: Kept) -> None:
    """The context alone keeps a span that nobody else refers to."""

    def lose() -> None:
        kept.tracer.start_as_current_span("x").__enter__()

    contextvars.copy_context().run(lose)
    gc.collect()
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert kept.spans() == []


class Box:
    """Something that a span can be in a cycle with."""

    def __init__(self) -> None:
        self.held: list[object] = []


def _begun(kept: Kept, box: Box) -> trace.Span:
    return kept.tracer.start_span("x", attributes={"a": "x" * 100})


def _waiting(kept: Kept, box: Box) -> trace.Span:
    return kept.tracer.start_as_current_span("x", attributes={"box": box}, links=[box], tags={"box": box})  # type: ignore[dict-item,list-item]


def _entered(kept: Kept, box: Box) -> trace.Span:
    block = kept.tracer.start_as_current_span("x")
    contextvars.Context().run(block.__enter__)
    return block


def _entered_in_a_thread(kept: Kept, box: Box) -> trace.Span:
    block = kept.tracer.start_as_current_span("x")
    thread = threading.Thread(target=block.__enter__)
    thread.start()
    thread.join()
    return block


def _with_baggage(kept: Kept, box: Box) -> trace.Span:
    return kept.tracer.start_as_current_span("x", baggage={"k": box})  # type: ignore[dict-item]


def _in_a_context_of_its_own(kept: Kept, box: Box) -> trace.Span:
    return kept.tracer.start_as_current_span("x", context=context.set_value("box", box))


@pytest.mark.parametrize(
    "make", [_begun, _waiting, _entered, _entered_in_a_thread, _with_baggage, _in_a_context_of_its_own]
)
@pytest.mark.parametrize("where", ["here", "another thread", "its own finaliser"])
def test_never_ended_and_in_a_cycle(kept: Kept, make: Callable[[Kept, Box], trace.Span], where: str) -> None:
    finalised = []

    class Finalised(Box):
        def __del__(self) -> None:
            finalised.append(1)
            if where == "its own finaliser":
                for span in self.held:
                    if isinstance(span, trace.Span):
                        span.set_attribute("from the finaliser", 1)
                        span.get_span_context()

    def lose() -> weakref.ref[trace.Span]:
        box = Finalised()
        span = make(kept, box)
        box.held += [span, box]
        return weakref.ref(span)

    gc.disable()
    try:
        lost = lose()
        if where == "another thread":
            thread = threading.Thread(target=gc.collect)
            thread.start()
            thread.join()
        else:
            gc.collect()
    finally:
        gc.enable()
    assert finalised == [1]
    assert lost() is None
    assert kept.spans() == []
    assert kept.tracer.stats()["live"] == 0
    assert balanced(kept)


def test_decorated_functions_are_collected(kept: Kept) -> None:
    def lose() -> list[weakref.ref[object]]:
        box = Box()

        @kept.tracer.span("x", attributes={"box": box})
        def function(value: object = box) -> object:
            return value

        @kept.tracer.span("x")
        def generator(value: object = box) -> Iterator[object]:
            yield value

        @kept.tracer.start_as_current_span("x", attributes={"box": box})
        def current(value: object = box) -> object:
            return value

        function(), list(generator()), current()
        box.held += [function, generator, current]
        return [weakref.ref(box), weakref.ref(function), weakref.ref(generator), weakref.ref(current)]

    lost = lose()
    gc.collect()
    assert [found() for found in lost] == [None] * 4


def test_a_collection_while_spans_come_and_go(kept: Kept) -> None:
    """The collector runs in whichever thread allocates, in the middle of anything."""
    before = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    stop = threading.Event()

    def collect() -> None:
        while not stop.is_set():
            gc.collect()

    thread = threading.Thread(target=collect)
    thread.start()
    try:
        for at in range(300):
            with kept.tracer.start_as_current_span("x", attributes={"at": at}) as span:
                box = Box()
                box.held += [box, kept.tracer.start_span("lost"), kept.tracer.start_as_current_span("never begun")]
                span.set_input({"at": [at]})
                span.add_event("e", {"a": 1})
    finally:
        stop.set()
        thread.join()
        gc.set_threshold(*before)
    del box
    gc.collect()
    assert len(kept.spans()) == 300
    assert never_ended(kept) == 300
    assert balanced(kept)


def test_a_span_outlives_everything(kept: Kept) -> None:
    config = MockConfig()
    span = init_tracer(transport_config=config).start_span("x")
    gc.collect()
    span.set_attribute("a", 1)
    assert span.resource.attributes
    assert span.instrumentation_scope.name
    span.end()
    assert sys.getrefcount(span) == 2
