"""Values that go in circles, deep or on and on: what is written ends, and the work ends with it."""

from __future__ import annotations

import array
import collections
import dataclasses
import json
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy
import pydantic
import pytest
from capturing import captured
from support import Kept


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
    "memoryview": lambda: memoryview(bytes(20_000_000)),
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
