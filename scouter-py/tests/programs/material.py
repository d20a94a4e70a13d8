"""Keys, values, exceptions and span contexts that programs use, each by a name. Values are made afresh for every use."""

from __future__ import annotations

import asyncio
import builtins
import collections
import datetime
import decimal
import enum
import pathlib
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags, TraceState


class Color(enum.Enum):
    RED = "red"


class Number(enum.IntEnum):
    SEVEN = 7


class Word(str):
    __slots__ = ()


class Whole(int):
    pass


class Shown:
    def __str__(self) -> str:
        return "shown"


class Represented:
    def __repr__(self) -> str:
        return "represented"


class Plain:
    """Has no words of its own."""


@dataclass
class Point:
    x: int = 1


KEYS: dict[str, Any] = {
    "a": "a",
    "b": "b",
    "c": "c",
    "unicode": "ключ\U0001f511",
    "long": "k" * 300,
    "message": "exception.message",
    "nul": "a\x00b",
    "empty": "",
    "surrogate": "key\ud800",
    "number": 7,
    "None": None,
}

VALUES: dict[str, Callable[[], Any]] = {
    "text": lambda: "text",
    "empty text": lambda: "",
    "unicode": lambda: "é\U0001f600" * 5,
    "nul": lambda: "a\x00b",
    "surrogate": lambda: "a\ud800b",
    "long": lambda: "é" * 10_000,
    "word": lambda: Word("a word"),
    "True": lambda: True,
    "False": lambda: False,
    "zero": lambda: 0,
    "int": lambda: -42,
    "largest": lambda: 2**63 - 1,
    "smallest": lambda: -(2**63),
    "beyond 64 bits": lambda: 2**63,
    "200 digits": lambda: 10**199,
    "whole": lambda: Whole(5),
    "float": lambda: 1.5,
    "minus zero": lambda: -0.0,
    "nan": lambda: float("nan"),
    "infinity": lambda: float("-inf"),
    "bytes": lambda: b"\x00\xff bytes",
    "no bytes": lambda: b"",
    "bytearray": lambda: bytearray(b"ab"),
    "memoryview": lambda: memoryview(b"ab"),
    "texts": lambda: ["a", "bc", ""],
    "no list": list,
    "numbers": lambda: (1, 2, 3),
    "floats": lambda: [1.0, float("nan")],
    "truths": lambda: [True, False],
    "mixed": lambda: ["a", 1, 1.5, True, b"x"],
    "with None": lambda: ["a", None, "b"],
    "nested list": lambda: [[1, "a"], [[]], ("b", [None])],
    "range": lambda: range(3),
    "deque": lambda: collections.deque(["a", 1]),
    "dict": lambda: {"k": "v", "n": 1},
    "no dict": dict,
    "nested dict": lambda: {"k": {"l": [1, {"m": "deep text"}]}, "none": None},
    "dict of odd keys": lambda: {1: "one", Word("w"): 2},
    "dict with an empty key": lambda: {"": 1, "kept": 2},
    "list of long texts": lambda: ["abcdefghij", {"k": "klmnopqrst"}],
    "large list": lambda: list(range(300)),
    "beyond 64 bits inside": lambda: [2**64, {"k": -(2**70)}],
    "surrogate inside": lambda: ["\udfff", {"\ud800": "x\ud800"}],
    "None": lambda: None,
    "set": lambda: {"one"},
    "shown": Shown,
    "represented": Represented,
    "plain": Plain,
    "plain inside": lambda: ["a", Plain(), {"k": Plain()}],
    "class": lambda: Point,
    "dataclass": Point,
    "enum": lambda: Color.RED,
    "int enum": lambda: Number.SEVEN,
    "decimal": lambda: decimal.Decimal("1.10"),
    "datetime": lambda: datetime.datetime(2024, 5, 6, tzinfo=datetime.timezone.utc),
    "uuid": lambda: uuid.UUID(int=7),
    "path": lambda: pathlib.PurePosixPath("a/b"),
    "exception": lambda: ValueError("a value"),
    "status": lambda: StatusCode.OK,
    "numpy float": lambda: numpy.float64(1.5),
    "numpy int": lambda: numpy.int64(5),
    "numpy truth": lambda: numpy.bool_(True),
    "numpy array": lambda: numpy.array([1, 2]),
    "numpy list": lambda: [numpy.float32(0.5), numpy.int8(1)],
}

NAMES: dict[str, str] = {
    "x": "x",
    "empty": "",
    "unicode": "имя\U0001f600",
    "long": "n" * 5_000,
    "nul": "a\x00b",
    "surrogate": "n\ud800",
}

STATUSES: dict[str, Callable[[], tuple[Any, ...]]] = {
    "unset": lambda: (StatusCode.UNSET,),
    "ok": lambda: (StatusCode.OK,),
    "error": lambda: (StatusCode.ERROR,),
    "error with words": lambda: (StatusCode.ERROR, "words"),
    "error with other words": lambda: (StatusCode.ERROR, "other words"),
    "error with no words": lambda: (StatusCode.ERROR, ""),
    "ok with words": lambda: (StatusCode.OK, "needless"),
    "Status ok": lambda: (Status(StatusCode.OK),),
    "Status unset": lambda: (Status(StatusCode.UNSET),),
    "Status error": lambda: (Status(StatusCode.ERROR, "from a Status"),),
    "Status error and words": lambda: (Status(StatusCode.ERROR, "first"), "second"),
    "Status ok with words": lambda: (Status(StatusCode.OK, "needless"),),
    "Status error without": lambda: (Status(StatusCode.ERROR),),
    "Status of odd words": lambda: (Status(StatusCode.ERROR, 5),),  # type: ignore[arg-type]
    "text": lambda: ("ERROR",),
    "None": lambda: (None,),
}


class Trouble(Exception):
    class Inner(Exception):
        pass


def _chained() -> Exception:
    error = RuntimeError("outer")
    error.__cause__ = KeyError("cause")
    return error


ERRORS: dict[str, Callable[[], BaseException]] = {
    "value": lambda: ValueError("wrong value"),
    "key": lambda: KeyError("k"),
    "empty": lambda: RuntimeError(),
    "own": lambda: Trouble("own", 2),
    "nested": lambda: Trouble.Inner("nested"),
    "chained": _chained,
    "unicode": lambda: OSError(2, "é\n\U0001f600"),
    "long": lambda: ValueError("é" * 3_000),
    "stop": lambda: StopIteration("value"),
    "exit": lambda: SystemExit(3),
    "interrupt": lambda: KeyboardInterrupt(),
    "generator": lambda: GeneratorExit(),
    "cancelled": lambda: asyncio.CancelledError(),
}
if sys.version_info >= (3, 11):
    ERRORS["group"] = lambda: builtins.ExceptionGroup("group", [ValueError("1"), TypeError("2")])

_TRACE, _SPAN = 0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7


def _remote(flags: int, state: list[tuple[str, str]] | None = None, remote: bool = True) -> SpanContext:
    return SpanContext(_TRACE, _SPAN, remote, TraceFlags(flags), TraceState(state or []))


REMOTES: dict[str, Callable[[], SpanContext]] = {
    "sampled": lambda: _remote(1),
    "not sampled": lambda: _remote(0),
    "random": lambda: _remote(3),
    "random, not sampled": lambda: _remote(2),
    "unknown flags": lambda: _remote(0xF5),
    "with state": lambda: _remote(1, [("vendor", "value"), ("t@sys", "x=y")]),
    "with state, not sampled": lambda: _remote(2, [("vendor", "value")]),
    "local": lambda: _remote(3, remote=False),
    "no ids": lambda: SpanContext(0, 0, True),
    "no span id": lambda: SpanContext(_TRACE, 0, True, TraceFlags(1)),
    "no trace id": lambda: SpanContext(0, _SPAN, False, TraceFlags(1), TraceState([("only", "state")])),
}
REMOTE_TRACE, REMOTE_SPAN = _TRACE, _SPAN
