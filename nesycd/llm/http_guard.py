"""What is put around the HTTP clients of `openai` and `anthropic`: bounded bodies, and redirects that do not leave the server.

Bodies are unpacked here rather than by the client, which would unpack a whole piece at once, however large it becomes.
Imported when a connection is opened, since `httpx2` comes with the extras.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeVar

import httpx2

from nesycd.llm.address import Elsewhere
from nesycd.llm.bodies import MOST_BYTES, Unusable

_ERROR_BYTES = 2**16
"""Bytes that are read of an error; the rest is left out."""
_KEYS = ("authorization", "x-api-key")
T = TypeVar("T", httpx2.Client, httpx2.AsyncClient)


def guarded(client: T, base_url: str) -> T:
    """The client, which from now on sends prompts and keys to the origin of `base_url` alone, and reads no endless body.

    Raises, within a request, `Elsewhere` or `Unusable`.
    """
    home = _origin(httpx2.URL(base_url))

    def stay(request: httpx2.Request) -> None:
        if (there := _origin(request.url)) == home:
            return
        if request.method != "GET":
            raise Elsewhere(there)
        for name in _KEYS:
            request.headers.pop(name, None)

    def bound(response: httpx2.Response) -> None:
        encoding = response.headers.pop("content-encoding", "").strip().lower()
        unpacking = _Unpacking(encoding, response.status_code >= 300)
        kind = _AsyncBody if isinstance(client, httpx2.AsyncClient) else _Body
        response.stream = kind(response.stream, unpacking)

    async def stay_async(request: httpx2.Request) -> None:
        stay(request)

    async def bound_async(response: httpx2.Response) -> None:
        bound(response)

    client.headers["accept-encoding"] = "gzip"
    if isinstance(client, httpx2.AsyncClient):
        client.event_hooks = {"request": [stay_async], "response": [bound_async]}
    else:
        client.event_hooks = {"request": [stay], "response": [bound]}
    return client


class _Unpacking:
    """Unpacks a body piece by piece.

    Args:
        encoding: its `content-encoding`.
        cut: end after `_ERROR_BYTES`.
    """

    def __init__(self, encoding: str, cut: bool) -> None:
        self._encoding, self._cut = encoding, cut
        self._packed = zlib.decompressobj(47) if encoding in ("gzip", "x-gzip", "deflate") else None
        self._size = 0
        self.ended = False

    def piece(self, data: bytes) -> bytes:
        """What a piece of the body holds.

        Raises:
            Unusable: more than `MOST_BYTES`, or not to be unpacked.
        """
        most = _ERROR_BYTES if self._cut else MOST_BYTES
        if self._packed is not None:
            try:
                data = self._packed.decompress(data, most + 1)
            except zlib.error:
                raise Unusable("unusable: the server's answer is packed in a damaged form") from None
        elif self._encoding not in ("", "identity"):
            raise Unusable(f"unusable: the server's answer is packed as {self._encoding!r}, which was not asked for")
        # Results of a batch are lines without end: only each of them is bounded.
        line = data.rfind(b"\n")
        self._size = self._size + len(data) if line < 0 or self._cut else len(data) - line
        self.ended = self._cut and self._size > most
        rest = self._packed is not None and bool(self._packed.unconsumed_tail)
        if (self._size > most or rest) and not self._cut:
            raise Unusable(f"unusable: the server's answer is larger than {MOST_BYTES >> 20} MB")
        return data[:most]


class _AsyncBody(httpx2.AsyncByteStream):  # type: ignore[misc]
    def __init__(self, stream: Any, unpacking: _Unpacking) -> None:
        self._stream, self._unpacking = stream, unpacking

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self._stream:
            yield self._unpacking.piece(data)
            if self._unpacking.ended:
                return

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Body(httpx2.SyncByteStream):  # type: ignore[misc]
    def __init__(self, stream: Any, unpacking: _Unpacking) -> None:
        self._stream, self._unpacking = stream, unpacking

    def __iter__(self) -> Iterator[bytes]:
        for data in self._stream:
            yield self._unpacking.piece(data)
            if self._unpacking.ended:
                return

    def close(self) -> None:
        self._stream.close()


def _origin(url: httpx2.URL) -> str:
    host = f"[{url.host}]" if ":" in url.host else url.host
    return f"{url.scheme}://{host}{f':{url.port}' if url.port else ''}"
