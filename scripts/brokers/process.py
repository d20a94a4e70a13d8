"""Processes that end with the one that started them, and free ports on the loopback interface."""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

HOST = "127.0.0.1"
PR_SET_PDEATHSIG = 1


class Failed(Exception):
    """A broker that did not do what it was asked; the message has the end of its log."""


def free_port() -> int:
    """A port nobody listens on, outside the range that the kernel gives to outgoing connections.

    A broker comes back on its port. In the kernel's range another program's connection could sit there by then, and
    whoever tries to connect to the dead broker could be given its port and end up connected to himself.
    """
    lowest = 32768
    with contextlib.suppress(OSError, ValueError):
        lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(200):
        port = random.randrange(12_000, lowest) if lowest > 13_000 else 0
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Failed("no free port on the loopback interface")


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """One child process, its output in a file."""

    def __init__(self, command: Sequence[str], log: Path, env: dict[str, str] | None = None) -> None:
        self.log = log
        with open(log, "ab") as output:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=log.parent,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - there is one thread here.
                start_new_session=True,  # An interrupt at the terminal goes to us, and we end it.
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child.poll() is None

    def signal(self, number: signal.Signals) -> None:
        if self.running:
            self._child.send_signal(number)

    def kill(self) -> None:
        self._child.kill()
        self._child.wait()

    def stop(self, seconds: float) -> None:
        """Asks it to end, and ends it when it does not."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def wait_until(self, ready: Callable[[], bool], seconds: float, what: str) -> None:
        """Waits until `ready` answers yes; it may raise `OSError` meanwhile."""
        deadline = time.monotonic() + seconds
        while self.running:
            with contextlib.suppress(OSError):
                if ready():
                    return
            if time.monotonic() > deadline:
                raise Failed(f"{what} did not answer within {seconds:.0f} s; the end of its log:\n{self.last_lines()}")
            time.sleep(0.05)
        raise Failed(f"{what} ended with {self._child.returncode}; the end of its log:\n{self.last_lines()}")

    def last_lines(self, count: int = 40) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, **more}
