"""What a scenario is given, and how programs list theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from canonical import Names
from local_servers import Echo
from opentelemetry import context, propagate, trace


@dataclass(frozen=True)
class Caller:
    """Who asks us, from outside."""

    trace_id: str
    span_id: str

    @property
    def ids(self) -> tuple[str, str]:
        return self.trace_id, self.span_id

    def headers(self, flags: str = "01", **others: str) -> dict[str, str]:
        return {"traceparent": f"00-{self.trace_id}-{self.span_id}-{flags}", **others}


CALLER = Caller("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")


@dataclass
class Trial:
    """What one run of a scenario works with."""

    echo: Echo
    closed_port: int
    names: Names
    renew_provider: Callable[[], None]

    @property
    def uri(self) -> str:
        return self.echo.uri

    @property
    def closed_uri(self) -> str:
        return f"http://127.0.0.1:{self.closed_port}"

    @property
    def tracer(self) -> trace.Tracer:
        return trace.get_tracer(
            "program", "4.5.6", schema_url="https://opentelemetry.io/schemas/1.30.0", attributes={"team": "checkout"}
        )

    @contextmanager
    def named(self, port: int, name: str) -> Iterator[str]:
        """A server's address; its port is called by a name in what is compared."""
        self.names.ports[port] = f"<{name}>"
        yield f"http://127.0.0.1:{port}"


Scenario: TypeAlias = Callable[[Trial], Any]


class Program(dict[str, Scenario]):
    """The scenarios of a program, by name."""

    def scenario(self, name: str) -> Callable[[Scenario], Scenario]:
        def add(run: Scenario) -> Scenario:
            assert name not in self, name
            self[name] = run
            return run

        return add


@contextmanager
def instrumented(*instrumentors: Any, **options: Any) -> Iterator[None]:
    """Third parties' instrumentation, on for the length of a block."""
    with ExitStack() as stack:
        for instrumentor in instrumentors:
            instrumentor.instrument(**options)
            stack.callback(instrumentor.uninstrument)
        yield


@contextmanager
def called_with(headers: Mapping[str, str]) -> Iterator[None]:
    """As if these headers had come with a request that is now handled."""
    token = context.attach(propagate.extract(headers))
    try:
        yield
    finally:
        context.detach(token)


def caught(run: Callable[[], Any]) -> Any:
    """What the call gives, or the exception that it ends with."""
    try:
        return run()
    except Exception as error:  # noqa: BLE001
        return type(error).__qualname__
