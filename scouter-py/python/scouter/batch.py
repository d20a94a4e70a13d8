"""How spans are gathered before they are sent."""

from __future__ import annotations

from dataclasses import dataclass, fields

from . import arguments
from .errors import ConfigError

__all__ = ["BatchConfig"]


@dataclass(frozen=True, slots=True)
class BatchConfig:
    """How spans are gathered before they are sent. What is left out comes from the ``OTEL_BSP_*`` variables, else from
    Scouter's defaults.

    Args:
        max_queue_size: How many finished spans may wait; further ones are dropped and counted.
        scheduled_delay_ms: How long a span waits at most for its batch to fill, in milliseconds.
        max_export_batch_size: How many spans go into a batch; a full one is sent at once.
        export_timeout_ms: How long one request may take, in milliseconds. One that takes longer is tried again.
        max_queue_bytes: How many bytes of finished spans may wait.
        max_concurrent_exports: How many batches may be on their way to one destination at the same time.
    """

    max_queue_size: int | None = None
    scheduled_delay_ms: int | None = None
    max_export_batch_size: int | None = None
    export_timeout_ms: int | None = None
    max_queue_bytes: int | None = None
    max_concurrent_exports: int | None = None

    def __post_init__(self) -> None:
        for name, value in self._settings().items():
            arguments.count(name, value, least=0 if name == "scheduled_delay_ms" else 1, most=2**40)
        size, batch = self.max_queue_size, self.max_export_batch_size
        if size is not None and batch is not None and batch > size:
            raise ConfigError(
                f"max_export_batch_size is {batch}, more than the {size} of max_queue_size: lower it, or raise that"
            )

    def _settings(self) -> dict[str, int]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}
