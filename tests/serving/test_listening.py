"""Listening: connections that say nothing do not keep others out, and stopping waits for nobody."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("uvicorn")

import uvicorn

from nesycd.serving import listening
from nesycd.serving.listening import bound, config_of

HEAD = b"GET / HTTP/1.1\r\nhost: localhost\r\n"


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while (message := await receive())["type"]:
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["path"] == "/slow":
        await asyncio.sleep(0.4)
    while scope["method"] == "POST" and (await receive())["more_body"]:
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def served(**settings: Any) -> AsyncIterator[tuple[uvicorn.Server, socket.socket]]:
    taken, _ = bound("127.0.0.1", 0)
    server = uvicorn.Server(config_of(application, **settings))
    task = asyncio.create_task(server._serve([taken]))
    while not server.started:
        await asyncio.sleep(0.01)
    yield server, taken
    server.should_exit = True
    await asyncio.wait_for(task, 5)


async def opened(taken: socket.socket, *said: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(*taken.getsockname())
    for one in said:
        writer.write(one)
    await writer.drain()
    return reader, writer


def test_connections_on_which_no_request_arrives_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "HEAD_SECONDS", 0.2)

    async def main() -> None:
        async with served(limit_concurrency=5, timeout_keep_alive=1) as (_, taken):
            idle = [await opened(taken, *said) for said in ((), (HEAD,), (HEAD + b"\r\n", HEAD))]
            slow = await opened(taken, b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n")
            for reader, _ in idle:  # half a head, nothing, half a head after a whole request
                await asyncio.wait_for(reader.read(), 4)
            assert b"200 OK" in await asyncio.wait_for(slow[0].read(100), 2)  # who waits for an answer is no idler
            reader, writer = await opened(taken, HEAD + b"\r\n")
            assert b"200 OK" in await asyncio.wait_for(reader.read(100), 2)
            for _, one in [*idle, slow, (reader, writer)]:
                one.close()

    asyncio.run(main())


def test_stopping_waits_for_no_half_request_and_prints_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(listening, "STOP_SECONDS", 1)

    async def main() -> None:
        async with served() as (_, taken):
            _, writer = await opened(taken, b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nx")
            await asyncio.sleep(0.1)
        writer.close()

    asyncio.run(main())
    assert "Traceback" not in capsys.readouterr().err
