"""How spans and records get to the Scouter server: :class:`HttpConfig`, :class:`GrpcConfig`, through a broker
:class:`KafkaConfig` and :class:`RabbitMQConfig`, and :class:`MockConfig` for tests.

Each checks its arguments when it is made. Passwords, tokens and header values never appear in a ``repr`` or an error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from .brokers import KafkaConfig, RabbitMQConfig
from .errors import ConfigTypeError
from .network import CompressionType, Destination

if TYPE_CHECKING:
    from ._scouter import MemoryTransport

__all__ = [
    "CompressionType",
    "GrpcConfig",
    "HttpConfig",
    "KafkaConfig",
    "MockConfig",
    "RabbitMQConfig",
    "TransportConfig",
]


@dataclass(frozen=True, slots=True, init=False, repr=False)
class _ServerConfig(Destination):
    """What is the same for every protocol; the classes below say which one."""

    _kind: ClassVar[str]

    uri: str | None = None

    def __init__(
        self,
        uri: str | None = None,
        username: str | None = None,
        password: str | None = None,
        auth_token: str | None = None,
        headers: Mapping[str, str] | None = None,
        compression: CompressionType | str | None = None,
        timeout: float | None = None,
        ca_file: str | PathLike[str] | None = None,
        certificate_file: str | PathLike[str] | None = None,
        key_file: str | PathLike[str] | None = None,
    ) -> None:
        object.__setattr__(self, "uri", uri)
        Destination.__init__(
            self, username, password, auth_token, headers, compression, timeout, ca_file, certificate_file, key_file
        )

    def _transport(self) -> dict[str, Any]:
        return self._settings(self._kind, self.uri)


@dataclass(frozen=True, slots=True, init=False, repr=False)
class HttpConfig(_ServerConfig):
    """Sends over HTTP.

    Args:
        uri: The server's address. Left out: ``SCOUTER_SERVER_URI``, else ``http://localhost:8000``. Without a path,
            ``/v1/traces`` is appended.
        username: For basic authentication, with ``password``.
        password: For basic authentication, with ``username``.
        auth_token: Sent as ``Authorization: Bearer …``.
        headers: Sent with every request.
        compression: How requests are compressed.
        timeout: How long one request may take, in seconds.
        ca_file: A PEM file with the authorities to trust instead of the system's.
        certificate_file: A PEM file with the client's certificate, with ``key_file``.
        key_file: A PEM file with the key of the client's certificate.
    """

    _kind: ClassVar[str] = "http"


@dataclass(frozen=True, slots=True, init=False, repr=False)
class GrpcConfig(_ServerConfig):
    """Sends over gRPC.

    Args:
        uri: The server's address. Left out: ``SCOUTER_SERVER_URI``, else ``http://localhost:8000``; the server takes both
            protocols on one port.
        username: For basic authentication, with ``password``.
        password: For basic authentication, with ``username``.
        auth_token: Sent as ``authorization: Bearer …``.
        headers: Sent as metadata with every request.
        compression: How requests are compressed.
        timeout: How long one request may take, in seconds.
        ca_file: A PEM file with the authorities to trust instead of the system's.
        certificate_file: A PEM file with the client's certificate, with ``key_file``.
        key_file: A PEM file with the key of the client's certificate.
    """

    _kind: ClassVar[str] = "grpc"


@dataclass(frozen=True, slots=True, eq=False)
class MockConfig:
    """Keeps what would be sent in memory, for tests. Flush before looking.

    Example::

        kept = MockConfig()
        tracer = init_tracer(service_name="test", transport_config=kept)
        with tracer.start_as_current_span("work"):
            pass
        flush_tracer()
        assert [span["name"] for span in kept.spans] == ["work"]
    """

    _memory: MemoryTransport = field(init=False, repr=False)

    def __post_init__(self) -> None:
        from ._scouter import MemoryTransport

        object.__setattr__(self, "_memory", MemoryTransport())

    @property
    def spans(self) -> list[dict[str, Any]]:
        """The spans that were sent, decoded, in the order they were sent."""
        return self._memory.spans()

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records that were sent, decoded, in the order they were sent."""
        records: list[dict[str, Any]] = json.loads(self._memory.records())
        return records

    @property
    def requests(self) -> list[bytes]:
        """What was sent of spans: one OTLP ``ExportTraceServiceRequest`` each."""
        return self._memory.requests

    @property
    def record_requests(self) -> list[bytes]:
        """What was sent of records: one OTLP ``ExportLogsServiceRequest`` each."""
        return self._memory.record_requests

    def clear(self) -> None:
        """Forgets what was sent so far."""
        self._memory.clear()

    def _transport(self) -> dict[str, Any]:
        return {"kind": "memory", "memory": self._memory}


TransportConfig: TypeAlias = HttpConfig | GrpcConfig | KafkaConfig | RabbitMQConfig | MockConfig
"""What ``transport_config`` may be."""

CHOICES = (HttpConfig, GrpcConfig, KafkaConfig, RabbitMQConfig, MockConfig)
"""The same, to be looked up at run time."""


def described(given: object) -> dict[str, Any]:
    """The settings that a ``transport_config`` stands for.

    Raises:
        ConfigTypeError: it is none.
    """
    if not isinstance(given, CHOICES):
        words = f"is the class {given.__name__}" if isinstance(given, type) else f"is of type {type(given).__name__}"
        names = [choice.__name__ for choice in CHOICES]
        raise ConfigTypeError(f"transport_config {words}: give {', '.join(names[:-1])} or {names[-1]}")
    return given._transport()
