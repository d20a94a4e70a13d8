"""asyncio, threads and log records, under their instrumentation."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from opentelemetry import baggage, context, trace
from opentelemetry.instrumentation.asyncio import AsyncioInstrumentor
from opentelemetry.instrumentation.logging import LoggingInstrumentor
from opentelemetry.instrumentation.threading import ThreadingInstrumentor
from opentelemetry.instrumentation.utils import suppress_instrumentation
from scenarios import CALLER, Program, Trial, called_with, instrumented

SCENARIOS = Program()


async def work(tracer: trace.Tracer, number: int) -> int:
    """Traced by its name."""
    with tracer.start_as_current_span(f"work {number}"):
        await asyncio.sleep(0)
        return number


async def breaks() -> None:
    """Traced by its name."""
    await asyncio.sleep(0)
    raise LookupError("not there")


async def waits() -> None:
    """Traced by its name; never done by itself."""
    await asyncio.Event().wait()


async def unnamed() -> int:
    """Not traced."""
    await asyncio.sleep(0)
    return 1


def blocks(tracer: trace.Tracer) -> str:
    """Traced by its name, in a thread of asyncio's."""
    with tracer.start_as_current_span("in the thread"):
        return threading.current_thread().name.split("_")[0]


def blocks_and_breaks() -> None:
    """Traced by its name, in a thread of asyncio's."""
    raise LookupError("not there either")


async def _settled(awaitable: Awaitable[Any]) -> Any:
    try:
        return await awaitable
    except (LookupError, asyncio.TimeoutError, asyncio.CancelledError) as error:
        return type(error).__name__


def _asyncio(name: str) -> Callable[[Callable[[Trial], Awaitable[Any]]], Any]:
    """A scenario that runs in a loop, once inside of a span and once without."""

    def add(run: Callable[[Trial], Awaitable[Any]]) -> Any:
        async def main(trial: Trial) -> Any:
            with trial.tracer.start_as_current_span("ours"):
                return await run(trial)

        @SCENARIOS.scenario(f"asyncio: {name}")
        def scenario(trial: Trial) -> Any:
            with instrumented(AsyncioInstrumentor()):
                return [asyncio.run(main(trial)), asyncio.run(run(trial))]

        return run

    return add


@_asyncio("tasks")
async def tasks(trial: Trial) -> Any:
    task = asyncio.create_task(work(trial.tracer, 1))
    ensured = asyncio.ensure_future(work(trial.tracer, 2))
    plain = asyncio.create_task(unnamed())
    return [await task, await ensured, await plain]


@_asyncio("gather")
async def gathered(trial: Trial) -> Any:
    return await asyncio.gather(*(work(trial.tracer, number) for number in range(20)))


@_asyncio("exceptions")
async def exceptions(trial: Trial) -> Any:
    results = await asyncio.gather(breaks(), work(trial.tracer, 1), return_exceptions=True)
    return [str(results[0]), results[1], await _settled(asyncio.create_task(breaks()))]


@_asyncio("given up")
async def given_up(_: Trial) -> Any:
    task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    task.cancel()
    return [await _settled(task), await _settled(asyncio.wait_for(waits(), 0.01))]


@_asyncio("waiting for several")
async def several(trial: Trial) -> Any:
    done = [await first for first in asyncio.as_completed([work(trial.tracer, number) for number in (1, 2)])]
    finished, pending = await asyncio.wait([asyncio.create_task(work(trial.tracer, 3))])
    return [sorted(done), len(finished), len(pending)]


@_asyncio("futures")
async def futures(_: Trial) -> Any:
    good, bad = asyncio.get_running_loop().create_future(), asyncio.get_running_loop().create_future()
    good.set_result(1)
    bad.set_exception(LookupError("in the future"))
    return [await asyncio.ensure_future(good), await _settled(asyncio.gather(bad))]


@_asyncio("threads of asyncio's")
async def to_thread(trial: Trial) -> Any:
    return [await asyncio.to_thread(blocks, trial.tracer), await _settled(asyncio.to_thread(blocks_and_breaks))]


if sys.version_info >= (3, 11):

    @_asyncio("task groups")
    async def task_groups(trial: Trial) -> Any:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work(trial.tracer, number)) for number in range(3)]
        return [task.result() for task in tasks]


@_asyncio("from another thread")
async def from_thread(trial: Trial) -> Any:
    loop = asyncio.get_running_loop()

    def elsewhere() -> int:
        return asyncio.run_coroutine_threadsafe(work(trial.tracer, 1), loop).result()

    return await loop.run_in_executor(None, elsewhere)


@SCENARIOS.scenario("asyncio: unsampled and suppressed")
def unsampled(trial: Trial) -> Any:
    async def main() -> Any:
        with called_with(CALLER.headers("00")):
            first = await asyncio.create_task(work(trial.tracer, 1))
        with suppress_instrumentation():
            return [first, await asyncio.create_task(work(trial.tracer, 2))]

    with instrumented(AsyncioInstrumentor()):
        return asyncio.run(main())


@SCENARIOS.scenario("threading: threads, timers, pools")
def threads(trial: Trial) -> Any:
    seen: list[Any] = []

    def run(name: str) -> None:
        with trial.tracer.start_as_current_span(name):
            seen.append([name, dict(baggage.get_all())])

    for around in (instrumented(ThreadingInstrumentor()), instrumented()):
        with around, trial.tracer.start_as_current_span("ours"):
            token = context.attach(baggage.set_baggage("user", "7"))
            running = [
                *(threading.Thread(target=run, args=(f"thread {number}",)) for number in range(10)),
                threading.Timer(0, run, ("timer",)),
            ]
            for thread in running:
                thread.start()
            with ThreadPoolExecutor(4) as pool:
                done = [pool.submit(run, f"pool {number}") for number in range(10)]
                done += [pool.submit(run, "same")]
                for future in done:
                    future.result()
                list(pool.map(run, ["mapped 1", "mapped 2"]))
            for thread in running:
                thread.join()
            context.detach(token)
    return sorted(seen, key=str)


@SCENARIOS.scenario("threading: exceptions, unsampled, twice")
def thread_failures(trial: Trial) -> Any:
    def breaks() -> None:
        with trial.tracer.start_as_current_span("breaks"):
            raise LookupError("in a pool")

    seen = []
    for flags in ("01", "00"):
        with (
            instrumented(ThreadingInstrumentor()),
            called_with(CALLER.headers(flags)),
            trial.tracer.start_as_current_span("ours"),
            ThreadPoolExecutor(1) as pool,
        ):
            seen.append(str(pool.submit(breaks).exception()))
        trial.renew_provider()
    return seen


class _Records(logging.Handler):
    def __init__(self, fields: tuple[str, ...]) -> None:
        super().__init__()
        self.seen: list[Any] = []
        self._fields = fields

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append([record.getMessage(), *(getattr(record, field, "<no such field>") for field in self._fields)])


_FIELDS = ("otelTraceID", "otelSpanID", "otelTraceSampled", "otelServiceName", "from_hook")


@SCENARIOS.scenario("logging: ids in records")
def records(trial: Trial) -> Any:
    def hook(span: trace.Span, record: logging.LogRecord) -> None:
        # Whether a span that is not recorded has a name to read is left open by the API.
        record.from_hook = [getattr(span, "name", None) or None, span.is_recording()]

    logger, kept = logging.getLogger("shop"), _Records(_FIELDS)
    logger.addHandler(kept)
    for options in (
        {"inject_trace_context": True, "enable_log_auto_instrumentation": False},
        {"inject_trace_context": True, "log_hook": hook, "enable_log_auto_instrumentation": False},
        {"log_hook": hook},
        {},
    ):
        with instrumented(LoggingInstrumentor(), **options):
            logger.warning("outside")
            with trial.tracer.start_as_current_span("ours"):
                logger.warning("inside")
                with trial.tracer.start_as_current_span("inner"):
                    logger.error("deeper")
                ended = trial.tracer.start_span("ended")
                ended.end()
                with trace.use_span(ended):
                    logger.warning("after the end")
            for flags in ("01", "00"):
                with called_with(CALLER.headers(flags)):
                    logger.warning("remote")
                    with trial.tracer.start_as_current_span("continued"):
                        logger.warning("continued")
        logger.warning("not instrumented")
        trial.renew_provider()
    logger.removeHandler(kept)
    return kept.seen
