"""Values that fight back: as attributes, as inputs and outputs, as arguments of decorated functions."""

from __future__ import annotations

import array
import asyncio
import collections
import dataclasses
import datetime
import decimal
import enum
import json
import sys
import threading
import types
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy
import pydantic
import pytest
from capturing import captured
from opentelemetry import trace
from support import Kept, run_script

# --- Numbers


@pytest.mark.parametrize("digits", [19, 20, 200, 5_000])
@pytest.mark.parametrize("sign", [1, -1])
def test_long_integers(kept: Kept, digits: int, sign: int) -> None:
    number = sign * (10**digits - 1)
    printable = digits < (getattr(sys, "get_int_max_str_digits", lambda: 0)() or sys.maxsize)
    text = captured(kept, number, 10_000)
    with kept.tracer.start_as_current_span("x", attributes={"a": number}) as span:
        span.set_attribute("b", [number])
        span.set_attribute("c", {"k": number})
    attributes = kept.span()["attributes"]
    if printable:
        assert text == str(number)
        expected = number if -(2**63) <= number < 2**63 else str(number)
        assert (attributes["a"], attributes["b"], attributes["c"]) == (expected, (expected,), {"k": expected})
    else:
        assert "int" in json.loads(text)
        assert "int" in attributes["a"]


def test_an_integer_that_takes_forever_to_print(kept: Kept) -> None:
    """Printing takes time by the square of the digits; where Python was told not to mind, Scouter still does."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        assert "int" in json.loads(captured(kept, 1 << 40_000_000))
        with kept.tracer.start_as_current_span("x") as span:
            span.set_attribute("a", 1 << 40_000_000)
    finally:
        sys.set_int_max_str_digits(before)
    assert "int" in kept.span()["attributes"]["a"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (decimal.Decimal("NaN"), "NaN"),
        (decimal.Decimal("sNaN"), "sNaN"),
        (decimal.Decimal("-Infinity"), "-Infinity"),
        (decimal.Decimal("1E+1000000"), "1E+1000000"),
        (float("inf"), "Infinity"),
        (-0.0, -0.0),
        (5e-324, 5e-324),
        (1.7976931348623157e308, 1.7976931348623157e308),
        (0.1 + 0.2, 0.30000000000000004),
        (1 + 2j, "(1+2j)"),
        (numpy.float64(1.5), 1.5),
        (numpy.int64(-5), -5),
        (numpy.uint64(2**64 - 1), 2**64 - 1),
        (numpy.bool_(True), True),
        (numpy.float32("nan"), "NaN"),
        (numpy.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (numpy.array(5), 5),
        (numpy.array([]), []),
        (numpy.array(["2024-05-06"], dtype="datetime64[D]"), ["2024-05-06"]),
        (numpy.str_("text"), "text"),
    ],
    ids=repr,
)
def test_numbers(kept: Kept, value: object, expected: object) -> None:
    assert json.loads(captured(kept, value)) == expected


# --- Everything else that is passed around


class Color(enum.Enum):
    RED = {"r": 255}  # noqa: RUF012
    SELF = object()


class Flag(enum.Flag):
    A = 1
    B = 2


class Frozen(pydantic.BaseModel, frozen=True):
    at: datetime.datetime
    tags: set[str]


class Failing(pydantic.BaseModel):
    a: int = 1

    @pydantic.field_serializer("a")
    def _fail(self, _: int) -> int:
        raise ValueError("no")


class Opening(pydantic.BaseModel):
    a: int = 1

    @pydantic.model_serializer
    def _open(self) -> dict[str, int]:
        with trace.get_tracer("x").start_as_current_span("inside"):
            return {"a": self.a}


@dataclasses.dataclass(frozen=True, slots=True)
class Slots:
    x: int
    hidden: int = dataclasses.field(repr=False, default=2)


@dataclasses.dataclass
class Unset:
    never: int = dataclasses.field(init=False)
    x: int = 1


class Answers:
    """Has every attribute, so it must not be taken for everything."""

    def __getattr__(self, name: str) -> object:
        return lambda *_: self

    def __repr__(self) -> str:
        return "answers"


KYIV = datetime.timezone(datetime.timedelta(hours=3), "Kyiv")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime.datetime(2024, 5, 6, 7, 8, 9, 10, KYIV), "2024-05-06T07:08:09.000010+03:00"),
        (datetime.time(7, 8), "07:08:00"),
        (datetime.timedelta(days=-1), "-1 day, 0:00:00"),
        (uuid.UUID(int=2**128 - 1), "ffffffff-ffff-ffff-ffff-ffffffffffff"),
        (Color.RED, {"r": 255}),
        (Flag.A | Flag.B, 3),
        (b"text", "text"),
        (b"\xff\xfe", "<2 bytes>"),
        (bytearray(b"text"), "text"),
        (memoryview(b"text"), "text"),
        (Slots(1), {"x": 1, "hidden": 2}),
        (Unset(), {"x": 1}),
        (Frozen(at=datetime.datetime(2024, 1, 1), tags={"a"}), {"at": "2024-01-01T00:00:00", "tags": ["a"]}),
        (Opening(), {"a": 1}),
        (Answers(), "answers"),
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.defaultdict(list, a=[1]), {"a": [1]}),
        (collections.Counter("aa"), {"a": 2}),
        (collections.deque([1, 2]), [1, 2]),
        (collections.UserList([1]), [1]),
        (collections.ChainMap({"a": 1}), {"a": 1}),
        (types.MappingProxyType({"a": 1}), {"a": 1}),
        (types.SimpleNamespace(a=1), "namespace(a=1)"),
        (frozenset({1}), [1]),
        ({"a": 1}.keys(), ["a"]),
        (range(3), [0, 1, 2]),
        (array.array("d", [1.5]), [1.5]),
        ({"a": 1}.items(), [["a", 1]]),
        ({"a": 1}.values(), [1]),
        (Path("/a") / "b", "/a/b"),
        ({(1, 2): 1, None: 2, 1.5: 3, b"k": 4}, {"(1, 2)": 1, "None": 2, "1.5": 3, "b'k'": 4}),
        (ValueError("words"), "ValueError('words')"),
        (StopIteration, "<class 'StopIteration'>"),
        ("\ud800 \udfff", "\ufffd \ufffd"),
        ({"\ud800": "\ud800"}, {"\ufffd": "\ufffd"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_forms(kept: Kept, value: object, expected: object) -> None:
    assert json.loads(captured(kept, value)) == expected


@pytest.mark.parametrize(
    "value",
    [
        Failing(),
        Color.SELF,
        threading.Lock(),
        threading.local(),
        sys,
        sys.stdout,
        object(),
        type,
        len,
        lambda: None,
        iter([1]),
        ...,
        NotImplemented,
        slice(1, 2),
        numpy.dtype("int"),
        numpy.zeros(2, dtype=[("a", "i4")]),
        asyncio.Lock(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_form_is_named(kept: Kept, value: object) -> None:
    assert json.loads(captured(kept, value))
    with kept.tracer.start_as_current_span("x") as span:
        span.set_attribute("a", value)
    assert kept.span()


def test_streams_are_not_consumed(kept: Kept, tmp_path: Path) -> None:
    def generator() -> Iterator[int]:
        yield 1
        yield 2

    async def asynchronous() -> AsyncIterator[int]:
        yield 1
        yield 2

    async def coroutine() -> int:
        return 5

    file = tmp_path / "file"
    file.write_text("content")
    with file.open() as opened:
        values = [generator(), iter([1, 2]), map(str, [1, 2]), zip([1, 2], strict=True), opened]
        for value in values:
            captured(kept, value)
            with kept.tracer.start_as_current_span("x", attributes={"a": value}) as span:
                span.set_attribute("b", [value])
                span.set_tag("c", value)
        assert [list(value) for value in values] == [[1, 2], [1, 2], ["1", "2"], [(1,), (2,)], ["content"]]
    stream, waiting = asynchronous(), coroutine()
    for value in (stream, waiting):
        captured(kept, value)
        with kept.tracer.start_as_current_span("x", attributes={"a": value}):
            pass

    async def main() -> None:
        assert [item async for item in stream] == [1, 2]
        assert await waiting == 5

    asyncio.run(main())


def test_containers_that_change_while_they_are_read(kept: Kept) -> None:
    """By their own elements, and by another thread."""
    items: list[object] = []
    table: dict[object, object] = {}
    group: set[object] = set()

    class Growing:
        grown = 0

        def __repr__(self) -> str:
            Growing.grown += 1
            assert Growing.grown < 100, "what grows is read to an end that never comes"
            items.append(Growing())
            table[object()] = Growing()
            group.add(object())
            return "growing"

    for container in (items, table, group):
        items[:], group_items = [Growing()] * 3, [Growing() for _ in range(3)]
        table.clear()
        table.update(dict.fromkeys(group_items, Growing()))
        group.clear()
        group.update(group_items)
        with kept.tracer.start_as_current_span("x") as span:
            span.set_input(container)
            span.set_attribute("a", container)
        assert "growing" in kept.span()["attributes"]["scouter.input"]
        kept.config.clear()

    shared: dict[int, object] = {}
    stop = threading.Event()

    def change() -> None:
        at = 0
        while not stop.is_set():
            shared[at % 100] = [at, {"k": at}]
            shared.pop((at + 50) % 100, None)
            at += 1

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(2_000):
            with kept.tracer.start_as_current_span("x", attributes={"a": shared}) as span:
                span.set_input(shared)
                span.set_attributes(shared)  # type: ignore[arg-type]
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(before)
    assert len(kept.spans()) == 2_000


def test_lone_surrogates_everywhere(kept: Kept) -> None:
    lone = "a\ud800b"
    with kept.tracer.start_as_current_span(lone, attributes={lone: lone}, tags={lone: lone}, label=lone) as span:
        span.set_attribute("list", [lone, {lone: lone}])
        span.add_event(lone, {lone: lone})
        span.set_status(trace.StatusCode.ERROR, lone)
        span.set_entity(lone)
        span.set_input(lone)
        span.update_name(lone)
        span.record_exception(ValueError(lone))
        assert span.to_json()
    found = kept.span()
    clean = "a\ufffdb"
    assert found["name"] == found["status_message"] == found["events"][0]["name"] == clean
    assert found["attributes"] == {
        clean: clean,
        f"scouter.tag.{clean}": clean,
        "scouter.label": clean,
        "list": (clean, {clean: clean}),
        "scouter.entity": clean,
        "scouter.input": f'"{clean}"',
    }
    assert found["events"][1]["attributes"]["exception.message"] == clean


def test_a_huge_value_is_cheap_where_nothing_is_recorded(tmp_path: Path) -> None:
    done = run_script(
        tmp_path,
        """
        import tracemalloc
        from scouter import MockConfig
        from scouter.tracing import init_tracer
        tracer = init_tracer(transport_config=MockConfig(), sample_ratio=0.0)
        text, items = "é" * 10_000_000, [object()] * 1_000_000

        @tracer.span("x")
        def work(*values):
            return values

        work()
        tracemalloc.start()
        with tracer.start_as_current_span("x", attributes={"a": text, "b": items}) as span:
            span.set_attribute("a", text)
            span.set_input(items)
            span.set_tag("c", items)
            span.add_event("e", {"a": text, "b": items})
            span.record_exception(ValueError(text))
        work(text, items)
        assert tracemalloc.get_traced_memory()[1] < 50_000, tracemalloc.get_traced_memory()
        """,
    )
    assert done.returncode == 0, done.stderr
