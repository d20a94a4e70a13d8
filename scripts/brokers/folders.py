"""Folders for the data of brokers that nobody wants to keep. They go with us, or, when we were killed, with the next one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PREFIX = "scouter-broker-"
# Held for as long as the folder is used. A kill gives it free.
LOCK = ".in-use"
# A folder without a lock may have been made a moment ago.
MOMENT = 60.0


@contextlib.contextmanager
def own() -> Iterator[Path]:
    """A new folder for the length of the block. What those left behind who were killed is removed first."""
    _sweep()
    folder, lock = _make()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _make() -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        lock = _lock(folder, os.O_CREAT)
        if lock is not None:
            return folder, lock


def _sweep() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            if not (folder / LOCK).exists():
                if time.time() - folder.stat().st_mtime > MOMENT:
                    shutil.rmtree(folder, ignore_errors=True)
                continue
            lock = _lock(folder)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)


def _lock(folder: Path, flags: int = 0) -> int | None:
    """The lock of a folder; nothing when somebody else has it, or has removed the folder meanwhile."""
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | flags)
    except FileNotFoundError:
        return None
    with contextlib.suppress(OSError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock), (folder / LOCK).stat()):
            return lock
    os.close(lock)
    return None
