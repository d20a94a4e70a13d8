"""Builds what is measured and runs it, one fresh process for each figure."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .plan import OURS, Row

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "target"
PEERS_VENV = TARGET / "venv-peers"
PEERS_REQUIREMENTS = ROOT / "benches/python/requirements-peers.txt"
# One process may take this long, in seconds; it is then ended and its figure is missing.
PATIENCE = 300
BROKER = str(ROOT / "scripts/broker.py")


class Failed(Exception):
    """A process gave no figures; the text is the last thing it said."""


class Sink:
    """The running sink."""

    def __init__(self, port: int) -> None:
        """Speaks to the sink on this port."""
        self.endpoint = f"http://127.0.0.1:{port}"

    def spans(self) -> int:
        """How many spans it has received."""
        with urllib.request.urlopen(f"{self.endpoint}/totals", timeout=10) as answer:
            return int(json.load(answer)["spans"])


def build() -> None:
    """Builds the Rust programs and the environment of the Python peers."""
    print("building the Rust rows (some minutes the first time)", flush=True)
    subprocess.run(
        ["cargo", "build", "--release", "--quiet", "--manifest-path", str(ROOT / "benches/Cargo.toml")],
        check=True,
        env={**os.environ, "CARGO_TARGET_DIR": str(TARGET)},
    )
    stamp = PEERS_VENV / ".set-up"
    if not stamp.exists() or stamp.stat().st_mtime < PEERS_REQUIREMENTS.stat().st_mtime:
        print("installing the Python peers into target/venv-peers (about a minute)", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(PEERS_VENV)], check=True)
        pip = [str(PEERS_VENV / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--requirement", str(PEERS_REQUIREMENTS)], check=True)
        stamp.touch()


class Broker:
    """A running broker."""

    def __init__(self, kind: str) -> None:
        """Starts it; where Apache Kafka cannot be had, Tansu stands for Kafka."""
        available = subprocess.run([sys.executable, BROKER, "available", "kafka"], check=False)
        if kind == "kafka" and available.returncode != 0:
            kind = "tansu"
        words = [sys.executable, BROKER, "run", kind, "--topic", "otlp_spans"]
        self._script = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._script.stdout is not None
        line = self._script.stdout.readline()
        if not line:
            raise SystemExit(f"no {kind}: see above for the reason")
        about = json.loads(line)
        parts = [about["host"], str(about["port"]), about.get("username"), about.get("password")]
        self.address = ":".join(filter(None, parts))

    def close(self) -> None:
        """Ends it."""
        self._script.communicate()


@contextmanager
def brokers(rows: Iterable[Row]) -> Iterator[dict[str, Broker]]:
    """Runs the brokers that the rows need for the length of the block."""
    running: dict[str, Broker] = {}
    try:
        for kind in sorted({row.broker for row in rows if row.broker}):
            running[kind] = Broker(kind)
        yield running
    finally:
        for broker in running.values():
            broker.close()


@contextmanager
def sink() -> Iterator[Sink]:
    """Runs the sink for the length of the block."""
    program = TARGET / "release/sink"
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Sink(int(process.stdout.readline()))
        process.communicate()  # ends its standard input and takes its last words


def run(row: Row, peer: str, n: int, sink: Sink, broker: Broker | None = None) -> dict[str, Any]:
    """The figures of one fresh process, with what the sink received of it.

    Raises:
        Failed: the process ended without figures, or not in time.
    """
    before = sink.spans()
    answer = answer_of(command(row, peer, n, broker.address if broker else sink.endpoint))
    if row.sends:
        answer["received"] = sink.spans() - before
    return answer


def instructions(row: Row, peer: str) -> float | None:
    """Instructions of the calling thread for each operation, as callgrind counts them inside the loop that counts.

    Nothing without valgrind, or where the peer has no such row.
    """
    if shutil.which("valgrind") is None or not row.counted:
        return None
    n = 2_000
    valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*counted_loop*"]
    try:
        done = subprocess.run(
            [*valgrind, *command(row, peer, n, "")], capture_output=True, text=True, check=False, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        return None
    collected = re.search(r"Collected : (\d+)", done.stderr)
    return int(collected[1]) / n if done.returncode == 0 and collected is not None else None


def command(row: Row, peer: str, n: int, endpoint: str) -> list[str]:
    """What runs this row for this peer."""
    if row.language == "rust":
        return [str(TARGET / "release/rows"), row.name, peer, str(n), *([endpoint] if endpoint else [])]
    python = ROOT / ".venv/bin/python" if peer == OURS else PEERS_VENV / "bin/python"
    return [str(python), str(ROOT / "benches/python/rows.py"), row.name, peer, str(n), endpoint]


def answer_of(words: list[str]) -> dict[str, Any]:
    """The JSON object that the command prints last."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise Failed(f"no answer within {PATIENCE} s") from None
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        said = done.stderr.strip().splitlines()
        raise Failed(said[-1] if said else f"exit status {done.returncode}")
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer
