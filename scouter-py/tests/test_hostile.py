"""Nothing in the tracing path raises into the program, whatever it is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode
from support import Kept

from scouter.tracing import ScouterSpan, ScouterTracer, get_tracing_headers_from_current_span


class Hostile:
    """Raises at whatever is done to it."""

    def _raise(self, *_: object) -> Any:
        raise RuntimeError("hostile")

    __getattr__ = __str__ = __repr__ = __iter__ = __len__ = __getitem__ = __index__ = __int__ = __float__ = _raise
    __bool__ = __eq__ = __contains__ = keys = items = values = _raise
    __hash__ = object.__hash__


VALUES = {
    "None": None,
    "int": 5,
    "negative": -1,
    "huge": 2**70,
    "float": 1.5,
    "nan": float("nan"),
    "bytes": b"x\xff",
    "surrogate": "\ud800",
    "empty": "",
    "nul": "a\x00b",
    "list": [1],
    "dict": {"a": 1},
    "odd dict": {1: 2, None: 3},
    "nested dict": {"a": {"b": object()}},
    "function": len,
    "class": int,
    "exception": ValueError("x"),
    "code": StatusCode.OK,
    "status": Status(StatusCode.ERROR),
    "hostile": Hostile(),
}

SPAN_CALLS: dict[str, Callable[[ScouterSpan, Any], object]] = {
    "set_attribute key": lambda span, value: span.set_attribute(value, 1),
    "set_attribute value": lambda span, value: span.set_attribute("k", value),
    "set_attributes": lambda span, value: span.set_attributes(value),
    "add_event name": lambda span, value: span.add_event(value),
    "add_event attributes": lambda span, value: span.add_event("e", value),
    "add_event timestamp": lambda span, value: span.add_event("e", None, value),
    "update_name": lambda span, value: span.update_name(value),
    "set_status": lambda span, value: span.set_status(value),
    "set_status description": lambda span, value: span.set_status(StatusCode.ERROR, value),
    "record_exception": lambda span, value: span.record_exception(value),
    "record_exception attributes": lambda span, value: span.record_exception(ValueError(1), value),
    "record_exception timestamp": lambda span, value: span.record_exception(ValueError(1), None, value),
    "add_link": lambda span, value: span.add_link(value),
    "end": lambda span, value: span.end(value),
    "set_tag key": lambda span, value: span.set_tag(value, "x"),
    "set_tag value": lambda span, value: span.set_tag("k", value),
    "set_input": lambda span, value: span.set_input(value),
    "set_input length": lambda span, value: span.set_input("x", value),
    "set_output": lambda span, value: span.set_output(value),
    "set_entity": lambda span, value: span.set_entity(value),
}

START_CALLS: dict[str, Callable[[ScouterTracer, Any], ScouterSpan]] = {
    "name": lambda tracer, value: tracer.start_span(value),
    "context": lambda tracer, value: tracer.start_span("x", value),
    "kind": lambda tracer, value: tracer.start_span("x", kind=value),
    "attributes": lambda tracer, value: tracer.start_span("x", attributes=value),
    "links": lambda tracer, value: tracer.start_span("x", links=value),
    "links of": lambda tracer, value: tracer.start_span("x", links=[value]),
    "start_time": lambda tracer, value: tracer.start_span("x", start_time=value),
    "tags": lambda tracer, value: tracer.start_span("x", tags=value),
    "label": lambda tracer, value: tracer.start_span("x", label=value),
    "headers": lambda tracer, value: tracer.start_span("x", headers=value),
    "as current": lambda tracer, value: tracer.start_as_current_span(value),
    "as current with baggage": lambda tracer, value: tracer.start_as_current_span("x", baggage=value),
    "as current with start_time": lambda tracer, value: tracer.start_as_current_span("x", start_time=value),
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize("call", SPAN_CALLS.values(), ids=SPAN_CALLS)
def test_spans(kept: Kept, call: Callable[[ScouterSpan, Any], object], value: object) -> None:
    span = kept.tracer.start_span("x")
    call(span, value)
    assert span.to_json()
    span.set_attribute("after", 1)
    span.end()
    assert len(kept.spans()) == 1


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize("call", START_CALLS.values(), ids=START_CALLS)
def test_beginnings(kept: Kept, call: Callable[[ScouterTracer, Any], ScouterSpan], value: object) -> None:
    with call(kept.tracer, value) as span:
        assert span.is_recording()
        get_tracing_headers_from_current_span()
        with kept.tracer.start_as_current_span("below"):
            pass
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert len(kept.spans()) == 2


def test_decorated_functions_with_hostile_arguments(kept: Kept) -> None:
    @kept.tracer.span("x")
    def work(value: object, *rest: object, **more: object) -> object:
        return value

    for value in VALUES.values():
        assert work(value, value, more=value) is value
    assert len(kept.spans()) == len(VALUES)
