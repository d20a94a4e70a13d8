"""Sends what still waits when the process ends, also in children that ``multiprocessing`` made."""

from __future__ import annotations

import atexit
import os
import sys
import time
from types import ModuleType
from typing import TYPE_CHECKING
from weakref import WeakSet

from .. import _scouter

if TYPE_CHECKING:
    from .provider import TracerProvider

FLUSH_DEADLINE_MILLIS = 5_000
"""How long the end of the process, or ``uninstrument()``, waits for spans to be sent."""

_living: WeakSet[TracerProvider] = WeakSet()
_held: set[TracerProvider] = set()


class _Children:
    """Arranges the end of children of ``multiprocessing``, in which functions of ``atexit`` do not run.

    ``multiprocessing`` clears what a child inherited for its end, and then runs what was registered for after the fork.
    """

    def __init__(self) -> None:
        self._registered = False
        self._arranged_in: int | None = None

    def register(self) -> ModuleType | None:
        """Sees to the children that this process may fork. Does nothing where ``multiprocessing`` is not in use."""
        util = sys.modules.get("multiprocessing.util")
        if util is not None and not self._registered:
            self._registered = True
            util.register_after_fork(self, _Children._begin)
        return util

    def arrange(self) -> None:
        """As :meth:`register`, and sees to this process too if it is such a child."""
        util = self.register()
        process = sys.modules.get("multiprocessing.process")
        if util and process and process.parent_process() is not None and self._arranged_in != os.getpid():
            self._begin()

    def _begin(self) -> None:
        self._arranged_in = os.getpid()
        sys.modules["multiprocessing.util"].Finalize(None, _end_child, exitpriority=0)


_children = _Children()


def watch(provider: TracerProvider) -> None:
    """Ends the provider in time when the process ends before anybody else did."""
    _living.add(provider)
    _children.arrange()


def hold(provider: TracerProvider) -> None:
    """Keeps the provider until its end, also when the program has no reference to it any more."""
    _held.add(provider)


def let_go(provider: TracerProvider) -> None:
    """The provider has come to its end."""
    _held.discard(provider)


def arrange() -> None:
    """Sees to the end of this process, if it is a child of ``multiprocessing``, and to its children."""
    _children.arrange()


def end_all() -> None:
    """Flushes and shuts down every provider and every queue that is left, within one deadline for all."""
    deadline = time.monotonic() + FLUSH_DEADLINE_MILLIS / 1000
    _scouter._begin_ending_queues(FLUSH_DEADLINE_MILLIS)
    shut_down(list(_living), FLUSH_DEADLINE_MILLIS)
    _scouter._end_queues(max(0, int((deadline - time.monotonic()) * 1000)))


def shut_down(providers: list[TracerProvider], timeout_millis: int) -> bool:
    """Shuts providers down at the same time: one whose server hangs takes no time from the others."""
    deadline = time.monotonic() + timeout_millis / 1000
    for provider in providers:
        provider._begin_shutdown(timeout_millis)
    sent = [provider.shutdown(max(0, int((deadline - time.monotonic()) * 1000))) for provider in providers]
    return all(sent)


def _end_child() -> None:
    end_all()
    # Elsewhere `atexit` does this: pipelines that nobody refers to any more, but that still have spans to send.
    _scouter._finish_closing()


atexit.register(end_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_children.register)
