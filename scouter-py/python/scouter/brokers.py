"""How to reach a message broker: :class:`KafkaConfig` and :class:`RabbitMQConfig`.

Each checks its arguments when it is made, together with the variables that fill in for those left out. User names,
passwords and the values of properties never appear in a ``repr`` or an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import Enum
from os import PathLike
from typing import Any, ClassVar

from . import arguments
from .errors import ConfigError, ConfigTypeError
from .network import CompressionType

__all__ = ["KafkaConfig", "RabbitMQConfig"]

_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_SECRETS = ("username", "password")


@dataclass(frozen=True, slots=True, repr=False)
class _Broker:
    """What is the same for every broker: checks, and secrets out of sight."""

    _kind: ClassVar[str]
    _CHECKS: ClassVar[Mapping[str, Callable[[str, object], object]]]

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                object.__setattr__(self, field.name, self._CHECKS[field.name](field.name, value))
        if (getattr(self, "certificate_file", None) is None) != (getattr(self, "key_file", None) is None):
            raise ConfigError("certificate_file and key_file go together: give both, or neither")
        self._check()
        from ._scouter import _check_transport

        try:
            _check_transport(self._transport())
        except ConfigError as error:
            raise ConfigError(f"{type(self).__name__}: {error}") from None

    def _check(self) -> None:
        """What else cannot work together."""

    def __repr__(self) -> str:
        given = ((field.name, getattr(self, field.name)) for field in fields(self))
        shown = [f"{name}={_shown(name, value)}" for name, value in given if value is not None]
        return f"{type(self).__name__}({', '.join(shown)})"

    def _transport(self) -> dict[str, Any]:
        settings = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            "kind": self._kind,
            **{name: value.value if isinstance(value, Enum) else value for name, value in settings.items()},
        }


@dataclass(frozen=True, slots=True, repr=False)
class KafkaConfig(_Broker):
    """Sends over Kafka: the spans of one trace to one partition, acknowledged by all replicas.

    What is left out comes from the variables ``SCOUTER_KAFKA_BROKERS``, ``_TOPIC``, ``_RECORDS_TOPIC``, ``_USERNAME``,
    ``_PASSWORD``, ``_SASL_MECHANISM`` and ``_SECURITY_PROTOCOL``, else from the defaults. An argument beats a variable.

    Args:
        brokers: ``host:port``, several separated by commas, or a list of them; ``localhost:9092`` by default.
        topic: Where spans go; ``otlp_spans`` by default.
        records_topic: Where records go; ``otlp_logs`` by default.
        username: The user (SASL), with ``password``.
        password: The user's password.
        sasl_mechanism: How they are shown: ``PLAIN`` (the default), ``SCRAM-SHA-256`` or ``SCRAM-SHA-512``.
        security_protocol: What the brokers speak: ``PLAINTEXT``, ``SSL``, ``SASL_PLAINTEXT`` or ``SASL_SSL``. Without it, a
            PEM file means TLS, and a user name means SASL.
        compression: How messages are compressed: none, gzip, snappy, or lz4, the default.
        timeout: How long a message may take until all replicas have it, in seconds; 10 by default.
        ca_file: A PEM file with the authorities to trust instead of the system's.
        certificate_file: A PEM file with the client's certificate, with ``key_file``.
        key_file: A PEM file with the key of the client's certificate.
        properties: Any other property of librdkafka by its own name. What Scouter promises cannot be changed by it.

    Raises:
        ConfigError: something has a value that cannot work.
        ConfigTypeError: an argument is of the wrong type.
    """

    _kind: ClassVar[str] = "kafka"

    brokers: str | list[str] | tuple[str, ...] | None = None
    topic: str | None = None
    records_topic: str | None = None
    username: str | None = None
    password: str | None = None
    sasl_mechanism: str | None = None
    security_protocol: str | None = None
    compression: CompressionType | str | None = None
    timeout: float | None = None
    ca_file: str | PathLike[str] | None = None
    certificate_file: str | PathLike[str] | None = None
    key_file: str | PathLike[str] | None = None
    properties: Mapping[str, str | int | float | bool] | None = None


@dataclass(frozen=True, slots=True, repr=False)
class RabbitMQConfig(_Broker):
    """Sends over RabbitMQ, or another broker of AMQP 0-9-1: persistent messages into durable queues, confirmed by the broker.

    What is left out comes from the variables ``SCOUTER_RABBITMQ_HOST``, ``_PORT``, ``_QUEUE``, ``_RECORDS_QUEUE``,
    ``_USERNAME``, ``_PASSWORD`` and ``_VHOST``, else from the defaults. An argument beats a variable.

    Args:
        host: The broker's name or address; ``localhost`` by default.
        port: 5672 by default, or 5671 with TLS.
        queue: Where spans go; ``otlp_spans`` by default. It is declared if it is not there.
        records_queue: Where records go; ``otlp_logs`` by default.
        username: Whom to log in as; ``guest`` by default.
        password: The user's password; ``guest`` by default.
        virtual_host: ``/`` by default.
        tls: Whether the way is encrypted. A PEM file means that it is.
        timeout: How long a message may take until it is confirmed, in seconds; 10 by default.
        ca_file: A PEM file with the authorities to trust instead of the system's.
        certificate_file: A PEM file with the client's certificate, with ``key_file``.
        key_file: A PEM file with the key of the client's certificate.

    Raises:
        ConfigError: something has a value that cannot work.
        ConfigTypeError: an argument is of the wrong type.
    """

    _kind: ClassVar[str] = "rabbitmq"

    host: str | None = None
    port: int | None = None
    queue: str | None = None
    records_queue: str | None = None
    username: str | None = None
    password: str | None = None
    virtual_host: str | None = None
    tls: bool | None = None
    timeout: float | None = None
    ca_file: str | PathLike[str] | None = None
    certificate_file: str | PathLike[str] | None = None
    key_file: str | PathLike[str] | None = None

    def _check(self) -> None:
        if self.tls is False and (self.ca_file or self.certificate_file):
            raise ConfigError("tls is False, but there are PEM files: leave one of the two out")


def _brokers(name: str, value: object) -> str:
    if isinstance(value, (list, tuple)):
        value = ",".join(arguments.text(name, broker) for broker in value)
    return arguments.text(name, value)


def _one_of(choices: tuple[str, ...]) -> Callable[[str, object], str]:
    def check(name: str, value: object) -> str:
        given = arguments.text(name, value).upper()
        if given not in choices:
            raise ConfigError(f"{name} is {value!r}: give one of {', '.join(choices)}")
        return given

    return check


def _word(name: str, value: object) -> str:
    """As :func:`arguments.text`, for what must not appear in an error."""
    return arguments.text(name, value)


def _properties(name: str, value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ConfigTypeError(f"{name} must be a dict of librdkafka's properties, not {type(value).__name__}")
    checked: dict[str, str] = {}
    for key, content in value.items():
        if not isinstance(key, str) or not isinstance(content, (str, int, float)):
            raise ConfigTypeError(
                f"{name} must map names to texts or numbers, not {type(key).__name__} to {type(content).__name__}"
            )
        checked[key] = str(content).lower() if isinstance(content, bool) else str(content)
    return checked


_FILES: dict[str, Callable[[str, object], object]] = dict.fromkeys(
    ("ca_file", "certificate_file", "key_file"), arguments.file
)
KafkaConfig._CHECKS = {
    "brokers": _brokers,
    "topic": arguments.text,
    "records_topic": arguments.text,
    "username": _word,
    "password": _word,
    "sasl_mechanism": _one_of(_MECHANISMS),
    "security_protocol": _one_of(_PROTOCOLS),
    "compression": CompressionType.from_argument,
    "timeout": arguments.seconds,
    "properties": _properties,
    **_FILES,
}
RabbitMQConfig._CHECKS = {
    "host": arguments.text,
    "port": lambda name, value: arguments.count(name, value, most=65_535),
    "queue": arguments.text,
    "records_queue": arguments.text,
    "username": _word,
    "password": _word,
    "virtual_host": arguments.text,
    "tls": arguments.flag,
    "timeout": arguments.seconds,
    **_FILES,
}


def _shown(name: str, value: Any) -> str:
    """An argument as a ``repr`` may show it."""
    if name in _SECRETS:
        return "'***'"
    if name == "properties":
        return repr(dict.fromkeys(value, "***"))
    if name == "brokers":
        # A user and a password may have been put in front of a host.
        return repr(",".join(broker.rpartition("@")[2] for broker in value.split(",")))
    return str(value) if isinstance(value, Enum) else repr(value)
