from __future__ import annotations

import asyncio
import dataclasses
import datetime
import decimal
import enum
import functools
import inspect
import json
import uuid
from pathlib import Path

import pytest
from opentelemetry import baggage, trace
from pydantic import BaseModel
from support import Kept

from scouter.errors import ConfigError, ConfigTypeError
from scouter.tracing import SpanKind


def captured(kept: Kept, name: str | None = None) -> tuple[dict, object]:
    attributes = kept.span(name)["attributes"]
    return json.loads(attributes["scouter.input"]), json.loads(attributes["scouter.output"])


def test_arguments_and_result_are_captured(kept: Kept) -> None:
    @kept.tracer.span("process_data")
    def process_data(items: list[dict], *rest: int, flag: bool = False, limit: int = 3, **more: str) -> dict:
        """Doc."""
        assert trace.get_current_span().is_recording()
        return {"processed": len(items)}

    assert process_data([{"a": 1}], 7, 8, flag=True, color="red") == {"processed": 1}
    assert captured(kept) == (
        {"items": [{"a": 1}], "rest": [7, 8], "flag": True, "limit": 3, "more": {"color": "red"}},
        {"processed": 1},
    )
    assert (process_data.__name__, process_data.__doc__) == ("process_data", "Doc.")
    assert list(inspect.signature(process_data).parameters) == ["items", "rest", "flag", "limit", "more"]


def test_coroutines(kept: Kept) -> None:
    @kept.tracer.span("fetch")
    async def fetch(url: str) -> dict:
        before = trace.get_current_span()
        await asyncio.sleep(0)
        assert trace.get_current_span() is before
        return {"url": url}

    assert inspect.iscoroutinefunction(fetch)
    assert asyncio.run(fetch("u")) == {"url": "u"}
    assert captured(kept) == ({"url": "u"}, {"url": "u"})


def test_children_inherit(kept: Kept) -> None:
    @kept.tracer.span("parent_operation")
    def parent() -> None:
        child()

    @kept.tracer.span("child_operation")
    def child() -> None:
        pass

    parent()
    above, below = kept.span("parent_operation"), kept.span("child_operation")
    assert below["parent_span_id"] == above["span_id"]
    assert below["trace_id"] == above["trace_id"]


class Worker:
    factor = 2


def test_methods_of_all_kinds(kept: Kept) -> None:
    class Worker:
        @kept.tracer.span()
        def method(self, a: int) -> int:
            return a

        @classmethod
        @kept.tracer.span()
        def of_class(cls, a: int) -> int:
            assert cls is Worker
            return a

        @staticmethod
        @kept.tracer.span()
        def static(a: int) -> int:
            return a

        @kept.tracer.span("outer_class")
        @classmethod
        def decorated_class_method(cls, a: int) -> int:
            assert cls is Worker
            return a

        @kept.tracer.span("outer_static")
        @staticmethod
        def decorated_static_method(a: int) -> int:
            return a

        @property
        @kept.tracer.span("property")
        def value(self) -> int:
            return 5

    worker = Worker()
    methods = ("method", "of_class", "static", "decorated_class_method", "decorated_static_method")
    assert [getattr(worker, name)(1) for name in methods] == [1] * 5
    assert worker.value == 5
    found = kept.spans()
    prefix = f"{test_methods_of_all_kinds.__name__}.<locals>.Worker"
    expected = [f"{prefix}.method", f"{prefix}.of_class", f"{prefix}.static", "outer_class", "outer_static", "property"]
    assert [span["name"] for span in found] == expected
    inputs = [json.loads(span["attributes"]["scouter.input"]) for span in found]
    assert inputs == [{"a": 1}] * 5 + [{}]


def test_a_function_whose_first_argument_is_called_self(kept: Kept) -> None:
    @kept.tracer.span("x")
    def plain(self: int) -> None:
        pass

    plain(3)
    assert captured(kept)[0] == {"self": 3}


def test_without_parentheses_and_other_callables(kept: Kept) -> None:
    @kept.tracer.span
    def bare() -> int:
        return 1

    class Callable:
        async def __call__(self, a: int) -> int:
            return a

    def two(a: int, b: int) -> int:
        return a + b

    assert bare() == 1
    assert asyncio.run(kept.tracer.span("object")(Callable())(4)) == 4
    assert kept.tracer.span("partial")(functools.partial(two, 1))(b=2) == 3
    assert kept.tracer.span("built in")(max)(1, 2) == 2
    names = [span["name"] for span in kept.spans()]
    assert names == [bare.__qualname__, "object", "partial", "built in"]


def test_all_options(kept: Kept) -> None:
    @kept.tracer.span(
        "train",
        kind=SpanKind.Producer,
        attributes={"a": 1},
        tags={"team": "ml"},
        baggage={"run": "7"},
        label="ml-training",
        capture_input=False,
        capture_output=False,
    )
    def train(secret: str) -> str:
        assert baggage.get_all() == {"run": "7"}
        return secret

    assert train("s3cret") == "s3cret"
    assert baggage.get_all() == {}
    found = kept.span()
    assert found["kind"] is trace.SpanKind.PRODUCER
    assert found["attributes"] == {"a": 1, "scouter.tag.team": "ml", "scouter.label": "ml-training"}


def test_async_options(kept: Kept) -> None:
    @kept.tracer.span("x", capture_output=False, baggage={"run": "7"})
    async def work(a: int) -> dict:
        await asyncio.sleep(0)
        return dict(baggage.get_all())

    assert asyncio.run(work(1)) == {"run": "7"}
    assert kept.span()["attributes"] == {"scouter.input": '{"a": 1}'}


def test_long_texts_are_cut(kept: Kept) -> None:
    @kept.tracer.span("process_large_data")
    def process(data: str) -> str:
        return data

    @kept.tracer.span("short", max_length=20)
    def short(data: str) -> str:
        return data

    process("x" * 100_000)
    short("é" * 100)
    for name, limit in (("process_large_data", 5000), ("short", 20)):
        attributes = kept.span(name)["attributes"]
        for key in ("scouter.input", "scouter.output"):
            assert len(attributes[key]) == limit
            assert attributes[key].endswith("[truncated]")


def test_exceptions(kept: Kept) -> None:
    error = ValueError("no")

    @kept.tracer.span("sync")
    def fail() -> None:
        raise error

    @kept.tracer.span("async")
    async def fail_later() -> None:
        await asyncio.sleep(0)
        raise error

    with pytest.raises(ValueError, match="no") as caught:
        fail()
    assert caught.value is error
    with pytest.raises(ValueError, match="no") as caught:
        asyncio.run(fail_later())
    assert caught.value is error
    for name in ("sync", "async"):
        found = kept.span(name)
        assert found["status"].upper() == "ERROR"
        assert len(found["events"]) == 1
        assert "scouter.output" not in found["attributes"]


def test_wrong_arguments_fail_in_the_function_s_own_words(kept: Kept) -> None:
    @kept.tracer.span("x")
    def work(a: int) -> None:
        pass

    with pytest.raises(TypeError, match=r"work\(\) missing 1 required positional argument: 'a'"):
        work()
    with pytest.raises(TypeError, match="unexpected keyword argument 'b'"):
        work(1, b=2)


def test_recursion_and_reentrance(kept: Kept) -> None:
    @kept.tracer.span("factorial")
    def factorial(n: int) -> int:
        return 1 if n == 0 else n * factorial(n - 1)

    assert factorial(5) == 120
    found = kept.spans()
    assert len(found) == 6
    assert len({span["trace_id"] for span in found}) == 1


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    y: object = None


class UserInput(BaseModel):
    user_id: int
    action: str
    metadata: dict


class Slotted:
    __slots__ = ("a",)

    def __init__(self) -> None:
        self.a = 1


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no")

    __str__ = __repr__

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(name)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (UserInput(user_id=1, action="a", metadata={"k": [1]}), {"user_id": 1, "action": "a", "metadata": {"k": [1]}}),
        (Point(1, Point(2)), {"x": 1, "y": {"x": 2, "y": None}}),
        (Color.RED, "red"),
        (datetime.datetime(2024, 5, 6, 7, 8, 9, tzinfo=datetime.timezone.utc), "2024-05-06T07:08:09+00:00"),
        (datetime.date(2024, 5, 6), "2024-05-06"),
        (uuid.UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        (decimal.Decimal("1.10"), "1.10"),
        (Path("a/b"), "a/b"),
        ({1: "a", None: "b"}, {"1": "a", "None": "b"}),
        ((1, 2), [1, 2]),
        (10**30, 10**30),
        ('a"\\\n\x00é\U0001f600', 'a"\\\n\x00é\U0001f600'),
        (True, True),
        (1.5, 1.5),
        (None, None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values(kept: Kept, value: object, expected: object) -> None:
    @kept.tracer.span("x")
    def identity(value: object) -> object:
        return value

    assert identity(value) is value
    if expected == {"1": "a", "None": "b"}:
        found = captured(kept)[1]
        assert list(found.values()) == ["a", "b"]
        return
    assert captured(kept) == ({"value": expected}, expected)


def test_values_without_a_natural_form(kept: Kept) -> None:
    cycle: list[object] = []
    cycle.append(cycle)
    deep: list[object] = []
    for _ in range(10_000):
        deep = [deep]

    @kept.tracer.span("x")
    def work(**values: object) -> object:
        return None

    work(cycle=cycle, deep=deep, hostile=Hostile(), slots=Slotted(), function=len, nan=float("nan"), data=b"\xff\x00")
    work(kinds={1, 2}, frozen=frozenset({"a"}), lone="\ud800", generator=(x for x in ()), huge=10**10_000)
    for span in kept.spans():
        assert json.loads(span["attributes"]["scouter.input"])["values"]


def test_nothing_is_serialised_when_nothing_is_recorded() -> None:
    from scouter import MockConfig
    from scouter.tracing import init_tracer

    touched = []

    class Watched:
        def __repr__(self) -> str:
            touched.append(1)
            return "w"

        __str__ = __repr__

    @init_tracer(transport_config=MockConfig(), sample_ratio=0.0).span("x")
    def work(value: object) -> object:
        return value

    work(Watched())
    assert touched == []


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"kind": "server"}, ConfigTypeError, "kind must be a SpanKind"),
        ({"attributes": [1]}, ConfigTypeError, "attributes must be a dict"),
        ({"tags": "a"}, ConfigTypeError, "tags must be a dict"),
        ({"label": ""}, ConfigError, "label is empty"),
        ({"max_length": -1}, ConfigError, "max_length is -1"),
        ({"max_length": "9"}, ConfigTypeError, "max_length must be an int"),
        ({"capture_input": 1}, ConfigTypeError, "capture_input must be True or False"),
        ({"capture_last_stream_item": True, "join_stream_items": True}, ConfigError, "exclude each other"),
        ({"colour": "red"}, TypeError, "colour"),
    ],
    ids=str,
)
def test_bad_options_raise_at_once(kept: Kept, options: dict, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        kept.tracer.span("x", **options)


def test_what_is_no_function_is_refused(kept: Kept) -> None:
    for thing in (3, Worker):
        with pytest.raises(ConfigTypeError, match="decorates functions"):
            kept.tracer.span("x")(thing)
