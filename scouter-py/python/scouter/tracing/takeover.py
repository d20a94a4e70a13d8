"""Taking the global places of OpenTelemetry, and giving them back as they were.

OpenTelemetry lets its global provider be set once and has no way back, which ``uninstrument()`` needs. This is the one
place that reaches behind its public functions.
"""

from __future__ import annotations

from dataclasses import dataclass

from opentelemetry import propagate, trace
from opentelemetry.propagators.textmap import TextMapPropagator


@dataclass(frozen=True, slots=True)
class Takeover:
    """What was global before, and what took its place."""

    provider: trace.TracerProvider
    propagator: TextMapPropagator
    provider_before: trace.TracerProvider | None
    was_set: bool
    propagator_before: TextMapPropagator

    @classmethod
    def take(cls, provider: trace.TracerProvider, propagator: TextMapPropagator) -> Takeover:
        """Makes these the global ones, whatever was there."""
        once = trace._TRACER_PROVIDER_SET_ONCE
        with once._lock:
            before = cls(provider, propagator, trace._TRACER_PROVIDER, once._done, propagate.get_global_textmap())
            trace._TRACER_PROVIDER = provider
            once._done = True
        propagate.set_global_textmap(propagator)
        return before

    def give_back(self) -> None:
        """Restores what was there before, unless somebody else has taken over since."""
        once = trace._TRACER_PROVIDER_SET_ONCE
        with once._lock:
            if trace._TRACER_PROVIDER is self.provider:
                trace._TRACER_PROVIDER = self.provider_before
                once._done = self.was_set
        if propagate.get_global_textmap() is self.propagator:
            propagate.set_global_textmap(self.propagator_before)
