"""How a process ends: what waits is sent within the deadline, and nobody sees or feels it."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from collector.scripted import UNAVAILABLE, Scripted, ScriptedHttp
from support import clean_environment, run_script, until

BEGIN = """
import asyncio, atexit, os, signal, sys, threading, time
{before_import}
from opentelemetry import trace
from scouter import BatchConfig, GrpcConfig, HttpConfig
from scouter.tracing import *

slow = BatchConfig(scheduled_delay_ms=3_600_000)
{before}
instrument(transport_config=HttpConfig(sys.argv[1]), batch_config=slow)
tracer = trace.get_tracer("x")
tracer.start_span("waiting").end()
"""


@pytest.fixture
def receiver() -> Iterator[Scripted]:
    receiver = ScriptedHttp()
    yield receiver
    receiver.close()


def script(body: str, before_import: str = "", before: str = "") -> str:
    return BEGIN.format(before_import=before_import, before=before) + textwrap.dedent(body)


def start(folder: Path, text: str, *arguments: str, options: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    file = folder / f"script_{time.monotonic_ns()}.py"
    file.write_text(text)
    return subprocess.Popen(
        [sys.executable, *options, str(file), *arguments],
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class TestTheWaysToEnd:
    @pytest.mark.parametrize(
        ("body", "status", "last_line"),
        [
            ("", 0, ""),
            ("sys.exit(7)", 7, ""),
            ("sys.exit('a reason')", 1, "a reason"),
            ("raise SystemExit", 0, ""),
            ("1 / 0", 1, "ZeroDivisionError: division by zero"),
            ("raise KeyboardInterrupt", -signal.SIGINT, "KeyboardInterrupt"),
            # Whoever starts the tests in the background may have told all processes below to ignore it.
            (
                "signal.signal(signal.SIGINT, signal.default_int_handler); os.kill(os.getpid(), signal.SIGINT)",
                -signal.SIGINT,
                "KeyboardInterrupt",
            ),
            (
                "signal.signal(signal.SIGTERM, lambda *_: sys.exit(3)); signal.raise_signal(signal.SIGTERM)",
                3,
                "",
            ),
            ("threading.Thread(target=time.sleep, args=(60,), daemon=True).start()", 0, ""),
            ("asyncio.run(asyncio.sleep(0))", 0, ""),
            ("uninstrument()", 0, ""),
            ("uninstrument(); instrument(transport_config=HttpConfig(sys.argv[1]), batch_config=slow)", 0, ""),
            ("atexit.register(uninstrument)", 0, ""),
            ("del tracer, trace", 0, ""),
            ("sys.stderr.close(); sys.stdout.close()", 0, ""),
            ("os.chdir('/'); os.environ.clear()", 0, ""),
        ],
    )
    def test_what_waits_is_sent(
        self, receiver: Scripted, tmp_path: Path, body: str, status: int, last_line: str
    ) -> None:
        result = run_script(tmp_path, script(body), receiver.uri)
        assert (result.returncode, result.stdout) == (status, "")
        assert (result.stderr.splitlines() or [""])[-1] == last_line
        assert ("Traceback" in result.stderr) == last_line.endswith(("zero", "Interrupt"))
        assert "scouter" not in result.stderr
        assert receiver.names == ["waiting"]

    @pytest.mark.parametrize("body", ["os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)", "os._exit(-15 % 256)"])
    def test_an_end_that_python_does_not_see_loses_only_what_waited(
        self, receiver: Scripted, tmp_path: Path, body: str
    ) -> None:
        """A signal nobody handles, ``os._exit``: no code of the process runs any more, in any SDK."""
        flushed = "trace.get_tracer_provider().force_flush(20_000); tracer.start_span('lost').end()\n"
        result = run_script(tmp_path, script(flushed + body), receiver.uri)
        assert result.returncode in (-signal.SIGTERM, 241)
        assert (result.stdout, result.stderr) == ("", "")
        assert receiver.names == ["waiting"]

    def test_inside_a_span(self, receiver: Scripted, tmp_path: Path) -> None:
        body = """
        with tracer.start_as_current_span("outer"):
            with tracer.start_as_current_span("inner"):
                sys.exit(5)
        """
        result = run_script(tmp_path, script(body), receiver.uri)
        assert (result.returncode, result.stdout, result.stderr) == (5, "", "")
        assert sorted(receiver.names) == ["inner", "outer", "waiting"]
        outer, inner = sorted(receiver.raw, key=lambda span: span.name)[1::-1]
        assert inner.span_id != outer.span_id

    def test_spans_that_never_end_hold_nothing_up(self, receiver: Scripted, tmp_path: Path) -> None:
        body = """
        left = tracer.start_as_current_span("left open")
        left.__enter__()
        tracer.start_span("forgotten")
        """
        started = time.monotonic()
        result = run_script(tmp_path, script(body), receiver.uri)
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
        assert time.monotonic() - started < 4
        assert receiver.names == ["waiting"]

    def test_threads_that_trace_while_it_ends(self, receiver: Scripted, tmp_path: Path) -> None:
        """Daemon threads go on until the interpreter stops them, some of them in the middle of a span."""
        body = """
        ready = threading.Barrier(9)
        def work():
            ready.wait()
            while True:
                with tracer.start_as_current_span("daemon", attributes={"a": 1}) as span:
                    span.add_event("e")
        for _ in range(8):
            threading.Thread(target=work, daemon=True).start()
        ready.wait()
        """
        for _ in range(3):
            receiver.taken.clear()
            result = run_script(tmp_path, script(body), receiver.uri)
            assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
            assert "waiting" in receiver.names
            assert len({span.span_id for span in receiver.raw}) == len(receiver.raw)

    def test_python_s_own_checks_see_nothing(self, receiver: Scripted, tmp_path: Path) -> None:
        ended = start(
            tmp_path, script("asyncio.run(asyncio.sleep(0))"), receiver.uri, options=("-X", "dev", "-W", "error")
        )
        assert ended.communicate(timeout=60) == ("", "")
        assert ended.returncode == 0
        assert receiver.names == ["waiting"]


class TestOrderAtExit:
    def test_what_exit_handlers_record_is_sent(self, receiver: Scripted, tmp_path: Path) -> None:
        """Those that were registered after the import run before ours, as the SDK's do."""
        body = "atexit.register(lambda: tracer.start_span('registered after set-up').end())"
        before = "atexit.register(lambda: tracer.start_span('registered before set-up').end())"
        result = run_script(tmp_path, script(body, before=before), receiver.uri)
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
        assert sorted(receiver.names) == ["registered after set-up", "registered before set-up", "waiting"]

    def test_what_comes_later_is_harmless(self, receiver: Scripted, tmp_path: Path) -> None:
        before_import = textwrap.dedent("""
        def late():
            with tracer.start_as_current_span("late") as span:
                span.set_attribute("a", 1)
                assert not span.is_recording()
            assert flush_tracer() and shutdown_tracer()
            stats = trace.get_tracer_provider().stats()
            assert stats["destinations"]["scouter"]["exported"] == stats["started"] == 1, stats
            uninstrument()
            open(sys.argv[2], "w").write("ran")
        atexit.register(late)
        """)
        ran = tmp_path / "ran"
        result = run_script(tmp_path, script("", before_import=before_import), receiver.uri, str(ran))
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
        assert ran.read_text() == "ran"
        assert receiver.names == ["waiting"]

    def test_objects_that_outlive_the_exit_handlers(self, receiver: Scripted, tmp_path: Path) -> None:
        body = """
        class Last:
            def __del__(self):
                tracer.start_span("last").end()
                span.set_attribute("a", 1)
                span.end()
        span = tracer.start_span("open")
        sys.last = Last()
        """
        result = run_script(tmp_path, script(body), receiver.uri)
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
        assert receiver.names == ["waiting"]


def test_a_server_that_recovers_within_the_deadline_gets_everything(receiver: Scripted, tmp_path: Path) -> None:
    receiver.script += [UNAVAILABLE, UNAVAILABLE]
    result = run_script(tmp_path, script(""), receiver.uri)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert receiver.names == ["waiting"]
    assert len(receiver.attempts) == 3


def test_an_event_loop_that_is_cut_off(receiver: Scripted, tmp_path: Path) -> None:
    body = """
    async def work(at):
        async with tracer.start_as_current_span(f"task {at}"):
            await asyncio.sleep(60)
    async def main():
        tasks = [asyncio.create_task(work(at)) for at in range(3)]
        await asyncio.sleep(0)
        raise SystemExit(4)
    asyncio.run(main())
    """
    result = run_script(tmp_path, script(textwrap.dedent(body)), receiver.uri)
    assert (result.returncode, result.stdout) == (4, "")
    assert "scouter" not in result.stderr
    assert sorted(receiver.names) == ["task 0", "task 1", "task 2", "waiting"]


def test_a_service_that_is_told_to_stop(receiver: Scripted, tmp_path: Path) -> None:
    """A service that is told to stop while it works: every span it answered for arrives."""
    body = """
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    made = 0
    while not stop.is_set():
        with tracer.start_as_current_span("work"):
            made += 1
        if made == 100:
            open(sys.argv[2], "w").write("working")
    open(sys.argv[2], "w").write(str(made))
    """
    made = tmp_path / "made"
    process = start(tmp_path, script(textwrap.dedent(body)), receiver.uri, str(made))
    until("it works", lambda: made.exists() and made.read_text() == "working")
    process.terminate()
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 0
    assert receiver.names.count("work") == int(made.read_text())
