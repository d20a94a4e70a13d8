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
import logging
import sys
import threading
import tracemalloc
import types
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy
import pydantic
import pytest
from opentelemetry import trace
from support import Kept, run_script

from scouter.tracing import ScouterSpan


def captured(kept: Kept, value: object, max_length: int = 5000) -> Any:
    """The value as it goes through a decorated function, which gives it back."""
    with kept.tracer.start_as_current_span("direct") as span:
        span.set_input(value, max_length)

    @kept.tracer.span("decorated", max_length=max_length, capture_input=False)
    def identity() -> object:
        return value

    assert identity() is value
    direct = kept.span("direct")["attributes"]["scouter.input"]
    assert kept.span("decorated")["attributes"]["scouter.output"] == direct
    kept.config.clear()
    assert len(direct) <= max_length
    return direct


# --- Code of the program's own that misbehaves while it is asked


def _raise(*_: object) -> Any:
    raise RuntimeError("hostile")


def _class(**members: object) -> type:
    return types.new_class("Hostile", (), {}, lambda namespace: namespace.update(members))


HOSTILE: dict[str, type] = {
    "everything": _class(
        **dict.fromkeys(
            [
                "__repr__",
                "__str__",
                "__iter__",
                "__len__",
                "__getitem__",
                "__getattr__",
                "__bool__",
                "__int__",
                "__float__",
                "__index__",
                "__eq__",
                "__contains__",
                "__call__",
                "__format__",
                "__reduce__",
                "__dir__",
                "keys",
                "items",
                "values",
            ],
            _raise,
        ),
        __hash__=_raise,
    ),
    "__repr__": _class(__repr__=_raise),
    "__str__": _class(__str__=_raise),
    "__repr__ gives no text": _class(__repr__=lambda _: 5),
    "__iter__": _class(__iter__=_raise, __len__=lambda _: 3),
    "__getattr__": _class(__getattr__=_raise),
    "__getattribute__": _class(__getattribute__=_raise),
    "__hash__ and __eq__": _class(__hash__=_raise, __eq__=_raise),
    "__dict__": _class(__dict__=property(_raise)),
    "__class__": _class(__class__=property(_raise)),
    "model_dump": _class(model_dump=_raise, model_fields={}),
    "__dataclass_fields__": _class(__dataclass_fields__=property(_raise)),
    "fields that are none": _class(__dataclass_fields__={1: 2, "there": 3, "not there": 4}, there="x"),
    "__module__": _class(__module__=property(_raise)),
    "tolist": _class(__module__="numpy", size=1, tolist=_raise),
    "no size": _class(__module__="numpy", size="big", shape=None),
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_objects_that_raise(kept: Kept, capfd: pytest.CaptureFixture[str], hostile: type) -> None:
    with kept.tracer.start_as_current_span("x", attributes={"a": hostile(), "b": [hostile()]}) as span:
        span.set_attribute("c", {"k": hostile()})
        span.set_tag("d", hostile())
        span.add_event("e", {"a": hostile()})
        span.set_input({"inside": [hostile()], hostile: "as a key"})
        span.set_attribute("after", 1)
    found = kept.span()
    assert found["attributes"]["after"] == 1
    assert list(json.loads(found["attributes"]["scouter.input"])) == ["inside", str(hostile)]
    kept.config.clear()
    assert json.loads(captured(kept, hostile()))
    assert capfd.readouterr() == ("", "")


class Meddler:
    """Does something to the tracing whenever it is looked at."""

    def __init__(self, meddle: Callable[[], object]) -> None:
        self._meddle = meddle

    def __repr__(self) -> str:
        self._meddle()
        return "meddler"

    __str__ = __repr__


def _in_a_thread(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(10)
    assert not thread.is_alive(), "the span is locked while it runs the program's code"


MEDDLING: dict[str, Callable[[Kept, ScouterSpan], object]] = {
    "opens a span": lambda kept, _: kept.tracer.start_as_current_span("inner").__enter__().__exit__(None, None, None),
    "records itself": lambda _, span: span.set_attribute("meddled", 1),
    "reads the span": lambda _, span: (dict(span.attributes), span.to_json(), repr(span)),
    "ends the span": lambda _, span: span.end(),
    "another thread uses the span": lambda _, span: _in_a_thread(lambda: span.set_attribute("meddled", 1)),
    "another thread ends the span": lambda _, span: _in_a_thread(span.end),
    "flushes": lambda kept, _: kept.tracer.flush(5_000),
    "shuts down": lambda kept, _: kept.tracer.shutdown(5_000),
}


@pytest.mark.parametrize("meddle", MEDDLING.values(), ids=MEDDLING)
@pytest.mark.parametrize("way", ["attribute", "attributes", "event", "link", "input", "exception", "leaving", "start"])
def test_objects_that_meddle(kept: Kept, meddle: Callable[[Kept, ScouterSpan], object], way: str) -> None:
    class Telling(Exception):
        def __str__(self) -> str:
            meddle(kept, trace.get_current_span())  # type: ignore[arg-type]
            return "told"

    outer = kept.tracer.start_as_current_span("x")
    with pytest.raises(Telling) if way == "leaving" else kept.tracer.start_span("other"), outer as span:
        value = Meddler(lambda: meddle(kept, span))
        if way == "attribute":
            span.set_attribute("a", value)
        elif way == "attributes":
            span.set_attributes({"a": [value], "b": {"k": value}, "c": 1})
        elif way == "event":
            span.add_event("e", {"a": value})
        elif way == "link":
            span.add_link(span.get_span_context(), {"a": value})
        elif way == "input":
            span.set_input([value])
        elif way == "exception":
            span.record_exception(Telling())
        elif way == "start":
            kept.tracer.start_span("started", attributes={"a": value}, links=[trace.Link(span.context, {"a": value})])
        else:
            raise Telling
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert not outer.is_recording()
    # What ends after the shutdown goes nowhere.
    is_sent = kept.tracer.is_enabled()
    assert len([span for span in kept.spans() if span["name"] == "x"]) == int(is_sent)


def test_an_exception_whose_text_opens_a_span_that_fails_likewise(kept: Kept) -> None:
    class Deep(Exception):
        depth = 0

        def __str__(self) -> str:
            Deep.depth += 1
            if Deep.depth < 5:
                with kept.tracer.start_as_current_span(f"below {Deep.depth}"):
                    raise Deep
            return "deep"

    with pytest.raises(Deep), kept.tracer.start_as_current_span("x"):
        raise Deep
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert {span["status"].upper() for span in kept.spans()} == {"ERROR"}


def test_a_logging_handler_that_traces_what_cannot_be_traced(kept: Kept) -> None:
    """What goes wrong is told through `logging`, whose handlers may come back to the span."""

    class Handler(logging.Handler):
        said = 0

        def emit(self, record: logging.LogRecord) -> None:
            Handler.said += 1
            with kept.tracer.start_as_current_span("in the handler") as span:
                span.set_attribute("b", object)
                span.set_attributes(3)  # type: ignore[arg-type]
            raise RuntimeError("a handler that fails")

    logger, handler = logging.getLogger("scouter"), Handler()
    logger.addHandler(handler)
    try:
        with kept.tracer.start_as_current_span("x") as span:
            span.add_event("e", None, "of a kind that no other test complains about")  # type: ignore[arg-type]
            span.set_status("neither")  # type: ignore[arg-type]
    finally:
        logger.removeHandler(handler)
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert "x" in [span["name"] for span in kept.spans()]


# --- Cycles, depth, size


def _cycles() -> dict[str, object]:
    plain: list[object] = []
    plain.append(plain)
    wide: list[object] = []
    wide.extend([wide, wide, wide])
    table: dict[str, object] = {}
    table["self"] = {"deeper": [table]}
    loop = Node()
    loop.next = Node(loop)
    model = Model()
    model.next = model
    names = Names([], 1)
    names.entries.append(names)
    return {"list": plain, "wide": wide, "dict": table, "dataclass": loop, "model": model, "tuple": names}


@dataclasses.dataclass
class Node:
    next: object = None


class Model(pydantic.BaseModel):
    next: object = None


class Names(NamedTuple):
    entries: list[object]
    total: int


@pytest.mark.parametrize("kind", _cycles())
def test_cycles(kept: Kept, kind: str) -> None:
    cycle = _cycles()[kind]

    @kept.tracer.span("decorated")
    def work(value: object) -> object:
        return value

    assert work(cycle) is cycle
    for key in ("scouter.input", "scouter.output"):
        text = kept.span()["attributes"][key]
        json.loads(text)
        assert len(text) < 200
    kept.config.clear()
    with kept.tracer.start_as_current_span("x", attributes={"a": cycle}) as span:
        span.set_attribute("b", cycle)
        span.add_event("e", {"a": cycle})
    assert len(str(kept.span())) < 20_000


def test_what_is_shared_and_no_cycle_is_written_each_time(kept: Kept) -> None:
    shared = [1]
    assert json.loads(captured(kept, [shared, shared, {"k": shared}])) == [[1], [1], {"k": [1]}]


def test_depth(kept: Kept) -> None:
    deep: object = "bottom"
    for _ in range(10_000):
        deep = {"k": [deep]}
    text = json.loads(captured(kept, deep))
    assert "too deep" in str(text)
    with kept.tracer.start_as_current_span("x") as span:
        span.set_attribute("a", deep)
    assert len(str(kept.span()["attributes"]["a"])) < 1_000
    # Python frees such a thing level by level.
    while isinstance(deep, dict):
        deep = deep["k"].pop()


def test_small_things_that_are_huge_when_written_out(kept: Kept) -> None:
    for levels in (20, 60):
        value: list[object] = []
        for _ in range(levels):
            value = [value, value]
        assert captured(kept, value).endswith("[truncated]") or levels > 50
        with kept.tracer.start_as_current_span("x") as span:
            span.set_attribute("a", value)
        (payload,) = kept.config.requests if kept.spans() else [b""]
        assert len(payload) < 5_000_000
        kept.config.clear()


class Counted:
    """Counts how often it is written."""

    written = 0

    def __repr__(self) -> str:
        Counted.written += 1
        return "counted"


class CountedSequence(Sequence[object]):
    def __init__(self, length: int) -> None:
        self.length = length
        self.taken = 0

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, at: Any) -> object:
        self.taken += 1
        if at >= self.length:
            raise IndexError
        return at

    def __repr__(self) -> str:
        return repr([*self])


class CountedMapping(Mapping[str, int]):
    def __init__(self, length: int) -> None:
        self.length = length
        self.taken = 0

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[str]:
        for at in range(self.length):
            self.taken += 1
            yield str(at)

    def __getitem__(self, key: str) -> int:
        self.taken += 1
        return 1

    def __repr__(self) -> str:
        return repr(dict(self))


@pytest.mark.parametrize("kind", ["list", "tuple", "dict", "deque", "user list", "keys", "list of its own"])
def test_work_ends_with_the_cut(kept: Kept, kind: str) -> None:
    Counted.written = 0
    items = [Counted() for _ in range(10_000)]

    class Own(list[object]):
        pass

    value = {
        "list": items,
        "tuple": tuple(items),
        "dict": dict(enumerate(items)),
        "deque": collections.deque(items),
        "user list": collections.UserList(items),
        "keys": dict.fromkeys(items),
        "list of its own": Own(items),
    }[kind]
    with kept.tracer.start_as_current_span("x") as span:
        span.set_input(value, 100)
    assert 0 < Counted.written <= 101
    text = kept.span()["attributes"]["scouter.input"]
    assert len(text) == 100
    assert text.endswith("[truncated]")


@pytest.mark.parametrize("value", [CountedSequence(1_000_000), CountedMapping(1_000_000)], ids=["sequence", "mapping"])
def test_work_ends_with_the_cut_of_collections_of_any_class(
    kept: Kept, value: CountedSequence | CountedMapping
) -> None:
    with kept.tracer.start_as_current_span("x") as span:
        span.set_input(value, 100)
    assert 0 < value.taken <= 300
    assert len(kept.span()["attributes"]["scouter.input"]) == 100


LARGE: dict[str, Callable[[], object]] = {
    "ascii": lambda: "a" * 20_000_000,
    "text": lambda: "é" * 20_000_000,
    "emoji": lambda: "\U0001f600" * 5_000_000,
    "quotes": lambda: '"' * 20_000_000,
    "bytes": lambda: b"a" * 20_000_000,
    "no text": lambda: b"\xff" * 20_000_000,
    "bytearray": lambda: bytearray(20_000_000),
    "list": lambda: [0] * 10_000_000,
    "tuple": lambda: (0,) * 10_000_000,
    "set": lambda: set(range(2_000_000)),
    "frozenset": lambda: frozenset(range(2_000_000)),
    "deque": lambda: collections.deque([0] * 10_000_000),
    "dict": lambda: dict.fromkeys(range(2_000_000)),
    "keys": lambda: dict.fromkeys(range(2_000_000)).keys(),
    "range": lambda: range(10**15),
    "array": lambda: array.array("q", [0]) * 2_000_000,
    "numpy": lambda: numpy.zeros(20_000_000),
    "numpy of objects": lambda: numpy.array(["a"] * 1_000_000, dtype=object),
    "counter": lambda: collections.Counter(range(2_000_000)),
}


@pytest.mark.parametrize("kind", LARGE)
def test_memory_is_bounded_by_the_cut(kept: Kept, kind: str) -> None:
    """Allocations stand for the work here: whatever copies or writes a large value whole allocates by its size."""
    value = LARGE[kind]()
    with kept.tracer.start_as_current_span("x") as span:
        tracemalloc.start()
        try:
            span.set_input(value)
            after, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 2_000_000
    assert after < 100_000
    assert len(kept.span()["attributes"]["scouter.input"]) <= 5_000


def test_a_text_of_100_megabytes(kept: Kept) -> None:
    text = "é" * 50_000_000
    for limit in (0, 1, 20, 5_000):
        assert len(captured(kept, text, limit)) == limit
    with kept.tracer.start_as_current_span("x") as span:
        span.set_attribute("whole", text)
    found = kept.spans()
    # Sent whole, or dropped and counted for its size.
    dropped = sum(kept.tracer.stats()["destinations"]["scouter"]["dropped"].values())
    assert [span["attributes"]["whole"] == text for span in found if span["name"] == "x"] == [True] * (1 - dropped)


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
