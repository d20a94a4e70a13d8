"""Checks for arguments: each names the argument, what it was, and what would work."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import urlsplit

from .errors import ConfigError, ConfigTypeError

T = TypeVar("T")

# RFC 9110, sections 5.1 and 5.5.
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*")


def instance(name: str, value: object, kind: type[T] | tuple[type[T], ...], expected: str) -> T:
    """The value, which must be of one of these types."""
    if not isinstance(value, kind):
        raise ConfigTypeError(f"{name} must be {expected}, not {type(value).__name__}")
    return value


def text(name: str, value: object) -> str:
    """A text that is not empty."""
    checked = instance(name, value, str, "a str")
    if not checked.strip():
        raise ConfigError(f"{name} is empty: give a text, or leave it out")
    try:
        checked.encode()
    except UnicodeEncodeError as error:
        # The error holds the text, which may be a secret.
        raise ConfigError(f"{name} has half of a surrogate pair at position {error.start}: remove it") from None
    return checked


def secret(name: str, value: object) -> str:
    """As :func:`text`, for what must not appear in an error."""
    checked = text(name, value)
    if not _HEADER_VALUE.fullmatch(checked):
        raise ConfigError(f"{name} has a character that cannot stand in a header, such as a line break: remove it")
    return checked


def number(name: str, value: object, *, least: float, most: float = math.inf, what: str) -> float:
    """A finite number within bounds. ``True`` is not a number here."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigTypeError(f"{name} must be a number, {what}, not {type(value).__name__}")
    if not math.isfinite(value) or not least <= value <= most:
        raise ConfigError(f"{name} is {value}: give {what}")
    return float(value)


def ratio(name: str, value: object) -> float:
    """A number from 0 to 1."""
    return number(name, value, least=0.0, most=1.0, what="from 0.0 (none) to 1.0 (all)")


def count(name: str, value: object, *, least: int = 1, most: int = 2**31 - 1) -> int:
    """A whole number within bounds."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigTypeError(f"{name} must be an int, not {type(value).__name__}")
    if not least <= value <= most:
        raise ConfigError(f"{name} is {value}: give a whole number from {least} to {most}")
    return value


def seconds(name: str, value: object) -> float:
    """A time span in seconds, more than none and at most a day."""
    return number(name, value, least=0.001, most=86_400.0, what="seconds, from 0.001 to 86400")


def flag(name: str, value: object) -> bool:
    """``True`` or ``False``."""
    return instance(name, value, bool, "True or False")


def file(name: str, value: object) -> str:
    """The path of a file that is there."""
    if not isinstance(value, (str, os.PathLike)):
        raise ConfigTypeError(f"{name} must be a path, not {type(value).__name__}")
    path = os.fsdecode(os.fspath(value))
    if not os.path.isfile(path):
        raise ConfigError(f"{name} names {path}, which is not a file: give the path of a PEM file")
    return path


def headers(name: str, value: object) -> dict[str, str]:
    """Header names and values that HTTP and gRPC can carry. The values may be secrets and stay out of errors."""
    if not isinstance(value, Mapping):
        raise ConfigTypeError(f"{name} must be a dict of header names and values, not {type(value).__name__}")
    checked: dict[str, str] = {}
    for key, content in value.items():
        if not isinstance(key, str) or not isinstance(content, str):
            raise ConfigTypeError(f"{name} must map str to str, not {type(key).__name__} to {type(content).__name__}")
        if not _HEADER_NAME.fullmatch(key):
            raise ConfigError(f"{name} has the name {key!r}: give letters, digits and dashes only")
        if not _HEADER_VALUE.fullmatch(content):
            raise ConfigError(f"{name} has a value for {key!r} with a character that cannot stand in a header")
        checked[key] = content
    return checked


def url(name: str, value: object) -> str:
    """An ``http`` or ``https`` address. What may be a password in it stays out of errors."""
    given = text(name, value).strip()
    shown = shown_url(given)
    scheme, separator, _ = given.partition("://")
    if not separator:
        raise ConfigError(f"{name} is {shown!r}: begin it with http:// or https://")
    if scheme.lower() not in ("http", "https"):
        raise ConfigError(f"{name} is {shown!r}: its scheme must be http or https")
    if re.search(r"[\x00-\x20\x7f]", given):
        raise ConfigError(f"{name} is {shown!r}: it has a blank or control character: percent-encode it")
    try:
        parts = urlsplit(given)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ConfigError(f"{name} is {shown!r}: its host or port cannot be used") from None
    if not host:
        raise ConfigError(f"{name} is {shown!r}: it has no host: write it like http://localhost:8000")
    if port == 0:
        raise ConfigError(f"{name} is {shown!r}: its port is not from 1 to 65535")
    return given


def shown_url(address: str) -> str:
    """The part of an address that cannot hold a credential."""
    scheme, separator, rest = address.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        scheme, separator, rest = "", "", address
    rest = rest.rpartition("@")[2]
    return scheme + separator + re.split(r"[?#]", rest, maxsplit=1)[0]


def attributes(name: str, value: object) -> dict[str, object]:
    """Attributes: names that are texts, and any values."""
    if not isinstance(value, Mapping):
        raise ConfigTypeError(f"{name} must be a dict of attribute names and values, not {type(value).__name__}")
    for key in value:
        if not isinstance(key, str) or not key:
            raise ConfigTypeError(f"{name} has the key {key!r}: attribute names are texts that are not empty")
    return dict(value)
