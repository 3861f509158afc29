"""Listening for HTTP on an address."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol

from nesycd.core.errors import ConfigError

HEAD_SECONDS = 10.0
"""In which a client must send the head of a request: connections that say nothing would keep others out."""
STOP_SECONDS = 5
"""That requests have for their end when the server is stopped."""


def bound(host: str, port: int) -> tuple[socket.socket, str]:
    """A socket bound to an address, and the URL at which it is reached. Connections wait until a server takes the socket.

    Args:
        host: a name or address of this machine.
        port: 0: any that is free.

    Raises:
        ConfigError: the port is taken, or the host is none of this machine's.
    """
    try:
        [(family, kind, _, _, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        made = socket.socket(family, kind)
    except OSError as error:
        raise ConfigError(f"--host {host}: {error.strerror or error}") from None
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(128)
    except OSError as error:
        made.close()
        why = os.strerror(error.errno or 0)
        raise ConfigError(f"--port {port}: {why} at {host}; choose another one, or 0 for any") from None
    shown = f"[{host}]" if ":" in host else host
    return made, f"http://{shown}:{made.getsockname()[1]}"


def config_of(application: Any, **settings: Any) -> Config:
    """How uvicorn serves an application: no access log, no trust in what proxies say, no wait for clients that do not go on."""

    async def served(scope: Any, receive: Any, send: Any) -> None:
        task = asyncio.current_task()

        async def told(message: Any) -> None:
            is_stopped = task is not None and task.cancelling() > 0
            await send({"type": message["type"]} if is_stopped else message)

        try:
            # Being stopped is no fault that needs a traceback.
            await application(scope, receive, told if scope["type"] == "lifespan" else send)
        except asyncio.CancelledError:
            if scope["type"] == "lifespan":
                raise

    return Config(
        served,
        http=_Protocol,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=STOP_SECONDS,
        **settings,
    )


class _Protocol(H11Protocol):  # type: ignore[misc]
    """HTTP, where connections are closed on which no head of a request arrives."""

    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._stop_waiting()
        elif self._head is None and (before is None or before.response_complete):
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._head = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None
