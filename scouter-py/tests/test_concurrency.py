from __future__ import annotations

import asyncio
import contextvars
import gc
import json
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

from opentelemetry import context, trace
from support import Kept

from scouter import BatchConfig, MockConfig
from scouter.tracing import init_tracer


def parents(kept: Kept) -> dict[str, str | None]:
    """The name of every span's parent, by the span's name."""
    spans = kept.spans()
    names = {span["span_id"]: span["name"] for span in spans}
    return {span["name"]: names.get(span["parent_span_id"]) for span in spans}


def test_threads_do_not_see_each_other() -> None:
    config = MockConfig()
    tracer = init_tracer(transport_config=config, batch_config=BatchConfig(max_queue_size=100_000))
    start = threading.Barrier(8)

    def work(name: str) -> None:
        start.wait()
        for at in range(200):
            with tracer.start_as_current_span(f"{name}-{at}") as outer:
                with tracer.start_as_current_span("inner") as inner:
                    assert inner.parent.span_id == outer.context.span_id
                    assert trace.get_current_span() is inner
                assert trace.get_current_span() is outer

    threads = [threading.Thread(target=work, args=(str(name),)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tracer.flush()
    assert len(config.spans) == 8 * 200 * 2
    assert len({span["span_id"] for span in config.spans}) == 8 * 200 * 2
    assert len({span["trace_id"] for span in config.spans}) == 8 * 200


def test_one_span_used_by_many_threads(kept: Kept) -> None:
    with kept.tracer.start_as_current_span("shared") as span, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda at: span.set_attribute(f"a{at % 100}", at), range(1000)))
        list(pool.map(lambda at: span.add_event(str(at)), range(100)))
    found = kept.span()
    assert len(found["attributes"]) == 100
    assert len(found["events"]) == 100


def test_executors_start_afresh_and_copied_contexts_go_on(kept: Kept) -> None:
    def work(name: str) -> None:
        with kept.tracer.start_as_current_span(name):
            pass

    with kept.tracer.start_as_current_span("outer"), ThreadPoolExecutor(1) as pool:
        pool.submit(work, "fresh").result()
        pool.submit(contextvars.copy_context().run, work, "copied").result()
    assert parents(kept) == {"outer": None, "fresh": None, "copied": "outer"}


def test_tasks_inherit_and_do_not_leak(kept: Kept) -> None:
    async def child(name: str, turns: int) -> None:
        async with kept.tracer.start_as_current_span(name) as span:
            for _ in range(turns):
                await asyncio.sleep(0)
                assert trace.get_current_span() is span

    async def main() -> None:
        with kept.tracer.start_as_current_span("outer") as outer:
            await asyncio.gather(*(child(f"child {at}", at) for at in range(5)))
            assert trace.get_current_span() is outer
            await asyncio.to_thread(lambda: asyncio.run(child("in a thread", 1)))
            task = asyncio.create_task(child("late", 3))
        assert trace.get_current_span() is trace.INVALID_SPAN
        await task

    asyncio.run(main())
    found = parents(kept)
    assert found.pop("outer") is None
    assert set(found.values()) == {"outer"}
    assert len(found) == 7


def test_leaving_in_another_context_harms_nobody(kept: Kept) -> None:
    """As it happens when an event loop finalises a generator in a context of its own."""
    span = kept.tracer.start_as_current_span("x")
    contextvars.copy_context().run(span.__enter__)
    span.__exit__(None, None, None)
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert kept.span()["name"] == "x"


def test_attach_and_detach_by_hand(kept: Kept) -> None:
    span = kept.tracer.start_span("by hand")
    token = context.attach(trace.set_span_in_context(span))
    with kept.tracer.start_as_current_span("inner"):
        pass
    context.detach(token)
    with trace.use_span(span, end_on_exit=True), kept.tracer.start_as_current_span("used"):
        pass
    assert parents(kept) == {"by hand": None, "inner": "by hand", "used": "by hand"}


def test_other_values_in_the_context_stay(kept: Kept) -> None:
    token = context.attach(context.set_value("mine", 1))
    with kept.tracer.start_as_current_span("x"):
        assert context.get_value("mine") == 1
    context.detach(token)


def test_serialisation_may_call_code_that_traces(kept: Kept) -> None:
    class Chatty:
        def __repr__(self) -> str:
            with kept.tracer.start_as_current_span("inside repr"):
                trace.get_current_span().set_attribute("a", 1)
                return "chatty"

        __str__ = __repr__

    with kept.tracer.start_as_current_span("x") as span:
        span.set_input({"value": Chatty()})
        span.set_attribute("direct", Chatty())
    assert json.loads(kept.span("x")["attributes"]["scouter.input"])


def test_dropped_spans_leave_nothing_behind() -> None:
    tracer = init_tracer(transport_config=MockConfig(), sample_ratio=0.0)
    recorded = init_tracer(transport_config=MockConfig())

    def leave() -> None:
        for _ in range(200):
            tracer.start_span("not ended")
            recorded.start_span("not ended", attributes={"a": "x" * 100})

    leave()
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(20):
            leave()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 20_000
    assert recorded.stats()["live"] == 0
