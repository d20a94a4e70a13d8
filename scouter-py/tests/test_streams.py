from __future__ import annotations

import asyncio
import gc
import inspect
import json
from collections.abc import AsyncGenerator, Callable, Generator

import pytest
from opentelemetry import baggage, trace
from support import Kept


def output(kept: Kept) -> object:
    return json.loads(kept.span()["attributes"]["scouter.output"])


def test_what_is_kept_of_the_items(kept: Kept) -> None:
    def words() -> Generator[str, None, None]:
        yield from ("a", "b", "c")

    for options, expected in (
        ({}, ["a", "b", "c"]),
        ({"capture_last_stream_item": True}, "c"),
        ({"join_stream_items": True}, "abc"),
    ):
        assert list(kept.tracer.span("x", **options)(words)()) == ["a", "b", "c"]
        assert output(kept) == expected
        kept.config.clear()
    list(kept.tracer.span("x", capture_output=False)(words)())
    assert "scouter.output" not in kept.span()["attributes"]


def test_the_overview_s_streams(kept: Kept) -> None:
    @kept.tracer.span("stream_results", capture_last_stream_item=True)
    def stream_results(count: int) -> Generator[dict, None, None]:
        for i in range(count):
            yield {"index": i, "value": i**2}

    @kept.tracer.span("async_stream", capture_last_stream_item=True)
    async def async_stream(count: int) -> AsyncGenerator[dict, None]:
        for i in range(count):
            await asyncio.sleep(0)
            yield {"index": i}

    async def main() -> list[dict]:
        return [item async for item in async_stream(3)]

    assert [item["value"] for item in stream_results(3)] == [0, 1, 4]
    assert asyncio.run(main()) == [{"index": 0}, {"index": 1}, {"index": 2}]
    assert inspect.isgeneratorfunction(stream_results)
    assert inspect.isasyncgenfunction(async_stream)
    first, second = kept.spans()
    assert first["attributes"] == {"scouter.input": '{"count": 3}', "scouter.output": '{"index": 2, "value": 4}'}
    assert second["attributes"] == {"scouter.input": '{"count": 3}', "scouter.output": '{"index": 2}'}


def test_items_are_kept_as_they_were_given_out(kept: Kept) -> None:
    @kept.tracer.span("x")
    def stream() -> Generator[list[int], None, None]:
        yield [1]

    for item in stream():
        item.append(2)
    assert output(kept) == [[1]]


def test_endless_streams_keep_no_more_than_fits(kept: Kept) -> None:
    @kept.tracer.span("x", max_length=50)
    def stream() -> Generator[str, None, None]:
        while True:
            yield "item"

    items = stream()
    for _ in range(100_000):
        next(items)
    items.close()
    text = kept.span()["attributes"]["scouter.output"]
    assert len(text) == 50
    assert text.endswith("[truncated]")


def echo(log: list[object]) -> Generator[object, object, str]:
    """A generator that takes part in everything that can be done to one."""
    received = None
    while True:
        try:
            received = yield received
            log.append(received)
            if received == "return":
                return "result"
            if received == "raise":
                raise LookupError("raised inside")
            if received == "stop":
                raise StopIteration("inside")  # noqa: PLR1708
        except ValueError as error:
            log.append(str(error))
            received = "caught"
        except GeneratorExit:
            log.append("closed")
            raise


def drive(generator: Generator[object, object, object], steps: list[tuple]) -> list[object]:
    """What comes back from each step, exceptions included."""
    seen: list[object] = []
    for action, *arguments in steps:
        try:
            seen.append(getattr(generator, action)(*arguments))
        except BaseException as error:  # noqa: BLE001
            kind, words = type(error), str(error)
            result = error.value if isinstance(error, StopIteration) else None
            context = type(error.__context__)
            seen.append((kind, words if kind is not StopIteration else "", result, context, type(error.__cause__)))
    return seen


@pytest.mark.parametrize(
    "steps",
    [
        [("__next__",), ("send", 1), ("send", 2), ("close",), ("__next__",)],
        [("__next__",), ("send", "return"), ("send", 1)],
        [("__next__",), ("send", "raise"), ("__next__",)],
        [("__next__",), ("send", "stop"), ("__next__",)],
        [("__next__",), ("throw", ValueError("in")), ("send", "raise"), ("__next__",)],
        [("__next__",), ("throw", KeyError("through")), ("__next__",)],
        [("__next__",), ("throw", StopIteration("odd"))],
        [("__next__",), ("throw", GeneratorExit())],
        [("throw", KeyError("early")), ("__next__",)],
        [("send", 1), ("__next__",), ("__next__",)],
        [("close",), ("__next__",)],
        [("__next__",), ("throw", KeyboardInterrupt())],
    ],
    ids=lambda steps: "-".join(str(step[0]).strip("_") for step in steps),
)
def test_it_behaves_as_the_bare_generator(kept: Kept, steps: list[tuple]) -> None:
    bare_log: list[object] = []
    log: list[object] = []
    expected = drive(echo(bare_log), steps)
    assert drive(kept.tracer.span("x")(echo)(log), steps) == expected
    assert log == bare_log
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_one_that_ignores_being_closed(kept: Kept) -> None:
    def stubborn() -> Generator[int, None, None]:
        try:
            yield 1
        except GeneratorExit:
            yield 2

    for function in (stubborn, kept.tracer.span("x")(stubborn)):
        generator = function()
        next(generator)
        with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
            generator.close()


def test_delegation(kept: Kept) -> None:
    @kept.tracer.span("inner")
    def inner() -> Generator[int, int, str]:
        got = yield 1
        return f"got {got}"

    @kept.tracer.span("outer")
    def outer() -> Generator[int, int, str]:
        return (yield from inner())

    generator = outer()
    assert next(generator) == 1
    with pytest.raises(StopIteration) as stop:
        generator.send(5)
    assert stop.value.value == "got 5"
    assert kept.span("inner")["parent_span_id"] == kept.span("outer")["span_id"]


def test_its_span_is_current_only_while_its_body_runs(kept: Kept) -> None:
    seen = []

    @kept.tracer.span("stream", baggage={"k": "v"})
    def stream() -> Generator[int, None, None]:
        seen.append((trace.get_current_span().name, dict(baggage.get_all())))
        yield 1
        with kept.tracer.start_as_current_span("inside"):
            yield 2
            seen.append((trace.get_current_span().name, dict(baggage.get_all())))
        seen.append((trace.get_current_span().name, dict(baggage.get_all())))
        yield 3

    with kept.tracer.start_as_current_span("caller") as caller:
        for _ in stream():
            assert trace.get_current_span() is caller
            assert dict(baggage.get_all()) == {}
            with kept.tracer.start_as_current_span("sibling"):
                pass
    with_baggage = {"k": "v"}
    assert seen == [("stream", with_baggage), ("inside", with_baggage), ("stream", with_baggage)]
    above = kept.span("caller")["span_id"]
    assert kept.span("stream")["parent_span_id"] == above
    assert kept.span("inside")["parent_span_id"] == kept.span("stream")["span_id"]
    assert {span["parent_span_id"] for span in kept.spans() if span["name"] == "sibling"} == {above}


def test_two_that_take_turns(kept: Kept) -> None:
    @kept.tracer.span
    def stream(name: str) -> Generator[str, None, None]:
        for _ in range(3):
            with kept.tracer.start_as_current_span(f"in {name}"):
                yield trace.get_current_span().name

    pairs = list(zip(stream("a"), stream("b"), strict=True))
    assert pairs == [("in a", "in b")] * 3
    assert trace.get_current_span() is trace.INVALID_SPAN
    streams = {json.loads(s["attributes"]["scouter.input"])["name"]: s for s in kept.spans() if "stream" in s["name"]}
    for name, span in streams.items():
        children = {s["parent_span_id"] for s in kept.spans() if s["name"] == f"in {name}"}
        assert children == {span["span_id"]}


def test_errors_and_early_ends(kept: Kept) -> None:
    @kept.tracer.span("fails")
    def fails() -> Generator[int, None, None]:
        yield 1
        raise ValueError("no")

    @kept.tracer.span("left early")
    def left() -> Generator[int, None, None]:
        yield 1
        yield 2

    with pytest.raises(ValueError, match="no"):
        list(fails())
    for item in left():
        assert item == 1
        break
    gc.collect()
    failed, early = kept.span("fails"), kept.span("left early")
    assert (failed["status"].upper(), failed["status_message"]) == ("ERROR", "ValueError: no")
    assert len(failed["events"]) == 1
    assert failed["attributes"]["scouter.output"] == "[1]"
    assert (early["status"].upper(), early["events"]) == ("UNSET", [])
    assert early["attributes"]["scouter.output"] == "[1]"


def test_one_that_is_never_started_has_no_span(kept: Kept) -> None:
    @kept.tracer.span("x")
    def stream() -> Generator[int, None, None]:
        yield 1

    stream()
    assert kept.spans() == []


async def async_echo(log: list[object]) -> AsyncGenerator[object, object]:
    received = None
    while True:
        try:
            received = yield received
            await asyncio.sleep(0)
            log.append(received)
            if received == "return":
                return
            if received == "raise":
                raise LookupError("raised inside")
        except ValueError as error:
            log.append(str(error))
            received = "caught"
        except GeneratorExit:
            await asyncio.sleep(0)
            log.append("closed")
            raise


@pytest.mark.parametrize(
    "steps",
    [
        [("__anext__",), ("asend", 1), ("asend", 2), ("aclose",), ("__anext__",)],
        [("__anext__",), ("asend", "return"), ("asend", 1)],
        [("__anext__",), ("asend", "raise"), ("__anext__",)],
        [("__anext__",), ("athrow", ValueError("in")), ("asend", "raise"), ("__anext__",)],
        [("__anext__",), ("athrow", KeyError("through")), ("__anext__",)],
        [("__anext__",), ("athrow", asyncio.CancelledError())],
        [("aclose",), ("__anext__",)],
    ],
    ids=lambda steps: "-".join(str(step[0]).strip("_") for step in steps),
)
def test_asynchronous_ones_behave_as_the_bare_generator(kept: Kept, steps: list[tuple]) -> None:
    async def drive_async(function: Callable[[list[object]], AsyncGenerator[object, object]]) -> list[object]:
        log: list[object] = []
        generator = function(log)
        seen: list[object] = []
        for action, *arguments in steps:
            try:
                seen.append(await getattr(generator, action)(*arguments))
            except BaseException as error:  # noqa: BLE001
                seen.append((type(error), str(error), type(error.__context__), type(error.__cause__)))
            assert trace.get_current_span() is trace.INVALID_SPAN
        return [*seen, log]

    assert asyncio.run(drive_async(kept.tracer.span("x")(async_echo))) == asyncio.run(drive_async(async_echo))


def test_asynchronous_spans_are_current_only_while_the_body_runs(kept: Kept) -> None:
    seen = []

    @kept.tracer.span("stream")
    async def stream() -> AsyncGenerator[int, None]:
        for item in range(2):
            await asyncio.sleep(0)
            seen.append(trace.get_current_span().name)
            yield item

    async def main() -> None:
        async with kept.tracer.start_as_current_span("caller") as caller:
            async for _ in stream():
                assert trace.get_current_span() is caller

    asyncio.run(main())
    assert seen == ["stream", "stream"]
    assert kept.span("stream")["parent_span_id"] == kept.span("caller")["span_id"]


def test_asynchronous_ones_that_are_abandoned(kept: Kept) -> None:
    complaints = []

    @kept.tracer.span("stream")
    async def stream(name: str) -> AsyncGenerator[int, None]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(what))
        async for _ in stream("collected"):
            break
        kept_alive = stream("kept to the end of the loop")
        await kept_alive.__anext__()
        task_locals.append(kept_alive)

    task_locals: list[object] = []
    asyncio.run(main())
    assert complaints == []
    assert len(kept.spans()) == 2
    assert {span["status"].upper() for span in kept.spans()} == {"UNSET"}


def test_cancellation_of_an_asynchronous_one(kept: Kept) -> None:
    @kept.tracer.span("stream")
    async def stream() -> AsyncGenerator[int, None]:
        yield 1
        await asyncio.Event().wait()
        yield 2

    async def main() -> None:
        started = asyncio.Event()

        async def consume() -> None:
            async for _ in stream():
                started.set()

        task = asyncio.create_task(consume())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    found = kept.span()
    assert (found["status"].upper(), found["events"]) == ("UNSET", [])
    assert found["attributes"]["scouter.output"] == "[1]"
