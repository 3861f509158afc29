"""Batches in the ledger: which requests wait at a provider, in which batch, and who is submitting it.

A batch and its calls are written down, with all they may cost, before anything is sent. Its calls stay `batched` whoever
lives, until their ends are read. So no process, however it was killed, leaves a request behind that another would send again.
"""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nesycd.llm.batches import Batch
from nesycd.llm.endpoint import Endpoint
from nesycd.llm.ledger import Answer, Budget, Call, Ledger, keep

_COLUMNS = "id, name, budget, rows, remote, upload, made, touched"


@dataclass(frozen=True)
class Plan:
    """What may be submitted."""

    batch: Batch | None
    """None: nothing."""
    granted: frozenset[str] = frozenset()
    """Hashes of the calls in it; others are answered, under way elsewhere, or beyond the cap."""
    cap: str = ""
    """The cap that the first call left out would break."""


@dataclass(frozen=True)
class Row:
    """A call that waits in a batch."""

    number: int
    call: Call


class Batches:
    """The batches of one endpoint in an open ledger."""

    def __init__(self, ledger: Ledger, endpoint: Endpoint) -> None:
        self._ledger = ledger
        self._whose = (endpoint.api, endpoint.model, endpoint.origin)

    def plan(self, calls: Sequence[Call], budget: Budget) -> Plan:
        """Write down a batch of those calls that may be sent and fit below the caps; it is this user's to submit."""
        granted: set[str] = set()
        cap = ""
        with self._ledger.writing() as connection:
            now = time.time()
            made = connection.execute(
                "INSERT INTO batches (name, api, model, origin, budget, owner, state, rows, made, touched) "
                "VALUES (?, ?, ?, ?, ?, ?, 'planned', 0, ?, ?)",
                (uuid.uuid4().hex[:16], *self._whose, budget.name, self._ledger.owner, now, now),
            )
            number = int(made.lastrowid or 0)
            for call in calls:
                if self._is_settled(connection, call.hash):
                    continue
                if cap := self._ledger.cap(connection, call, budget):
                    break
                row = self._ledger.reserve(connection, call, budget, number)
                connection.execute("INSERT INTO batch_requests VALUES (?, ?)", (row, call.request))
                granted.add(call.hash)
            if granted:
                connection.execute("UPDATE batches SET rows = ? WHERE id = ?", (len(granted), number))
            else:
                connection.execute("DELETE FROM batches WHERE id = ?", (number,))
        return Plan(self._get(number) if granted else None, frozenset(granted), cap)

    def _is_settled(self, connection: sqlite3.Connection, digest: str) -> bool:
        if self._ledger.answer(digest) is not None or self._ledger.is_in_flight(connection, digest):
            return True
        query = "SELECT 1 FROM calls WHERE hash = ? AND state = 'batched'"
        return connection.execute(query, (digest,)).fetchone() is not None

    def uploaded(self, batch: Batch, upload: str) -> Batch:
        """The rows are at the server, and the batch is about to be submitted."""
        self._set(batch, "upload = ?, touched = ?", upload, time.time())
        return self._get(batch.id)

    def submitted(self, batch: Batch, remote: str) -> None:
        """The server has the batch, under this name."""
        self._set(batch, "remote = ?, state = 'submitted'", remote)

    def touch(self, batch: Batch) -> None:
        """Something of this batch may still be under way."""
        self._set(batch, "touched = ?", time.time())

    def adopt(self, batch: Batch) -> bool:
        """Whether it is now this user's to say what became of a batch's submission: not while its own user lives."""
        with self._ledger.writing() as connection:
            query = "SELECT owner FROM batches WHERE id = ? AND state = 'planned'"
            found = connection.execute(query, (batch.id,)).fetchone()
            if found is None or (found[0] != self._ledger.owner and self._ledger.is_alive(found[0])):
                return False
            connection.execute("UPDATE batches SET owner = ? WHERE id = ?", (self._ledger.owner, batch.id))
        return True

    def open(self) -> list[Batch]:
        """The batches that have not ended, oldest first."""
        where = "api = ? AND model = ? AND origin = ? AND state <> 'ended' ORDER BY id"
        return self._select(where, *self._whose)

    def known(self) -> set[str]:
        """The server's names for all batches of ours."""
        with self._ledger.reading() as connection:
            rows = connection.execute("SELECT remote FROM batches WHERE origin = ? AND remote <> ''", self._whose[2:])
            return {row[0] for row in rows}

    def waiting(self) -> dict[str, int]:
        """Hashes of the calls that wait in batches, each with its batch's number."""
        query = (
            "SELECT c.hash, c.batch FROM calls c JOIN batches b ON b.id = c.batch "
            "WHERE c.state = 'batched' AND b.api = ? AND b.model = ? AND b.origin = ?"
        )
        with self._ledger.reading() as connection:
            return dict(connection.execute(query, self._whose).fetchall())

    def rows(self, batch: Batch) -> dict[str, Row]:
        """The calls of a batch whose ends are not known, by the names of their rows."""
        query = (
            "SELECT c.id, c.hash, c.key, c.model, c.origin, r.request, c.usd FROM calls c "
            "JOIN batch_requests r ON r.call = c.id WHERE c.batch = ? AND c.state = 'batched'"
        )
        with self._ledger.reading() as connection:
            found = connection.execute(query, (batch.id,)).fetchall()
        return {batch.row_id(row[1]): Row(row[0], Call(*row[1:])) for row in found}

    def settle(self, ends: Sequence[tuple[Row, Answer | tuple[str, str]]]) -> None:
        """Keep answers, and note how other calls ended: (`unpaid` or `possibly_paid`, the reason)."""
        ended = "UPDATE calls SET state = ?, reason = ? WHERE id = ? AND state = 'batched'"
        with self._ledger.writing() as connection:
            for row, end in ends:
                if isinstance(end, Answer):
                    keep(connection, row.number, row.call, end)
                else:
                    connection.execute(ended, (*end, row.number))
                connection.execute("DELETE FROM batch_requests WHERE call = ?", (row.number,))
        self._ledger.sync()

    def end(self, batch: Batch, state: str, reason: str) -> None:
        """Nothing more will be heard of the batch; what still waits in it is `unpaid` or `possibly_paid`."""
        with self._ledger.writing() as connection:
            end_batch(connection, batch.id, state, reason)

    def _set(self, batch: Batch, what: str, *values: Any) -> None:
        with self._ledger.writing() as connection:
            connection.execute(f"UPDATE batches SET {what} WHERE id = ?", (*values, batch.id))

    def _get(self, number: int) -> Batch:
        return self._select("id = ?", number)[0]

    def _select(self, where: str, *values: Any) -> list[Batch]:
        with self._ledger.reading() as connection:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM batches WHERE {where}", values).fetchall()
        return [Batch(*row) for row in rows]


def pending(ledger: Ledger) -> list[dict[str, Any]]:
    """All batches in a ledger that have not ended, each with how many of its calls wait and what they may cost at most."""
    query = (
        "SELECT b.remote, b.name, b.model, b.origin, b.budget, b.made, COUNT(c.id) AS waiting, SUM(c.usd) AS usd "
        "FROM batches b LEFT JOIN calls c ON c.batch = b.id AND c.state = 'batched' WHERE b.state <> 'ended' "
        "GROUP BY b.id ORDER BY b.id"
    )
    with ledger.reading() as connection:
        cursor = connection.execute(query)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]


def give_up(ledger: Ledger, name: str) -> int | None:
    """Forget a batch, whatever becomes of it: its calls count as possibly paid, and are asked again when needed.

    Returns:
        How many calls waited in it; None where there is no such batch.
    """
    query = "SELECT id FROM batches WHERE state <> 'ended' AND (remote = ? OR name = ?)"
    with ledger.writing() as connection:
        found = connection.execute(query, (name, name)).fetchone()
        return None if found is None else end_batch(connection, found[0], "possibly_paid", "given up")


def end_batch(connection: sqlite3.Connection, number: int, state: str, reason: str) -> int:
    """End a batch and what waits in it; gives how many calls did."""
    connection.execute(
        "DELETE FROM batch_requests WHERE call IN (SELECT id FROM calls WHERE batch = ? AND state = 'batched')",
        (number,),
    )
    ended = "UPDATE calls SET state = ?, reason = ? WHERE batch = ? AND state = 'batched'"
    waited = connection.execute(ended, (state, reason, number)).rowcount
    connection.execute("UPDATE batches SET state = 'ended', reason = ? WHERE id = ?", (reason, number))
    return waited
