"""HTTP clients under their own instrumentation."""

from __future__ import annotations

from typing import Any

from opentelemetry import baggage, context, trace
from opentelemetry.instrumentation.utils import suppress_http_instrumentation, suppress_instrumentation
from scenarios import CALLER, Program, Trial, called_with, caught, instrumented

from workloads.flavours import FLAVOURS, Asynchronous, Flavour, attempt

SCENARIOS = Program()


def _answers(flavour: Flavour, trial: Trial) -> Any:
    """Success, with and without a span around it, and statuses that say what went wrong."""
    with trial.tracer.start_as_current_span("ours", kind=trace.SpanKind.INTERNAL, attributes={"n": 1}):
        inside = [
            flavour.ask(f"{trial.uri}/ok/in?q=1", **{"x-order": "7"}),
            flavour.ask(f"{trial.uri}/ok", "POST", b"body"),
            flavour.ask(f"{trial.uri}/status/404"),
            flavour.ask(f"{trial.uri}/status/500"),
            flavour.ask(f"{trial.uri}/redirect"),
            flavour.ask(f"{trial.uri}/ok", "PUT", b""),
        ]
    return [*inside, flavour.ask(f"{trial.uri}/ok/alone"), flavour.stream(f"{trial.uri}/stream")]


def _failures(flavour: Flavour, trial: Trial) -> Any:
    """Nobody there, nothing said, half an answer, and too slow."""
    with trial.tracer.start_as_current_span("ours"):
        outcomes = [
            attempt(flavour, trial.closed_uri),
            attempt(flavour, f"{trial.uri}/reset"),
            attempt(flavour, f"{trial.uri}/broken"),
            attempt(flavour, f"{trial.uri}/hang", timeout=0.5),
        ]
        trial.echo.awaits_hanging()
    return [*outcomes, attempt(flavour, trial.closed_uri)]


def _escapes(flavour: Flavour, trial: Trial) -> Any:
    """A client's exception that leaves our span too."""

    def run() -> None:
        with (
            trial.tracer.start_as_current_span("outer"),
            trial.tracer.start_as_current_span("inner", record_exception=False),
        ):
            flavour.ask(trial.closed_uri)

    return caught(run)


def _at_once(flavour: Flavour, trial: Trial) -> Any:
    """Twenty at the same time."""
    with trial.tracer.start_as_current_span("ours"):
        return flavour.many([f"{trial.uri}/ok/{number}" for number in range(20)])


def _continues(flavour: Flavour, trial: Trial) -> Any:
    """In traces that began elsewhere, sampled and not, with baggage and another vendor's state."""
    seen = []
    for flags in ("01", "00", "03", "02"):
        headers = CALLER.headers(flags, tracestate="other=1,more=2", baggage="user=7,place=%C3%A9t%C3%A9")
        with called_with(headers):
            seen.append(flavour.ask(f"{trial.uri}/ok/remote-{flags}"))
            with trial.tracer.start_as_current_span("ours") as span:
                token = context.attach(baggage.set_baggage("own", "a b"))
                seen += [flavour.ask(f"{trial.uri}/ok/inner-{flags}"), span.is_recording()]
                context.detach(token)
    return seen


def _suppressed(flavour: Flavour, trial: Trial) -> Any:
    """Without spans on request."""
    with trial.tracer.start_as_current_span("ours"):
        with suppress_instrumentation():
            everything = flavour.ask(f"{trial.uri}/ok/everything")
        with suppress_http_instrumentation():
            http = flavour.ask(f"{trial.uri}/ok/http")
        with suppress_instrumentation():
            failed = attempt(flavour, trial.closed_uri)
    return [everything, http, failed]


def _hooked(flavour: Flavour, trial: Trial) -> Any:
    """Hooks that read and change the running span."""
    seen: list[Any] = []

    def asked(span: trace.Span, *_: Any) -> None:
        seen.append([span.name, str(span.kind), span.is_recording(), sorted(span.attributes or ())])
        span.set_attribute("hook.asked", ["a", "b"])
        span.add_event("asked", {"number": 1.5, "whole": 2, "flag": True})

    def answered(span: trace.Span, *_: Any) -> None:
        seen.append([span.status.status_code.name, len(span.events), "hook.asked" in span.attributes])
        span.update_name("renamed")
        span.set_attribute("hook.asked", "again")
        span.add_link(trace.SpanContext(int(CALLER.trace_id, 16), int(CALLER.span_id, 16), True), {"why": "hook"})

    async def asked_later(span: trace.Span, *rest: Any) -> None:
        asked(span, *rest)

    async def answered_later(span: trace.Span, *rest: Any) -> None:
        answered(span, *rest)

    hooks: dict[str, Any] = {"request_hook": asked, "response_hook": answered}
    if flavour.instrumentor is FLAVOURS["httpx async"].instrumentor:
        hooks |= {"async_request_hook": asked_later, "async_response_hook": answered_later}
    with instrumented(flavour.instrumentor(), **hooks), trial.tracer.start_as_current_span("ours"):
        flavour.ask(f"{trial.uri}/ok")
    return seen


def _twice(flavour: Flavour, trial: Trial) -> Any:
    """Instrumented, not, and again; with a provider that goes and comes back where that is possible."""
    seen = []
    for time in ("first", "second"):
        with instrumented(flavour.instrumentor()), trial.tracer.start_as_current_span(time):
            seen.append(flavour.ask(f"{trial.uri}/ok/{time}"))
        with trial.tracer.start_as_current_span("between"):
            seen.append(flavour.ask(f"{trial.uri}/ok/between-{time}"))
        trial.renew_provider()
    return seen


def _add(name: str, flavour: Flavour) -> None:
    for run in (_answers, _failures, _escapes, _at_once, _continues, _suppressed):

        @SCENARIOS.scenario(f"{name}: {run.__name__.strip('_')}")
        def scenario(trial: Trial, run: Any = run) -> Any:
            with instrumented(flavour.instrumentor()):
                return run(flavour, trial)

    for run in (_hooked, _twice):

        @SCENARIOS.scenario(f"{name}: {run.__name__.strip('_')}")
        def by_itself(trial: Trial, run: Any = run) -> Any:
            return run(flavour, trial)

    if isinstance(flavour, Asynchronous):

        @SCENARIOS.scenario(f"{name}: given up")
        def given_up(trial: Trial) -> Any:
            with instrumented(flavour.instrumentor()), trial.tracer.start_as_current_span("ours"):
                return [flavour.cancelled(trial), flavour.timed_out(trial)]


for _name, _flavour in FLAVOURS.items():
    _add(_name, _flavour)
