"""An ASGI application behind a real server, in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import uvicorn
from support import until
from typing_extensions import Self


class Service:
    """uvicorn on a free port, from `with` until its end."""

    def __init__(self, app: Any, **options: Any) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        config = uvicorn.Config(app, log_level="critical", **{"lifespan": "off", **options})
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))

    def __enter__(self) -> Self:
        self._thread.start()
        until("the service listens", lambda: self._server.started)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        self._socket.close()
        assert not self._thread.is_alive()
