"""Samplers: which of the SDK's are built in here too, and which have to be asked in Python."""

from __future__ import annotations

from typing import Any

from . import plugins
from .plugins import SamplerLike

__all__ = ["described", "from_environment"]

_SDK = "opentelemetry.sdk.trace.sampling"
_BUILT_IN = frozenset(
    {
        "always_off",
        "always_on",
        "parentbased_always_off",
        "parentbased_always_on",
        "parentbased_traceidratio",
        "traceidratio",
    }
)

Described = tuple[str, Any]
"""The name of a built-in sampler and what goes with it; ``custom`` and the sampler itself for all others."""

_ON: Described = ("always_on", None)
_OFF: Described = ("always_off", None)


def described(sampler: SamplerLike) -> Described:
    """How the native tracer is told about a sampler.

    The SDK's own samplers that look at nothing but the parent's flags are decided natively, with the same outcome: exactly
    these, and not classes derived from them. One by ratio is not among them, because ``sample_ratio`` follows a newer
    specification of which traces belong to a ratio.
    """
    kind = type(sampler)
    if kind.__module__ != _SDK:
        return ("custom", sampler)
    inside: Any = sampler
    if kind.__name__ in ("StaticSampler", "_AlwaysOn", "_AlwaysOff"):
        return {"RECORD_AND_SAMPLE": _ON, "DROP": _OFF}.get(inside._decision.name, ("custom", sampler))
    if kind.__name__ in ("ParentBased", "ParentBasedTraceIdRatio", "_ParentBasedAlwaysOn", "_ParentBasedAlwaysOff"):
        below = [
            described(inside._remote_parent_sampled),
            described(inside._local_parent_sampled),
            described(inside._remote_parent_not_sampled),
            described(inside._local_parent_not_sampled),
        ]
        if below == [_ON, _ON, _OFF, _OFF]:
            return ("parent_based", described(inside._root))
    return ("custom", sampler)


def from_environment() -> Described | None:
    """The sampler of an installed package that ``OTEL_TRACES_SAMPLER`` names; ``None`` for the built-in ones."""
    name = plugins.variable("OTEL_TRACES_SAMPLER")
    if not name or name in _BUILT_IN:
        return None
    argument = plugins.variable("OTEL_TRACES_SAMPLER_ARG") or None
    sampler = plugins.named(
        SamplerLike,  # type: ignore[type-abstract]
        "opentelemetry_traces_sampler",
        "OTEL_TRACES_SAMPLER",
        name,
        argument,
    )
    return ("parent_based", _ON) if sampler is None else described(sampler)
