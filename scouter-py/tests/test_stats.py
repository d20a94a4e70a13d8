"""The account of every span: ``started == live + exported + thinned + queued + sum(dropped)`` for each destination, at
every moment that somebody looks."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from collector.scripted import (
    HANG,
    INVALID,
    SCRIPTED,
    THROTTLED,
    TOO_LARGE,
    UNAVAILABLE,
    Say,
    Scripted,
    ScriptedGrpc,
    ScriptedHttp,
    partly,
)
from support import run_script, until
from typing_extensions import Self

from scouter import BatchConfig, HttpConfig, MockConfig
from scouter.tracing import GrpcSpanExporter, HttpSpanExporter, OtelExportConfig, TracerProvider, init_tracer

REASONS = {
    "queue_full",
    "too_large",
    "rejected",
    "refused",
    "retries_exhausted",
    "shutdown",
    "internal",
    "never_ended",
}


@pytest.fixture
def server() -> Iterator[Scripted]:
    receiver = ScriptedHttp()
    yield receiver
    receiver.close()


@pytest.fixture
def collector() -> Iterator[Scripted]:
    receiver = ScriptedGrpc()
    yield receiver
    receiver.close()


class Watch:
    """A thread that reads the statistics as fast as it can, and remembers what is wrong with them."""

    def __init__(self, stats: Callable[[], dict[str, Any]]) -> None:
        self.wrong: list[str] = []
        self.looks = 0
        self._stats = stats
        self._before: dict[str, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(20)
        assert not self._thread.is_alive()
        assert self.looks > 20
        assert self.wrong == []

    def _run(self) -> None:
        while not self._stop.is_set():
            self.wrong += self.check(self._stats())
            self.looks += 1

    def check(self, stats: dict[str, Any]) -> list[str]:
        wrong = []
        for name, destination in stats["destinations"].items():
            total = stats["live"] + destination["queued"] + destination["exported"] + destination["thinned"]
            if stats["started"] != total + sum(destination["dropped"].values()):
                wrong.append(f"{name} does not balance: {stats}")
            rising = {"exported", "thinned", "requests", "retries", "bytes", "export_count"}
            numbers = {f"{name}.{key}": destination[key] for key in rising}
            numbers |= {f"{name}.{reason}": count for reason, count in destination["dropped"].items()}
            numbers |= {f"{name}.{key}": stats[key] for key in ("started", "sampled_out", "ended")}
            wrong += [
                f"{key} fell from {self._before[key]} to {value}"
                for key, value in numbers.items()
                if value < self._before.get(key, 0)
            ]
            self._before |= numbers
        return wrong


def test_what_it_tells() -> None:
    """The documented keys, all of them there from the beginning."""
    tracer = init_tracer(
        transport_config=MockConfig(),
        exporter=HttpSpanExporter(export_config=OtelExportConfig("http://127.0.0.1:1")),
        batch_config=BatchConfig(scheduled_delay_ms=3_600_000),
    )
    stats = tracer.stats()
    assert {"started", "sampled_out", "live", "ended", "panics", "destinations"} <= stats.keys()
    assert stats["destinations"].keys() == {"scouter", "otel"}
    for destination in stats["destinations"].values():
        assert destination.keys() >= {
            *("exported", "thinned", "queued", "dropped", "requests", "retries", "bytes", "waiting_bytes"),
            *("export_count", "export_seconds", "last_error"),
        }
        assert destination["dropped"].keys() == REASONS
        assert destination["last_error"] is None
    span = tracer.start_span("x")
    assert (tracer.stats()["started"], tracer.stats()["live"], tracer.stats()["ended"]) == (1, 1, 0)
    span.end()
    stats = tracer.stats()
    assert (stats["started"], stats["live"], stats["ended"]) == (1, 0, 1)
    assert {destination["queued"] for destination in stats["destinations"].values()} == {1}
    tracer.flush(200)
    found = until(
        "the first export, and the failure of the other",
        lambda: (now := tracer.stats()["destinations"])["otel"]["last_error"] and now["scouter"]["exported"] and now,
    )
    assert (found["scouter"]["exported"], found["scouter"]["requests"], found["scouter"]["export_count"]) == (1, 1, 1)
    assert found["scouter"]["bytes"] > 0
    assert (found["otel"]["exported"], found["otel"]["queued"]) == (0, 1)
    assert found["otel"]["waiting_bytes"] > 0
    forgotten = tracer.start_span("never ended")
    del forgotten
    assert tracer.stats()["destinations"]["scouter"]["dropped"]["never_ended"] == 1
    tracer.shutdown(0)


def test_stats_are_a_copy(server: Scripted) -> None:
    provider = TracerProvider(transport_config=HttpConfig(server.uri))
    stats = provider.stats()
    stats["started"] = 7
    stats["destinations"].clear()
    assert provider.stats()["started"] == 0
    assert provider.stats()["destinations"]


def test_unsampled_spans_are_not_among_the_started() -> None:
    tracer = init_tracer(transport_config=MockConfig(), sample_ratio=0.0)
    for _ in range(10):
        with tracer.start_as_current_span("x"), tracer.start_as_current_span("y"):
            pass
    stats = tracer.stats()
    assert (stats["started"], stats["sampled_out"], stats["live"]) == (0, 20, 0)


def test_a_flood_with_a_dead_server() -> None:
    """Four threads, room for a thousand spans, nobody listens: it stays fast, bounded and accounted for."""
    provider = TracerProvider(
        transport_config=HttpConfig("http://127.0.0.1:1"),
        batch_config=BatchConfig(max_queue_size=1000, max_export_batch_size=100, scheduled_delay_ms=1),
    )
    tracer = provider.get_tracer("x")
    each, start = 20_000, threading.Barrier(4)

    def work() -> None:
        start.wait()
        for at in range(each):
            tracer.start_span("x", attributes={"at": at}).end()

    threads = [threading.Thread(target=work) for _ in range(4)]
    begun = time.perf_counter()
    with Watch(provider.stats):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - begun
        (destination,) = provider.stats()["destinations"].values()
    assert took < 20
    assert 0 < destination["queued"] <= 1000
    assert destination["exported"] == 0
    assert destination["dropped"]["queue_full"] == 4 * each - destination["queued"]
    assert sum(destination["dropped"].values()) == destination["dropped"]["queue_full"]
    until("it was tried", lambda: provider.stats()["destinations"]["scouter"]["last_error"])
    assert provider.shutdown(50) is False
    until("the rest is counted", lambda: provider.stats()["destinations"]["scouter"]["queued"] == 0)
    (destination,) = provider.stats()["destinations"].values()
    assert destination["dropped"]["queue_full"] + destination["dropped"]["shutdown"] == 4 * each
    # What waits is given back when it is dropped.
    assert destination["waiting_bytes"] == 0


@pytest.mark.parametrize("seed", range(3))
def test_it_balances_under_load_with_faults_and_shutdown(server: Scripted, collector: Scripted, seed: int) -> None:
    chance = random.Random(seed)
    sayings = [UNAVAILABLE, THROTTLED, INVALID, TOO_LARGE, HANG, partly(1, "one"), Say(), Say(), Say()]
    server.script += [chance.choice(sayings) for _ in range(40)]
    collector.script += [chance.choice(sayings) for _ in range(40)]
    provider = TracerProvider(
        transport_config=HttpConfig(server.uri, timeout=0.3),
        exporter=GrpcSpanExporter(
            export_config=OtelExportConfig(endpoint=collector.uri, timeout=0.3), sample_ratio=0.5
        ),
        batch_config=BatchConfig(max_queue_size=800, max_export_batch_size=50, scheduled_delay_ms=5),
    )
    tracer = provider.get_tracer("x")
    stop = threading.Event()

    def work(number: int) -> None:
        at, kept = 0, []
        while not stop.is_set():
            with tracer.start_as_current_span("outer", attributes={"at": at}):
                kept.append(tracer.start_span("by hand"))
                tracer.start_span("never ended")
            if len(kept) > 5:
                kept.pop(0).end()
            at += 1
            if at % 100 == number:
                time.sleep(0.001)

    def flush() -> None:
        while not stop.is_set():
            provider.force_flush(20)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    threads.append(threading.Thread(target=flush))
    with Watch(provider.stats) as watch:
        for thread in threads:
            thread.start()
        until("much has happened", lambda: min(len(server.attempts), len(collector.attempts)) >= 30, seconds=30)
        # Everybody still traces while it ends.
        provider.shutdown(300)
        seen = watch.looks
        until("it was looked at afterwards", lambda: watch.looks > seen + 20)
        stop.set()
        for thread in threads:
            thread.join()
        until("nothing waits", lambda: not any(d["queued"] for d in provider.stats()["destinations"].values()))
    stats = provider.stats()
    assert watch.check(stats) == []
    assert stats["live"] == 0
    found = stats["destinations"]
    assert found["otel"]["thinned"] > 0
    assert found["scouter"]["thinned"] == 0
    for name, receiver in (("scouter", server), ("otel", collector)):
        assert found[name]["dropped"]["never_ended"] > 0
        assert found[name]["dropped"]["internal"] == 0
        # What is counted as exported arrived. What came in vain, as the answer was late, may have come twice.
        assert found[name]["exported"] + found[name]["dropped"]["rejected"] <= len(receiver.raw)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_the_receiver_and_the_sender_count_alike(protocol: str) -> None:
    """Without faults nothing is sent twice, so what both say is the same."""
    receiver = SCRIPTED[protocol]()
    exporter = {"http": HttpSpanExporter, "grpc": GrpcSpanExporter}[protocol]
    provider = TracerProvider(
        transport_config=MockConfig(),
        exporter=exporter(export_config=OtelExportConfig(endpoint=receiver.uri), sample_ratio=0.3),
        batch_config=BatchConfig(max_export_batch_size=100),
    )
    tracer = provider.get_tracer("x")
    with Watch(provider.stats) as watch:
        for _ in range(2000):
            with tracer.start_as_current_span("outer"), tracer.start_as_current_span("inner"):
                pass
        assert provider.force_flush(20_000)
        until("a good look", lambda: watch.looks > 30)
    found = provider.stats()["destinations"]["otel"]
    assert found["exported"] == len(receiver.raw)
    assert found["exported"] + found["thinned"] == 4000
    assert (found["requests"], found["retries"], found["export_count"]) == (
        len(receiver.attempts),
        0,
        found["requests"],
    )
    # Counted before a protocol's own frames are put around them.
    assert found["bytes"] == sum(len(request.SerializeToString()) for request in receiver.attempts)
    receiver.close()


FORKS = """
import os, sys, threading
from scouter import BatchConfig, HttpConfig
from scouter.tracing import GrpcSpanExporter, OtelExportConfig, TracerProvider

provider = TracerProvider(
    transport_config=HttpConfig(sys.argv[1], timeout=0.5),
    exporter=GrpcSpanExporter(export_config=OtelExportConfig(sys.argv[2], timeout=0.5), sample_ratio=0.5),
    batch_config=BatchConfig(max_queue_size=500, max_export_batch_size=50, scheduled_delay_ms=5),
)
tracer = provider.get_tracer("x")

def check(stats):
    for destination in stats["destinations"].values():
        total = stats["live"] + destination["queued"] + destination["exported"] + destination["thinned"]
        assert stats["started"] == total + sum(destination["dropped"].values()), stats

class Load:
    def __init__(self):
        self.stop, self.failed, self.looks = threading.Event(), [], 0
        self.threads = [threading.Thread(target=target) for target in (self.work, self.work, self.look, self.flush)]
        for thread in self.threads:
            thread.start()

    def work(self):
        while not self.stop.wait(0.0002):
            with tracer.start_as_current_span("outer"):
                tracer.start_span("inner").end()
                tracer.start_span("never ended")

    def flush(self):
        while not self.stop.is_set():
            provider.force_flush(50)

    def look(self):
        try:
            while not self.stop.is_set():
                check(provider.stats())
                self.looks += 1
        except BaseException as error:
            self.failed.append(error)

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        provider.shutdown(500)
        check(provider.stats())
        assert not self.failed, self.failed
        assert self.looks > 5, self.looks

load = Load()
children = []
for at in range(8):
    child = os.fork()
    if child == 0:
        # Open in the parent at the fork, and only there.
        assert provider.stats()["started"] == provider.stats()["live"] == 0, provider.stats()
        load = Load()
        while load.looks < 20 and not load.failed:
            load.stop.wait(0.001)
        load.end()
        os._exit(0)
    children.append(child)
statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
load.end()
assert statuses == [0] * 8, statuses
"""


def test_it_balances_in_every_process_while_others_are_forked(
    server: Scripted, collector: Scripted, tmp_path: Path
) -> None:
    server.script += [UNAVAILABLE, HANG, INVALID, Say(), partly(2, "two")] * 3
    collector.script += [TOO_LARGE, Say(), THROTTLED, UNAVAILABLE] * 3
    quiet = {"PYTHONWARNINGS": "ignore::DeprecationWarning"}
    result = run_script(tmp_path, FORKS, server.uri, collector.uri, environment=quiet)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert len({span.span_id for span in server.raw}) > 100
