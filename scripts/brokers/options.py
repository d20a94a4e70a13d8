"""What the command line says about one broker."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Options:
    """Where a broker listens, what it holds and whom it lets in."""

    port: int
    data: Path
    partitions: int = 3
    topics: dict[str, int] = field(default_factory=dict)
    auto_create: bool = True
    message_bytes: int | None = None
    sasl: str | None = None
    memory_alarm: bool = False
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_ca: Path | None = None

    def secret(self) -> str:
        """The password of the broker's user: made up once, and kept with the data, which remember it."""
        place = self.data / "password"
        if not place.exists():
            place.write_text(secrets.token_hex(12))
        return place.read_text()
