from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import clean_environment, run_script, until

EXAMPLE = Path(__file__).parents[2] / "examples" / "tracing"

TREE = """
  orchestrator.greet              [orchestrator-service]  root        INTERNAL  0 ms
  ├── GET /hello                  [hello-service]         child       SERVER    0 ms
  │   └── hello.build_greeting    [hello-service]         grandchild  INTERNAL  0 ms
  └── GET /goodbye                [goodbye-service]       child       SERVER    0 ms
      └── goodbye.build_farewell  [goodbye-service]       grandchild  INTERNAL  0 ms
"""


def run_example(*arguments: str, transport: str = "http") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(EXAMPLE / "run_example.sh"), *arguments],
        env=clean_environment(SCOUTER_TRANSPORT=transport, PYTHON=sys.executable),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def is_running(process_id: int) -> bool:
    # Those that have ended wait for their parent, which is gone; whoever adopted them may take its time.
    state = Path(f"/proc/{process_id}/stat")
    if not Path("/proc/self/stat").exists():
        told = subprocess.run(["ps", "-o", "stat=", "-p", str(process_id)], capture_output=True, text=True, check=False)
        return told.stdout.strip() not in ("", "Z")
    try:
        return "Z" not in state.read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("transport", ["http", "grpc", "kafka", "rabbitmq"])
def test_it_prints_the_tree_and_stops_what_it_started(transport: str) -> None:
    done = run_example(transport=transport)
    assert done.returncode == 0, done
    trace_id = re.search(r"^trace ([0-9a-f]{32})$", done.stdout, re.MULTILINE)
    assert trace_id
    lines = re.sub(r" +[0-9.]+ ms", " 0 ms", done.stdout)
    for line in TREE.strip("\n").splitlines():
        assert re.sub(r" +0 ms", " 0 ms", line) in lines
    assert re.search(rf"^page  http://127\.0\.0\.1:\d+/traces/{trace_id[1]}$", done.stdout, re.MULTILINE)


def test_keep_leaves_it_running_and_says_how_to_stop_it() -> None:
    done = run_example("--keep")
    assert done.returncode == 0, done
    found = re.search(r"kill ((?:\d+ ?)+) && rm -r (\S+)", done.stdout)
    assert found
    ids = [int(process_id) for process_id in found[1].split()]
    try:
        assert len(ids) == 4
        assert all(is_running(process_id) for process_id in ids)
    finally:
        for process_id in ids:
            os.kill(process_id, signal.SIGTERM)
    until("all have ended", lambda: not any(is_running(process_id) for process_id in ids))
    subprocess.run(["rm", "-r", found[2]], check=True)


def test_unknown_transports_are_named() -> None:
    done = run_example(transport="pigeon")
    assert done.returncode == 2
    assert done.stderr == "SCOUTER_TRANSPORT is 'pigeon': give one of http, grpc, kafka, rabbitmq\n"


def test_another_tree_is_a_failure_that_says_how_it_differs(tmp_path: Path) -> None:
    script = """
    import sys
    sys.path.insert(0, sys.argv[1])
    import run
    run.TRACE_SECONDS = 1.0
    run.EXPECTED[1] = run.EXPECTED[1].replace("GET /hello", "GET /hi")
    sys.exit(run.main([]))
    """
    done = run_script(tmp_path, script, str(EXAMPLE))
    assert done.returncode == 1
    assert "is not the expected one" in done.stderr
    assert "-├── GET /hi [hello-service] child SERVER" in done.stderr
    assert "+├── GET /hello [hello-service] child SERVER" in done.stderr
    assert "--- orchestrator ---" in done.stderr
