"""Spans around generators. To whoever drives one, it is the bare generator: ``send``, ``throw``, ``close``, its return value
and an early end arrive as if nothing stood between. The span is current only while the generator's own code runs.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from enum import Enum, auto
from typing import Any, Protocol

from .. import _scouter
from . import failure

Begin = Callable[[tuple[Any, ...], dict[str, Any]], _scouter.Span]
Baggage = Mapping[str, str] | None


class Keeps(Enum):
    """What of a generator's items becomes the span's output."""

    NOTHING = auto()
    ALL = auto()
    LAST = auto()
    JOINED = auto()


def generator(
    function: Callable[..., Generator[Any, Any, Any]], begin: Begin, keeps: Keeps, max_length: int, entries: Baggage
) -> Callable[..., Generator[Any, Any, Any]]:
    """Wraps a generator function."""

    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        span = begin(args, kwargs)
        body, items = _scouter.Body(span, entries), _items(span, keeps, max_length)
        value: Any = None
        try:
            with body:
                inner = function(*args, **kwargs)
            advance: Callable[[Any], Any] = inner.send
            while True:
                try:
                    with body:
                        item = advance(value)
                except StopIteration as stop:
                    return stop.value
                value = None
                items.add(item)
                try:
                    value = yield item
                    advance = inner.send
                except BaseException as thrown:  # noqa: BLE001
                    # Given to the generator outside of this block, or it would become the context of what comes later.
                    value, advance = thrown, inner.throw
        except Exception as error:
            failure.record(span, error)
            raise
        finally:
            # What was thrown in must not keep this frame alive.
            value = None
            try:
                items.finish(span)
            finally:
                span.end()

    return wrapper


def async_generator(
    function: Callable[..., AsyncGenerator[Any, Any]], begin: Begin, keeps: Keeps, max_length: int, entries: Baggage
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Wraps an asynchronous generator function."""

    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        span = begin(args, kwargs)
        body, items = _scouter.Body(span, entries), _items(span, keeps, max_length)
        value: Any = None
        try:
            with body:
                inner = function(*args, **kwargs)
            advance: Callable[[Any], Awaitable[Any]] = inner.asend
            step = _first_step(inner)
            while True:
                try:
                    with body:
                        item = await step
                except StopAsyncIteration:
                    return
                value = None
                items.add(item)
                try:
                    value = yield item
                    advance = inner.asend
                except BaseException as thrown:  # noqa: BLE001
                    value, advance = thrown, inner.athrow
                step = advance(value)
        except Exception as error:
            failure.record(span, error)
            raise
        finally:
            value = None
            try:
                items.finish(span)
            finally:
                span.end()

    return wrapper


class _Items(Protocol):
    def add(self, item: object) -> None:
        """Takes note of an item before it is given out, because whoever gets it may change it."""

    def finish(self, span: _scouter.Span) -> None:
        """Sets the output."""


class _Nothing:
    __slots__ = ()

    def add(self, item: object) -> None:
        pass

    def finish(self, span: _scouter.Span) -> None:
        pass


class _Last:
    __slots__ = ("_max_length", "_text")

    def __init__(self, max_length: int) -> None:
        self._max_length = max_length
        self._text: str | None = None

    def add(self, item: object) -> None:
        self._text = _scouter.to_json_text(item, self._max_length)

    def finish(self, span: _scouter.Span) -> None:
        if self._text is not None:
            span._set_output_text(self._text, self._max_length)


class _All:
    """The items as a JSON list, or as one text. Keeps no more than ends up in the output."""

    __slots__ = ("_joined", "_max_length", "_room", "_texts")

    def __init__(self, max_length: int, joined: bool) -> None:
        self._joined = joined
        self._max_length = max_length
        self._room = max_length
        self._texts: list[str] = []

    def add(self, item: object) -> None:
        if self._room < 0:
            return
        if self._joined and isinstance(item, str):
            text = item[: self._room + 1]
        else:
            text = _scouter.to_json_text(item, self._max_length)
        # Even an empty text counts, so that endless ones do not pile up.
        self._room -= max(1, len(text))
        self._texts.append(text)

    def finish(self, span: _scouter.Span) -> None:
        if self._joined:
            span.set_output("".join(self._texts), self._max_length)
        else:
            span._set_output_text(f"[{', '.join(self._texts)}]", self._max_length)


def _items(span: _scouter.Span, keeps: Keeps, max_length: int) -> _Items:
    if keeps is Keeps.NOTHING or not span.is_recording():
        return _Nothing()
    if keeps is Keeps.LAST:
        return _Last(max_length)
    return _All(max_length, joined=keeps is Keeps.JOINED)


def _first_step(inner: AsyncGenerator[Any, Any]) -> Awaitable[Any]:
    """The first step of the generator, unseen by the event loop.

    An event loop closes abandoned asynchronous generators. Whoever drives ours owns the inner one; if the loop closed both
    at the same time, the inner one would be found running.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return inner.asend(None)
    finally:
        sys.set_asyncgen_hooks(*hooks)
