"""Processes that come from a process that traces. No span is sent twice, none of a child is lost, and the sums are right
in each process."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from collector.scripted import HANG, SCRIPTED, ScriptedHttp
from support import run_script, until

# Newer versions of Python warn of any fork in a process that has threads.
QUIET = {"PYTHONWARNINGS": "ignore::DeprecationWarning"}

BEGIN = """
import json, multiprocessing, os, signal, subprocess, sys, threading, time
from concurrent.futures import ProcessPoolExecutor
from opentelemetry import trace
from scouter import BatchConfig, GrpcConfig, HttpConfig
from scouter.tracing import *

uri, collector, folder = sys.argv[1:4]
slow = BatchConfig(scheduled_delay_ms=3_600_000, max_queue_size=500_000)

def account(provider=None):
    \"\"\"Leaves this process's numbers for the test.\"\"\"
    stats = (provider or trace.get_tracer_provider()).stats()
    json.dump(stats, open(f"{folder}/{os.getpid()}.json", "w"))

def set_up(transport=HttpConfig, exporter=HttpSpanExporter, batch=slow):
    instrument(
        transport_config=transport(uri=uri),
        exporter=exporter(export_config=OtelExportConfig(endpoint=collector)),
        batch_config=batch,
    )

def wait(child):
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == 0, status
"""


class Family:
    """Receivers for a script and its children, and what its processes said of themselves."""

    def __init__(self, folder: Path, protocol: str = "http") -> None:
        self.folder = folder
        self.server, self.collector = SCRIPTED[protocol](), SCRIPTED[protocol]()
        self.protocol = protocol

    def run(self, body: str, *arguments: str, begin: str = BEGIN) -> None:
        numbers = self.folder / "numbers"
        numbers.mkdir(exist_ok=True)
        result = run_script(
            self.folder,
            begin + textwrap.dedent(body),
            self.server.uri,
            self.collector.uri,
            str(numbers),
            *arguments,
            environment=QUIET,
        )
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")

    def stats(self) -> list[dict[str, Any]]:
        return [json.loads(file.read_text()) for file in (self.folder / "numbers").glob("*.json")]

    def check(self, expected: dict[str, int]) -> None:
        """Both receivers have exactly these spans, by name and number, and each once."""
        for receiver in (self.server, self.collector):
            names = receiver.names
            assert {name: names.count(name) for name in set(names)} == expected
            assert len({span.span_id for span in receiver.raw}) == len(names)

    def check_numbers(self, processes: int) -> None:
        """Every process accounts for its own spans, and all of them together for what arrived."""
        found = self.stats()
        assert len(found) == processes
        for stats in found:
            for destination in stats["destinations"].values():
                fates = destination["exported"] + destination["thinned"] + destination["queued"]
                assert stats["started"] == stats["live"] + fates + sum(destination["dropped"].values()), stats
        for name, receiver in (("scouter", self.server), ("otel", self.collector)):
            assert sum(stats["destinations"][name]["exported"] for stats in found) == len(receiver.raw)

    def close(self) -> None:
        self.server.close()
        self.collector.close()


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Family]:
    family = Family(tmp_path)
    yield family
    family.close()


@pytest.fixture(params=["http", "grpc"])
def any_family(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Family]:
    family = Family(tmp_path, request.param)
    yield family
    family.close()


PARAMETERS = {"http": "HttpConfig, HttpSpanExporter", "grpc": "GrpcConfig, GrpcSpanExporter"}


def test_both_protocols_go_on_in_children(any_family: Family) -> None:
    """Connections that are in use are the parent's; the child makes its own."""
    body = f"""
    set_up({PARAMETERS[any_family.protocol]})
    provider = trace.get_tracer_provider()
    tracer = trace.get_tracer("x")
    tracer.start_span("over a connection that is open then").end()
    assert provider.force_flush(20_000)
    tracer.start_span("waiting in the parent").end()
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            for _ in range(50):
                tracer.start_span("child").end()
            assert provider.force_flush(20_000)
            tracer.start_span("child, at its exit").end()
            assert shutdown_tracer() and provider.shutdown(20_000)
            account()
            sys.exit(0)
        children.append(child)
    for child in children:
        wait(child)
    tracer.start_span("parent, afterwards").end()
    assert provider.shutdown(20_000)
    account()
    """
    any_family.run(body)
    any_family.check(
        {
            "over a connection that is open then": 1,
            "waiting in the parent": 1,
            "child": 150,
            "child, at its exit": 3,
            "parent, afterwards": 1,
        }
    )
    any_family.check_numbers(4)


def test_forks_while_threads_trace_and_flush(family: Family) -> None:
    body = """
    set_up(batch=BatchConfig(scheduled_delay_ms=1, max_export_batch_size=64, max_queue_size=500_000))
    provider = trace.get_tracer_provider()
    tracer = trace.get_tracer("x")
    stop = threading.Event()
    def work():
        while not stop.is_set():
            with tracer.start_as_current_span("parent"), tracer.start_as_current_span("parent"):
                pass
            stop.wait(0.0002)
    def flush():
        while not stop.is_set():
            provider.force_flush(1000)
    threads = [threading.Thread(target=target) for target in (work, work, work, flush)]
    for thread in threads:
        thread.start()
    children = []
    for at in range(12):
        child = os.fork()
        if child == 0:
            again = threading.Thread(target=lambda: [tracer.start_span("child").end() for _ in range(20)])
            again.start()
            again.join()
            if at % 2:
                grandchild = os.fork()
                if grandchild == 0:
                    tracer.start_span("grandchild").end()
                    assert provider.shutdown(20_000)
                    account()
                    sys.exit(0)
                wait(grandchild)
            assert provider.shutdown(20_000), provider.stats()
            account()
            sys.exit(0)
        children.append(child)
    for child in children:
        wait(child)
    stop.set()
    for thread in threads:
        thread.join()
    assert provider.shutdown(20_000)
    account()
    """
    family.run(body)
    parents = family.server.names.count("parent")
    assert parents > 0
    family.check({"parent": parents, "child": 240, "grandchild": 6})
    family.check_numbers(1 + 12 + 6)


def test_a_fork_in_the_middle_of_a_flush(tmp_path: Path) -> None:
    """The parent waits for a server that hangs; its child neither waits with it nor sends what the parent sends."""
    hanging = ScriptedHttp()
    hanging.script += [HANG]
    family = Family(tmp_path)
    body = """
    provider = TracerProvider(
        transport_config=HttpConfig(sys.argv[4], timeout=2.0),
        exporter=HttpSpanExporter(export_config=OtelExportConfig(endpoint=collector)),
        batch_config=slow,
    )
    tracer = provider.get_tracer("x")
    for _ in range(10):
        tracer.start_span("parent").end()
    flushed = []
    flushing = threading.Thread(target=lambda: flushed.append(provider.force_flush(30_000)))
    flushing.start()
    while not provider.stats()["destinations"]["scouter"]["requests"]:
        time.sleep(0.001)
    child = os.fork()
    if child == 0:
        stats = provider.stats()
        assert stats["started"] == 0, stats
        tracer.start_span("child").end()
        assert provider.force_flush(20_000)
        assert provider.shutdown(20_000)
        account(provider)
        sys.exit(0)
    wait(child)
    assert flushing.is_alive()
    flushing.join()
    assert flushed == [True]
    account(provider)
    """
    family.run(body, hanging.uri)
    assert sorted(hanging.names) == ["child", *["parent"] * 10]
    assert sorted(family.collector.names) == sorted(hanging.names)
    assert [stats["started"] for stats in sorted(family.stats(), key=lambda stats: stats["started"])] == [1, 10]
    hanging.close()
    family.close()


def test_a_fork_inside_spans(family: Family) -> None:
    """Open spans end in the parent alone. The child sees them as its parents, and what it does to them stays there."""
    body = """
    set_up()
    tracer = trace.get_tracer("x")
    with tracer.start_as_current_span("outer") as outer, tracer.start_as_current_span("inner") as inner:
        by_hand = tracer.start_span("by hand")
        child = os.fork()
        if child == 0:
            assert trace.get_current_span() is inner
            inner.set_attribute("from the child", True)
            inner.add_event("from the child")
            by_hand.end()
            with tracer.start_as_current_span("child") as span:
                assert span.parent.span_id == inner.get_span_context().span_id
                assert span.is_recording()
        else:
            wait(child)
            inner.set_attribute("from the parent", True)
            by_hand.end()
    assert trace.get_tracer_provider().shutdown(20_000)
    account()
    """
    family.run(body)
    family.check({"outer": 1, "inner": 1, "by hand": 1, "child": 1})
    family.check_numbers(2)
    by_name = {span.name: span for span in family.server.spans}
    assert by_name["child"].parent_span_id == by_name["inner"].span_id
    assert by_name["inner"].attributes == {"from the parent": True}
    assert by_name["inner"].events == ()


def test_a_daemon_that_forks_twice(family: Family) -> None:
    body = """
    set_up()
    tracer = trace.get_tracer("x")
    tracer.start_span("before").end()
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            with tracer.start_as_current_span("daemon"):
                pass
            assert trace.get_tracer_provider().shutdown(20_000)
            account()
            os.write(writer, b"x")
        os._exit(0)
    os.close(writer)
    assert os.read(reader, 1) == b"x"
    os.wait()
    assert trace.get_tracer_provider().shutdown(20_000)
    account()
    """
    family.run(body)
    family.check({"before": 1, "daemon": 1})
    family.check_numbers(2)


def test_a_child_that_becomes_another_program(family: Family) -> None:
    """``exec`` right after the fork, with and without the tracing of the parent in between."""
    body = """
    set_up()
    tracer = trace.get_tracer("x")
    with tracer.start_as_current_span("parent"):
        for _ in range(3):
            said = subprocess.run([sys.executable, "-c", "print(1)"], capture_output=True, preexec_fn=os.getpid)
            assert (said.returncode, said.stdout) == (0, b"1\\n"), said
        child = os.fork()
        if child == 0:
            os.execv(sys.executable, [sys.executable, "-c", "pass"])
        wait(child)
        child = os.fork()
        if child == 0:
            # The child of a fork starts programs too.
            with tracer.start_as_current_span("child"):
                subprocess.run([sys.executable, "-c", "pass"], check=True)
            sys.exit(0)
        wait(child)
    """
    family.run(body)
    family.check({"parent": 1, "child": 1})


def test_forks_from_a_thread_and_of_a_process_that_never_traced(family: Family) -> None:
    body = """
    set_up()
    tracer = trace.get_tracer("x")
    def fork():
        child = os.fork()
        if child == 0:
            tracer.start_span("child").end()
            trace.get_tracer_provider().shutdown(20_000)
            account()
            os._exit(0)
        wait(child)
    thread = threading.Thread(target=fork)
    thread.start()
    thread.join()
    assert trace.get_tracer_provider().shutdown(20_000)
    account()
    """
    family.run(body)
    family.check({"child": 1})
    family.check_numbers(2)


def test_a_set_up_that_ended_before_the_fork_stays_ended(family: Family) -> None:
    body = """
    set_up()
    tracer = trace.get_tracer("x")
    tracer.start_span("parent").end()
    uninstrument()
    child = os.fork()
    if child == 0:
        assert not tracer.start_span("stale").is_recording()
        set_up()
        trace.get_tracer("y").start_span("child").end()
        sys.exit(0)
    wait(child)
    set_up()
    trace.get_tracer("y").start_span("parent again").end()
    """
    family.run(body)
    family.check({"parent": 1, "child": 1, "parent again": 1})


POOL = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from opentelemetry import trace
from scouter import BatchConfig, HttpConfig
from scouter.tracing import *

uri, collector, folder, method, kind = sys.argv[1:]

def set_up():
    instrument(
        transport_config=HttpConfig(uri),
        exporter=HttpSpanExporter(export_config=OtelExportConfig(endpoint=collector)),
        batch_config=BatchConfig(scheduled_delay_ms=3_600_000),
    )

def begin():
    if method != "fork":
        set_up()

def work(at, headers):
    with trace.get_tracer("x").start_as_current_span("job", headers=headers, attributes={"at": at}):
        return at

if __name__ == "__main__":
    set_up()
    context = multiprocessing.get_context(method)
    with trace.get_tracer("x").start_as_current_span("parent"):
        headers = get_tracing_headers_from_current_span()
        jobs = [(at, headers) for at in range(40)]
        if kind == "executor":
            with ProcessPoolExecutor(2, mp_context=context, initializer=begin) as pool:
                assert [one.result() for one in [pool.submit(work, *job) for job in jobs]] == list(range(40))
        else:
            pool = context.Pool(2, initializer=begin, maxtasksperchild=15)
            assert pool.starmap(work, jobs, chunksize=1) == list(range(40))
            pool.close()
            pool.join()
"""


@pytest.mark.parametrize("kind", ["executor", "pool"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_pools_of_processes(family: Family, method: str, kind: str) -> None:
    family.run("", method, kind, begin=POOL)
    until("all jobs arrived", lambda: len(family.collector.names) == len(family.server.names) == 41)
    family.check({"parent": 1, "job": 40})
    (parent,) = [span for span in family.server.spans if span.name == "parent"]
    jobs = [span for span in family.server.spans if span.name == "job"]
    assert sorted(span.attributes["at"] for span in jobs) == list(range(40))
    assert {span.parent_span_id for span in jobs} == {parent.span_id}


def test_children_that_are_ended_by_force_hold_nobody_up(family: Family) -> None:
    body = """
    set_up()
    tracer = trace.get_tracer("x")
    def work(ready):
        tracer.start_span("lost").end()
        ready.set()
        time.sleep(60)
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    child = context.Process(target=work, args=(ready,))
    child.start()
    assert ready.wait(20)
    child.terminate()
    child.join(20)
    assert child.exitcode == -signal.SIGTERM, child.exitcode
    tracer.start_span("parent").end()
    """
    family.run(body)
    family.check({"parent": 1})
