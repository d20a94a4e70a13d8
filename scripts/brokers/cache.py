"""Where fetched brokers are kept: made once under a lock, whole or not at all."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path


class Unavailable(Exception):
    """A broker that this machine cannot have; the message says what to install."""


def say(text: str) -> None:
    """Tells the person who waits; standard output belongs to the answers."""
    print(text, file=sys.stderr, flush=True)


def root() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "scouter" / "brokers"


def provide(name: str, seconds: int, make: Callable[[Path], None]) -> Path:
    """The folder `name` of the cache. `make` fills an empty folder, which becomes it only when all went well."""
    place = root() / name
    if place.is_dir():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(root() / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # Tests start side by side; the first one fetches, the others wait.
        if place.is_dir():
            return place
        for left in root().glob(".making-*"):  # By one that was killed: he who has the lock is alone.
            shutil.rmtree(left, ignore_errors=True)
        say(f"fetching {name} into {root()} (about {seconds} s, once)")
        started = time.monotonic()
        folder = Path(tempfile.mkdtemp(dir=root(), prefix=".making-"))
        try:
            make(folder)
            folder.rename(place)
        except Unavailable as error:
            way_out = "this needs the network once; `make brokers` tries it again"
            raise Unavailable(f"{name} cannot be fetched ({way_out}): {error}") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        say(f"fetched {name} in {time.monotonic() - started:.0f} s")
    return place


def run(command: Sequence[str], cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Runs a helper program to its end and gives its output; a failure carries all that it said."""
    done = subprocess.run(
        command, check=False, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()
        raise Unavailable(f"`{' '.join(command)}` failed with exit status {done.returncode}:\n{said}")
    return done.stdout
