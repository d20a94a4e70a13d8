"""What a profile says about each feature and each metric, and how features are told by example."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args, get_origin

from .. import arguments
from ..errors import ConfigError, ConfigTypeError
from .native import Features

__all__ = ["FeatureSpec", "MetricSpec", "feature_list", "metric_list"]

FeatureType: TypeAlias = Literal["int", "float", "text", "bool"]
_TYPES: dict[object, FeatureType] = {bool: "bool", int: "int", float: "float", str: "text"}
_NAMES: dict[str, FeatureType] = {
    "int": "int",
    "integer": "int",
    "float": "float",
    "number": "float",
    "text": "text",
    "str": "text",
    "string": "text",
    "bool": "bool",
    "boolean": "bool",
}


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """A feature of the records of a profile.

    Args:
        name: Its name.
        type: What its values are: ``int``, ``float``, ``text`` or ``bool``, or the Python type.
        required: Whether every record has it.
        description: What it means, for people.
        limits: For ``spc``: the centre, the lower and the upper control limit.
        bins: For ``psi``: the inner edges of the bins, rising.
        categories: For ``psi``: the categories of a text.
    """

    name: str
    type: str | type
    required: bool = True
    description: str | None = None
    limits: tuple[float, float, float] | None = None
    bins: Sequence[float] | None = None
    categories: Sequence[str] | None = None

    def _json(self) -> dict[str, Any]:
        limits = None
        if self.limits is not None:
            if len(self.limits) != 3:
                raise ConfigError(f"limits of {self.name!r} has {len(self.limits)} values: give center, lower, upper")
            limits = dict(zip(("center", "lower", "upper"), self.limits, strict=True))
        told = {
            "name": self.name,
            "type": _declared(self.name, self.type),
            "required": None if self.required is True else self.required,
            "description": self.description,
            "limits": limits,
            "bins": None if self.bins is None else list(self.bins),
            "categories": None if self.categories is None else list(self.categories),
        }
        return {key: value for key, value in told.items() if value is not None}


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """A metric of the records of a profile.

    Args:
        name: Its name.
        description: What it means, for people.
        baseline: What its values are compared with.
    """

    name: str
    description: str | None = None
    baseline: float | None = None

    def _json(self) -> dict[str, Any]:
        told = {"name": self.name, "description": self.description, "baseline": self.baseline}
        return {key: value for key, value in told.items() if value is not None}


def feature_list(given: object) -> list[dict[str, Any]]:
    """The features that somebody has described in one of these ways.

    A list of :class:`FeatureSpec`; a dict from names to types, to examples, or to columns of examples; a class with
    annotations, such as a pydantic model or a dataclass; a data frame, whose columns have types; an example record.

    Raises:
        ConfigTypeError: it is nothing of these, or a type cannot be told.
    """
    if isinstance(given, type):
        return [_from_annotation(name, kind) for name, kind in _annotations(given).items()]
    if hasattr(given, "model_dump") and hasattr(type(given), "model_fields"):
        given = given.model_dump()
    elif isinstance(given, Features):
        given = given.to_dict()
    if isinstance(given, Mapping):
        return [
            spec._json() if isinstance(spec, FeatureSpec) else {"name": name, "type": _declared(name, spec)}
            for name, spec in given.items()
        ]
    columns = getattr(given, "columns", None)
    if columns is not None:
        return [{"name": str(name), "type": _column(str(name), given[name])} for name in columns]  # type: ignore[index]
    if isinstance(given, Iterable) and not isinstance(given, (str, bytes)):
        return [arguments.instance("features", spec, FeatureSpec, "a list of FeatureSpec")._json() for spec in given]
    raise ConfigTypeError(
        f"features must be a dict of names with types or examples, or a list of FeatureSpec, not {type(given).__name__}"
    )


def metric_list(given: object) -> list[dict[str, Any]]:
    """The metrics of a list of names or of :class:`MetricSpec`, or of a dict from names to baselines.

    Raises:
        ConfigTypeError: it is nothing of these.
    """
    if isinstance(given, Mapping):
        return [MetricSpec(name, baseline=baseline)._json() for name, baseline in given.items()]
    if isinstance(given, Iterable) and not isinstance(given, (str, bytes)):
        return [
            MetricSpec(spec)._json()
            if isinstance(spec, str)
            else arguments.instance("metrics", spec, MetricSpec, "a list of names or of MetricSpec")._json()
            for spec in given
        ]
    raise ConfigTypeError(f"metrics must be a list of names, or of MetricSpec, not {type(given).__name__}")


def _declared(name: object, kind: object) -> FeatureType:
    """The type that a type, its name, an example, or a column of examples tells."""
    if isinstance(kind, type):
        for known, told in _TYPES.items():
            if issubclass(kind, known):  # type: ignore[arg-type]
                return told
        raise _untold(name, f"the class {kind.__name__}")
    if isinstance(kind, str) and kind.lower() in _NAMES:
        return _NAMES[kind.lower()]
    return _of_example(name, kind)


def _of_example(name: object, value: object) -> FeatureType:
    if isinstance(value, (bool, str)) or hasattr(value, "__index__") or hasattr(value, "__float__"):
        told = _of_scalar(value)
        if told is not None:
            return told
    if hasattr(value, "dtype") or (isinstance(value, Sequence) and not isinstance(value, (str, bytes))):
        return _column(name, value)
    raise _untold(name, f"a value of type {type(value).__name__}")


def _of_scalar(value: object) -> FeatureType | None:
    if hasattr(value, "dtype") and getattr(value, "shape", None) not in ((), None):
        return None
    if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):
        return "bool"
    if isinstance(value, str):
        return "text"
    if isinstance(value, numbers.Integral):
        return "int"
    if isinstance(value, numbers.Number) or hasattr(value, "__float__"):
        return "float"
    return None


def _column(name: object, values: Any) -> FeatureType:
    """The type of a column: what its `dtype` says, else what all its values are."""
    kind = str(getattr(values, "dtype", "")).lower()
    for beginnings, told in (
        (("int", "uint"), "int"),
        (("float", "decimal"), "float"),
        (("bool",), "bool"),
        (("str", "utf8", "category", "categorical", "enum"), "text"),
    ):
        if kind.startswith(beginnings):
            return told  # type: ignore[return-value]
    told_of = {_of_scalar(value) for value in values if value is not None}
    if told_of == {"int", "float"}:
        return "float"
    if len(told_of) == 1 and None not in told_of:
        return told_of.pop()  # type: ignore[return-value]
    raise _untold(name, "a column of nothing" if not told_of else "a column of several types")


def _annotations(given: type) -> dict[str, Any]:
    fields = getattr(given, "model_fields", None)
    if fields is not None:
        return {name: field.annotation for name, field in fields.items()}
    from typing import get_type_hints

    hints = get_type_hints(given)
    if not hints:
        raise ConfigTypeError(f"features is the class {given.__name__}, which has no annotations: give a dict")
    return hints


def _from_annotation(name: str, annotation: Any) -> dict[str, Any]:
    """`int | None` is an integer that a record may be without."""
    choices = get_args(annotation) if get_origin(annotation) is not None else (annotation,)
    without = type(None) in choices
    kinds = {_declared(name, choice) for choice in choices if choice is not type(None)}
    if kinds == {"int", "float"}:
        kinds = {"float"}
    if len(kinds) != 1:
        raise _untold(name, str(annotation))
    spec: dict[str, Any] = {"name": name, "type": kinds.pop()}
    return {**spec, "required": False} if without else spec


def _untold(name: object, what: str) -> ConfigTypeError:
    return ConfigTypeError(f"feature {name!r} is {what}: give int, float, str or bool, or an example of one")
