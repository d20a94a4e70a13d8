"""Profiles: what the records of an entity look like, and which part of them is kept. They live in JSON files."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, ClassVar

from typing_extensions import Self

from .. import _scouter, arguments
from ..errors import ConfigError, ConfigTypeError
from . import specs
from .specs import FeatureSpec, MetricSpec

__all__ = ["AgentProfile", "CustomProfile", "Profile", "PsiProfile", "SpcProfile"]

_SCHEMA_VERSION = 1


class Profile(_scouter.Profile):
    """What the records of an entity look like, and which part of them is kept.

    Make one with :class:`SpcProfile`, :class:`PsiProfile`, :class:`CustomProfile` or :class:`AgentProfile`, or load one.
    """

    _kind: ClassVar[str | None] = None

    def __new__(cls, text: str) -> Self:
        """A profile from the text of its file."""
        return super().__new__(cls, arguments.instance("text", text, str, "the text of a profile file"))

    @classmethod
    def from_json(cls, text: str) -> Profile:
        """A profile from the text of its file.

        Raises:
            ConfigError: the text is no profile, with the place of what is wrong; or the profile is of another kind.
        """
        kind = _scouter.Profile(arguments.instance("text", text, str, "the text of a profile file")).kind
        if cls._kind not in (None, kind):
            raise ConfigError(f"the profile is of kind {kind}, not {cls._kind}: load it with Profile")
        return Profile.__new__(_KINDS[kind], text)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Profile:
        """A profile from its file.

        Raises:
            ProfileNotFoundError: there is no such file.
            ConfigError: the file cannot be read, or as for :meth:`from_json`.
        """
        return cls.from_json(_scouter.Profile._read(_path("path", path)))

    def save(self, path: str | PathLike[str]) -> None:
        """Writes the profile into a file; what was there is replaced at once or not at all.

        Raises:
            ConfigError: the file cannot be written.
        """
        self._save(_path("path", path))

    def to_dict(self) -> dict[str, Any]:
        """What its file holds."""
        held: dict[str, Any] = json.loads(self.to_json())
        return held

    def __reduce__(self) -> tuple[Any, ...]:
        return Profile.from_json, (self.to_json(),)

    def __eq__(self, other: object) -> bool:
        return self.to_dict() == other.to_dict() if isinstance(other, Profile) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.uid)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(space={self.space!r}, name={self.name!r}, version={self.version!r})"


def _path(name: str, value: object) -> str:
    if not isinstance(value, (str, os.PathLike)):
        raise ConfigTypeError(f"{name} must be a path, not {type(value).__name__}")
    return os.fsdecode(os.fspath(value))


def _text(
    kind: str,
    space: str,
    name: str,
    version: str,
    uid: str | None,
    alias: str | None,
    sample_ratio: float,
    description: str | None,
    content: Mapping[str, Any],
) -> str:
    """The text of the file; the native part checks it."""
    entity = {
        "space": space,
        "name": name,
        "version": version,
        "uid": uuid.uuid4().hex if uid is None else uid,
        "alias": name if alias is None else alias,
    }
    for place, value in entity.items():
        arguments.text(place, value)
    file: dict[str, Any] = {"schema_version": _SCHEMA_VERSION, "kind": kind, "entity": entity, **content}
    file["sample_ratio"] = arguments.ratio("sample_ratio", sample_ratio)
    if description is not None:
        file["description"] = arguments.text("description", description)
    try:
        return json.dumps(file, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigTypeError(f"the profile holds a value that JSON cannot carry: {error}") from None


class _FeatureProfile(Profile):
    def __new__(
        cls,
        space: str,
        name: str,
        version: str,
        features: object,
        *,
        uid: str | None = None,
        alias: str | None = None,
        sample_ratio: float = 1.0,
        description: str | None = None,
    ) -> Self:
        content = {"features": specs.feature_list(features)}
        text = _text(str(cls._kind), space, name, version, uid, alias, sample_ratio, description, content)
        return super().__new__(cls, text)

    @property
    def features(self) -> tuple[FeatureSpec, ...]:
        """What is said about each feature."""
        read = []
        for feature in self.to_dict()["features"]:
            limits = feature.pop("limits", None)
            told = limits and (limits["center"], limits["lower"], limits["upper"])
            read.append(FeatureSpec(limits=told, **feature))
        return tuple(read)


class SpcProfile(_FeatureProfile):
    """Features of predictions, watched by statistical process control.

    Args:
        space: The group that what is watched belongs to.
        name: Its name within the space.
        version: Its version.
        features: A dict from names to types (``float``), to examples (``0.5``) or to columns of examples; a list of
            :class:`FeatureSpec`; a pydantic model or dataclass; or a data frame.
        uid: Its id, the same everywhere; a new one by default. Keep it: it ties records and spans of all programs together.
        alias: What programs call its queue; the name by default.
        sample_ratio: Which part of the records is kept, from 0.0 to 1.0.
        description: What it is about, for people.

    Raises:
        ConfigError: something has a value that cannot work.
        ConfigTypeError: an argument is of the wrong type.
    """

    _kind: ClassVar[str | None] = "spc"


class PsiProfile(_FeatureProfile):
    """Features of predictions, watched by the population stability index. The arguments are those of :class:`SpcProfile`."""

    _kind: ClassVar[str | None] = "psi"


class CustomProfile(Profile):
    """Metrics of the program's own.

    Args:
        metrics: A list of names or of :class:`MetricSpec`, or a dict from names to baselines.
        space, name, version, uid, alias, sample_ratio, description: As for :class:`SpcProfile`.

    Raises:
        ConfigError: something has a value that cannot work.
        ConfigTypeError: an argument is of the wrong type.
    """

    _kind: ClassVar[str | None] = "custom"

    def __new__(
        cls,
        space: str,
        name: str,
        version: str,
        metrics: Sequence[str | MetricSpec] | Mapping[str, float | None],
        *,
        uid: str | None = None,
        alias: str | None = None,
        sample_ratio: float = 1.0,
        description: str | None = None,
    ) -> Self:
        content = {"metrics": specs.metric_list(metrics)}
        return super().__new__(
            cls, _text("custom", space, name, version, uid, alias, sample_ratio, description, content)
        )

    @property
    def metrics(self) -> tuple[MetricSpec, ...]:
        """What is said about each metric."""
        return tuple(MetricSpec(**metric) for metric in self.to_dict()["metrics"])


class AgentProfile(Profile):
    """What an agent or a language model did, to be evaluated.

    Args:
        tasks: What is evaluated, as dicts with an ``id`` each.
        space, name, version, uid, alias, sample_ratio, description: As for :class:`SpcProfile`.

    Raises:
        ConfigError: something has a value that cannot work.
        ConfigTypeError: an argument is of the wrong type.
    """

    _kind: ClassVar[str | None] = "agent"

    def __new__(
        cls,
        space: str,
        name: str,
        version: str,
        tasks: Sequence[Mapping[str, Any]],
        *,
        uid: str | None = None,
        alias: str | None = None,
        sample_ratio: float = 1.0,
        description: str | None = None,
    ) -> Self:
        checked = [dict(arguments.instance("tasks", task, Mapping, "a list of dicts")) for task in tasks]
        content = {"tasks": checked}
        return super().__new__(
            cls, _text("agent", space, name, version, uid, alias, sample_ratio, description, content)
        )

    @property
    def tasks(self) -> tuple[Mapping[str, Any], ...]:
        """What is evaluated."""
        return tuple(self.to_dict()["tasks"])


_KINDS: dict[str, type[Profile]] = {
    "spc": SpcProfile,
    "psi": PsiProfile,
    "custom": CustomProfile,
    "agent": AgentProfile,
}
