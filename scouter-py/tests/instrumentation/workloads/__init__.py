"""Small programs that use third parties' instrumentation, and know nothing of which provider is global."""

# What each is started with. `dup` gives the attributes of the older and of the stable semantic conventions.
ENVIRONMENTS = {
    "clients": {
        "OTEL_SEMCONV_STABILITY_OPT_IN": "http/dup",
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST": "x-order",
    },
    "asgi_servers": {
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": "accept",
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE": "content-type",
    },
    "other_servers": {
        "OTEL_SEMCONV_STABILITY_OPT_IN": "http/dup",
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE": "x-answer",
    },
    "databases": {"OTEL_SEMCONV_STABILITY_OPT_IN": "database/dup"},
    "concurrency": {
        "OTEL_PYTHON_ASYNCIO_COROUTINE_NAMES_TO_TRACE": "work,breaks,waits",
        "OTEL_PYTHON_ASYNCIO_TO_THREAD_FUNCTION_NAMES_TO_TRACE": "blocks,blocks_and_breaks",
        "OTEL_PYTHON_ASYNCIO_FUTURE_TRACE_ENABLED": "true",
    },
    "hops": {"OTEL_SEMCONV_STABILITY_OPT_IN": "http"},
}
