"""The queue of a program: profiles by alias, and the pipeline behind them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

from opentelemetry import trace
from typing_extensions import Self

from .. import _scouter, arguments, transport
from ..batch import BatchConfig
from ..errors import ConfigError, ConfigTypeError
from ..records import Record, read_records
from ..tracing import at_exit, resources
from .profiles import Profile

if TYPE_CHECKING:
    from ..tracing.resources import ResourceLike
    from ..transport import TransportConfig

__all__ = ["ScouterQueue"]

FilePath: TypeAlias = str | PathLike[str]

CAPTURE_LIMIT = 100_000
"""How many records are kept where nobody says."""

_FLUSH_DEADLINE = at_exit.FLUSH_DEADLINE_MILLIS / 1000


class ScouterQueue(_scouter.ScouterQueue):
    """Takes records by the aliases of their profiles, checks them, and sends them in the background.

    Example::

        queue = ScouterQueue.from_path({"basket": Path("basket.json")}, transport_config=GrpcConfig())
        queue["basket"].insert(Metrics({"cost": 12.5}))
        queue.shutdown()

    A record that is inserted inside a span belongs to it; of a span that is not sampled, none is kept. A record that does
    not fit its profile raises nothing: it is counted as rejected, with a warning that says what was wrong.

    A queue is also a context manager, with ``with`` and ``async with``, which shuts it down. What is still waiting at the end of the process is sent, within
    a deadline. A process that comes from a fork sends by itself.
    """

    def __new__(
        cls,
        profiles: Mapping[str, Profile] | Iterable[Profile] | Profile,
        transport_config: TransportConfig | None = None,
        batch_config: BatchConfig | None = None,
        service_name: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        *,
        resource: ResourceLike | Mapping[str, Any] | None = None,
    ) -> Self:
        """A queue of profiles; see :meth:`from_profile`."""
        settings: dict[str, Any] = {}
        if transport_config is not None:
            settings["transport"] = transport.described(transport_config)
        if batch_config is not None:
            settings["batch"] = arguments.instance(
                "batch_config", batch_config, BatchConfig, "a BatchConfig"
            )._settings()
        described, schema_url = resources.gather(resource)
        described = {**_of_the_program(), **described}
        if attributes is not None:
            described.update(arguments.attributes("attributes", attributes))
        name = described.pop("service.name", None) if service_name is None else service_name
        if name is not None:
            settings["service_name"] = arguments.text("service_name", name)
        described.pop("service.name", None)
        if described:
            settings["resource"] = described
        if schema_url:
            settings["resource_schema_url"] = schema_url
        queue = super().__new__(cls, _by_alias(profiles), settings)
        at_exit.arrange()
        return queue

    @classmethod
    def from_profile(
        cls,
        profile: Mapping[str, Profile] | Iterable[Profile] | Profile,
        transport_config: TransportConfig | None = None,
        batch_config: BatchConfig | None = None,
        service_name: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        *,
        resource: ResourceLike | Mapping[str, Any] | None = None,
    ) -> Self:
        """A queue of one profile, or of several.

        Args:
            profile: A profile or a list of them, each under its own alias, or a dict from aliases to profiles.
            transport_config: How records get to Scouter; HTTP to ``http://localhost:8000`` by default.
            batch_config: How records are gathered before they are sent.
            service_name: The service that inserts them.
            attributes: What describes the process, such as ``service.version``.
            resource: The same as a dict, or as an OpenTelemetry ``Resource``. What is left out of all three is taken from
                the tracer provider, if Scouter is instrumented.

        Raises:
            ConfigError: an argument has a value that cannot work.
            ConfigTypeError: an argument is of the wrong type.
        """
        return cls(profile, transport_config, batch_config, service_name, attributes, resource=resource)

    @classmethod
    def from_path(
        cls,
        path: Mapping[str, FilePath] | Iterable[FilePath] | FilePath,
        transport_config: TransportConfig | None = None,
        batch_config: BatchConfig | None = None,
        service_name: str | None = None,
        attributes: Mapping[str, Any] | None = None,
        *,
        resource: ResourceLike | Mapping[str, Any] | None = None,
    ) -> Self:
        """A queue of the profiles in files.

        Args:
            path: A file or a list of them, each under the alias that stands in it, or a dict from aliases to files.
            transport_config, batch_config, service_name, attributes, resource: As for :meth:`from_profile`.

        Raises:
            ProfileNotFoundError: there is no such file.
            ConfigError: a file is no profile, with the place of what is wrong; or an argument has a value that cannot work.
            ConfigTypeError: an argument is of the wrong type.
        """
        profiles: Mapping[str, Profile] | list[Profile]
        if isinstance(path, Mapping):
            profiles = {alias: Profile.load(file) for alias, file in path.items()}
        elif isinstance(path, (str, os.PathLike)):
            profiles = [Profile.load(path)]
        elif isinstance(path, Iterable):
            profiles = [Profile.load(file) for file in path]
        else:
            raise ConfigTypeError(f"path must be a path, or a dict of aliases and paths, not {type(path).__name__}")
        return cls(profiles, transport_config, batch_config, service_name, attributes, resource=resource)

    def __iter__(self) -> Iterator[str]:
        return iter(self.aliases)

    def flush(self, timeout: float = 30.0) -> bool:
        """Sends what was inserted before this call; false when that did not succeed within so many seconds.

        Raises:
            ConfigError: the timeout is negative.
        """
        return self._flush(_millis(timeout))

    def shutdown(self, timeout: float = _FLUSH_DEADLINE) -> bool:
        """Flushes, and takes no records from then on; false when that did not succeed within so many seconds. A second call
        changes nothing.

        Raises:
            ConfigError: the timeout is negative.
        """
        return self._shutdown(_millis(timeout))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.shutdown()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Elsewhere, so that the other tasks of the loop go on.
        await asyncio.to_thread(self.shutdown)

    def enable_capture(self, limit: int = CAPTURE_LIMIT) -> None:
        """Keeps a copy of every record that is accepted from now on, beside sending it: for tests.

        When there are ``limit`` copies, further ones are left out and counted in ``stats()["capture"]``.

        Raises:
            ConfigError: the limit is below 1.
        """
        self._enable_capture(arguments.count("limit", limit))

    def drain_records(self) -> list[Record]:
        """Takes the copies out: of every record that was inserted before this call."""
        return read_records(self._drain())

    def __repr__(self) -> str:
        return f"ScouterQueue({self.aliases})"


def _of_the_program() -> dict[str, Any]:
    """What describes the process, as the tracer provider knows it."""
    provider = trace.get_tracer_provider()
    if not isinstance(provider, _scouter.TracerProvider):
        return {}
    found = provider.resource.attributes
    return {key: value for key, value in found.items() if not key.startswith("telemetry.")}


def _by_alias(profiles: object) -> list[tuple[str, _scouter.Profile]]:
    if isinstance(profiles, Mapping):
        named = [(arguments.text("alias", alias), profile) for alias, profile in profiles.items()]
    elif isinstance(profiles, _scouter.Profile):
        named = [(profiles.alias, profiles)]
    elif isinstance(profiles, Iterable) and not isinstance(profiles, (str, bytes)):
        named = [(_profile(profile).alias, profile) for profile in profiles]
    else:
        raise ConfigTypeError(f"profile must be a Profile, or a dict or list of them, not {type(profiles).__name__}")
    return [(alias, _profile(profile)) for alias, profile in named]


def _profile(given: object) -> _scouter.Profile:
    if isinstance(given, (str, os.PathLike)):
        raise ConfigTypeError("profile is a path: use ScouterQueue.from_path(...)")
    return arguments.instance("profile", given, _scouter.Profile, "a Profile")


def _millis(timeout: float) -> int:
    seconds = arguments.number("timeout", timeout, least=0.0, what="seconds, 0 or more")
    if seconds > 2**31:
        raise ConfigError(f"timeout is {timeout}: give seconds, at most {2**31}")
    return int(seconds * 1000)
