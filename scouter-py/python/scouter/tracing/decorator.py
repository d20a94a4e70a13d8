"""``@tracer.span(...)``: every call of a function runs in a span that holds its arguments and its result.

What does not depend on the call is worked out when the function is decorated; a call does as little as it can.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from opentelemetry import trace

from .. import _scouter, arguments
from ..errors import ConfigError, ConfigTypeError
from . import streams

if TYPE_CHECKING:
    from .._scouter import Tracer

__all__ = ["decorate"]

F = TypeVar("F", bound=Callable[..., Any])

_NOT_CAPTURED = -1
_RECEIVERS = ("self", "cls")


@overload
def decorate(tracer: Tracer, name: F) -> F: ...


@overload
def decorate(
    tracer: Tracer,
    name: str | None = None,
    kind: trace.SpanKind = ...,
    attributes: Mapping[str, Any] | None = ...,
    tags: Mapping[str, str] | None = ...,
    baggage: Mapping[str, str] | None = ...,
    label: str | None = ...,
    max_length: int = ...,
    capture_input: bool = ...,
    capture_output: bool = ...,
    capture_last_stream_item: bool = ...,
    join_stream_items: bool = ...,
) -> Callable[[F], F]: ...


def decorate(
    tracer: Tracer,
    name: str | F | None = None,
    kind: trace.SpanKind = trace.SpanKind.INTERNAL,
    attributes: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    baggage: Mapping[str, str] | None = None,
    label: str | None = None,
    max_length: int = 5000,
    capture_input: bool = True,
    capture_output: bool = True,
    capture_last_stream_item: bool = False,
    join_stream_items: bool = False,
) -> F | Callable[[F], F]:
    """A decorator for functions, coroutine functions, methods, generators and asynchronous generators.

    Args:
        tracer: Makes the spans.
        name: The spans' name; the function's qualified name when left out.
        kind: What part the spans play in a conversation.
        attributes: Attributes of every span.
        tags: Attributes that Scouter indexes.
        baggage: Entries added to the baggage while the function runs.
        label: Groups spans, as ``scouter.label``.
        max_length: How many characters of the input and of the output are kept.
        capture_input: Whether the arguments are kept, as ``scouter.input``.
        capture_output: Whether the result is kept, as ``scouter.output``. Of a generator, the list of its items.
        capture_last_stream_item: Of a generator, keep its last item.
        join_stream_items: Of a generator, keep its items as one text.

    Raises:
        ConfigError: an argument has a value that cannot work.
        ConfigTypeError: an argument is of the wrong type, or what is decorated is not a function.
    """
    if name is not None and not isinstance(name, str):
        # `@tracer.span` without parentheses.
        plain: Callable[[F], F] = decorate(tracer)
        return plain(name)
    if not isinstance(kind, trace.SpanKind):
        raise ConfigTypeError(f"kind must be a SpanKind, not {type(kind).__name__}")
    for argument, given in (("attributes", attributes), ("tags", tags), ("baggage", baggage)):
        if given is not None:
            arguments.attributes(argument, given)
    if label is not None:
        arguments.text("label", label)
    arguments.count("max_length", max_length, least=0)
    arguments.flag("capture_input", capture_input)
    arguments.flag("capture_output", capture_output)
    if capture_last_stream_item and join_stream_items:
        raise ConfigError("capture_last_stream_item and join_stream_items exclude each other: give one of the two")
    keeps = streams.Keeps.ALL
    if not capture_output:
        keeps = streams.Keeps.NOTHING
    elif arguments.flag("capture_last_stream_item", capture_last_stream_item):
        keeps = streams.Keeps.LAST
    elif arguments.flag("join_stream_items", join_stream_items):
        keeps = streams.Keeps.JOINED

    def decorator(function: F) -> F:
        if isinstance(function, (staticmethod, classmethod)):
            bare: Any = function.__func__
            inner: Any = decorator(bare)
            return type(function)(inner)
        if not callable(function) or isinstance(function, type):
            raise ConfigTypeError(f"@tracer.span decorates functions, not {function!r}")
        plan = _scouter.CallPlan(
            name or str(getattr(function, "__qualname__", type(function).__qualname__)),
            kind,
            attributes,
            tags,
            baggage,
            label,
            max_length,
            capture_input,
            _parameters(function) if capture_input else (),
        )
        begin = functools.partial(plan.begin, tracer)
        if _is(inspect.isgeneratorfunction, function):
            wrapper: Callable[..., Any] = streams.generator(function, begin, keeps, max_length, baggage)
        elif _is(inspect.isasyncgenfunction, function):
            wrapper = streams.async_generator(function, begin, keeps, max_length, baggage)
        elif _is(inspect.iscoroutinefunction, function):
            wrapper = _coroutine(function, tracer, plan.begin, capture_output, max_length)
        else:
            wrapper = _function(function, tracer, plan.begin, capture_output, max_length)
        return functools.update_wrapper(wrapper, function)  # type: ignore[return-value]

    return decorator


Begin = Callable[["Tracer", tuple[Any, ...], dict[str, Any]], _scouter.Span]


def _is(check: Callable[[object], bool], function: Callable[..., Any]) -> bool:
    """Whether a function, or what runs when an object is called, is of a kind."""
    return check(function) or check(type(function).__call__)


def _function(
    function: Callable[..., Any], tracer: Tracer, begin: Begin, captures: bool, max_length: int
) -> Callable[..., Any]:
    if not captures:

        def silent(*args: Any, **kwargs: Any) -> Any:
            with begin(tracer, args, kwargs):
                return function(*args, **kwargs)

        return silent

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with begin(tracer, args, kwargs) as span:
            result = function(*args, **kwargs)
            span.set_output(result, max_length)
            return result

    return wrapper


def _coroutine(
    function: Callable[..., Any], tracer: Tracer, begin: Begin, captures: bool, max_length: int
) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        with begin(tracer, args, kwargs) as span:
            result = await function(*args, **kwargs)
            if captures:
                span.set_output(result, max_length)
            return result

    return wrapper


def _parameters(function: Callable[..., Any]) -> tuple[tuple[str, int, Any], ...]:
    """Name, kind and default of every parameter. The receiver of a method is not captured."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        # Some functions that are written in C do not tell.
        empty = _scouter.CallPlan.EMPTY
        return (("args", inspect.Parameter.VAR_POSITIONAL, empty), ("kwargs", inspect.Parameter.VAR_KEYWORD, empty))
    is_method = "." in getattr(function, "__qualname__", "").rpartition("<locals>.")[2]
    described = []
    for place, parameter in enumerate(parameters):
        receives = place == 0 and is_method and parameter.name in _RECEIVERS
        kind = _NOT_CAPTURED if receives else int(parameter.kind)
        default = _scouter.CallPlan.EMPTY if parameter.default is parameter.empty else parameter.default
        described.append((parameter.name, kind, default))
    return tuple(described)
