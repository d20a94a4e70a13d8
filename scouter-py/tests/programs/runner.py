"""Runs a program on a tracer provider."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
import types
from collections.abc import Callable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry import baggage, context, trace
from opentelemetry.trace import SpanKind

from . import material, samplers
from .model import (
    Aside,
    Attach,
    Baggage,
    Call,
    Detach,
    Look,
    Op,
    Pairs,
    Pause,
    Program,
    Raise,
    Spanned,
    Start,
    Started,
    Target,
    Together,
    Try,
    Used,
    Where,
)

SCOPES: tuple[tuple[Any, ...], ...] = (
    ("first",),
    ("second", "1.2", "https://example.org/schema", {"scope.attribute": "x", "n": 1}),
)


@types.coroutine
def _pause() -> Generator[None, None, None]:
    yield


def drive(steps: Coroutine[Any, Any, None]) -> None:
    """Runs a coroutine that waits for nothing but its next turn."""
    while True:
        try:
            steps.send(None)
        except StopIteration:
            return


@dataclass
class _Asynchronous:
    """``async with`` for the SDK's block, which has none."""

    block: AbstractContextManager[trace.Span]

    async def __aenter__(self) -> trace.Span:
        return self.block.__enter__()

    async def __aexit__(self, *error: object) -> bool | None:
        return self.block.__exit__(*error)


def _asynchronous(block: Any) -> Any:
    return block if isinstance(block, AbstractAsyncContextManager) else _Asynchronous(block)


@dataclass
class Flow:
    """What one line of a program can name: its spans and the tokens of what it attached."""

    spans: list[trace.Span] = field(default_factory=list)
    tokens: list[Any] = field(default_factory=list)
    own: int = 0
    """Spans before this one belong to others who run at the same time: their order of calls is nobody's."""
    alone: bool = True

    def branch(self, alone: bool) -> Flow:
        return Flow(list(self.spans), [], self.own if alone else len(self.spans), self.alone and alone)


@dataclass
class Run:
    """One run of a program. What it leaves: the spans by their place in the program, and what was looked at."""

    tracers: list[trace.Tracer] = field(default_factory=list)
    spans: dict[str, trace.Span] = field(default_factory=dict)
    seen: dict[str, Any] = field(default_factory=dict)
    began: int = 0
    ended: int = 0

    def __call__(self, program: Program, tracers: list[trace.Tracer]) -> None:
        self.tracers = tracers
        self.began = time.time_ns()
        contextvars.Context().run(self._run, program)
        self.ended = time.time_ns()

    def _run(self, program: Program) -> None:
        drive(self._caught(program.body, Flow(), "program"))
        self._look("end")

    async def _caught(self, body: tuple[Op, ...], flow: Flow, place: str) -> None:
        """A block whose exceptions stop here."""
        try:
            await self._block(body, flow, place)
        except GeneratorExit:
            self.seen[f"{place} raised"] = "GeneratorExit"
        except BaseException as error:  # noqa: BLE001
            context_ = error.__context__
            self.seen[f"{place} raised"] = (type(error).__name__, str(error), type(context_).__name__)

    async def _block(self, body: tuple[Op, ...], flow: Flow, place: str) -> None:
        for at, op in enumerate(body):
            await self._op(op, flow, f"{place}.{at}")

    async def _op(self, op: Op, flow: Flow, place: str) -> None:
        samplers.place.name = place
        match op:
            case Spanned():
                await self._spanned(op, flow, place)
            case Started(start):
                self._begun(self._tracer(start).start_span(**self._start(start, flow, own=False)), flow, place)
            case Used():
                await self._used(op, flow, place)
            case Call():
                self._call(op, flow)
            case Raise(error):
                raise material.ERRORS[error]()
            case Try(body):
                await self._caught(body, flow, place)
            case Pause():
                await _pause()
            case Look():
                self._look(place)
            case Attach(where):
                flow.tokens.append(context.attach(self._context(where, flow)))
            case Baggage(value):
                flow.tokens.append(context.attach(baggage.set_baggage("key", value)))
            case Detach(token):
                if flow.tokens:
                    context.detach(flow.tokens[token % len(flow.tokens)])
            case Aside(thread, copied, body):
                self._aside(thread, copied, body, flow, place)
            case Together():
                self._together(op, flow, place)
            case _:
                raise AssertionError(op)

    # --- Spans

    async def _spanned(self, op: Spanned, flow: Flow, place: str) -> None:
        tracer = self._tracer(op.start)
        if op.how == "start_span":
            with tracer.start_span(**self._start(op.start, flow, own=False)) as span:
                self._begun(span, flow, place)
                await self._block(op.body, flow, place)
            return
        block: Any = tracer.start_as_current_span(**self._start(op.start, flow, own=True))
        if op.how == "decorator":

            @block
            def call() -> None:
                self._begun(trace.get_current_span(), flow, place)
                drive(self._block(op.body, flow, place))

            call()
        elif op.how == "async decorator":

            @block
            async def call_async() -> None:
                self._begun(trace.get_current_span(), flow, place)
                await self._block(op.body, flow, place)

            await call_async()
        elif op.how == "async with":
            async with _asynchronous(block) as span:
                self._begun(span, flow, place)
                await self._block(op.body, flow, place)
        else:
            with block as span:
                self._begun(span, flow, place)
                await self._block(op.body, flow, place)

    async def _used(self, op: Used, flow: Flow, place: str) -> None:
        mine = flow.spans[flow.own :]
        if not mine:
            return
        span = mine[op.span % len(mine)]
        block: AbstractContextManager[Any] = trace.use_span(
            span, op.end_on_exit, op.record_exception, op.set_status_on_exception
        )
        with block:
            await self._block(op.body, flow, place)

    def _begun(self, span: trace.Span, flow: Flow, place: str) -> None:
        self.spans[place] = span
        flow.spans.append(span)

    def _tracer(self, start: Start) -> trace.Tracer:
        return self.tracers[start.tracer % len(self.tracers)]

    def _start(self, start: Start, flow: Flow, own: bool) -> dict[str, Any]:
        given: dict[str, Any] = {"name": material.NAMES[start.name]}
        if start.kind:
            given["kind"] = tuple(SpanKind)[start.kind]
        if start.attributes is not None:
            given["attributes"] = pairs(start.attributes)
        if start.links is not None:
            given["links"] = [
                trace.Link(self._target(target, flow), pairs(attributes)) for target, attributes in start.links
            ]
        if start.start_time is not None:
            given["start_time"] = start.start_time
        if start.context is not None:
            given["context"] = self._context(start.context, flow)
        if not start.record_exception:
            given["record_exception"] = False
        if not start.set_status_on_exception:
            given["set_status_on_exception"] = False
        if own and not start.end_on_exit:
            given["end_on_exit"] = False
        return given

    def _target(self, target: Target, flow: Flow) -> trace.SpanContext:
        if target.span is None or not flow.spans:
            return material.REMOTES[target.remote]()
        return flow.spans[target.span % len(flow.spans)].get_span_context()

    def _context(self, where: Where, flow: Flow) -> context.Context:
        base = context.Context() if where.empty else context.get_current()
        if where.span is None:
            return base
        if where.span.span is None or not flow.spans:
            span: trace.Span = trace.NonRecordingSpan(material.REMOTES[where.span.remote]())
        else:
            span = flow.spans[where.span.span % len(flow.spans)]
        return trace.set_span_in_context(span, base)

    def _call(self, op: Call, flow: Flow) -> None:
        mine = flow.spans[flow.own :]
        span = trace.get_current_span() if op.span is None else mine[op.span % len(mine)] if mine else None
        if span is None or (op.span is None and not flow.alone and all(span is not own for own in mine)):
            return
        method: Callable[..., Any] = getattr(span, op.method)
        match op.method, op.arguments:
            case "set_attribute", (key, value):
                method(material.KEYS[key], material.VALUES[value]())
            case "set_attributes", (attributes,):
                method(pairs(attributes))
            case "add_event", (name, attributes, timestamp):
                method(material.NAMES[name], pairs(attributes), timestamp)
            case "add_link", (target, attributes):
                method(self._target(target, flow), pairs(attributes))
            case "update_name", (name,):
                method(material.NAMES[name])
            case "set_status", (status,):
                method(*material.STATUSES[status]())
            case "record_exception", (error, attributes, timestamp, escaped):
                method(material.ERRORS[error](), pairs(attributes), timestamp, escaped)
            case "end", (end_time,):
                method(end_time)
            case _:
                raise AssertionError(op)

    def _look(self, place: str) -> None:
        span = trace.get_current_span()
        shown: Any = None
        if span.is_recording() and any(span is own for own in self.spans.values()):
            shown = (
                len(span.name),  # type: ignore[attr-defined]
                len(span.attributes),  # type: ignore[attr-defined]
                len(span.events),  # type: ignore[attr-defined]
                len(span.links),  # type: ignore[attr-defined]
                span.status.status_code.name,  # type: ignore[attr-defined]
            )
        self.seen[place] = (span.get_span_context(), span.is_recording(), dict(baggage.get_all()), shown)

    # --- Ways to run a block

    def _aside(self, thread: bool, copied: bool, body: tuple[Op, ...], flow: Flow, place: str) -> None:
        def work() -> None:
            drive(self._caught(body, flow, place))

        inside = contextvars.copy_context() if copied or not thread else contextvars.Context()
        if not thread:
            inside.run(work)
            return
        runner = threading.Thread(target=inside.run, args=(work,))
        runner.start()
        runner.join()

    def _together(self, op: Together, flow: Flow, place: str) -> None:
        branches = [
            self._caught(body, flow.branch(alone=op.manner != "threads"), f"{place}-{at}")
            for at, body in enumerate(op.bodies)
        ]
        if op.manner == "threads":
            threads = [
                threading.Thread(target=contextvars.copy_context().run, args=(drive, branch)) for branch in branches
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        elif op.manner == "tasks":

            async def main() -> None:
                await asyncio.gather(*branches)

            thread = threading.Thread(target=contextvars.copy_context().run, args=(asyncio.run, main()))
            thread.start()
            thread.join()
        else:
            waiting = list(branches)
            for turn in range(op.steps):
                if not waiting:
                    break
                branch = waiting[turn % len(waiting)]
                try:
                    branch.send(None)
                except StopIteration:
                    waiting.remove(branch)
            for branch in waiting:
                branch.close()


def pairs(named: Pairs | None) -> dict[Any, Any] | None:
    """Attributes, made afresh."""
    if named is None:
        return None
    return {material.KEYS[key]: material.VALUES[value]() for key, value in named}


__all__ = ["SCOPES", "Run", "drive", "pairs"]
