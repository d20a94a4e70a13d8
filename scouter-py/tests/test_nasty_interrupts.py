"""Signals, recursion at its limit, exits and tracing functions of the interpreter, in the middle of spans."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import SpanProcessor
from support import Kept

from scouter import MockConfig
from scouter.tracing import ScouterTracer, TracerProvider


class Interrupted(BaseException):
    """What a signal handler raises: no `Exception`, so that nobody takes it for an error of the program."""


@contextlib.contextmanager
def interruptions() -> Iterator[list[object]]:
    """What is interrupted in a finaliser, or in what others do at a collection, is Python's to lose; that is given here.

    Coroutines that never ran are no surprise either.
    """
    unraisable, lost = sys.unraisablehook, []

    def without_ours(what: sys.UnraisableHookArgs) -> None:
        if what.exc_type is Interrupted:
            lost.append(what.object)
        else:
            unraisable(what)

    sys.unraisablehook = without_ours
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="coroutine .* was never awaited", category=RuntimeWarning)
            yield lost
    finally:
        sys.unraisablehook = unraisable


@contextlib.contextmanager
def timer(handler: Callable[[int, FrameType | None], None], number: int = signal.SIGALRM) -> Iterator[list[object]]:
    before = signal.signal(number, handler)
    try:
        with interruptions() as lost:
            yield lost
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(number, before)


def plain(tracer: ScouterTracer) -> None:
    with tracer.start_as_current_span("x", attributes={"a": 1}) as span:
        span.set_attribute("b", "text")


def nested(tracer: ScouterTracer) -> None:
    with (
        tracer.start_as_current_span("x"),
        tracer.start_as_current_span("y", baggage={"k": "v"}),
        tracer.start_span("z"),
    ):
        baggage.get_all()


def failing(tracer: ScouterTracer) -> None:
    with contextlib.suppress(ValueError), tracer.start_as_current_span("x"):
        raise ValueError("in the block")


class Slow:
    def __repr__(self) -> str:
        return "-".join(str(at) for at in range(50))

    __str__ = __repr__


def serialising(tracer: ScouterTracer) -> None:
    with tracer.start_as_current_span("x", attributes={"a": Slow()}) as span:
        span.set_input([Slow()])
        span.set_attribute("b", Slow())
        span.add_event("e", {"a": Slow()})


def decorated(tracer: ScouterTracer) -> None:
    @tracer.span("x")
    def work(value: object) -> object:
        return value

    work([Slow()])


def generating(tracer: ScouterTracer) -> None:
    @tracer.span("x", baggage={"k": "v"})
    def stream() -> Iterator[object]:
        yield Slow()
        yield 2

    for _ in stream():
        pass


def awaiting(tracer: ScouterTracer) -> None:
    """Driven by hand: what an event loop does with an exception from a handler is the loop's own affair."""

    @tracer.span("x")
    async def work() -> int:
        async with tracer.start_as_current_span("y"):
            return 5

    with contextlib.suppress(StopIteration):
        work().send(None)


WORK = [plain, nested, failing, serialising, decorated, generating, awaiting]


@pytest.mark.parametrize("work", WORK)
def test_a_signal_handler_that_raises(kept: Kept, work: Callable[[ScouterTracer], None]) -> None:
    """Whenever it comes, it reaches the program, the context is as it was, and the span is ended or counted as never ended."""
    armed = False

    def handler(_: int, __: FrameType | None) -> None:
        nonlocal armed
        if armed:
            armed = False
            raise Interrupted

    # What is imported at the first use is imported before: imports leave files behind when they are interrupted.
    work(kept.tracer)
    chance = random.Random(3)
    hits = 0
    with timer(handler) as lost:
        for _ in range(1_000):
            try:
                armed = True
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-6, 150e-6))
                while armed:
                    work(kept.tracer)
            except Interrupted:
                hits += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            armed = False
            if trace.get_current_span() is not trace.INVALID_SPAN or baggage.get_all():
                left = trace.get_current_span()
                context.attach(context.Context())
                raise AssertionError(f"after {hits} interruptions {left} is current")
    # Python's module `traceback` has a bare `except`, which swallows one now and then.
    assert hits + len(lost) > 980, "interruptions did not reach the program"
    kept.spans()
    stats = kept.tracer.stats()
    assert (stats["live"], stats["panics"]) == (0, 0)
    found = stats["destinations"]["scouter"]
    assert stats["started"] == found["exported"] + sum(found["dropped"].values())


def test_a_signal_handler_that_traces(kept: Kept) -> None:
    seen = []

    def handler(_: int, __: FrameType | None) -> None:
        with kept.tracer.start_as_current_span("handler") as span:
            current = trace.get_current_span()
            span.set_input([1])
            seen.append((current is span, span.parent))

    ended = 0
    with timer(handler):
        signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
        while len(seen) < 300:
            for work in WORK:
                work(kept.tracer)
            ended += 1
            assert trace.get_current_span() is trace.INVALID_SPAN
    assert all(is_current for is_current, _ in seen)
    names = [span["name"] for span in kept.spans()]
    assert names.count("handler") + sum(kept.tracer.stats()["destinations"]["scouter"]["dropped"].values()) >= 300


class KeyboardInterrupting:
    """As if Ctrl-C were pressed while this is looked at."""

    def __repr__(self) -> str:
        raise KeyboardInterrupt

    __str__ = __repr__


def _failure() -> Exception:
    return type("Failure", (Exception,), {"__str__": KeyboardInterrupting.__repr__})()


CALLS: dict[str, Callable[[ScouterTracer, Any, object], object]] = {
    "set_attribute": lambda _, span, value: span.set_attribute("a", value),
    "set_attributes": lambda _, span, value: span.set_attributes({"a": [value]}),
    "set_tag": lambda _, span, value: span.set_tag("a", value),
    "set_input": lambda _, span, value: span.set_input({"a": value}),
    "set_output": lambda _, span, value: span.set_output(value),
    "add_event": lambda _, span, value: span.add_event("e", {"a": value}),
    "add_link": lambda _, span, value: span.add_link(span.get_span_context(), {"a": value}),
    "set_status": lambda _, span, value: span.set_status(trace.StatusCode.ERROR, value),
    "update_name": lambda _, span, value: span.update_name(value),
    "record_exception": lambda _, span, __: span.record_exception(_failure()),
    "start_span": lambda tracer, _, value: tracer.start_span("x", attributes={"a": value}),
    "start_as_current_span": lambda tracer, _, value: tracer.start_as_current_span(
        "x", attributes={"a": value}
    ).__enter__(),
    "name": lambda tracer, _, value: tracer.start_span(value),  # type: ignore[arg-type]
    "argument": lambda tracer, _, value: tracer.span("x")(lambda given: given)(value),
    "result": lambda tracer, _, value: tracer.span("x")(lambda: value)(),
    "item": lambda tracer, _, value: list(tracer.span("x")(_one)(value)),
}


def _one(value: object) -> Iterator[object]:
    yield value


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_keyboard_interrupt_passes(kept: Kept, call: Callable[[ScouterTracer, Any, object], object]) -> None:
    with pytest.raises(KeyboardInterrupt), kept.tracer.start_as_current_span("outer") as span:
        call(kept.tracer, span, KeyboardInterrupting())
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert len([span for span in kept.spans() if span["parent_span_id"] is None]) == 1
    assert kept.tracer.stats()["live"] == 0
    # And it came once.
    kept.tracer.start_span("after").end()


def test_a_keyboard_interrupt_passes_while_an_exception_is_recorded(kept: Kept) -> None:
    failure = _failure()
    with pytest.raises(KeyboardInterrupt), kept.tracer.start_as_current_span("outer"):
        raise failure
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert kept.span("outer")
    kept.config.clear()

    @kept.tracer.span("decorated")
    def fail() -> None:
        raise _failure()

    @kept.tracer.span("generator")
    def stream() -> Iterator[int]:
        yield 1
        raise _failure()

    for function in (fail, lambda: list(stream())):
        with pytest.raises(KeyboardInterrupt):
            function()
        assert trace.get_current_span() is trace.INVALID_SPAN
    assert len(kept.spans()) == 2


class InterruptedAtStart(SpanProcessor):
    def __init__(self) -> None:
        self.told: list[str] = []

    def on_start(self, span: Any, parent_context: context.Context | None = None) -> None:
        self.told.append("start")
        raise KeyboardInterrupt

    def on_end(self, span: Any) -> None:
        self.told.append("end")


@pytest.mark.parametrize("how", ["with", "start_span", "decorated"])
@pytest.mark.parametrize("where", ["processor", "attribute"])
def test_a_span_whose_beginning_was_interrupted_has_ended(how: str, where: str) -> None:
    config, processor = MockConfig(), InterruptedAtStart()
    provider = TracerProvider(transport_config=config)
    if where == "processor":
        provider.add_span_processor(processor)
    tracer = provider.get_tracer("test")
    attributes = {"a": KeyboardInterrupting()} if where == "attribute" else {"a": 1}
    # Held on to, so that nothing ends for being forgotten.
    block = tracer.start_as_current_span("x", attributes=attributes)
    begin = {
        "with": block.__enter__,
        "start_span": lambda: tracer.start_span("x", attributes=attributes),
        "decorated": tracer.span("x", attributes=attributes)(lambda: None),
    }[how]
    with pytest.raises(KeyboardInterrupt):
        begin()
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert not block.is_recording()
    assert processor.told == (["start", "end"] if where == "processor" else [])
    assert provider.force_flush()
    assert [span["name"] for span in config.spans] == ["x"]
    stats = provider.stats()
    assert (stats["started"], stats["live"], stats["plugin_failures"]) == (1, 0, 0)
    provider.shutdown()


# --- Recursion


@contextlib.contextmanager
def recursion_limit(above: int) -> Iterator[None]:
    depth, frame = 0, sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back  # type: ignore[assignment]
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + above)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _deeper(tracer: ScouterTracer, how: str, entered: list[int]) -> None:
    """Goes down until Python refuses."""
    if how == "with":
        with tracer.start_as_current_span("x") as span:
            entered[0] += 1
            span.set_attribute("a", Slow())
            _deeper(tracer, how, entered)
    elif how == "decorated":

        @tracer.span("x")
        def call(value: object) -> None:
            entered[0] += 1
            _deeper(tracer, how, entered)

        call([Slow()])
    elif how == "generator":

        @tracer.span("x")
        def stream() -> Iterator[object]:
            entered[0] += 1
            yield 1
            _deeper(tracer, how, entered)

        for _ in stream():
            pass
    else:
        with trace.use_span(tracer.start_span("x"), end_on_exit=True):
            entered[0] += 1
            _deeper(tracer, how, entered)


@pytest.mark.parametrize("how", ["with", "decorated", "generator", "use_span"])
def test_recursion_at_its_limit(kept: Kept, how: str) -> None:
    # Several limits in a row, so that Python refuses at every step that there is.
    for above in range(60, 72):
        entered = [0]
        with kept.tracer.start_as_current_span("outer") as outer:
            with recursion_limit(above), pytest.raises(RecursionError):
                _deeper(kept.tracer, how, entered)
            assert trace.get_current_span() is outer
        assert trace.get_current_span() is trace.INVALID_SPAN
        assert entered[0] > 3
        found = kept.spans()
        assert len(found) >= entered[0] + 1
        stats = kept.tracer.stats()
        assert (stats["live"], stats["panics"]) == (0, 0)
        # What was told to nobody for lack of room is at least not told wrongly.
        names = {span["span_id"] for span in found}
        assert all(span["parent_span_id"] in names for span in found if span["name"] == "x")
        kept.config.clear()


def test_a_recursion_error_inside_a_value(kept: Kept) -> None:
    class Endless:
        def __repr__(self) -> str:
            return repr([self, self])

    with kept.tracer.start_as_current_span("x") as span:
        span.set_input(Endless())
        span.set_attribute("a", Endless())
        span.set_attribute("after", 1)
    assert kept.span()["attributes"]["after"] == 1


# --- Exits


@pytest.mark.parametrize("reason", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()])
def test_exits_pass_unchanged(kept: Kept, reason: BaseException) -> None:
    @kept.tracer.span("decorated")
    def call() -> None:
        raise reason

    @kept.tracer.span("generator")
    def stream() -> Iterator[int]:
        yield 1
        raise reason

    def block() -> None:
        with kept.tracer.start_as_current_span("with"), kept.tracer.start_span("start_span"):
            raise reason

    for function in (call, block, lambda: list(stream())):
        with pytest.raises(type(reason)) as caught:
            function()
        assert caught.value is reason
        assert reason.__context__ is None
    assert [(span["status"].upper(), span["events"]) for span in kept.spans()] == [("UNSET", [])] * 4


# --- Tracing functions of the interpreter


@pytest.mark.parametrize("install", [sys.settrace, sys.setprofile], ids=["settrace", "setprofile"])
@pytest.mark.parametrize("mood", ["watching", "tracing", "raising"])
def test_under_a_trace_function(kept: Kept, install: Callable[[Any], None], mood: str) -> None:
    events = 0

    def watch(frame: FrameType, event: str, argument: object) -> object:
        nonlocal events
        events += 1
        if mood == "tracing":
            with kept.tracer.start_as_current_span("of the trace function") as span:
                span.set_attribute("event", event)
        elif mood == "raising" and events % 7 == 0:
            install(None)
            raise Interrupted
        return watch

    before = sys.gettrace(), sys.getprofile()
    rounds = 0
    try:
        for work in WORK * 10:
            rounds += 1
            install(watch)
            try:
                work(kept.tracer)
            except Interrupted:
                pass
            finally:
                install(None)
            assert trace.get_current_span() is trace.INVALID_SPAN
    finally:
        sys.settrace(before[0])
        sys.setprofile(before[1])
    assert events > rounds
    kept.spans()
    stats = kept.tracer.stats()
    assert (stats["live"], stats["panics"]) == (0, 0)


def test_an_exception_from_outside(kept: Kept) -> None:
    """`PyThreadState_SetAsyncExc`, as debuggers and supervisors use it to stop a thread."""
    stopped, again = False, threading.Event()
    left: list[trace.Span] = []

    def work() -> None:
        while not stopped:
            try:
                again.set()
                while not stopped:
                    plain(kept.tracer)
                    decorated(kept.tracer)
                    kept.config.clear()
            except Interrupted:
                left.append(trace.get_current_span())

    thread = threading.Thread(target=work)
    interrupt = ctypes.pythonapi.PyThreadState_SetAsyncExc
    answered = 0
    with interruptions() as lost:
        thread.start()
        for _ in range(100):
            again.clear()
            assert interrupt(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(Interrupted)) == 1
            answered += again.wait(2)
        stopped = True
        thread.join(10)
    assert not thread.is_alive()
    assert answered + len(lost) > 95
    assert set(left) == {trace.INVALID_SPAN}
    kept.spans()
    assert kept.tracer.stats()["live"] == 0
