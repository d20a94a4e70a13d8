"""HTTP clients, behind one face."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Sequence
from contextvars import copy_context
from typing import Any

import aiohttp
import httpx
import requests
import urllib3
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
from scenarios import Trial, caught


class Flavour(ABC):
    """One HTTP client."""

    instrumentor: type

    @abstractmethod
    def ask(
        self, uri: str, method: str = "GET", body: bytes | None = None, timeout: float = 30.0, **headers: str
    ) -> int:
        """One request with a client of its own; the answer's status."""

    @abstractmethod
    def stream(self, uri: str) -> bytes:
        """Reads an answer's body bit by bit."""

    @abstractmethod
    def many(self, uris: Sequence[str]) -> list[int]:
        """All at once, with one client."""


class _Blocking(Flavour):
    def many(self, uris: Sequence[str]) -> list[int]:
        statuses: dict[str, int] = {}

        def one(uri: str) -> None:
            statuses[uri] = self.ask(uri)

        threads = [threading.Thread(target=copy_context().run, args=(one, uri)) for uri in uris]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [statuses[uri] for uri in uris]


class Asynchronous(Flavour):
    """Clients for asyncio."""

    @abstractmethod
    async def fetch(
        self, uri: str, method: str = "GET", body: bytes | None = None, timeout: float = 30.0, **headers: str
    ) -> int: ...

    def ask(
        self, uri: str, method: str = "GET", body: bytes | None = None, timeout: float = 30.0, **headers: str
    ) -> int:
        return asyncio.run(self.fetch(uri, method, body, timeout, **headers))

    def cancelled(self, trial: Trial) -> str:
        """A request that is given up by the program while the server is still at it."""

        async def main() -> str:
            task = asyncio.create_task(self._outcome(self.fetch(f"{trial.uri}/hang")))
            await asyncio.to_thread(trial.echo.awaits_hanging)
            task.cancel()
            return await task

        return asyncio.run(main())

    def timed_out(self, trial: Trial) -> str:
        """A request inside of ``wait_for``."""

        async def main() -> str:
            return await self._outcome(asyncio.wait_for(self.fetch(f"{trial.uri}/hang"), 0.5))

        result = asyncio.run(main())
        trial.echo.awaits_hanging()
        return result

    @staticmethod
    async def _outcome(work: Coroutine[Any, Any, Any]) -> str:
        try:
            return str(await work)
        except (asyncio.CancelledError, asyncio.TimeoutError) as error:
            return type(error).__name__


class Httpx(_Blocking):
    instrumentor = HTTPXClientInstrumentor

    def ask(
        self, uri: str, method: str = "GET", body: bytes | None = None, timeout: float = 30.0, **headers: str
    ) -> int:
        with httpx.Client(trust_env=False, timeout=timeout, follow_redirects=True) as client:
            return client.request(method, uri, content=body, headers=headers).status_code

    def stream(self, uri: str) -> bytes:
        with httpx.Client(trust_env=False) as client, client.stream("GET", uri) as answer:
            return b"".join(answer.iter_bytes())


class HttpxAsync(Asynchronous):
    instrumentor = HTTPXClientInstrumentor

    async def fetch(
        self, uri: str, method: str = "GET", body: bytes | None = None, timeout: float = 30.0, **headers: str
    ) -> int:
        async with httpx.AsyncClient(trust_env=False, timeout=timeout, follow_redirects=True) as client:
            return (await client.request(method, uri, content=body, headers=headers)).status_code

    def stream(self, uri: str) -> bytes:
        async def main() -> bytes:
            async with httpx.AsyncClient(trust_env=False) as client, client.stream("GET", uri) as answer:
                return b"".join([part async for part in answer.aiter_bytes()])

        return asyncio.run(main())

    def many(self, uris: Sequence[str]) -> list[int]:
        async def main() -> list[int]:
            async with httpx.AsyncClient(trust_env=False) as client:
                return [answer.status_code for answer in await asyncio.gather(*(client.get(uri) for uri in uris))]

        return asyncio.run(main())


class Requests(_Blocking):
    instrumentor = RequestsInstrumentor

    def ask(
        self, uri: str, method: str = "GET", body: bytes | None = None, timeout: float = 30.0, **headers: str
    ) -> int:
        with _session() as session:
            return session.request(method, uri, data=body, timeout=timeout, headers=headers).status_code

    def stream(self, uri: str) -> bytes:
        with _session() as session, session.get(uri, stream=True) as answer:
            return b"".join(answer.iter_content(16))


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    return session


class Urllib3(_Blocking):
    instrumentor = URLLib3Instrumentor

    def ask(
        self, uri: str, method: str = "GET", body: bytes | None = None, timeout: float = 30.0, **headers: str
    ) -> int:
        with urllib3.PoolManager() as pool:
            return pool.request(method, uri, body=body, headers=headers, timeout=timeout, retries=_RETRIES).status

    def stream(self, uri: str) -> bytes:
        with urllib3.PoolManager() as pool:
            answer = pool.request("GET", uri, preload_content=False)
            parts = b"".join(answer.stream(16))
            answer.release_conn()
            return parts


_RETRIES = urllib3.Retry(connect=1, read=0, redirect=3, backoff_factor=0)


class Aiohttp(Asynchronous):
    instrumentor = AioHttpClientInstrumentor

    async def fetch(
        self, uri: str, method: str = "GET", body: bytes | None = None, timeout: float = 30.0, **headers: str
    ) -> int:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(timeout)) as session,
            session.request(method, uri, data=body, headers=headers) as answer,
        ):
            await answer.read()
            return answer.status

    def stream(self, uri: str) -> bytes:
        async def main() -> bytes:
            async with aiohttp.ClientSession() as session, session.get(uri) as answer:
                return b"".join([part async for part in answer.content.iter_any()])

        return asyncio.run(main())

    def many(self, uris: Sequence[str]) -> list[int]:
        async def main() -> list[int]:
            async with aiohttp.ClientSession() as session:

                async def one(uri: str) -> int:
                    async with session.get(uri) as answer:
                        return answer.status

                return list(await asyncio.gather(*map(one, uris)))

        return asyncio.run(main())


FLAVOURS: dict[str, Flavour] = {
    "httpx": Httpx(),
    "httpx async": HttpxAsync(),
    "requests": Requests(),
    "urllib3": Urllib3(),
    "aiohttp": Aiohttp(),
}


def attempt(flavour: Flavour, uri: str, **options: Any) -> Any:
    """The status, or the name of the exception."""
    return caught(lambda: flavour.ask(uri, **options))
