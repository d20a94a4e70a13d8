"""Values whose own code misbehaves while it is asked: it raises, or meddles with tracing."""

from __future__ import annotations

import json
import logging
import threading
import types
from collections.abc import Callable
from typing import Any

import pytest
from capturing import captured
from opentelemetry import trace
from support import Kept

from scouter.tracing import ScouterSpan


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
