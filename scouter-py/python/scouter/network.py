"""What every configuration of a network destination has in common: checks when it is made, and secrets out of sight."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import Enum
from os import PathLike
from typing import Any, ClassVar

from . import arguments
from .errors import ConfigError, ConfigTypeError

__all__ = ["CompressionType", "Destination"]


class CompressionType(Enum):
    """How what is sent is compressed. HTTP and gRPC know none and gzip, Kafka all of these."""

    NONE = "none"
    GZIP = "gzip"
    SNAPPY = "snappy"
    LZ4 = "lz4"
    NoCompression = NONE
    Gzip = GZIP
    Snappy = SNAPPY
    Lz4 = LZ4

    @classmethod
    def from_argument(cls, name: str, value: object) -> CompressionType:
        """The member that an argument names, by itself or by its value."""
        if isinstance(value, CompressionType):
            return value
        if not isinstance(value, str):
            raise ConfigTypeError(f"{name} must be a CompressionType, not {type(value).__name__}")
        try:
            return cls(value.lower())
        except ValueError:
            choices = ", ".join(repr(member.value) for member in cls)
            raise ConfigError(f"{name} is {value!r}: give one of {choices}") from None


def _compression(name: str, value: object) -> CompressionType:
    """One that HTTP and gRPC know."""
    chosen = CompressionType.from_argument(name, value)
    if chosen not in (CompressionType.NONE, CompressionType.GZIP):
        raise ConfigError(f"{name} is {chosen.value!r}, which only Kafka knows: give 'none' or 'gzip'")
    return chosen


@dataclass(frozen=True, slots=True, repr=False)
class Destination:
    """How to talk to what receives spans; the address stands in the classes built on this one.

    Args:
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

    username: str | None = None
    password: str | None = None
    auth_token: str | None = None
    headers: Mapping[str, str] | None = None
    compression: CompressionType | str | None = None
    timeout: float | None = None
    ca_file: str | PathLike[str] | None = None
    certificate_file: str | PathLike[str] | None = None
    key_file: str | PathLike[str] | None = None

    _CHECKS: ClassVar[Mapping[str, Callable[[str, object], object]]] = {
        "uri": arguments.url,
        "endpoint": arguments.url,
        "username": arguments.secret,
        "password": arguments.secret,
        "auth_token": arguments.secret,
        "headers": arguments.headers,
        "compression": _compression,
        "timeout": arguments.seconds,
        "ca_file": arguments.file,
        "certificate_file": arguments.file,
        "key_file": arguments.file,
    }

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                object.__setattr__(self, field.name, self._CHECKS[field.name](field.name, value))
        if (self.username is None) != (self.password is None):
            raise ConfigError("username and password go together: give both, or neither")
        if self.username is not None and self.auth_token is not None:
            raise ConfigError("auth_token and username exclude each other: give one of the two")
        if (self.certificate_file is None) != (self.key_file is None):
            raise ConfigError("certificate_file and key_file go together: give both, or neither")

    def __repr__(self) -> str:
        given = [(field.name, getattr(self, field.name)) for field in fields(self)]
        given.sort(key=lambda pair: pair[0] not in ("uri", "endpoint"))
        shown = [f"{name}={_shown(name, value)}" for name, value in given if value is not None]
        return f"{type(self).__name__}({', '.join(shown)})"

    def _settings(self, kind: str, address: str | None) -> dict[str, Any]:
        compression = self.compression
        return {
            "kind": kind,
            "uri": address,
            "headers": dict(self.headers or {}),
            "username": self.username,
            "password": self.password,
            "token": self.auth_token,
            "compression": compression.value if isinstance(compression, CompressionType) else None,
            "timeout": self.timeout,
            "ca_file": self.ca_file,
            "certificate_file": self.certificate_file,
            "key_file": self.key_file,
        }


def _shown(name: str, value: Any) -> str:
    """An argument as a ``repr`` may show it."""
    if name in ("username", "password", "auth_token"):
        return "'***'"
    if name == "headers":
        return repr(dict.fromkeys(value, "***"))
    if name in ("uri", "endpoint"):
        return repr(arguments.shown_url(value))
    return str(value) if isinstance(value, Enum) else repr(value)
