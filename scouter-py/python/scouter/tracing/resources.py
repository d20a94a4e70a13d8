"""What describes the process: given in code, or found by resource detectors."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any, Protocol, runtime_checkable

from .. import arguments
from . import plugins

__all__ = ["ResourceLike", "gather"]

_DETECTORS = "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS"
_GROUP = "opentelemetry_resource_detector"
# What this one finds is read without the SDK.
_BUILT_IN = "otel"

_logger = logging.getLogger("scouter")


@runtime_checkable
class ResourceLike(Protocol):
    """A resource as the OpenTelemetry SDK makes them."""

    @property
    def attributes(self) -> Mapping[str, Any]:
        """What describes the process."""

    @property
    def schema_url(self) -> str:
        """Where the attribute names are defined."""


@runtime_checkable
class ResourceDetectorLike(Protocol):
    """A resource detector as the OpenTelemetry SDK has them."""

    def detect(self) -> ResourceLike:
        """What it finds out about the process."""


def gather(given: ResourceLike | Mapping[str, Any] | None) -> tuple[dict[str, Any], str]:
    """The attributes that detectors find and code gives, and the schema URL; what code gives wins.

    Of different schema URLs the later one counts, with a warning, as its attributes do.
    """
    found: dict[str, Any] = {}
    schema_url = ""
    described_elsewhere = _described_by_variables()
    for resource in _detected():
        found.update((key, value) for key, value in resource.attributes.items() if key not in described_elsewhere)
        schema_url = _merged(schema_url, resource.schema_url)
    if isinstance(given, Mapping):
        found.update(arguments.attributes("resource", given))
    elif given is not None:
        if not isinstance(given, ResourceLike):
            raise plugins.wrong("resource", given, "opentelemetry.sdk.resources.Resource, or a dict")
        found.update(arguments.attributes("resource", given.attributes))
        schema_url = _merged(schema_url, given.schema_url)
    return found, schema_url


def _merged(before: str, url: str | None) -> str:
    if before and url and before != url:
        _logger.warning("resources with the schema URLs %s and %s were merged; the second one counts", before, url)
    return url or before


def _described_by_variables() -> set[str]:
    """The keys that the variables set. They stand above what detectors find."""
    pairs = plugins.variable("OTEL_RESOURCE_ATTRIBUTES").split(",")
    keys = {key.strip() for key, separator, _ in (pair.partition("=") for pair in pairs) if separator}
    return keys | ({"service.name"} if plugins.variable("OTEL_SERVICE_NAME") else set())


def _detected() -> Iterator[ResourceLike]:
    names = [name.strip() for name in plugins.variable(_DETECTORS).split(",")]
    if "*" in names:
        others = sorted({entry.name for entry in entry_points(group=_GROUP)} - set(names))
        at = names.index("*")
        names[at : at + 1] = others
    for name in dict.fromkeys(names):
        if not name or name == _BUILT_IN:
            continue
        detector = plugins.named(ResourceDetectorLike, _GROUP, _DETECTORS, name)  # type: ignore[type-abstract]
        if detector is None:
            continue
        try:
            resource: object = detector.detect()
        except Exception as error:
            if getattr(detector, "raise_on_error", False):
                raise
            _logger.warning("the resource detector %s failed, and was ignored: %r", name, error)
            continue
        if isinstance(resource, ResourceLike):
            yield resource
        else:
            _logger.warning("the resource detector %s found no resource, and was ignored", name)
