"""What stands before a receiver: ends TLS, and lets single connections go wrong. Knows nothing of what it passes on."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Front:
    """Listens on a free port and passes every connection on to ``port``.

    A fault is taken from ``faults`` for each connection while there are any:

    - ``"reset"``: reset as soon as something was sent;
    - ``"close"``: closed then, in an orderly way and without an answer;
    - ``"stall"``: never answered;
    - ``"cut"``: the request is passed on, of the answer only the first bytes come back, then a reset;
    - bytes: answered with just these, then closed.
    """

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.faults: list[str | bytes] = []
        self.connections = 0
        self._target = port
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(10)
        self.uri = f"{'https' if tls else 'http'}://localhost:{self.port}"

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve(started))
        self._loop.close()

    async def _serve(self, started: threading.Event) -> None:
        # Handshakes that fail, and connections that are torn, are what this is for.
        self._loop.set_exception_handler(lambda *_: None)
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await self._stopped.wait()
        server.close()
        running = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        fault = self.faults.pop(0) if self.faults else None
        try:
            if fault is None or fault == "cut":
                await self._pass_on(reader, writer, 5 if fault else None)
            else:
                await self._misbehave(fault, reader, writer)
        except OSError:
            pass
        finally:
            writer.close()

    async def _misbehave(self, fault: str | bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        if isinstance(fault, bytes):
            writer.write(fault)
            await writer.drain()
        elif fault == "reset":
            _reset(writer)
        elif fault == "stall":
            await self._stopped.wait()
        else:
            assert fault == "close", fault

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, at_most: int | None) -> None:
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            forth = asyncio.ensure_future(_pump(reader, back_writer))
            await _pump(back_reader, writer, at_most)
            forth.cancel()
            await asyncio.gather(forth, return_exceptions=True)
        finally:
            back_writer.close()

    def close(self) -> None:
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(10)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, at_most: int | None = None) -> None:
    while data := await reader.read(65536):
        if at_most is not None:
            writer.write(data[:at_most])
            await writer.drain()
            _reset(writer)
            return
        writer.write(data)
        await writer.drain()
    with suppress(OSError, NotImplementedError):
        if writer.can_write_eof():
            writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    connection: Any = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
