"""What Scouter raises. Every class is also one of Python's own, so that an ``except ValueError`` catches it too.

Recording and exporting spans never raises; these come from set-up and from reading traces back.
"""

__all__ = [
    "ConfigError",
    "ConfigTypeError",
    "ConnectionFailedError",
    "NotFoundError",
    "ProfileNotFoundError",
    "ScouterError",
    "ServerError",
    "TimeoutExceededError",
    "UnknownAliasError",
]


class ScouterError(Exception):
    """The base of all errors of this package."""


class ConfigError(ScouterError, ValueError):
    """An argument or an environment variable has a value that cannot work."""


class ConfigTypeError(ScouterError, TypeError):
    """An argument is of the wrong type, or is not known."""


class ProfileNotFoundError(ConfigError, FileNotFoundError):
    """There is no file of this name."""


class UnknownAliasError(ScouterError, KeyError):
    """No queue has this alias."""

    def __str__(self) -> str:
        # `KeyError` would show the message in quotes.
        return Exception.__str__(self)


class ServerError(ScouterError, RuntimeError):
    """The server refused the question, or failed."""


class ConnectionFailedError(ScouterError, ConnectionError):
    """Nothing answers at the server's address."""


class NotFoundError(ScouterError, LookupError):
    """The server does not have what was asked for."""


class TimeoutExceededError(ScouterError, TimeoutError):
    """The answer did not come in time."""
