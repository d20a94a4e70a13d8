from __future__ import annotations

import time
from pathlib import Path

import pytest
from support import Receiver, run_script, until


def check(result: object) -> None:
    assert (result.returncode, result.stdout, result.stderr) == (0, "", ""), result


def test_what_waits_is_sent_at_exit(receiver: Receiver, tmp_path: Path) -> None:
    script = """
    import sys
    from opentelemetry import trace
    from scouter import BatchConfig, HttpConfig
    from scouter.tracing import TracerProvider, init_tracer, instrument

    slow = BatchConfig(scheduled_delay_ms=3_600_000)
    instrument(transport_config=HttpConfig(sys.argv[1]), batch_config=slow)
    trace.get_tracer("x").start_span("global").end()
    tracer = init_tracer(transport_config=HttpConfig(sys.argv[1]), batch_config=slow)
    tracer.start_span("manual").end()
    other = TracerProvider(transport_config=HttpConfig(sys.argv[1]), batch_config=slow).get_tracer("y")
    other.start_span("only its tracer is left").end()
    """
    check(run_script(tmp_path, script, receiver.uri))
    assert sorted(receiver.names) == ["global", "manual", "only its tracer is left"]


@pytest.mark.parametrize(
    ("end", "status"),
    [("sys.exit(3)", 3), ("raise ValueError('end')", 1), ("threading.Thread(target=late).start()", 0)],
)
def test_however_it_ends(receiver: Receiver, tmp_path: Path, end: str, status: int) -> None:
    script = f"""
    import sys, threading
    from scouter import HttpConfig
    from scouter.tracing import init_tracer

    tracer = init_tracer(transport_config=HttpConfig(sys.argv[1]))
    release = threading.Event()
    threading.Timer(0.05, release.set).start()
    def late():
        release.wait()
        tracer.start_span("late").end()
    tracer.start_span("x").end()
    {end}
    """
    assert run_script(tmp_path, script, receiver.uri).returncode == status
    assert "x" in receiver.names
    assert ("late" in receiver.names) == (status == 0)


def test_a_server_that_is_down_holds_the_exit_up_no_longer_than_the_deadline(tmp_path: Path) -> None:
    script = """
    from scouter import HttpConfig
    from scouter.tracing import init_tracer
    tracers = [init_tracer(transport_config=HttpConfig("http://127.0.0.1:1")) for _ in range(3)]
    for tracer in tracers:
        tracer.start_span("x").end()
    """
    started = time.monotonic()
    check(run_script(tmp_path, script))
    assert time.monotonic() - started < 15


FORK = """
import os, sys
from opentelemetry import trace
from scouter import BatchConfig, HttpConfig
from scouter.tracing import instrument

instrument(transport_config=HttpConfig(sys.argv[1]), batch_config=BatchConfig(scheduled_delay_ms=3_600_000))
tracer = trace.get_tracer("x")
with tracer.start_as_current_span("parent"):
    tracer.start_span("before").end()
    child = os.fork()
    if child == 0:
        for at in range(100):
            with tracer.start_as_current_span("child"):
                pass
        sys.exit(0)
    os.waitpid(child, 0)
    tracer.start_span("after").end()
"""


def test_a_forked_child_traces_on_and_nothing_is_sent_twice(receiver: Receiver, tmp_path: Path) -> None:
    # Newer versions of Python warn of any fork in a process that has threads.
    quiet = {"PYTHONWARNINGS": "ignore::DeprecationWarning"}
    check(run_script(tmp_path, FORK, receiver.uri, environment=quiet))
    names = receiver.names
    assert sorted(set(names)) == ["after", "before", "child", "parent"]
    assert names.count("child") == 100
    assert len(names) == 103
    assert len({span.span_id for span in receiver.spans}) == 103
    by_name = {span.name: span for span in receiver.spans}
    assert by_name["child"].parent_span_id == by_name["parent"].span_id


def test_children_while_the_parent_is_sending(receiver: Receiver, tmp_path: Path) -> None:
    script = """
    import os, sys, threading
    from scouter import BatchConfig, HttpConfig
    from scouter.tracing import TracerProvider

    provider = TracerProvider(
        transport_config=HttpConfig(sys.argv[1]),
        batch_config=BatchConfig(scheduled_delay_ms=1, max_queue_size=100_000),
    )
    tracer = provider.get_tracer("x")
    stop = threading.Event()
    def work():
        while not stop.is_set():
            tracer.start_span("parent").end()
            stop.wait(0.0001)
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    children = []
    for at in range(10):
        child = os.fork()
        if child == 0:
            stop.set()
            tracer.start_span(f"child {at}").end()
            sys.exit(0 if provider.force_flush(10_000) else 9)
        children.append(child)
    statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    stop.set()
    for thread in threads:
        thread.join()
    assert statuses == [0] * 10, statuses
    assert provider.force_flush(20_000)
    open(sys.argv[2], "w").write(str(provider.stats()["destinations"]["scouter"]["exported"]))
    """
    exported = tmp_path / "exported"
    result = run_script(tmp_path, script, receiver.uri, str(exported))
    assert result.returncode == 0, result
    names = receiver.names
    assert sorted(name for name in names if name != "parent") == [f"child {at}" for at in range(10)]
    assert names.count("parent") == int(exported.read_text())
    assert len({span.span_id for span in receiver.spans}) == len(names)


MULTIPROCESSING = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from opentelemetry import trace
from scouter import BatchConfig, HttpConfig
from scouter.tracing import get_tracing_headers_from_current_span, instrument

def set_up(uri):
    slow = BatchConfig(scheduled_delay_ms=3_600_000)
    instrument(transport_config=HttpConfig(uri), batch_config=slow, attributes={"service.name": "s"})

def work(uri, name, headers, method):
    if method == "spawn":
        set_up(uri)
    with trace.get_tracer("x").start_as_current_span(name, headers=headers):
        pass

if __name__ == "__main__":
    uri, method = sys.argv[1:]
    if sys.argv[2] == "fork":
        set_up(uri)
    context = multiprocessing.get_context(method)
    if method == "spawn":
        set_up(uri)
    with trace.get_tracer("x").start_as_current_span("parent"):
        headers = get_tracing_headers_from_current_span()
        children = [context.Process(target=work, args=(uri, f"child {at}", headers, method)) for at in range(3)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        assert [child.exitcode for child in children] == [0, 0, 0]
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(receiver: Receiver, tmp_path: Path, method: str) -> None:
    check(run_script(tmp_path, MULTIPROCESSING, receiver.uri, method))
    assert sorted(receiver.names) == ["child 0", "child 1", "child 2", "parent"]
    assert len({span.trace_id for span in receiver.spans}) == 1


def test_a_provider_that_is_gone_when_its_child_process_ends(receiver: Receiver, tmp_path: Path) -> None:
    script = """
    import multiprocessing, sys
    from scouter import BatchConfig, HttpConfig
    from scouter.tracing import TracerProvider

    def work():
        provider = TracerProvider(
            transport_config=HttpConfig(sys.argv[1]), batch_config=BatchConfig(scheduled_delay_ms=3_600_000)
        )
        provider.get_tracer("x").start_span("x").end()

    import scouter.tracing.at_exit
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join()
    assert child.exitcode == 0
    work()
    """
    check(run_script(tmp_path, script, receiver.uri))
    assert receiver.names == ["x", "x"]


def test_pools_of_forked_processes(receiver: Receiver, tmp_path: Path) -> None:
    script = """
    import multiprocessing, sys
    from concurrent.futures import ProcessPoolExecutor
    from opentelemetry import trace
    from scouter import BatchConfig, HttpConfig
    from scouter.tracing import instrument

    def work(at):
        trace.get_tracer("x").start_span(f"job {at}").end()

    instrument(transport_config=HttpConfig(sys.argv[1]), batch_config=BatchConfig(scheduled_delay_ms=3_600_000))
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
        list(pool.map(work, range(20)))
    """
    check(run_script(tmp_path, script, receiver.uri))
    until("all jobs are there", lambda: len(receiver.names) == 20)
    assert sorted(receiver.names) == sorted(f"job {at}" for at in range(20))


def test_importing_is_light(tmp_path: Path) -> None:
    script = """
    import sys
    import scouter.tracing
    from scouter import HttpConfig
    heavy = [name for name in ("asyncio", "fastapi", "pydantic", "numpy", "opentelemetry.sdk") if name in sys.modules]
    assert heavy == [], heavy
    from scouter.tracing import TracerProvider
    heavy = [name for name in ("fastapi", "pydantic", "numpy", "opentelemetry.sdk") if name in sys.modules]
    assert heavy == [], heavy
    """
    check(run_script(tmp_path, script))


def test_every_public_name_is_there(tmp_path: Path) -> None:
    script = """
    import scouter, scouter.tracing
    for module in (scouter, scouter.tracing):
        for name in module.__all__:
            assert getattr(module, name) is not None
            assert name in dir(module)
        try:
            module.no_such_name
        except AttributeError:
            pass
        else:
            raise AssertionError
    """
    check(run_script(tmp_path, script))
