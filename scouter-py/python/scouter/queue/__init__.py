"""Records of a program: what its models get and answer, its metrics, its agents' work, beside the spans they belong to.

A profile says what the records of an entity look like; a queue takes them, checks them and sends them::

    from scouter.queue import CustomProfile, Metrics, ScouterQueue

    profile = CustomProfile(space="shop", name="basket", version="1.0.0", metrics=["cost"])
    queue = ScouterQueue.from_profile(profile)
    queue["basket"].insert(Metrics({"cost": 12.5}))
    queue.shutdown()

Names are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .native import EvalRecord, Feature, Features, Metric, Metrics, RecordQueue
    from .profiles import AgentProfile, CustomProfile, Profile, PsiProfile, SpcProfile
    from .scouter_queue import ScouterQueue
    from .specs import FeatureSpec, MetricSpec

__all__ = [
    "AgentProfile",
    "CustomProfile",
    "EvalRecord",
    "Feature",
    "FeatureSpec",
    "Features",
    "Metric",
    "MetricSpec",
    "Metrics",
    "Profile",
    "PsiProfile",
    "RecordQueue",
    "ScouterQueue",
    "SpcProfile",
]

_HOMES = {
    **dict.fromkeys(("EvalRecord", "Feature", "Features", "Metric", "Metrics", "RecordQueue"), ".native"),
    **dict.fromkeys(("AgentProfile", "CustomProfile", "Profile", "PsiProfile", "SpcProfile"), ".profiles"),
    **dict.fromkeys(("FeatureSpec", "MetricSpec"), ".specs"),
    "ScouterQueue": ".scouter_queue",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
