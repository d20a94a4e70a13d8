//! W3C traceparent, tracestate and baggage, in and out of carriers
