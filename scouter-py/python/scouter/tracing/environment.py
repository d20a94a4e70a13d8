"""Trace context and baggage through environment variables, for processes that start other processes.

The names are those of the headers in upper case: ``TRACEPARENT``, ``TRACESTATE``, ``BAGGAGE`` (OpenTelemetry specification,
"Environment Variables as Context Propagation Carriers"). Other propagators' fields are spelled the same way.

Nothing is truncated here: what the standards let a sender write, at most 8192 bytes of baggage and 32 entries of trace
state, is far below what a variable may hold on any platform.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, MutableMapping

from opentelemetry.context.context import Context
from opentelemetry.propagators.textmap import Getter, Setter

from .propagation import current_propagator, global_propagator

__all__ = ["EnvironmentGetter", "EnvironmentSetter", "context_from_environment", "environment_for_child"]


class EnvironmentGetter(Getter[Mapping[str, str]]):
    """Reads a propagator's fields from environment variables::

    propagator.extract(os.environ, getter=EnvironmentGetter())
    """

    def get(self, carrier: Mapping[str, str], key: str) -> list[str] | None:
        """The value of the variable that stands for this field."""
        value = carrier.get(_variable(key))
        return None if value is None else [value]

    def keys(self, carrier: Mapping[str, str]) -> list[str]:
        """The names of the variables that can stand for a field."""
        return [name for name in carrier if name and _variable(name) == name]


class EnvironmentSetter(Setter[MutableMapping[str, str]]):
    """Writes a propagator's fields as environment variables, into a copy made for a child process::

    environment = dict(os.environ)
    propagator.inject(environment, setter=EnvironmentSetter())
    subprocess.run(command, env=environment)
    """

    def set(self, carrier: MutableMapping[str, str], key: str, value: str) -> None:
        """Sets the variable that stands for this field."""
        carrier[_variable(key)] = value


def context_from_environment(environment: Mapping[str, str] | None = None) -> Context:
    """The context that the process which started this one was in: its span as a remote parent, and its baggage.

    Args:
        environment: The variables; those of this process when left out.
    """
    propagator = current_propagator(global_propagator())
    return propagator.extract(os.environ if environment is None else environment, Context(), EnvironmentGetter())


def environment_for_child(
    environment: Mapping[str, str] | None = None, context: Context | None = None
) -> dict[str, str]:
    """The variables for a process that continues the trace: a copy, with those of a context in place of older ones.

    Args:
        environment: What to copy; the variables of this process when left out.
        context: The context to hand on; the current one when left out.
    """
    propagator = current_propagator(global_propagator())
    made = dict(os.environ if environment is None else environment)
    for field in propagator.fields:
        made.pop(_variable(field), None)
    propagator.inject(made, context, EnvironmentSetter())
    return made


def _variable(key: str) -> str:
    name = re.sub(r"[^A-Z0-9_]", "_", key.upper())
    return f"_{name}" if not name or name[0].isdigit() else name
