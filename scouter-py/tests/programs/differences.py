"""Where Scouter rightly does not do what ``opentelemetry-sdk`` does.

Every entry says why, shows a program that tells the two apart, and mends the SDK for the comparison: while it runs, by
`during`, or in what comes out, by `after`. The test sees to it that every entry is needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

from opentelemetry import attributes, trace
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk import util
from opentelemetry.sdk.trace.sampling import Sampler, SamplingResult

from .model import Call, Op, Pairs, Program, Raise, Spanned, Start, Target, Where
from .normal import Normal


@dataclass(frozen=True)
class Difference:
    title: str
    section: str
    """Of the specification, or of the standard meant."""
    reason: str
    shown_by: Program
    during: Callable[[], AbstractContextManager[None]] | None = None
    after: Callable[[Normal], Normal] | None = None


@contextmanager
def _the_first_stay() -> Iterator[None]:
    def set_item(self: attributes.BoundedAttributes, key: str, value: Any) -> None:
        if key not in self._dict and self.maxlen is not None and len(self._dict) >= self.maxlen:
            self.dropped += 1
        else:
            self._dict[key] = value

    def append(self: Any, item: object) -> None:
        if self._dq.maxlen is not None and len(self._dq) >= self._dq.maxlen:
            self.dropped += 1
        else:
            self._dq.append(item)

    def extend(self: Any, items: Any) -> None:
        for item in items:
            append(self, item)

    with (
        mock.patch.object(attributes.BoundedAttributes, "_setitem_locked", set_item),
        mock.patch.object(util.BoundedList, "append", append),
        mock.patch.object(util.BoundedList, "extend", extend),
    ):
        yield


def _cleaning(clean: Callable[[Callable[[Any, int | None], Any], Any, int | None], Any]) -> Any:
    """Mends what the SDK makes of a value."""

    @contextmanager
    def during() -> Iterator[None]:
        before: Any = attributes._clean_attribute_value
        with mock.patch.object(attributes, "_clean_attribute_value", lambda value, limit: clean(before, value, limit)):
            yield

    return during


def _large_integers_as_text(before: Callable[[Any, int | None], Any], value: Any, limit: int | None) -> Any:
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return before(str(value), limit)
    return before(value, limit)


def _bytes_cut(before: Callable[[Any, int | None], Any], value: Any, limit: int | None) -> Any:
    return value[:limit] if isinstance(value, bytes) else before(value, limit)


def _texts_of_objects_cut(before: Callable[[Any, int | None], Any], value: Any, limit: int | None) -> Any:
    cleaned = before(value, limit)
    return cleaned[:limit] if isinstance(cleaned, str) and not isinstance(value, str) else cleaned


@contextmanager
def _without_none() -> Iterator[None]:
    set_item, set_items = attributes.BoundedAttributes.__setitem__, attributes.BoundedAttributes._set_items

    def is_nothing(value: object) -> bool:
        cleaned: Any = attributes._clean_attribute_value(value, None)  # type: ignore[call-overload]
        return cleaned is None

    def set_one(self: attributes.BoundedAttributes, key: str, value: Any) -> None:
        if not is_nothing(value):
            set_item(self, key, value)

    def set_all(self: attributes.BoundedAttributes, given: Mapping[str, Any]) -> None:
        set_items(self, {key: value for key, value in given.items() if not is_nothing(value)})

    with (
        mock.patch.object(attributes.BoundedAttributes, "__setitem__", set_one),
        mock.patch.object(attributes.BoundedAttributes, "_set_items", set_all),
    ):
        yield


@contextmanager
def _keys_as_text() -> Iterator[None]:
    before = attributes.BoundedAttributes.__setitem__

    def set_item(self: attributes.BoundedAttributes, key: Any, value: Any) -> None:
        before(self, str(key) if key else key, value)

    with mock.patch.object(attributes.BoundedAttributes, "__setitem__", set_item):
        yield


@contextmanager
def _flags_travel_on() -> Iterator[None]:
    before = sdk.Tracer.start_span

    def start_span(self: sdk.Tracer, name: str, context: Any = None, *args: Any, **kwargs: Any) -> Any:
        span: Any = before(self, name, context, *args, **kwargs)
        parent, own = trace.get_current_span(context).get_span_context(), span.get_span_context()
        if parent.is_valid and parent.trace_flags & ~3:
            flags = trace.TraceFlags(own.trace_flags | parent.trace_flags & ~3)
            span._context = trace.SpanContext(own.trace_id, own.span_id, False, flags, own.trace_state)
        return span

    with mock.patch.object(sdk.Tracer, "start_span", start_span):
        yield


@dataclass
class _Adding(Sampler):
    inner: Sampler

    def should_sample(
        self, parent: Any, trace_id: int, name: str, kind: Any = None, given: Any = None, links: Any = None, **rest: Any
    ) -> SamplingResult:
        result = self.inner.should_sample(parent, trace_id, name, kind, given, links, **rest)
        return SamplingResult(result.decision, {**(given or {}), **(result.attributes or {})}, result.trace_state)

    def get_description(self) -> str:
        return self.inner.get_description()


@contextmanager
def _samplers_add() -> Iterator[None]:
    before = sdk.Tracer.__init__

    def make(self: sdk.Tracer, sampler: Sampler, *args: Any, **kwargs: Any) -> None:
        before(self, _Adding(sampler), *args, **kwargs)

    with mock.patch.object(sdk.Tracer, "__init__", make):
        yield


@contextmanager
def _only_exceptions() -> Iterator[None]:
    before = sdk.Span.__exit__

    def leave(self: sdk.Span, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if error is None or isinstance(error, Exception):
            before(self, kind, error, traceback)
        else:
            self.end()

    with mock.patch.object(sdk.Span, "__exit__", leave):
        yield


def _not_before_the_start(span: Normal) -> Normal:
    def moment(time: int | str | None) -> float:
        return float("inf") if time == "now" else float(time or 0)

    return {**span, "end": span["start"]} if moment(span["end"]) < moment(span["start"]) else span


def _scalar_values(found: Any) -> Any:
    if isinstance(found, str):
        return re.sub("[\ud800-\udfff]", "\ufffd", found)
    if isinstance(found, dict):
        return {_scalar_values(key): _scalar_values(value) for key, value in found.items()}
    if isinstance(found, (list, tuple)):
        return type(found)(_scalar_values(item) for item in found)
    return found


def _with(attributes_: Pairs | None = None, *body: Op, **limits: int) -> Program:
    return Program((Spanned("with", Start(attributes=attributes_), body),), tuple(limits.items()))


DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "beyond a limit, what came first stays",
        "common, Attribute limits; trace SDK, Span limits",
        "the addition that exceeds a limit is what is to be discarded; the SDK discards the oldest instead",
        _with((("a", "int"), ("b", "int")), max_attributes=1),
        during=_the_first_stay,
    ),
    Difference(
        "an integer beyond 64 bits is text",
        "attribute type mapping, Integer values",
        "what a signed 64-bit integer cannot hold is converted to text; the SDK keeps it and its exporter loses it",
        _with((("a", "beyond 64 bits"),)),
        during=_cleaning(_large_integers_as_text),
    ),
    Difference(
        "bytes are cut too",
        "common, Attribute limits",
        "the limit of a value's length holds for byte arrays as for texts; the SDK cuts only texts",
        _with((("a", "bytes"),), max_attribute_length=3),
        during=_cleaning(_bytes_cut),
    ),
    Difference(
        "an object's text is cut too",
        "common, Attribute limits",
        "what an object says of itself is a text value like any other; the SDK cuts only what was a str before",
        _with((("a", "shown"),), max_attribute_length=3),
        during=_cleaning(_texts_of_objects_cut),
    ),
    Difference(
        "no value is no attribute",
        "trace API, Set Attribute (compliance matrix: null values documented as invalid)",
        "setting null is undefined; Scouter leaves the span as it is, the SDK records an attribute without a value",
        _with((("a", "int"), ("b", "None")), Call(None, "set_attribute", ("a", "None"))),
        during=_without_none,
    ),
    Difference(
        "a key that is no text becomes one everywhere",
        "common, Attribute",
        "the SDK takes such keys as text in a mapping and drops them in set_attribute",
        _with(None, Call(None, "set_attribute", ("number", "int"))),
        during=_keys_as_text,
    ),
    Difference(
        "a lone surrogate becomes U+FFFD",
        "attribute type mapping, String values; OTLP, UTF-8 in protobuf strings",
        "there is no UTF-8 for it; the SDK keeps it, and its exporter loses the attribute or the whole batch",
        _with((("surrogate", "surrogate"),)),
        after=_scalar_values,
    ),
    Difference(
        "flags that nobody knows yet travel on",
        "trace context level 2, Mutating the traceparent field",
        "they belong to whoever set them for the trace; the SDK clears them",
        Program((Spanned("with", Start(context=Where(True, Target(remote="unknown flags")))),)),
        during=_flags_travel_on,
    ),
    Difference(
        "what a sampler gives is added",
        "trace SDK, ShouldSample: attributes that will also be added to the span",
        "the SDK takes them in place of those that the span was begun with",
        Program((Spanned("with", Start(attributes=(("a", "int"),))),), sampler="clearing", ids="by place"),
        during=_samplers_add,
    ),
    Difference(
        "leaving for other reasons is no error",
        "trace SDK, Record Exception; semantic conventions for exceptions on spans",
        "what derives from BaseException alone is no error: the SDK holds to that in start_as_current_span and use_span, "
        "but not for a span that is used as a block itself",
        Program((Spanned("start_span", body=(Raise("exit"),)),)),
        during=_only_exceptions,
    ),
    Difference(
        "no span ends before it begins",
        "trace.proto, Span.end_time_unix_nano",
        "the end is expected not to lie before the start; the SDK exports it as given",
        Program((Spanned("with", Start(start_time=5), (Call(None, "end", (3,)),)),)),
        after=_not_before_the_start,
    ),
)


@contextmanager
def mended_sdk(but: Difference | None = None) -> Iterator[None]:
    with ExitStack() as stack:
        for difference in DIFFERENCES:
            if difference.during is not None and difference is not but:
                stack.enter_context(difference.during())
        yield


def mend(found: Mapping[str, Normal], but: Difference | None = None) -> dict[str, Normal]:
    mended = dict(found)
    for difference in DIFFERENCES:
        if difference.after is not None and difference is not but:
            mended = {place: difference.after(span) for place, span in mended.items()}
    return mended
