"""What programs are made of. Everything here prints as the Python that makes it, so that a failure can be copied."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Pairs = tuple[tuple[str, str], ...]
"""Attributes: names of keys and of values in `material`."""


@dataclass(frozen=True)
class Start:
    """How a span begins."""

    name: str = "x"
    tracer: int = 0
    kind: int = 0
    attributes: Pairs | None = None
    links: tuple[tuple[Target, Pairs | None], ...] | None = None
    start_time: int | None = None
    context: Where | None = None
    record_exception: bool = True
    set_status_on_exception: bool = True
    end_on_exit: bool = True


@dataclass(frozen=True)
class Target:
    """A span context: of a span of the program, or one from elsewhere."""

    span: int | None = None
    remote: str = "sampled"


@dataclass(frozen=True)
class Where:
    """A context: the current one, an empty one, or one of them with a span in it."""

    empty: bool = False
    span: Target | None = None


class Op:
    """A step of a program."""


@dataclass(frozen=True)
class Spanned(Op):
    """A block inside a span."""

    how: str
    start: Start = field(default_factory=Start)
    body: tuple[Op, ...] = ()


@dataclass(frozen=True)
class Started(Op):
    """A span that nothing ends by itself."""

    start: Start = field(default_factory=Start)


@dataclass(frozen=True)
class Used(Op):
    """A block inside ``use_span``."""

    span: int
    end_on_exit: bool = False
    record_exception: bool = True
    set_status_on_exception: bool = True
    body: tuple[Op, ...] = ()


@dataclass(frozen=True)
class Call(Op):
    """A call of a span's method. The span is one of the program's, or the current one."""

    span: int | None
    method: str
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Raise(Op):
    error: str


@dataclass(frozen=True)
class Try(Op):
    body: tuple[Op, ...] = ()


@dataclass(frozen=True)
class Pause(Op):
    """Lets others go on."""


@dataclass(frozen=True)
class Look(Op):
    """Takes down what is current, and what a span shows of itself."""


@dataclass(frozen=True)
class Attach(Op):
    where: Where


@dataclass(frozen=True)
class Baggage(Op):
    """Attaches a context with one more entry in its baggage."""

    value: str


@dataclass(frozen=True)
class Detach(Op):
    """Gives back one of the tokens, in whatever order."""

    token: int


@dataclass(frozen=True)
class Aside(Op):
    """A block in a copy of the context; in a thread of its own, which otherwise starts without one."""

    thread: bool = False
    copied: bool = True
    body: tuple[Op, ...] = ()


@dataclass(frozen=True)
class Together(Op):
    """Blocks at the same time: in threads, in asyncio tasks, or as generators that take turns in one context."""

    manner: str
    bodies: tuple[tuple[Op, ...], ...] = ()
    steps: int = 8
    """Turns, for generators; whoever is not through by then is closed."""


@dataclass(frozen=True)
class Program:
    body: tuple[Op, ...] = ()
    limits: tuple[tuple[str, int | None], ...] = ()
    sampler: str = "default"
    ids: str = "default"
