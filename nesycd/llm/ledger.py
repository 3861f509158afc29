"""The ledger: every call to a paid model in one SQLite file that many processes, runs and recipes share.

`calls` says what was sent and what it costs: a call is `in_flight` from before it is sent until its end is known, then
`answered`, `unpaid` (the server refused to serve it) or `possibly_paid` (nobody knows: a timeout, a reset, a crash).
What is in flight, batched or possibly paid counts with all it may cost. `answers` keeps what came back under the hash of the
request; what stands there is never sent again. A call that waits in a batch at its provider is `batched`, whoever lives
(`batch_ledger.py`). Money is whole pico-dollars, so sums are exact.

Each user of the ledger holds a lock on a file beside it as long as it lives, so what the dead left in flight is known at
once. No secret comes here: a request is its model, the server's origin, messages and parameters.

Plain `sqlite3` rather than SQLAlchemy: some 500 small transactions a second are made between answers.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nesycd.core.errors import TeacherError
from nesycd.core.storage import FolderLock, disk_errors

SCHEMA_VERSION = 2
BUSY_SECONDS = 60.0
"""How long a writer waits for others before it gives up."""
PICO = 10**12
"""Pico-dollars of a dollar."""
_SYNC_SECONDS = 1.0
"""How often answers are made to survive a power cut too (a kill they survive at once)."""
_PAGE = 500
"""Answers that are exported at once."""
_IN_BATCH = (
    "SELECT CASE b.remote WHEN '' THEN b.name ELSE b.remote END FROM calls c JOIN batches b ON b.id = c.batch "
    "WHERE c.hash = ? AND c.state = 'batched'"
)
_PAID = "(CASE {row}.state WHEN 'unpaid' THEN 0 ELSE {value} END)"

_SCHEMA = f"""
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE budgets (name TEXT PRIMARY KEY, calls INTEGER NOT NULL DEFAULT 0, usd INTEGER NOT NULL DEFAULT 0);
CREATE TABLE batches (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, api TEXT NOT NULL, model TEXT NOT NULL, origin TEXT NOT NULL,
    budget TEXT NOT NULL, owner TEXT NOT NULL, state TEXT NOT NULL, rows INTEGER NOT NULL, remote TEXT NOT NULL DEFAULT '',
    upload TEXT NOT NULL DEFAULT '', made REAL NOT NULL, touched REAL NOT NULL, reason TEXT NOT NULL DEFAULT ''
);
CREATE TABLE calls (
    id INTEGER PRIMARY KEY, hash TEXT NOT NULL, key TEXT NOT NULL, budget TEXT NOT NULL, model TEXT NOT NULL,
    origin TEXT NOT NULL, owner TEXT NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '', usd INTEGER,
    bound INTEGER NOT NULL DEFAULT 1, prompt_tokens INTEGER NOT NULL DEFAULT 0,
    completion_tokens INTEGER NOT NULL DEFAULT 0, started REAL NOT NULL, seconds REAL NOT NULL DEFAULT 0,
    batch INTEGER REFERENCES batches (id)
);
CREATE INDEX calls_in_flight ON calls (hash) WHERE state = 'in_flight';
CREATE INDEX calls_batched ON calls (hash) WHERE state = 'batched';
CREATE INDEX calls_of_batch ON calls (batch) WHERE state = 'batched';
CREATE TABLE batch_requests (call INTEGER PRIMARY KEY REFERENCES calls (id), request TEXT NOT NULL);
CREATE TABLE answers (
    hash TEXT PRIMARY KEY, call INTEGER NOT NULL REFERENCES calls (id), request TEXT NOT NULL, text TEXT NOT NULL,
    failure TEXT NOT NULL, snapshot TEXT NOT NULL
);
CREATE TRIGGER calls_made AFTER INSERT ON calls BEGIN
    UPDATE budgets SET calls = calls + 1, usd = usd + COALESCE(NEW.usd, 0) WHERE name = NEW.budget;
END;
CREATE TRIGGER calls_changed AFTER UPDATE OF state, usd ON calls BEGIN
    UPDATE budgets SET
        calls = calls + {_PAID.format(row="NEW", value="1")} - {_PAID.format(row="OLD", value="1")},
        usd = usd + {_PAID.format(row="NEW", value="COALESCE(NEW.usd, 0)")}
            - {_PAID.format(row="OLD", value="COALESCE(OLD.usd, 0)")}
        WHERE name = NEW.budget;
END;
"""
"""A batch is `planned` until its number at the server is known, `submitted`, and then `ended`; `batch_requests` keeps what was
asked until it is answered, so that any later process can read the answers. Triggers keep the sums of each budget, so that a
cap is checked without reading all calls."""


@dataclass(frozen=True)
class Call:
    """What is about to be sent; `usd` (pico-dollars) is the most it may cost, None where the price is unknown."""

    hash: str
    key: str
    model: str
    origin: str
    request: str
    """Canonical JSON of what `hash` was made of."""
    usd: int | None


@dataclass(frozen=True)
class Budget:
    """What calls are counted under, and the caps on all calls ever counted there (`max_usd` in pico-dollars)."""

    name: str
    max_usd: int | None = None
    max_calls: int | None = None


@dataclass(frozen=True)
class Answer:
    """What came back and was paid for; `failure` where it is of no use."""

    text: str
    failure: str = ""
    snapshot: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: int | None = None
    """Pico-dollars; None where the price is unknown."""
    seconds: float = 0.0
    bound: int = 0
    """1 where the server told no usable usage: `usd` is what was reserved, and the tokens are unknown (0)."""


@dataclass(frozen=True)
class Claim:
    """Whether a call may be sent: exactly one of the fields says so."""

    call: int = 0
    """The number of the call, which is in flight from now on."""
    answer: Answer | None = None
    """It is answered already."""
    wait: bool = False
    """Not now: someone else sends the same call, or what is in flight may still leave room under the cap."""
    cap: str = ""
    """Never: the cap that is reached."""
    batch: str = ""
    """It waits in this batch at the provider."""


def default_path() -> Path:
    """Path of the ledger: `$NESYCD_LEDGER`, else in the user's data folder."""
    if named := os.environ.get("NESYCD_LEDGER"):
        return Path(named)
    if sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Application Support"
    else:
        root = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return root / "nesycd" / "ledger.sqlite"


class Ledger:
    """The ledger at a path, as one user of it. Make one with `open`; use it as a context manager.

    Safe to share between threads; a second `Ledger` on the same file is another user.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, owner: str, lock: FolderLock) -> None:
        """Wrap what `open` made."""
        self.path = path
        self._connection = connection
        self.owner = owner
        self._lock = lock
        self._mutex = threading.RLock()
        self._synced = time.monotonic()

    @classmethod
    def open(cls, path: Path, *, create: bool = True) -> Self:
        """Open the ledger, with `create` a new one where there is none; what the dead left in flight is noted.

        Raises:
            TeacherError: no ledger there, not one, one of another version, or one that cannot be opened.
            RunError: the path cannot be written.
        """
        if not path.exists() and not create:
            raise TeacherError(f"there is no ledger at {path}")
        owner = uuid.uuid4().hex
        locks = _locks(path)
        with disk_errors(path):
            locks.mkdir(parents=True, exist_ok=True)
        lock = FolderLock(locks / owner)
        try:
            with _failures(path):
                connection = _connect(path)
                ledger = cls(path, connection, owner, lock)
                ledger._check_or_create()
                ledger.sweep()
        except BaseException:
            lock.release()
            (locks / owner).unlink(missing_ok=True)
            raise
        return ledger

    def close(self) -> None:
        """Let go of the file; what is still in flight counts as possibly paid."""
        with self.writing() as connection:
            self._bury(connection, self.owner)
        with self._mutex, _failures(self.path):
            self._connection.close()
        self._lock.release()
        (_locks(self.path) / self.owner).unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    # --- before and after a call --------------------------------------------------------------------------------------

    def answer(self, digest: str) -> Answer | None:
        """What is stored for a request's hash."""
        query = (
            "SELECT a.text, a.failure, a.snapshot, c.prompt_tokens, c.completion_tokens, c.usd, c.seconds, c.bound "
            "FROM answers a JOIN calls c ON c.id = a.call WHERE a.hash = ?"
        )
        with self.reading() as connection:
            row = connection.execute(query, (digest,)).fetchone()
        return None if row is None else Answer(*row)

    def claim(self, call: Call, budget: Budget) -> Claim:
        """Ask to send a call: if granted it is in flight, and the most it may cost is reserved."""
        if (stored := self.answer(call.hash)) is not None:
            return Claim(answer=stored)
        with self.writing() as connection:
            if (stored := self.answer(call.hash)) is not None:
                return Claim(answer=stored)
            if self.is_in_flight(connection, call.hash):
                return Claim(wait=True)
            if waiting := connection.execute(_IN_BATCH, (call.hash,)).fetchone():
                return Claim(batch=waiting[0])
            if cap := self.cap(connection, call, budget):
                return Claim(wait=True) if self.has_room_later(connection, budget) else Claim(cap=cap)
            return Claim(call=self.reserve(connection, call, budget))

    def reserve(self, connection: sqlite3.Connection, call: Call, budget: Budget, batch: int | None = None) -> int:
        """Note a call as sent from now on, alone or in a batch, with all it may cost; gives its number."""
        made = connection.execute(
            "INSERT INTO calls (hash, key, budget, model, origin, owner, state, usd, started, batch) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(call.hash, call.key, budget.name, call.model, call.origin, self.owner),
                *("in_flight" if batch is None else "batched", call.usd, time.time(), batch),
            ),
        )
        return int(made.lastrowid or 0)

    def settle(self, number: int, call: Call, answer: Answer) -> None:
        """Record an answered call: store the answer, and replace the reserved cost by the true one."""
        with self.writing() as connection:
            keep(connection, number, call, answer)
        self.sync()

    def release(self, number: int, reason: str) -> None:
        """The server refused to serve the call: it costs nothing."""
        self._end(number, "unpaid", reason)

    def lose(self, number: int, reason: str) -> None:
        """Nobody knows whether the call was served: it counts with all it may cost."""
        self._end(number, "possibly_paid", reason)

    def sweep(self) -> None:
        """Note calls as possibly paid that a dead process left in flight."""
        with self.writing() as connection:
            self._sweep(connection)

    def _end(self, number: int, state: str, reason: str) -> None:
        ended = "UPDATE calls SET state = ?, reason = ?, seconds = ? - started WHERE id = ? AND state = 'in_flight'"
        with self.writing() as connection:
            connection.execute(ended, (state, reason, time.time(), number))

    def is_in_flight(self, connection: sqlite3.Connection, digest: str) -> bool:
        """Whether a living user sends the call now."""
        query = "SELECT owner FROM calls WHERE hash = ? AND state = 'in_flight'"
        row = connection.execute(query, (digest,)).fetchone()
        if row is None:
            return False
        if self.is_alive(row[0]):
            return True
        self._bury(connection, row[0])
        return False

    def cap(self, connection: sqlite3.Connection, call: Call, budget: Budget) -> str:
        """Which cap the call would break, in words; "" where it fits."""
        connection.execute("INSERT OR IGNORE INTO budgets (name) VALUES (?)", (budget.name,))
        if budget.max_usd is None and budget.max_calls is None:
            return ""
        query = "SELECT calls, usd FROM budgets WHERE name = ?"
        calls, usd = connection.execute(query, (budget.name,)).fetchone()
        if budget.max_calls is not None and calls >= budget.max_calls:
            return f"max_calls reached ({calls} of {budget.max_calls} under budget {budget.name!r})"
        if budget.max_usd is None:
            return ""
        if call.usd is None:
            raise TeacherError(f"the price of {call.model!r} is unknown, so max_usd cannot be kept")
        if usd + call.usd > budget.max_usd:
            told = f"{dollars(usd)} of {dollars(budget.max_usd)} USD under budget {budget.name!r}"
            return f"max_usd reached ({told}; this call may cost {dollars(call.usd)})"
        return ""

    def has_room_later(self, connection: sqlite3.Connection, budget: Budget) -> bool:
        """Whether something of the budget is still in flight, which may end up cheaper than what was reserved."""
        self._sweep(connection)
        query = "SELECT 1 FROM calls INDEXED BY calls_in_flight WHERE state = 'in_flight' AND budget = ? LIMIT 1"
        return connection.execute(query, (budget.name,)).fetchone() is not None

    def _sweep(self, connection: sqlite3.Connection) -> None:
        owners = connection.execute("SELECT DISTINCT owner FROM calls WHERE state = 'in_flight'").fetchall()
        for (owner,) in owners:
            if not self.is_alive(owner):
                self._bury(connection, owner)

    def is_alive(self, owner: str) -> bool:
        """Whether a user of the ledger still lives."""
        return owner == self.owner or FolderLock.is_held(_locks(self.path) / owner)

    def _bury(self, connection: sqlite3.Connection, owner: str) -> None:
        lost = (
            "UPDATE calls SET state = 'possibly_paid', reason = 'interrupted' WHERE owner = ? AND state = 'in_flight'"
        )
        connection.execute(lost, (owner,))
        if owner != self.owner:
            (_locks(self.path) / owner).unlink(missing_ok=True)

    # --- reading and pruning ------------------------------------------------------------------------------------------

    def totals(self, *by: str) -> list[dict[str, Any]]:
        """Calls, tokens and cost of each group of calls by columns of `calls` (`model`, `origin`, `budget`, `state`).

        `usd` is None where the price of a call that counts is unknown; `bound` counts the calls whose cost is only known
        to be at most what was reserved; `timed` those whose `seconds` are known (not of batches).
        """
        unknown = set(by) - {"model", "origin", "budget", "state"}
        if unknown:
            raise ValueError(f"calls are not grouped by {sorted(unknown)}")
        columns = ", ".join(by)
        query = (
            f"SELECT {columns}{', ' if by else ''}"
            "SUM(state = 'answered') AS answered, SUM(state = 'possibly_paid') AS possibly_paid, "
            "SUM(state = 'in_flight') AS in_flight, SUM(state = 'batched') AS batched, SUM(state = 'unpaid') AS unpaid, "
            "SUM(prompt_tokens) AS prompt_tokens, SUM(completion_tokens) AS completion_tokens, "
            "SUM(CASE state WHEN 'unpaid' THEN 0 ELSE COALESCE(usd, 0) END) AS usd, "
            "SUM(state <> 'unpaid' AND usd IS NULL) AS unpriced, SUM(state <> 'unpaid' AND bound) AS bound, "
            "SUM(state = 'answered' AND batch IS NULL) AS timed, "
            "SUM(CASE state WHEN 'answered' THEN seconds ELSE 0 END) AS seconds, MAX(started) AS last FROM calls"
        )
        grouped = f" GROUP BY {columns} ORDER BY {columns}" if by else ""
        with self.reading() as connection:
            cursor = connection.execute(query + grouped)
            names = [column[0] for column in cursor.description]
            rows = [dict(zip(names, row, strict=True)) for row in cursor]
        return [{**row, "usd": None if row["unpriced"] else row["usd"]} for row in rows if row["last"] is not None]

    def mean_completion_tokens(self, model: str) -> float | None:
        """How long this model's answers were so far, on average; None where there were none."""
        query = "SELECT AVG(completion_tokens) FROM calls WHERE model = ? AND state = 'answered' AND NOT bound"
        with self.reading() as connection:
            found = connection.execute(query, (model,)).fetchone()[0]
        return None if found is None else float(found)

    def export(self) -> Iterator[dict[str, Any]]:
        """Every stored answer with its request, usage, cost and time, oldest first.

        Read in pages, each whole under the lock: the ledger may be used, also by others, between two answers.
        """
        query = (
            "SELECT a.hash, c.key, c.budget, c.model, c.origin, a.request, a.text, a.failure, a.snapshot, "
            "c.prompt_tokens, c.completion_tokens, c.usd, c.bound, c.started, c.seconds, c.id "
            "FROM answers a JOIN calls c ON c.id = a.call WHERE c.id > ? ORDER BY c.id LIMIT ?"
        )
        last = 0
        while True:
            with self.reading() as connection:
                cursor = connection.execute(query, (last, _PAGE))
                names = [column[0] for column in cursor.description]
                rows = [dict(zip(names, row, strict=True)) for row in cursor]
            for row in rows:
                last = row.pop("id")
                usd = None if row["usd"] is None else row["usd"] / PICO
                yield row | {"request": json.loads(row["request"]), "usd": usd, "bound": bool(row["bound"])}
            if len(rows) < _PAGE:
                return

    def prune(self, *, failed: bool = False, model: str = "", before: float | None = None) -> int:
        """Forget stored answers that fulfil all conditions given, so that they are asked again; gives their number.

        What they cost is not forgotten.
        """
        chosen = "SELECT a.hash FROM answers a JOIN calls c ON c.id = a.call WHERE 1"
        values: list[Any] = []
        if failed:
            chosen += " AND a.failure <> ''"
        if model:
            chosen += " AND c.model = ?"
            values.append(model)
        if before is not None:
            chosen += " AND c.started < ?"
            values.append(before)
        with self.writing() as connection:
            removed = connection.execute(f"DELETE FROM answers WHERE hash IN ({chosen})", values).rowcount
        with self._mutex, _failures(self.path):
            self._connection.execute("VACUUM")
        return removed

    def forget(self, keys: Sequence[str], model: str, origin: str) -> int:
        """Forget the stored answers to calls of these keys, so that they are asked again; gives their number."""
        chosen = (
            "SELECT a.hash FROM answers a JOIN calls c ON c.id = a.call WHERE c.model = ? AND c.origin = ? "
            "AND c.key IN (SELECT value FROM json_each(?))"
        )
        with self.writing() as connection:
            values = (model, origin, json.dumps(list(keys)))
            return connection.execute(f"DELETE FROM answers WHERE hash IN ({chosen})", values).rowcount

    # --- the file -----------------------------------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, to read from."""
        with self._mutex, _failures(self.path):
            yield self._connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One change, whole or not at all. Takes the write lock at once, so that writers queue."""
        with self._mutex, _failures(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def sync(self) -> None:
        """Make what was written survive a power cut, now and then."""
        if time.monotonic() - self._synced > _SYNC_SECONDS:
            self._synced = time.monotonic()
            with self.reading() as connection:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _check_or_create(self) -> None:
        with self.writing() as connection:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not tables:
                for statement in _statements(_SCHEMA):
                    connection.execute(statement)
                connection.execute("INSERT INTO meta VALUES ('ledger', ?)", (str(SCHEMA_VERSION),))
                return
            if not {"meta", "calls", "answers"} <= tables:
                raise TeacherError(f"{self.path} is a database but not a ledger of nesycd")
            found = connection.execute("SELECT value FROM meta WHERE name = 'ledger'").fetchone()
        if found is None or found[0] != str(SCHEMA_VERSION):
            version = found[0] if found else "unknown"
            raise TeacherError(
                f"ledger {self.path} has schema {version}, but {SCHEMA_VERSION} is read here: name another file "
                "(teacher.api.ledger or NESYCD_LEDGER), or use the version of nesycd that wrote it"
            )


def keep(connection: sqlite3.Connection, number: int, call: Call, answer: Answer) -> None:
    """Keep the answer to a call that is still open, with its true cost."""
    cost = (answer.usd, answer.bound, answer.prompt_tokens, answer.completion_tokens, answer.seconds, answer.failure)
    settled = connection.execute(
        "UPDATE calls SET state = 'answered', usd = ?, bound = ?, prompt_tokens = ?, completion_tokens = ?, "
        "seconds = ?, reason = ? WHERE id = ? AND state IN ('in_flight', 'batched')",
        (*cost, number),
    )
    if settled.rowcount:
        connection.execute(
            "INSERT OR REPLACE INTO answers (hash, call, request, text, failure, snapshot) VALUES (?, ?, ?, ?, ?, ?)",
            (call.hash, number, call.request, answer.text, answer.failure, answer.snapshot),
        )


def dollars(pico: int) -> str:
    """Pico-dollars for people, to a millionth of a dollar: `0.00015`, `12.5`."""
    shown = f"{pico / PICO:.6f}".rstrip("0").rstrip(".")
    return shown or "0"


def _locks(path: Path) -> Path:
    return path.with_name(f"{path.name}-users")


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as error:
            # The timeout does not cover this switch, so processes that open a new ledger together retry.
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def _statements(script: str) -> Iterator[str]:
    """The statements of a script one by one: `executescript` would end the transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


@contextmanager
def _failures(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise TeacherError(f"ledger {path}: {error}") from error
