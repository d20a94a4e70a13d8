"""Servers on free ports of this machine, which the programs talk to."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import uvicorn
from canonical import Arrival

SECONDS = 30.0
"""How long anything here may take before the program has failed."""


class Echo:
    """Not traced. Answers as the path says, and keeps the trace headers of what it was asked."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.hangs = threading.Semaphore(0)
        self._release = threading.Event()
        echo = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                headers = self.headers
                self.rfile.read(int(headers.get("content-length") or 0))
                echo.arrivals.append(
                    Arrival(
                        f"{self.command} {self.path}",
                        headers.get("traceparent"),
                        headers.get("tracestate"),
                        headers.get("baggage"),
                    )
                )
                place, _, rest = self.path.lstrip("/").partition("/")
                getattr(self, f"answer_{place}")(rest)

            do_POST = do_PUT = do_GET

            def answer_ok(self, _: str) -> None:
                self._answer(200, b"fine")

            def answer_status(self, status: str) -> None:
                self._answer(int(status), b"as asked")

            def answer_redirect(self, _: str) -> None:
                self._answer(302, b"", location="/ok")

            def answer_reset(self, _: str) -> None:
                self.close_connection = True

            def answer_hang(self, _: str) -> None:
                echo.hangs.release()
                echo._release.wait(SECONDS)
                self.close_connection = True

            def answer_stream(self, _: str) -> None:
                self.send_response(200)
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                for chunk in (b"1", b"2", b"3", b""):
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))

            def answer_broken(self, _: str) -> None:
                self.send_response(200)
                self.send_header("content-length", "100")
                self.end_headers()
                self.wfile.write(b"part")
                self.close_connection = True

            def _answer(self, status: int, body: bytes, **headers: str) -> None:
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: object) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def awaits_hanging(self) -> None:
        """Returns once a request hangs."""
        assert self.hangs.acquire(timeout=SECONDS)

    def close(self) -> None:
        self._release.set()
        self._server.shutdown()
        self._server.server_close()


def closed_port() -> int:
    """A port that nothing listens at."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@contextmanager
def asgi(*apps: Any) -> Iterator[list[int]]:
    """ASGI applications, each behind a uvicorn of its own; every request is over at the end."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in apps]
    servers = [
        uvicorn.Server(uvicorn.Config(app, log_config=None, ws="websockets-sansio", access_log=False)) for app in apps
    ]
    threads = [
        threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        for server, listener in zip(servers, listeners, strict=True)
    ]
    for thread in threads:
        thread.start()
    try:
        yield [listener.getsockname()[1] for listener in listeners]
    finally:
        for server in servers:
            server.should_exit = True
        for thread, listener in zip(threads, listeners, strict=True):
            thread.join(SECONDS)
            listener.close()
            assert not thread.is_alive()


@contextmanager
def wsgi(app: Callable[..., Any]) -> Iterator[int]:
    """A WSGI application, with a thread for every request; every one is over at the end."""

    class Server(ThreadingMixIn, WSGIServer):
        daemon_threads = False
        request_queue_size = 128

    class Handler(WSGIRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def get_stderr(self) -> Any:
            return _Nowhere()

    server = make_server("127.0.0.1", 0, app, server_class=Server, handler_class=Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join(SECONDS)
        server.server_close()


@contextmanager
def aiohttp_app(app: Any) -> Iterator[int]:
    """An aiohttp application in a loop of its own; every request is over at the end."""
    from aiohttp import web

    listener = socket.create_server(("127.0.0.1", 0))
    loop = asyncio.new_event_loop()
    done = asyncio.Event()

    async def run() -> None:
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.SockSite(runner, listener, shutdown_timeout=SECONDS).start()
        await done.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(SECONDS)
        loop.close()
        listener.close()
        assert not thread.is_alive()


class _Nowhere:
    def write(self, _: str) -> None:
        pass

    def flush(self) -> None:
        pass
