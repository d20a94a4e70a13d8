"""Starting processes, knowing their output, and stopping them by their ids."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_POLL_SECONDS = 0.05
_STOP_SECONDS = 15.0


class NotReadyError(Exception):
    """Something did not happen in time, or the process that should have done it is gone."""


@dataclass(frozen=True)
class Process:
    """A running process and the file that its output goes to."""

    name: str
    running: subprocess.Popen[bytes]
    log: Path

    def output(self) -> str:
        """What it has printed so far."""
        return self.log.read_text(errors="replace")


class Processes:
    """Processes that were started together and end together."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._all: list[Process] = []

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Process:
        """Starts a process in a session of its own, so that Ctrl-C in the terminal reaches only us."""
        log = self._logs / f"{name}.log"
        with log.open("wb") as output:
            running = subprocess.Popen(
                command,
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        process = Process(name, running, log)
        self._all.append(process)
        return process

    def ids(self) -> list[int]:
        """The ids of all that were started."""
        return [process.running.pid for process in self._all]

    def logs(self) -> str:
        """What all of them have printed."""
        return "\n".join(f"--- {process.name} ---\n{process.output()}" for process in self._all)

    def stop(self) -> None:
        """Asks them to end, one by one and newest first: each may need those before it. Ends those that do not."""
        deadline = time.monotonic() + _STOP_SECONDS
        for process in reversed(self._all):
            if process.running.poll() is None:
                process.running.send_signal(signal.SIGTERM)
            try:
                process.running.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.running.kill()
                process.running.wait()


def wait_for(what: str, check: Callable[[], T | None], seconds: float, process: Process | None = None) -> T:
    """Asks again and again until there is an answer.

    Raises:
        NotReadyError: there was none in time, or the process that should give it has ended.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = check()
        if answer is not None:
            return answer
        if process is not None and process.running.poll() is not None:
            raise NotReadyError(f"{what}: {process.name} ended with status {process.running.returncode}")
        if time.monotonic() >= deadline:
            raise NotReadyError(f"{what}: not within {seconds:.0f} s")
        time.sleep(_POLL_SECONDS)


def clean_environment(**additions: str) -> dict[str, str]:
    """Our environment without what would change the example: OpenTelemetry's settings, and proxies for this machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "SCOUTER_"))}
    return {**kept, "NO_PROXY": "127.0.0.1,localhost", "PYTHONUNBUFFERED": "1", **additions}
