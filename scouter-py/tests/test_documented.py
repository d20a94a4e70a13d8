"""Every public name says what it is: in the modules, in their classes, and in the native classes below."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

MODULES = [
    "scouter",
    "scouter.arguments",
    "scouter.batch",
    "scouter.brokers",
    "scouter.client",
    "scouter.errors",
    "scouter.filters",
    "scouter.network",
    "scouter.queue",
    "scouter.queue.native",
    "scouter.queue.profiles",
    "scouter.queue.scouter_queue",
    "scouter.queue.specs",
    "scouter.records",
    "scouter.traces",
    "scouter.tracing",
    "scouter.tracing.capture",
    "scouter.tracing.exporters",
    "scouter.tracing.instrumentor",
    "scouter.tracing.local_exporters",
    "scouter.tracing.manual",
    "scouter.tracing.middleware",
    "scouter.tracing.plugins",
    "scouter.tracing.propagation",
    "scouter.tracing.provider",
    "scouter.tracing.resources",
    "scouter.tracing.settings",
    "scouter.transport",
]


def public(module: ModuleType) -> Iterator[tuple[str, Any]]:
    for name in getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")]):
        yield name, getattr(module, name)


def members(owner: type) -> Iterator[tuple[str, Any]]:
    """What a class, or one of ours above it, defines for its users."""
    for base in owner.__mro__:
        if base.__module__.startswith("scouter"):
            for name, member in vars(base).items():
                if not name.startswith("_"):
                    yield name, member


def is_documented(owner: type | None, name: str, thing: Any) -> bool:
    # A value of a class of its own, such as a number or a member of an enumeration, is explained where it stands.
    if not (
        callable(thing) or isinstance(thing, property) or inspect.isroutine(thing) or inspect.isdatadescriptor(thing)
    ):
        return True
    if inspect.ismemberdescriptor(thing) and owner is not None:
        # A field of a dataclass: its class explains it where its name does not.
        return bool(inspect.getdoc(owner))
    text = inspect.getdoc(thing)
    return bool(text) and not text.startswith(f"{name}(")


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_is_documented(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    bare = []
    for place, thing in public(module):
        if getattr(thing, "__module__", "").startswith(("opentelemetry", "typing", "collections", "enum")):
            continue
        if not is_documented(None, place, thing):
            bare.append(place)
        if inspect.isclass(thing):
            bare += [f"{place}.{member}" for member, what in members(thing) if not is_documented(thing, member, what)]
    assert bare == []
