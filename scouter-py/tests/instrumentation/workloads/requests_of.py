"""What every server is asked, whatever it is made with."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from scenarios import CALLER, caught

# Each is asked for by itself, one after the other.
PATHS = (
    "/hello?name=Alice&x=%20",
    "/users/42",
    "/v1/users/42",
    "/nowhere",
    "/unavailable",
    "/teapot",
    "/fail",
    "/stream",
    "/broken-stream",
    "/background",
    "/call",
    "/sync",
    "/annotated",
    "/hidden",
)


def one_by_one(uri: str, paths: tuple[str, ...] = PATHS) -> list[Any]:
    """Statuses and bodies, without trace headers."""
    with _client(uri) as client:
        answers = [caught(lambda path=path: _read(client.get(path))) for path in paths]
        answers.append(_read(client.post("/hello", content=b"body")))
        answers.append(_read(client.request("BREW", "/hello")))
        answers.append(_read(client.head("/hello")))
        return answers


def continuing(uri: str) -> list[Any]:
    """In callers' traces: sampled or not, with state and baggage, and with headers that are not valid."""
    more = {"tracestate": "other=1,more=2", "baggage": "user=7,place=%C3%A9t%C3%A9"}
    callers = [CALLER.headers(flags, **more) for flags in ("01", "00", "03", "02")]
    callers += [{"traceparent": "00-nonsense-01"}, {"traceparent": f"00-{'0' * 32}-{CALLER.span_id}-01"}]
    with _client(uri) as client:
        return [_read(client.get(path, headers=headers)) for headers in callers for path in ("/call", "/stream")]


def at_once(uri: str) -> list[Any]:
    """Twenty at the same time."""

    async def main() -> list[Any]:
        limits = httpx.Limits(max_connections=20, max_keepalive_connections=0)
        async with httpx.AsyncClient(base_url=uri, trust_env=False, timeout=30, limits=limits) as client:
            asked = (client.get(f"/users/{number}", headers=CALLER.headers()) for number in range(20))
            return sorted(_read(answer) for answer in await asyncio.gather(*asked))

    return asyncio.run(main())


def left_early(uri: str) -> int:
    """The client goes away while the answer is being sent."""
    with _client(uri) as client, client.stream("GET", "/endless") as answer:
        return answer.status_code


def _client(uri: str) -> httpx.Client:
    # A new connection for each: servers close one after an exception, sometimes only when the next request is on its way.
    return httpx.Client(base_url=uri, trust_env=False, timeout=30.0, limits=httpx.Limits(max_keepalive_connections=0))


def _read(answer: httpx.Response) -> list[Any]:
    return [answer.status_code, answer.text if answer.status_code < 500 else ""]
