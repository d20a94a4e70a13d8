"""The binary trace context of OpenCensus, which gRPC services hand on as ``grpc-trace-bin``.

Source: OpenCensus specification, "BinaryEncoding". A version byte, then fields of one byte of identifier and a value of known
length each: the trace, the span, and the options, whose lowest bit says whether the trace is sampled.
"""

from __future__ import annotations

import base64
import binascii
import re

from opentelemetry.context.context import Context
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)

__all__ = ["OpenCensusBinaryPropagator"]

_HEADER = "grpc-trace-bin"
_VERSION = 0
# The identifiers of the fields, in the order in which they are written, and how long they are.
_TRACE, _SPAN, _OPTIONS = range(3)
_LENGTHS = {_TRACE: 16, _SPAN: 8, _OPTIONS: 1}


class OpenCensusBinaryPropagator(TextMapPropagator):
    """``grpc-trace-bin``, for services that still speak OpenCensus.

    In text carriers the bytes are base64, as HTTP/2 has them. Where the bytes themselves are wanted, as in the metadata of
    Python's gRPC, there are :meth:`to_bytes` and :meth:`from_bytes`; reading takes both.
    """

    def extract(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        getter: Getter[CarrierT] = default_getter,
    ) -> Context:
        """A context with the sender's span in it, or the given one when the carrier holds no valid span."""
        before = Context() if context is None else context
        values: object = getter.get(carrier, _HEADER)
        # Bytes given as they are look like a list of numbers to a getter.
        if isinstance(values, list) and values and all(isinstance(value, int) for value in values):
            values = [bytes(values)]
        if not isinstance(values, (list, tuple)) or len(values) != 1:
            return before
        found = self.from_bytes(values[0] if isinstance(values[0], bytes) else _decoded(str(values[0])))
        return before if found is None else set_span_in_context(NonRecordingSpan(found), before)

    def inject(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        setter: Setter[CarrierT] = default_setter,
    ) -> None:
        """Writes the context's span into the carrier; nothing when it has none."""
        span = get_current_span(context).get_span_context()
        if span.is_valid:
            setter.set(carrier, _HEADER, base64.b64encode(self.to_bytes(span)).decode().rstrip("="))

    @property
    def fields(self) -> set[str]:
        """The header that ``inject`` writes."""
        return {_HEADER}

    @staticmethod
    def to_bytes(span: SpanContext) -> bytes:
        """The 29 bytes for a span."""
        return b"".join(
            (
                bytes((_VERSION, _TRACE)),
                span.trace_id.to_bytes(16, "big"),
                bytes((_SPAN,)),
                span.span_id.to_bytes(8, "big"),
                bytes((_OPTIONS, span.trace_flags & TraceFlags.SAMPLED)),
            )
        )

    @staticmethod
    def from_bytes(encoded: bytes) -> SpanContext | None:
        """The span in these bytes; ``None`` when they do not hold a valid one.

        Fields that are not known end what can be read, as nothing tells how long they are.
        """
        if not encoded or encoded[0] != _VERSION:
            return None
        fields: dict[int, bytes] = {}
        at = 1
        while at < len(encoded):
            kind = encoded[at]
            length = _LENGTHS.get(kind)
            value = encoded[at + 1 : at + 1 + (length or 0)]
            if length is None or kind in fields:
                break
            if len(value) < length:
                return None
            fields[kind] = value
            at += 1 + length
        found = SpanContext(
            int.from_bytes(fields.get(_TRACE, b""), "big"),
            int.from_bytes(fields.get(_SPAN, b""), "big"),
            is_remote=True,
            trace_flags=TraceFlags(fields.get(_OPTIONS, b"\0")[0] & TraceFlags.SAMPLED),
        )
        return found if found.is_valid else None


def _decoded(text: str) -> bytes:
    """Base64 with or without its padding; nothing when it is none."""
    if not re.fullmatch(r"[A-Za-z0-9+/]*={0,2}", text):
        return b""
    text = text.rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return b""
