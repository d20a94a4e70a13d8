"""Three services: the middleware of Scouter in each, and an instrumented client from one to the next."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Any

from local_servers import asgi
from opentelemetry import baggage, context
from scenarios import CALLER, Program, Trial, called_with, instrumented
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from scouter.tracing import ScouterTracingMiddleware
from workloads.flavours import FLAVOURS, Asynchronous, Flavour

SCENARIOS = Program()


NAMES = ("first", "second", "third")


def _service(trial: Trial, flavour: Flavour, name: str, following: dict[str, str]) -> Starlette:
    async def pass_on(request: Request) -> Response:
        with trial.tracer.start_as_current_span(f"{name} works", attributes={"service": name}):
            token = context.attach(baggage.set_baggage(name, "was-here"))
            uri = f"{following[name]}/{request.path_params['what']}"
            if isinstance(flavour, Asynchronous):
                status = await flavour.fetch(uri)
            else:
                status = await asyncio.to_thread(flavour.ask, uri)
            context.detach(token)
        return JSONResponse({"service": name, "next": status}, status)

    async def fail(request: Request) -> Response:
        raise LookupError(f"{name} has nothing")

    app = Starlette(routes=[Route("/pass/{what:path}", pass_on), Route("/fail", fail)])
    app.add_middleware(ScouterTracingMiddleware)
    return app


def _asks(trial: Trial, flavour: Flavour) -> Any:
    following: dict[str, str] = {"third": trial.uri}
    with instrumented(flavour.instrumentor()), ExitStack() as stack:
        ports = stack.enter_context(asgi(*(_service(trial, flavour, name, following) for name in NAMES)))
        first, following["first"], following["second"] = (
            stack.enter_context(trial.named(port, name)) for port, name in zip(ports, NAMES, strict=True)
        )
        with trial.tracer.start_as_current_span("ours"):
            seen = [flavour.ask(f"{first}/pass/pass/pass/ok"), flavour.ask(f"{first}/pass/fail")]
        for flags in ("01", "00"):
            headers = CALLER.headers(flags, tracestate="other=1", baggage="user=7")
            with called_with(headers):
                seen.append(flavour.ask(f"{first}/pass/pass/pass/status/503"))
    return seen


def _add(name: str, flavour: Flavour) -> None:
    @SCENARIOS.scenario(f"{name}: three services")
    def three(trial: Trial) -> Any:
        return _asks(trial, flavour)


for _name, _flavour in FLAVOURS.items():
    _add(_name, _flavour)


@SCENARIOS.scenario("three services, twice")
def twice(trial: Trial) -> Any:
    first = _asks(trial, FLAVOURS["httpx async"])
    trial.renew_provider()
    return [first, _asks(trial, FLAVOURS["httpx async"])]
