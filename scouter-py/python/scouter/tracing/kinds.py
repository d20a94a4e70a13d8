"""The kinds of spans, in both spellings."""

from __future__ import annotations

from typing import Final

from opentelemetry import trace

__all__ = ["SpanKind"]


class SpanKind:
    """What part a span plays in a conversation. The members are OpenTelemetry's own, so either class can be used."""

    Internal: Final = trace.SpanKind.INTERNAL
    """Work inside a program; the default."""
    Server: Final = trace.SpanKind.SERVER
    """Answering a remote request."""
    Client: Final = trace.SpanKind.CLIENT
    """Asking a remote service and waiting for its answer."""
    Producer: Final = trace.SpanKind.PRODUCER
    """Sending a message that someone takes later."""
    Consumer: Final = trace.SpanKind.CONSUMER
    """Taking such a message."""

    INTERNAL: Final = trace.SpanKind.INTERNAL
    SERVER: Final = trace.SpanKind.SERVER
    CLIENT: Final = trace.SpanKind.CLIENT
    PRODUCER: Final = trace.SpanKind.PRODUCER
    CONSUMER: Final = trace.SpanKind.CONSUMER
