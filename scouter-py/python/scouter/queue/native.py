"""The native part of queues. The types stand in ``native.pyi``."""

from .._scouter import EvalRecord, Feature, Features, Metric, Metrics, Profile, RecordQueue, ScouterQueue

__all__ = ["EvalRecord", "Feature", "Features", "Metric", "Metrics", "Profile", "RecordQueue", "ScouterQueue"]
