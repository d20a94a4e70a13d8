"""Queues and the lives of processes: exits, forks, signals, and servers that are not there."""

from __future__ import annotations

import asyncio
import gc
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from opentelemetry import trace
from support import Receiver, clean_environment, run_script, until

from scouter import BatchConfig, GrpcConfig, HttpConfig, MockConfig
from scouter.queue import EvalRecord, ScouterQueue, SpcProfile
from scouter.tracing import init_tracer, instrument, uninstrument

MAKE = """
import os, signal, sys, threading
from scouter import BatchConfig, HttpConfig
from scouter.queue import ScouterQueue, SpcProfile

profile = SpcProfile("s", "n", "1", {"x": int})
slow = BatchConfig(scheduled_delay_ms=3_600_000, max_queue_size=100_000)
queue = ScouterQueue.from_profile(profile, HttpConfig(sys.argv[1]), slow)
"""
# Newer versions of Python warn of any fork in a process that has threads.
QUIET = {"PYTHONWARNINGS": "ignore::DeprecationWarning"}


def check(result: subprocess.CompletedProcess[str]) -> None:
    assert (result.returncode, result.stdout, result.stderr) == (0, "", ""), result


@pytest.fixture
def silent() -> Iterator[str]:
    """Where somebody listens and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("raise ValueError('end')", 1),
        ("part = queue['n']; del queue", 0),
        ("del queue", 0),
        ("queue.shutdown()", 0),
        ("from scouter.tracing import init_tracer; t = init_tracer(scouter_queue=queue); t.shutdown(); del queue", 0),
    ],
)
def test_what_waits_is_sent_at_exit(receiver: Receiver, tmp_path: Path, end: str, status: int) -> None:
    script = f"{MAKE}\nqueue['n'].insert({{'x': 7}})\n{end}\n"
    assert run_script(tmp_path, script, receiver.uri).returncode == status
    assert receiver.numbers == [7]


def test_an_interrupted_program_sends_what_waits(receiver: Receiver, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"{MAKE}\nqueue['n'].insert({{'x': 7}})\nprint('ready', flush=True)\nthreading.Event().wait()\n")
    with subprocess.Popen(
        [sys.executable, str(script), receiver.uri],
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        process.wait(20)
    assert receiver.numbers == [7]


def test_the_end_waits_no_longer_than_its_deadline(silent: str, tmp_path: Path) -> None:
    script = f"{MAKE}\nqueue['n'].insert({{'x': 7}})\n"
    begun = time.monotonic()
    check(run_script(tmp_path, script, f"http://{silent}"))
    assert time.monotonic() - begun < 15


def test_a_server_of_spans_that_hangs_takes_no_time_from_records(
    receiver: Receiver, silent: str, tmp_path: Path
) -> None:
    script = f"""{MAKE}
from scouter.tracing import init_tracer
tracer = init_tracer(transport_config=HttpConfig("http://{silent}"))
tracer.start_span("never arrives").end()
queue["n"].insert({{"x": 7}})
"""
    # Sent again after a while, for which there has to be time.
    receiver.statuses[:] = [503]
    check(run_script(tmp_path, script, receiver.uri))
    assert receiver.numbers == [7]


def test_a_forked_child_sends_by_itself_and_nothing_twice(receiver: Receiver, tmp_path: Path) -> None:
    script = f"""{MAKE}
queue["n"].insert({{"x": 1}})
part = queue["n"]
children = []
for number in range(5):
    child = os.fork()
    if child == 0:
        for _ in range(100):
            part.insert({{"x": 10 + number}})
        sys.exit(0)
    children.append(child)
statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
assert statuses == [0] * 5, statuses
part.insert({{"x": 2}})
"""
    check(run_script(tmp_path, script, receiver.uri, environment=QUIET))
    assert sorted(receiver.numbers) == [1, 2, *sorted([10, 11, 12, 13, 14] * 100)]


def test_forks_in_the_middle_of_inserts(receiver: Receiver, tmp_path: Path) -> None:
    script = f"""{MAKE}
queue = ScouterQueue.from_profile(profile, HttpConfig(sys.argv[1]), BatchConfig(scheduled_delay_ms=1))
stop = threading.Event()
inserted = [0] * 4
def work(thread):
    while not stop.is_set():
        queue["n"].insert({{"x": thread}})
        inserted[thread] += 1
        stop.wait(0.0002)
threads = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
for thread in threads:
    thread.start()
children = []
for number in range(10):
    child = os.fork()
    if child == 0:
        stop.set()
        queue["n"].insert({{"x": 100 + number}})
        sys.exit(0 if queue.flush(10) else 9)
    children.append(child)
statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
stop.set()
for thread in threads:
    thread.join()
assert statuses == [0] * 10, statuses
assert queue.flush(20)
assert queue["n"].stats()["accepted"] == sum(inserted)
open(sys.argv[2], "w").write(str(sum(inserted)))
"""
    told = tmp_path / "told"
    check(run_script(tmp_path, script, receiver.uri, str(told), environment=QUIET))
    numbers = receiver.numbers
    assert sorted(number for number in numbers if number >= 100) == list(range(100, 110))
    assert sum(number < 100 for number in numbers) == int(told.read_text())


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing(receiver: Receiver, tmp_path: Path, method: str) -> None:
    script = f"""{MAKE.replace("queue = ", "make = lambda: ")}
import multiprocessing
def work(number):
    make()["n"].insert({{"x": number}})
if __name__ == "__main__":
    context = multiprocessing.get_context("{method}")
    workers = [context.Process(target=work, args=(number,)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
"""
    check(run_script(tmp_path, script, receiver.uri, environment=QUIET))
    assert sorted(receiver.numbers) == [0, 1, 2]


def test_a_killed_process_loses_only_its_own(receiver: Receiver, tmp_path: Path) -> None:
    script = f"""{MAKE}
queue["n"].insert({{"x": 1}})
child = os.fork()
if child == 0:
    queue["n"].insert({{"x": 2}})
    os.kill(os.getpid(), signal.SIGKILL)
os.waitpid(child, 0)
queue["n"].insert({{"x": 3}})
"""
    check(run_script(tmp_path, script, receiver.uri, environment=QUIET))
    assert sorted(receiver.numbers) == [1, 3]


@pytest.mark.parametrize("config", [HttpConfig, GrpcConfig])
def test_a_server_that_never_answers_blocks_nothing(config: type[HttpConfig], silent: str) -> None:
    queue = ScouterQueue.from_profile(
        SpcProfile("s", "n", "1", {"x": int}),
        config(f"http://{silent}"),
        BatchConfig(scheduled_delay_ms=1, max_queue_size=1000, max_export_batch_size=100),
    )
    begun = time.monotonic()
    for number in range(5000):
        queue["n"].insert({"x": number})
    assert time.monotonic() - begun < 2
    begun = time.monotonic()
    assert not queue.flush(0.3)
    assert time.monotonic() - begun < 2
    begun = time.monotonic()
    assert not queue.shutdown(0.3)
    assert time.monotonic() - begun < 2
    destination = until(
        "all are accounted for",
        lambda: (found := queue.stats()["destinations"]["scouter"])["queued"] == 0 and found,
    )
    assert sum(destination["dropped"].values()) == 5000
    assert destination["dropped"]["queue_full"] == queue["n"].stats()["turned_away"] == 4000


def test_other_threads_run_while_it_flushes(silent: str) -> None:
    queue = ScouterQueue.from_profile(SpcProfile("s", "n", "1", {"x": int}), HttpConfig(f"http://{silent}"))
    queue["n"].insert({"x": 1})
    ticks = 0
    flushing = threading.Thread(target=queue.flush, args=(1.0,))
    flushing.start()
    while flushing.is_alive():
        ticks += 1
        time.sleep(0.001)
    assert ticks > 100
    queue.shutdown(0.1)


def test_tasks_belong_to_their_own_spans() -> None:
    sent = MockConfig()
    queue = ScouterQueue.from_profile(SpcProfile("s", "n", "1", {"x": int}), sent)
    tracer = init_tracer(transport_config=MockConfig())
    spans: dict[int, str] = {}

    async def work(number: int) -> None:
        async with tracer.start_as_current_span(f"task {number}") as span:
            spans[number] = span.span_id
            await asyncio.sleep(0)
            queue["n"].insert({"x": number})

    async def main() -> None:
        await asyncio.gather(*(work(number) for number in range(50)))

    asyncio.run(main())
    assert queue.shutdown(10)
    assert {record["body"]["x"]: record["span_id"] for record in sent.records} == spans
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_long_contexts_keep_no_thread_waiting() -> None:
    sent = MockConfig()
    queue = ScouterQueue.from_profile(profile_of_agent(), sent)
    context = {f"key {number}": "x" * 400 for number in range(1000)}
    threads = [
        threading.Thread(target=lambda: [queue["a"].insert(EvalRecord(context)) for _ in range(10)]) for _ in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert until("all arrive", lambda: queue.flush(10))
    assert [record["body"] for record in sent.records] == [context] * 20
    queue.shutdown()


def profile_of_agent() -> object:
    from scouter.queue import AgentProfile

    return AgentProfile("s", "a", "1", [{"id": "t"}])


APPLICATION = """
import os
from opentelemetry import trace
from scouter import BatchConfig, HttpConfig
from scouter.queue import ScouterQueue, SpcProfile
from scouter.tracing import instrument

slow = BatchConfig(scheduled_delay_ms=3_600_000)
server = HttpConfig(os.environ["SERVER"])
queue = ScouterQueue.from_profile(SpcProfile("s", "n", "1", {"x": int}), server, slow)
instrument(transport_config=server, batch_config=slow, scouter_queue=queue)
queue["n"].insert({"x": -1})

def application(environ, start_response):
    number = int(environ["PATH_INFO"][1:])
    with trace.get_tracer("application").start_as_current_span(f"request {number}") as span:
        span.insert_queue_item("n", {"x": number})
        queue["n"].insert({"x": number})
    start_response("200 OK", [("content-length", "0")])
    return []
"""


def test_workers_of_gunicorn_with_a_preloaded_queue(receiver: Receiver, tmp_path: Path) -> None:
    """Every worker sends the records of its own requests beside their spans, and nobody sends those of the parent again."""
    (tmp_path / "application.py").write_text(APPLICATION)
    log = tmp_path / "log"
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", "2", "--bind", "127.0.0.1:0"]
    with log.open("wb") as written:
        service = subprocess.Popen(
            [*command, "--no-control-socket", "application:application"],
            cwd=tmp_path,
            env=clean_environment(SERVER=receiver.uri, **QUIET),
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
        )
    try:
        uri = until("gunicorn listens", lambda: re.search(r"Listening at: (http://\S+)", log.read_text()))[1]
        for number in range(60):
            # A connection each, so that both workers get some.
            httpx.get(f"{uri}/{number}", trust_env=False, timeout=20).raise_for_status()
    finally:
        service.terminate()
        service.wait(30)
    assert sorted(receiver.numbers) == [-1, *sorted([*range(60), *range(60)])], log.read_text()
    spans = {span.name: (span.trace_id, span.span_id) for span in receiver.spans}
    assert len(spans) == len(receiver.spans) == 60
    for record, number in zip(receiver.records, receiver.numbers, strict=True):
        if number >= 0:
            assert (record.trace_id, record.span_id) == spans[f"request {number}"]


class TestWhoOwnsAQueue:
    """Whoever has made it: a provider that ends does not end it, and one that nobody else holds goes with its provider."""

    def test_it_outlives_instrumentation(self) -> None:
        sent = MockConfig()
        queue = ScouterQueue.from_profile(SpcProfile("s", "n", "1", {"x": int}), sent)
        for number in range(3):
            instrument(transport_config=MockConfig(), scouter_queue=queue)
            with trace.get_tracer("t").start_as_current_span("work") as span:
                span.insert_queue_item("n", {"x": number})
            uninstrument()
            # A handle from before stands for nothing.
            span.insert_queue_item("n", {"x": 100})
        queue["n"].insert({"x": 3})
        assert queue.shutdown()
        found = [record["body"]["x"] for record in sent.records]
        assert sorted(number for number in found if number < 100) == [0, 1, 2, 3]
        stats = queue["n"].stats()
        assert (stats["turned_away"], stats["rejected"]) == (0, 0)

    def test_one_that_only_the_instrumentation_holds(self) -> None:
        sent = MockConfig()
        instrument(
            transport_config=MockConfig(),
            scouter_queue=ScouterQueue.from_profile(SpcProfile("s", "n", "1", {"x": int}), sent),
        )
        with trace.get_tracer("t").start_as_current_span("work") as span:
            span.insert_queue_item("n", {"x": 7})
        uninstrument()
        del span
        gc.collect()
        until("the record is sent", lambda: [record["body"] for record in sent.records] == [{"x": 7}])

    def test_two_programs_parts_share_one(self) -> None:
        sent = MockConfig()
        queue = ScouterQueue.from_profile(SpcProfile("s", "n", "1", {"x": int}), sent)
        tracers = [init_tracer(transport_config=MockConfig(), scouter_queue=queue) for _ in range(2)]
        for number, tracer in enumerate(tracers):
            with tracer.start_as_current_span("work") as span:
                span.insert_queue_item("n", {"x": number})
            tracer.shutdown()
        assert queue.shutdown()
        assert [record["body"]["x"] for record in sent.records] == [0, 1]


def test_async_with_lets_other_tasks_run(silent: str) -> None:
    queue = ScouterQueue.from_profile(SpcProfile("s", "n", "1", {"x": int}), HttpConfig(f"http://{silent}"))
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.001)

    async def main() -> None:
        ticking = asyncio.create_task(tick())
        async with queue as entered:
            assert entered is queue
            queue["n"].insert({"x": 1})
        ticking.cancel()

    asyncio.run(main())
    assert ticks > 100
    queue["n"].insert({"x": 2})
    assert queue["n"].stats()["turned_away"] == 1
