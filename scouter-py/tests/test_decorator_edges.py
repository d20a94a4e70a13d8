"""The decorator on everything that can be called, and what it leaves as it was."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import inspect
import json
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from opentelemetry import trace
from support import Kept

from scouter import MockConfig
from scouter.tracing import init_tracer

_config = MockConfig()
_tracer = init_tracer(service_name="module", transport_config=_config)


@_tracer.span("of the module")
def of_the_module(a: int, *, b: str = "b") -> int:
    """Words."""
    return a


@_tracer.span("stream of the module")
def stream_of_the_module() -> Iterator[int]:
    yield 1


def test_metadata_signature_and_pickling() -> None:
    for function in (of_the_module, stream_of_the_module):
        assert pickle.loads(pickle.dumps(function)) is function
        assert copy.deepcopy(function) is function
        assert function.__module__ == __name__
    assert (of_the_module.__name__, of_the_module.__doc__) == ("of_the_module", "Words.")
    assert str(inspect.signature(of_the_module)) == "(a: 'int', *, b: 'str' = 'b') -> 'int'"
    assert inspect.unwrap(of_the_module).__code__.co_name == "of_the_module"


def test_kinds_of_functions_stay(kept: Kept) -> None:
    async def coroutine() -> None: ...

    async def stream() -> AsyncIterator[int]:
        yield 1

    span = kept.tracer.span("x")
    assert inspect.iscoroutinefunction(span(coroutine))
    assert inspect.isasyncgenfunction(span(stream))
    assert inspect.isgeneratorfunction(stream_of_the_module)
    assert not inspect.iscoroutinefunction(of_the_module)


def test_objects_that_are_called(kept: Kept) -> None:
    class Streams:
        def __call__(self, count: int) -> Iterator[int]:
            yield from range(count)

    class StreamsLater:
        async def __call__(self, count: int) -> AsyncIterator[int]:
            for at in range(count):
                yield at

    async def main() -> list[int]:
        return [item async for item in kept.tracer.span("later")(StreamsLater())(2)]  # type: ignore[attr-defined]

    assert list(kept.tracer.span("now")(Streams())(3)) == [0, 1, 2]
    assert asyncio.run(main()) == [0, 1]
    found = {span["name"]: span["attributes"]["scouter.output"] for span in kept.spans()}
    assert found == {"now": "[0, 1, 2]", "later": "[0, 1]"}


def test_other_decorators_below_and_above(kept: Kept) -> None:
    @functools.lru_cache
    @kept.tracer.span("below the cache")
    def cached(a: int) -> int:
        return a

    @kept.tracer.span("above the cache")
    @functools.lru_cache
    def caching(a: int) -> int:
        return a

    @contextlib.contextmanager
    @kept.tracer.span("a block")
    def block() -> Iterator[str]:
        yield "inside"

    @kept.tracer.span("outer", capture_input=False)
    @kept.tracer.span("inner", capture_input=False)
    def twice() -> str:
        return trace.get_current_span().name  # type: ignore[attr-defined,no-any-return]

    assert [cached(1), cached(1), caching(1), caching(1)] == [1] * 4
    with block() as said:
        assert said == "inside"
        assert trace.get_current_span() is trace.INVALID_SPAN
    with pytest.raises(ValueError, match="through the block"), block():
        raise ValueError("through the block")
    assert twice() == "inner"
    names = [span["name"] for span in kept.spans()]
    assert names == ["below the cache", "above the cache", "above the cache", "a block", "a block", "inner", "outer"]
    assert kept.span("inner")["parent_span_id"] == kept.span("outer")["span_id"]
    assert kept.spans()[4]["status"].upper() == "ERROR"


@pytest.mark.parametrize("options", [{"capture_input": False, "capture_output": False}, {"capture_output": False}])
def test_what_is_not_captured_is_not_looked_at(kept: Kept, options: dict[str, bool]) -> None:
    looked: list[int] = []

    class Watched:
        def __repr__(self) -> str:
            looked.append(1)
            return "watched"

    @kept.tracer.span("call", **options)
    def call(value: object = None) -> object:
        return Watched()

    @kept.tracer.span("stream", **options)
    def stream(value: object = None) -> Iterator[object]:
        yield Watched()

    values = [] if "capture_input" not in options else [Watched()]
    call(*values)
    list(stream(*values))
    assert looked == []
    assert not any("scouter.output" in span["attributes"] for span in kept.spans())


@pytest.mark.parametrize(
    ("options", "items", "expected"),
    [
        ({}, [], "[]"),
        ({"capture_last_stream_item": True}, [], None),
        ({"capture_last_stream_item": True}, [None], "null"),
        ({"join_stream_items": True}, [], '""'),
        ({"join_stream_items": True}, ["a", 1, {"k": 2}, "é"], '"a1{\\"k\\": 2}é"'),
    ],
)
def test_streams_of_few_and_of_mixed_items(kept: Kept, options: Any, items: list[object], expected: str | None) -> None:
    @kept.tracer.span("x", **options)
    def stream() -> Iterator[object]:
        yield from items

    assert list(stream()) == items
    assert kept.span()["attributes"].get("scouter.output") == expected


def test_a_coroutine_that_is_never_awaited_or_closed_early(kept: Kept) -> None:
    @kept.tracer.span("x")
    async def work() -> None:
        await asyncio.get_running_loop().create_future()

    work().close()
    assert kept.spans() == []

    async def main() -> None:
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        assert trace.get_current_span() is trace.INVALID_SPAN
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert kept.span()["status"].upper() == "UNSET"


def test_interleaved_tasks_and_streams(kept: Kept) -> None:
    @kept.tracer.span("stream")
    async def stream(name: str) -> AsyncIterator[str]:
        for _ in range(3):
            await asyncio.sleep(0)
            with kept.tracer.start_as_current_span(f"in {name}"):
                yield name

    async def consume(name: str) -> None:
        with kept.tracer.start_as_current_span(name) as span:
            async for item in stream(name):
                assert item == name
                assert trace.get_current_span() is span
                await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(*(consume(str(at)) for at in range(5)))

    asyncio.run(main())
    parents = {span["span_id"]: span for span in kept.spans()}
    for span in kept.spans():
        if span["name"].startswith("in "):
            above = parents[span["parent_span_id"]]
            assert json.loads(above["attributes"]["scouter.input"]) == {"name": span["name"].removeprefix("in ")}
            assert parents[above["parent_span_id"]]["name"] == span["name"].removeprefix("in ")


def test_what_is_not_callable_is_refused(kept: Kept) -> None:
    things: list[Callable[[], object]] = [lambda: property(lambda _: 1), lambda: functools.partialmethod(print), object]
    for thing in things:
        with pytest.raises(TypeError, match="decorates functions"):
            kept.tracer.span("x")(thing())  # type: ignore[type-var]
