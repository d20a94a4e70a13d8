"""A service under gunicorn with ``--preload`` and two workers, under load, while workers are killed and replaced."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from collector.scripted import Scripted, ScriptedGrpc, ScriptedHttp
from support import clean_environment, until
from test_setup import account

APPLICATION = """
import json, os
from opentelemetry import trace
from scouter import BatchConfig, HttpConfig
from scouter.tracing import GrpcSpanExporter, OtelExportConfig, SpanKind, instrument

instrument(
    transport_config=HttpConfig(os.environ["SERVER"]),
    exporter=GrpcSpanExporter(export_config=OtelExportConfig(endpoint=os.environ["COLLECTOR"])),
    batch_config=BatchConfig(scheduled_delay_ms=100),
    attributes={"service.name": "under-gunicorn"},
)
tracer = trace.get_tracer("application")
with tracer.start_as_current_span("loaded"):
    pass

def application(environ, start_response):
    if environ["PATH_INFO"] == "/stats":
        answer = json.dumps(trace.get_tracer_provider().stats())
    else:
        headers = {"traceparent": environ["HTTP_TRACEPARENT"]}
        with tracer.start_as_current_span("request", kind=SpanKind.SERVER, headers=headers) as span:
            with tracer.start_as_current_span("work"):
                answer = f"{os.getpid()} {span.trace_id}"
    start_response("200 OK", [("content-type", "text/plain"), ("content-length", str(len(answer)))])
    return [answer.encode()]
"""


class Service:
    """gunicorn in a process of its own, and clients who ask it all the time."""

    def __init__(self, folder: Path, worker: str, server: Scripted, collector: Scripted) -> None:
        (folder / "application.py").write_text(textwrap.dedent(APPLICATION))
        self._log = folder / "log"
        command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", "2", "--worker-class", worker]
        command += ["--bind", "127.0.0.1:0", "--threads", "4" if worker == "gthread" else "1", "--no-control-socket"]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "application:application"],
                cwd=folder,
                env=clean_environment(SERVER=server.uri, COLLECTOR=collector.uri),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.answers: list[tuple[int, str]] = []
        """Process and trace of every request that was answered."""
        self.failures: list[str] = []
        self._stop = threading.Event()
        until("gunicorn listens", lambda: re.search(r"Listening at: (http://\S+)", self.log))
        self._uri = re.search(r"Listening at: (http://\S+)", self.log)[1]
        self._clients = [threading.Thread(target=self._ask, daemon=True) for _ in range(4)]
        for client in self._clients:
            client.start()

    @property
    def log(self) -> str:
        return self._log.read_text()

    def _ask(self) -> None:
        # A connection for each request: one that is kept would end with its worker, which is not what this is about.
        limits = httpx.Limits(max_keepalive_connections=0)
        with httpx.Client(base_url=self._uri, limits=limits, timeout=20, trust_env=False) as client:
            while not self._stop.is_set():
                trace_id = os.urandom(16).hex()
                try:
                    answer = client.get("/", headers={"traceparent": f"00-{trace_id}-{'ab' * 8}-01"})
                    pid, answered = answer.text.split()
                    assert answered == trace_id
                    self.answers.append((int(pid), trace_id))
                except (httpx.HTTPError, ValueError) as error:
                    self.failures.append(repr(error))
                    time.sleep(0.01)

    def stats(self) -> dict:
        return httpx.get(f"{self._uri}/stats", timeout=20, trust_env=False).json()

    def more(self, count: int) -> set[int]:
        """The processes that gave the next answers."""
        begin = len(self.answers)
        until(f"{count} more answers", lambda: len(self.answers) >= begin + count, seconds=60)
        return {pid for pid, _ in self.answers[begin:]}

    def both(self, without: set[int] = frozenset()) -> set[int]:
        """The two processes that answer, once they do, apart from those that are known to have ended."""

        def answering() -> set[int] | None:
            found = self.more(20) - without
            return found if len(found) == 2 else None

        return until("two workers answer", answering, seconds=60)

    def traces_of(self, process: int) -> set[str]:
        return {trace_id for pid, trace_id in list(self.answers) if pid == process}

    def stop_asking(self) -> None:
        self._stop.set()
        for client in self._clients:
            client.join(30)

    def end(self) -> int:
        self.stop_asking()
        self.process.terminate()
        return self.process.wait(30)

    def close(self) -> None:
        self._stop.set()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def receivers() -> Iterator[tuple[Scripted, Scripted]]:
    receivers = (ScriptedHttp(), ScriptedGrpc())
    yield receivers
    for receiver in receivers:
        receiver.close()


@pytest.mark.parametrize("worker", ["sync", "gthread"])
def test_two_workers_under_load(tmp_path: Path, receivers: tuple[Scripted, Scripted], worker: str) -> None:
    service = Service(tmp_path, worker, *receivers)
    try:
        first = service.both()
        assert service.failures == []

        killed = first.pop()
        for receiver in receivers:
            until("some of what it answered arrives", lambda of=receiver: service.traces_of(killed) & _traces(of))
        os.kill(killed, signal.SIGKILL)
        second = service.both(without={killed})
        assert first < second

        failed = len(service.failures)
        service.process.send_signal(signal.SIGHUP)
        third = until("two new workers", lambda: (found := service.both()).isdisjoint(second) and found, seconds=60)
        assert service.failures[failed:] == []

        for _ in range(20):
            stats = service.stats()
            assert account(stats) == {stats["started"]}
            assert stats["started"] > 0
        assert service.end() == 0
        answered = {pid for pid, _ in service.answers}
        assert answered == {killed} | second | third
    finally:
        service.close()

    torn = service.traces_of(killed)
    whole = {trace_id for _, trace_id in service.answers} - torn
    for receiver in receivers:
        assert receiver.names.count("loaded") == 1
        found = Counter((span.trace_id.hex(), span.name) for span in receiver.raw if span.name != "loaded")
        for trace_id in whole:
            assert (found[trace_id, "request"], found[trace_id, "work"]) == (1, 1)
        # What waited in the one that was killed is gone, a tenth of a second; what arrived did so once.
        assert max(found.values()) == 1
        assert torn & _traces(receiver)
        assert {span.parent_span_id.hex() for span in receiver.raw if span.name == "request"} == {"ab" * 8}
    assert "Traceback" not in service.log
    assert "scouter" not in service.log.lower()


def _traces(receiver: Scripted) -> set[str]:
    return {span.trace_id.hex() for span in receiver.raw}
