"""``start_as_current_span`` as a decorator: every call of the function runs in a span of its own."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from .._scouter import Span


def decorate(again: Callable[[], Span], function: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps a function or a coroutine function; ``again`` makes the span of one call."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def asynchronous(*args: Any, **kwargs: Any) -> Any:
            with again():
                return await function(*args, **kwargs)

        return asynchronous

    @functools.wraps(function)
    def synchronous(*args: Any, **kwargs: Any) -> Any:
        with again():
            return function(*args, **kwargs)

    return synchronous
