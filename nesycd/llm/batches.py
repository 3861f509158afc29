"""A provider's batch API: what `BatchChat` submits requests to, and what it hears of them.

A batch is named before it is submitted, and its rows by that name and their requests' hashes. So it can be found again at
the server by whoever does not know what became of its submission.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from nesycd.llm.bodies import Unusable, decoded, json_in
from nesycd.llm.client import Reading
from nesycd.llm.endpoint import Endpoint, Reply, SendError

UPLOAD_SECONDS = 900.0
"""How long the upload of a batch may take, at least."""
CLOCKS = 24 * 3600.0
"""Seconds that the server's clock may be behind ours."""
UNREAD = "nesycd_unread"
"""Where a row says why its line could not be read."""
_NAME = re.compile(r'"custom_id"\s*:\s*"([^"\\]{1,200})"')


@dataclass(frozen=True)
class Batch:
    """A batch as the ledger knows it."""

    id: int
    name: str
    """What the server is told, so that the batch can be found by it; unlike any other's."""
    budget: str
    rows: int
    """How many requests were put into it."""
    remote: str
    """The server's name for it; "" where it is not known whether it was submitted."""
    upload: str
    """The server's name for the uploaded requests, where they are uploaded apart."""
    made: float
    touched: float
    """When it was last tried to be submitted (seconds since 1970)."""

    def row_id(self, digest: str) -> str:
        """The name of a row by its request's hash."""
        return f"{self.name}-{digest}"


@dataclass(frozen=True)
class BatchStatus:
    """How a submitted batch stands."""

    told: str
    """In words, e.g. `in_progress, 3 of 10 done`."""
    ended: bool = False
    failure: str = ""
    """Why the whole batch was not served; "" where it was."""
    full: bool = False
    """Only because too much waits at the provider already."""
    cancelled: bool = False
    whole: bool = False
    """It ran to its end: a row that its results lack may have been served."""
    results: tuple[str, ...] = ()
    """Where its results are."""


@dataclass(frozen=True)
class Found:
    """What became of a batch whose submission nobody saw end."""

    remote: str = ""
    """The server has it, under this name."""
    unsure: str = ""
    """This one may be it; the server will tell when it ends."""


RowEnd = tuple[str, Reply | SendError]
"""A row's name, and its answer or why there is none."""


class BatchServer(Protocol):
    """An open way to a provider's batch API."""

    most_rows: int
    most_bytes: int

    def row(self, name: str, body: dict[str, Any]) -> bytes:
        """A request as a row of a batch."""
        ...

    def upload(self, batch: Batch, rows: Sequence[bytes]) -> str:
        """Bring the rows to the server, where that is a step of its own; "" where it is not.

        Raises:
            SendError: they are not there.
        """
        ...

    def create(self, batch: Batch, rows: Sequence[bytes]) -> str:
        """Submit the batch; gives the server's name for it.

        Raises:
            SendError: it was refused, or (`paid`) nobody knows whether it was taken.
        """
        ...

    def find(self, batch: Batch, known: set[str]) -> Found:
        """Look for a batch whose submission nobody saw end; `known` are others of ours.

        Raises:
            SendError: the server does not say.
        """
        ...

    def status(self, batch: Batch) -> BatchStatus:
        """How a submitted batch stands.

        Raises:
            SendError: the server does not say.
        """
        ...

    def results(self, status: BatchStatus) -> Iterator[RowEnd]:
        """The ends of the rows of a batch that has ended, in any order.

        Raises:
            SendError: they could not all be read.
        """
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class BatchEndpoint(Endpoint, Protocol):
    """A model at a server with a batch API."""

    def batches(self) -> BatchServer:
        """Open a way to it.

        Raises:
            TeacherError: no key where one is needed.
        """
        ...


def json_of(response: Any) -> dict[str, Any]:
    """The JSON object in a raw response.

    Raises:
        SendError: none is in it.
    """
    try:
        content = json_in(decoded(response.http_response.content))
    except (ValueError, Unusable):
        content = None
    if not isinstance(content, dict):
        raise SendError("HTTP 200: not an answer of a batch API", 200, retry=True, paid=True)
    return content


def batch_id(batch: Mapping[str, Any]) -> str:
    """The server's name for a batch.

    Raises:
        SendError: it told none.
    """
    if not isinstance(name := batch.get("id"), str) or not name:
        raise SendError("HTTP 200: a batch without an id", 200, retry=True, paid=True)
    return name


def lines_of(response: Any) -> Iterator[dict[str, Any]]:
    """The JSON objects in the lines of a streamed response; of one that cannot be read, its name and `UNREAD`.

    Raises:
        SendError: a line holds none, or is endless.
    """
    try:
        for line in response.iter_lines():
            try:
                content = json_in(line) if line.strip() else None
            except ValueError:
                raise SendError("a line of the results is no JSON", retry=True) from None
            except Unusable as found:
                name = _NAME.search(line)
                content = {"custom_id": name[1], UNREAD: str(found)} if name else None
            if isinstance(content, dict):
                yield content
    except Unusable as found:
        raise SendError(str(found)) from None


def end_of(reading: Reading, endpoint: Endpoint, row: Mapping[str, Any], content: Any) -> Reply | SendError:
    """How a row ended whose answer is `content`; one that could not be read was paid for all the same."""
    if UNREAD in row:
        return Reply("", failure=row[UNREAD])
    try:
        return reading.reply(endpoint, content)
    except SendError as error:
        return error
    except Unusable as found:
        return Reply("", failure=str(found))
