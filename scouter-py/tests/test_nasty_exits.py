"""The end of the interpreter, in all its forms, with spans open."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import Receiver, run_script

SET_UP = """
import atexit, os, sys, threading
from scouter import HttpConfig
from scouter.tracing import init_tracer
tracer = init_tracer(service_name="exits", transport_config=HttpConfig(uri=sys.argv[1]))
"""


def names_of(folder: Path, receiver: Receiver, script: str, code: int = 0, says: str = "") -> list[str]:
    done = run_script(folder, SET_UP + script, receiver.uri)
    assert (done.returncode, done.stderr) == (code, says), done.stderr
    return sorted(receiver.names)


def test_sys_exit_inside_a_span(tmp_path: Path, receiver: Receiver) -> None:
    script = """
with tracer.start_as_current_span("outer"), tracer.start_as_current_span("inner"):
    sys.exit(3)
"""
    assert names_of(tmp_path, receiver, script, 3) == ["inner", "outer"]
    assert {span.status.code for span in receiver.spans} == {0}


def test_an_error_that_nobody_catches(tmp_path: Path, receiver: Receiver) -> None:
    done = run_script(
        tmp_path,
        SET_UP + "with tracer.start_as_current_span('failed'):\n    raise SystemError('for all to see')",
        receiver.uri,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):")
    assert done.stderr.endswith("SystemError: for all to see\n")
    (span,) = receiver.spans
    assert (span.status.code, len(span.events)) == (2, 1)


def test_os_exit(tmp_path: Path, receiver: Receiver) -> None:
    """The process is gone at once: nothing is sent, and nothing hangs."""
    script = """
with tracer.start_as_current_span("outer"):
    tracer.start_span("ended").end()
    os._exit(4)
"""
    assert names_of(tmp_path, receiver, script, 4) == []


def test_spans_that_are_open_at_the_end(tmp_path: Path, receiver: Receiver) -> None:
    script = """
tracer.start_span("ended").end()
never_ended = tracer.start_span("never ended")
current = tracer.start_as_current_span("current")
current.__enter__()
def stream():
    yield 1
abandoned = tracer.span("abandoned")(stream)()
next(abandoned)
"""
    assert "ended" in names_of(tmp_path, receiver, script)
    assert set(receiver.names) <= {"ended", "abandoned"}


def test_a_daemon_thread_that_never_stops(tmp_path: Path, receiver: Receiver) -> None:
    script = """
running = threading.Event()

@tracer.span("decorated")
def work(value):
    return value

def trace_on():
    while True:
        with tracer.start_as_current_span("of the daemon") as span:
            span.set_input({"a": [1]})
            work("x")
            running.set()

for _ in range(4):
    threading.Thread(target=trace_on, daemon=True).start()
running.wait(10)
with tracer.start_as_current_span("main"):
    pass
"""
    assert "main" in names_of(tmp_path, receiver, script)


def test_threads_that_outlive_the_main_one(tmp_path: Path, receiver: Receiver) -> None:
    """The interpreter waits for them; what they trace meanwhile is sent."""
    script = """
ending = threading.Event()

def go_on():
    threading.main_thread().join()
    for _ in range(100):
        with tracer.start_as_current_span("late"):
            pass

threading.Thread(target=go_on).start()
"""
    assert names_of(tmp_path, receiver, script) == ["late"] * 100


@pytest.mark.parametrize("when", ["before", "after"])
def test_functions_of_atexit(tmp_path: Path, receiver: Receiver, when: str) -> None:
    """Registered after Scouter's they run before it and are traced; registered before, they run when tracing has ended."""
    script = """
import atexit, sys
tracer = None

def at_the_end():
    @tracer.span("decorated")
    def work(value):
        with tracer.start_as_current_span("inside"):
            return value

    @tracer.span("generator")
    def stream():
        yield 1

    assert work(5) == 5
    assert list(stream()) == [1]

WHEN
"""
    register = "atexit.register(at_the_end)\n"
    done = run_script(
        tmp_path,
        script.replace("WHEN", register + SET_UP if when == "before" else SET_UP + register)
        + "\ntracer.start_span('main').end()\n",
        receiver.uri,
    )
    assert (done.returncode, done.stderr) == (0, "")
    expected = ["main"] if when == "before" else ["decorated", "generator", "inside", "main"]
    assert sorted(receiver.names) == expected


def test_finalisers_that_trace_while_the_interpreter_goes_down(tmp_path: Path, receiver: Receiver) -> None:
    script = """
class Last:
    def __init__(self):
        self.tracer, self.span = tracer, tracer.start_span("held to the end")
        self.me = self

    def __del__(self):
        with self.tracer.start_as_current_span("in the finaliser") as span:
            span.set_attribute("a", [1])
            span.set_input({"a": 1})
        self.span.end()

last = Last()
sys.modules["kept by the interpreter"] = Last()
tracer.start_span("main").end()
"""
    assert "main" in names_of(tmp_path, receiver, script)


def test_a_pipeline_whose_server_hangs_does_not_hold_the_exit(tmp_path: Path) -> None:
    script = """
import socket, sys, time
from scouter import HttpConfig
from scouter.tracing import init_tracer
listener = socket.create_server(("127.0.0.1", 0))
tracer = init_tracer(transport_config=HttpConfig(uri=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=60))
with tracer.start_as_current_span("x"):
    sys.exit(5)
"""
    done = run_script(tmp_path, script, seconds=30)
    assert done.returncode == 5
    assert "Traceback" not in done.stderr


def test_a_child_forked_inside_a_span_that_exits(tmp_path: Path, receiver: Receiver) -> None:
    script = """
with tracer.start_as_current_span("parent"):
    child = os.fork()
    if child == 0:
        with tracer.start_as_current_span("child"):
            sys.exit(0)
    os.waitpid(child, 0)
"""
    found = names_of(tmp_path, receiver, script)
    assert found.count("child") == 1
    assert "parent" in found


def test_isolated_and_without_warnings(tmp_path: Path) -> None:
    """With everything that Python can complain about at its end."""
    done = run_script(
        tmp_path,
        """
        import subprocess, sys
        script = "from scouter import MockConfig; from scouter.tracing import init_tracer; " \\
            "t = init_tracer(transport_config=MockConfig()); t.start_span('x').end(); s = t.start_span('open')"
        done = subprocess.run([sys.executable, "-X", "dev", "-W", "error", "-c", script], capture_output=True, text=True)
        sys.exit(done.stderr or done.returncode)
        """,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_subinterpreter(tmp_path: Path) -> None:
    """Scouter's native module is for the main interpreter alone, and says so."""
    script = """
try:
    import _xxsubinterpreters as interpreters
except ImportError:
    import _interpreters as interpreters
import os
import scouter.tracing
child = interpreters.create()
told, tell = os.pipe()
code = f'''
import os, sys
sys.path[:] = {sys.path!r}
try:
    import scouter._scouter
    said = "imported"
except ImportError as error:
    said = f"ImportError: {{error}}"
os.write({tell}, said.encode())
'''
failed = None
try:
    failed = interpreters.run_string(child, code)
except Exception as error:
    failed = error
os.close(tell)
print(os.read(told, 10_000).decode() or failed)
scouter.tracing.init_tracer().start_span("the main one goes on").end()
"""
    done = run_script(tmp_path, "import sys\n" + script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ImportError:")
    assert "interpreter" in done.stdout
