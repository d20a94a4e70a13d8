"""Threads, executors, asyncio and copied contexts: who is whose parent is as it is under ``opentelemetry-sdk``.

Every program runs under both, and the trees are compared: names, parents, status, recorded exceptions.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
import uvloop
from opentelemetry import context, trace
from opentelemetry.sdk.trace import TracerProvider as SdkProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer

from scouter import MockConfig
from scouter.tracing import TracerProvider

Program = Callable[[Tracer], None]
AsyncProgram = Callable[[Tracer], Coroutine[Any, Any, None]]
PROGRAMS: dict[str, Program] = {}
ASYNC_PROGRAMS: dict[str, AsyncProgram] = {}


def program(function: Program) -> Program:
    PROGRAMS[function.__name__] = function
    return function


def async_program(function: AsyncProgram) -> AsyncProgram:
    ASYNC_PROGRAMS[function.__name__] = function
    return function


# --- threads and executors --------------------------------------------------------------------------------------------


def leaf(tracer: Tracer, name: str) -> None:
    with tracer.start_as_current_span(name):
        pass


@program
def threads_begin_afresh(tracer: Tracer) -> None:
    with tracer.start_as_current_span("outer"):
        for at in range(3):
            thread = threading.Thread(target=leaf, args=(tracer, f"thread {at}"))
            thread.start()
            thread.join()
        leaf(tracer, "inner")


@program
def threads_that_are_given_a_context(tracer: Tracer) -> None:
    def work(given: context.Context) -> None:
        token = context.attach(given)
        leaf(tracer, "attached")
        context.detach(token)
        leaf(tracer, "detached")

    with tracer.start_as_current_span("outer"):
        thread = threading.Thread(target=work, args=(context.get_current(),))
        thread.start()
        thread.join()


@program
def executors(tracer: Tracer) -> None:
    with ThreadPoolExecutor(1) as pool:
        with tracer.start_as_current_span("first"):
            pool.submit(leaf, tracer, "bare").result()
            pool.submit(contextvars.copy_context().run, leaf, tracer, "copied").result()
            copied = contextvars.copy_context()
        with tracer.start_as_current_span("second"):
            pool.submit(copied.run, leaf, tracer, "copied before").result()
            pool.submit(leaf, tracer, "bare again").result()
            list(pool.map(lambda at: leaf(tracer, f"mapped {at}"), range(2)))


@program
def executors_whose_work_leaves_something_current(tracer: Tracer) -> None:
    """What a job left behind is what the next job of this thread finds."""

    span = tracer.start_span("left")

    def leave() -> Any:
        return context.attach(trace.set_span_in_context(span))

    with ThreadPoolExecutor(1) as pool:
        token = pool.submit(leave).result()
        pool.submit(leaf, tracer, "after it").result()
        pool.submit(context.detach, token).result()
        pool.submit(leaf, tracer, "after the detach").result()
    span.end()


@program
def a_span_that_begins_here_and_ends_there(tracer: Tracer) -> None:
    with tracer.start_as_current_span("outer"):
        span = tracer.start_span("moved")

    def work() -> None:
        with trace.use_span(span, end_on_exit=True):
            leaf(tracer, "in the thread")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@program
def an_exception_in_a_thread(tracer: Tracer) -> None:
    def work() -> None:
        with tracer.start_as_current_span("failing"):
            raise LookupError("no")

    with tracer.start_as_current_span("outer"), ThreadPoolExecutor(1) as pool:
        with suppress(LookupError):
            pool.submit(work).result()
        with suppress(LookupError):
            pool.submit(contextvars.copy_context().run, work).result()


# --- contexts ---------------------------------------------------------------------------------------------------------


@program
def copied_contexts(tracer: Tracer) -> None:
    def inside() -> None:
        with tracer.start_as_current_span("inside"):
            leaf(tracer, "deep inside")

    with tracer.start_as_current_span("outer"):
        copied = contextvars.copy_context()
        copied.run(inside)
        with tracer.start_as_current_span("sibling"):
            copied.run(leaf, tracer, "in the copy")
    copied.run(leaf, tracer, "after the end")
    contextvars.Context().run(leaf, tracer, "in an empty one")
    leaf(tracer, "outside")


@program
def a_span_entered_in_a_copy_and_left_open(tracer: Tracer) -> None:
    copied = contextvars.copy_context()
    span = copied.run(lambda: tracer.start_span("left open"))
    copied.run(context.attach, trace.set_span_in_context(span))
    leaf(tracer, "outside")
    copied.run(leaf, tracer, "inside")
    span.end()


@program
def nested_runs(tracer: Tracer) -> None:
    def level(depth: int) -> None:
        with tracer.start_as_current_span(f"level {depth}"):
            if depth < 5:
                contextvars.copy_context().run(level, depth + 1)
            leaf(tracer, f"leaf {depth}")

    level(0)


@program
def generators_share_the_context_of_their_caller(tracer: Tracer) -> None:
    def numbers() -> Any:
        with tracer.start_as_current_span("generator"):
            yield 1
            leaf(tracer, "in the generator")
            yield 2

    with tracer.start_as_current_span("outer"):
        found = numbers()
        next(found)
        leaf(tracer, "between")
        next(found)
        assert next(found, None) is None
        leaf(tracer, "after")


# --- asyncio ----------------------------------------------------------------------------------------------------------


async def async_leaf(tracer: Tracer, name: str, turns: int = 1) -> str:
    with tracer.start_as_current_span(name):
        for _ in range(turns):
            await asyncio.sleep(0)
    return name


@async_program
async def tasks(tracer: Tracer) -> None:
    with tracer.start_as_current_span("outer"):
        task = asyncio.create_task(async_leaf(tracer, "task", 3))
        late = asyncio.create_task(async_leaf(tracer, "outlives", 9))
        await asyncio.gather(*(async_leaf(tracer, f"gathered {at}", at) for at in range(4)))
        await task
    await async_leaf(tracer, "outside")
    await late


@async_program
async def tasks_of_tasks(tracer: Tracer) -> None:
    async def work(depth: int) -> None:
        with tracer.start_as_current_span(f"depth {depth}"):
            if depth:
                await asyncio.gather(work(depth - 1), async_leaf(tracer, f"beside {depth}"))

    await work(4)


@async_program
async def cancelled_tasks(tracer: Tracer) -> None:
    async def work(name: str) -> None:
        with tracer.start_as_current_span(name):
            try:
                await asyncio.sleep(60)
            finally:
                await async_leaf(tracer, f"cleaning up {name}")

    async def stubborn() -> None:
        with tracer.start_as_current_span("stubborn"):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
            leaf(tracer, "went on")

    with tracer.start_as_current_span("outer"):
        for work_ in (work("one"), stubborn()):
            task = asyncio.create_task(work_)
            await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(work("timed out"), 0.01)


@async_program
async def exceptions_of_tasks(tracer: Tracer) -> None:
    async def fail(name: str) -> None:
        with tracer.start_as_current_span(name):
            await asyncio.sleep(0)
            raise ValueError(name)

    with tracer.start_as_current_span("outer"):
        await asyncio.gather(fail("a"), fail("b"), return_exceptions=True)
        with suppress(ValueError):
            await fail("c")


@async_program
async def threads_of_a_loop(tracer: Tracer) -> None:
    loop = asyncio.get_running_loop()
    with tracer.start_as_current_span("outer"):
        # to_thread copies the context, an executor does not.
        await asyncio.to_thread(leaf, tracer, "to_thread")
        await loop.run_in_executor(None, leaf, tracer, "run_in_executor")
        await loop.run_in_executor(None, contextvars.copy_context().run, leaf, tracer, "copied")
        future = asyncio.run_coroutine_threadsafe
        answer = await asyncio.to_thread(lambda: future(async_leaf(tracer, "from a thread"), loop))
        assert await asyncio.wrap_future(answer) == "from a thread"


@async_program
async def callbacks(tracer: Tracer) -> None:
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    with tracer.start_as_current_span("outer"):
        empty = contextvars.Context()
        loop.call_soon(leaf, tracer, "call_soon")
        loop.call_soon(leaf, tracer, "in an empty context", context=empty)
        loop.call_later(0.001, leaf, tracer, "call_later")
        loop.call_soon_threadsafe(leaf, tracer, "call_soon_threadsafe")
        future = loop.create_future()
        future.add_done_callback(lambda _: leaf(tracer, "done callback"))
        task = asyncio.create_task(async_leaf(tracer, "task"))
        task.add_done_callback(lambda _: leaf(tracer, "callback of the task"))
    with tracer.start_as_current_span("another"):
        future.set_result(1)
        loop.call_later(0.02, done.set)
        await done.wait()
        await task


@async_program
async def asynchronous_generators(tracer: Tracer) -> None:
    async def numbers() -> Any:
        with tracer.start_as_current_span("generator"):
            for at in range(3):
                leaf(tracer, f"step {at}")
                yield at

    with tracer.start_as_current_span("outer"):
        async for _ in numbers():
            await async_leaf(tracer, "between")
        await async_leaf(tracer, "after")


@async_program
async def locks_and_queues(tracer: Tracer) -> None:
    queue: asyncio.Queue[int | None] = asyncio.Queue(1)

    async def consume() -> None:
        with tracer.start_as_current_span("consumer"):
            while (found := await queue.get()) is not None:
                leaf(tracer, f"consumed {found}")

    with tracer.start_as_current_span("set up"):
        consumer = asyncio.create_task(consume())
    with tracer.start_as_current_span("producer"):
        for at in range(3):
            with tracer.start_as_current_span(f"produced {at}"):
                await queue.put(at)
        await queue.put(None)
    await consumer


if sys.version_info >= (3, 11):

    @async_program
    async def task_groups(tracer: Tracer) -> None:
        async def fail() -> None:
            with tracer.start_as_current_span("failing"):
                await asyncio.sleep(0)
                raise ValueError("no")

        async def wait() -> None:
            with tracer.start_as_current_span("cancelled by the group"):
                await asyncio.sleep(60)

        async def failing_group() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(wait())
                group.create_task(fail())

        with tracer.start_as_current_span("outer"):
            async with asyncio.TaskGroup() as group:
                group.create_task(async_leaf(tracer, "one", 3))
                with tracer.start_as_current_span("inside"):
                    group.create_task(async_leaf(tracer, "two", 3))
            with pytest.raises(Exception, match="unhandled errors in a TaskGroup"):
                await failing_group()

    @async_program
    async def tasks_in_a_context_of_their_own(tracer: Tracer) -> None:
        with tracer.start_as_current_span("outer"):
            empty, copied = contextvars.Context(), contextvars.copy_context()
        loop = asyncio.get_running_loop()
        await loop.create_task(async_leaf(tracer, "empty"), context=empty)
        await loop.create_task(async_leaf(tracer, "copied"), context=copied)
        leaf(tracer, "outside")


# --- comparison -------------------------------------------------------------------------------------------------------

Tree = list[tuple[str, str, str, tuple[str, ...]]]


def under_sdk(run: Callable[[Tracer], None]) -> Tree:
    exporter, provider = InMemorySpanExporter(), SdkProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    run(provider.get_tracer("x"))
    provider.shutdown()
    spans = exporter.get_finished_spans()
    names = {span.context.span_id: span.name for span in spans}
    return sorted(
        (
            span.name,
            names[span.parent.span_id] if span.parent else "no parent",
            span.status.status_code.name,
            tuple(str(event.attributes["exception.type"]) for event in span.events),
        )
        for span in spans
    )


def under_scouter(run: Callable[[Tracer], None]) -> Tree:
    config = MockConfig()
    provider = TracerProvider(transport_config=config)
    run(provider.get_tracer("x"))
    assert provider.shutdown()
    names = {span["span_id"]: span["name"] for span in config.spans}
    return sorted(
        (
            span["name"],
            names[span["parent_span_id"]] if span["parent_span_id"] else "no parent",
            span["status"],
            tuple(event["attributes"]["exception.type"] for event in span["events"]),
        )
        for span in config.spans
    )


def left_nothing_current(run: Callable[[Tracer], None]) -> Callable[[Tracer], None]:
    def checked(tracer: Tracer) -> None:
        run(tracer)
        assert trace.get_current_span() is trace.INVALID_SPAN

    return checked


@pytest.mark.parametrize("name", PROGRAMS)
def test_threads_and_contexts(name: str) -> None:
    run = left_nothing_current(PROGRAMS[name])
    expected = under_sdk(run)
    assert len(expected) > 1
    assert under_scouter(run) == expected


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("name", ASYNC_PROGRAMS)
def test_event_loops(name: str, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    def run(tracer: Tracer) -> None:
        running = loop()
        try:
            running.run_until_complete(ASYNC_PROGRAMS[name](tracer))
            running.run_until_complete(running.shutdown_asyncgens())
            running.run_until_complete(running.shutdown_default_executor())
        finally:
            running.close()

    run = left_nothing_current(run)
    expected = under_sdk(run)
    assert len(expected) > 1
    assert under_scouter(run) == expected
