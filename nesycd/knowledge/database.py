"""Connections to a KB: opening, making and migrating one, reading and all-or-nothing writing.

Writers queue: SQLite has one write lock, and PostgreSQL is given one, since merging reads before it writes.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, inspect, select, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from nesycd.core.errors import KnowledgeError
from nesycd.knowledge import urls as places
from nesycd.knowledge.schema import OLDEST_SCHEMA, SCHEMA_VERSION, meta, metadata

BUSY_SECONDS = 60.0
"""How long a writer waits for others before it gives up."""
_LOCK = 0x6E657379
"""Key of PostgreSQL's advisory lock; such locks are apart in each database."""

Notify = Callable[[str], None]


@dataclass
class Change:
    """Who changes a KB, how the change is called and why. Its revision is numbered when its first line is written."""

    actor: str = ""
    action: str = ""
    why: str = ""
    revision: int | None = None


def connect(place: str | Path, *, create: bool, is_backed_up: bool = False, notify: Notify | None = None) -> Engine:
    """An engine on an existing or (with `create`) new KB at a file path or database URL.

    Args:
        place: file path or database URL, see `urls`.
        create: make the KB where there is none.
        is_backed_up: a KB of an older schema may be brought up to date without a backup of ours, which only files get.
        notify: told where that is done.

    Raises:
        KnowledgeError: no such file, not a KB, a KB of a newer nesycd, or a file that cannot be opened.
    """
    url = places.url_of(place)
    path = places.file_of(url)
    if path is not None:
        _check_file(path, create)
    with failures(place):
        engine = create_engine(url)
        if engine.dialect.name == "sqlite":
            _set_up_sqlite(engine)
        try:
            _check_or_create(engine, place, create, is_backed_up, notify or (lambda told: None))
        except BaseException:
            engine.dispose()
            raise
        if path is not None:
            _hold_to(engine, path.absolute(), places.shown(place))
    return engine


def _check_file(path: Path, create: bool) -> None:
    if path.is_dir():
        raise KnowledgeError(f"{path} is a folder; a knowledge base is a file such as {path / 'kb.sqlite'}")
    if not path.exists() and not create:
        raise KnowledgeError(f"there is no knowledge base at {path}")
    if not path.parent.is_dir():
        raise KnowledgeError(f"the folder {path.parent} of the knowledge base does not exist")


@contextmanager
def failures(place: str | Path) -> Iterator[None]:
    """Turn what the database reports (full disk, lock, damage) into one KnowledgeError that names the KB."""
    name = places.shown(place)
    try:
        yield
    except DBAPIError as error:
        cause = " ".join(str(error.orig).split()) or type(error.orig).__name__
        cause = places.without_password(cause, place)
        raise KnowledgeError(f"knowledge base {name}: {cause}; nothing of this change was kept") from None
    except ModuleNotFoundError as error:
        raise KnowledgeError(
            f"knowledge base {name}: {error.name} is not installed; get it by: pip install 'nesycd[postgres]'"
        ) from None
    except UnicodeEncodeError as error:
        bad = error.object[error.start : error.end].encode("unicode_escape").decode()
        raise KnowledgeError(f"knowledge base {name}: {bad} is half a character and cannot be stored") from None
    except (SQLAlchemyError, sqlite3.Error, ImportError) as error:
        cause = places.without_password(str(error), place)
        raise KnowledgeError(f"knowledge base {name}: {cause}") from None


@contextmanager
def writing(engine: Engine, place: str | Path, change: Change | None = None) -> Iterator[Connection]:
    """One all-or-nothing change. Takes the write lock at once, so two writers queue instead of failing half-way."""
    with failures(place), engine.connect() as connection:
        connection = connection.execution_options(
            nesycd_begin="BEGIN IMMEDIATE", nesycd_change=change if change is not None else Change()
        )
        with connection.begin():
            if connection.dialect.name == "postgresql":
                connection.execute(text(f"SET LOCAL lock_timeout = {int(BUSY_SECONDS * 1000)}"))
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            yield connection
    if engine.dialect.name == "sqlite":
        engine.connect().close()  # refused where the file was replaced meanwhile: the change went with it


@contextmanager
def reading(engine: Engine, place: str | Path) -> Iterator[Connection]:
    """One consistent view of the KB."""
    with failures(place), engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        yield connection


def change_of(connection: Connection) -> Change:
    """What `writing` was told of the change under way."""
    change: Change = connection.get_execution_options()["nesycd_change"]
    return change


def _hold_to(engine: Engine, path: Path, name: str) -> None:
    """Go on only while the file that was opened is the one at its path: what is written to another one would be lost."""
    opened: tuple[int, int] | None = _identity(path)

    def check(*_: Any) -> None:
        nonlocal opened
        now = _identity(path)
        if now is None or now != opened:
            opened = None  # for good: a later file may get the number of the old one
            raise KnowledgeError(
                f"knowledge base {name}: was replaced or removed since it was opened, and nothing was written; open it again"
            )

    event.listen(engine, "do_connect", check)  # SQLite would begin an empty file
    event.listen(engine, "checkout", check)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _set_up_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _on_connect(raw: Any, _record: Any) -> None:
        raw.isolation_level = None  # the driver's own implicit BEGIN would take the lock too late
        cursor = raw.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
        cursor.execute("PRAGMA foreign_keys = ON")
        _enter_wal(cursor)
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("nesycd_begin", "BEGIN"))


def _enter_wal(cursor: Any) -> None:
    """Switch to WAL. The busy timeout does not cover this switch, so processes that open a new KB together retry."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _check_or_create(engine: Engine, place: str | Path, create: bool, is_backed_up: bool, notify: Notify) -> None:
    """Most KBs are there and up to date, which is seen without waiting for writers."""
    with reading(engine, place) as connection:
        if _schema(connection, place) == SCHEMA_VERSION:
            return
    with writing(engine, place) as connection:
        found = _schema(connection, place)
        if found == SCHEMA_VERSION:
            return
        if found:
            from nesycd.knowledge.migrate import bring_up_to_date

            bring_up_to_date(connection, place, found, is_backed_up, notify)
            return
        if not create:
            raise KnowledgeError(f"there is no knowledge base at {places.shown(place)}")
        metadata.create_all(connection)
        connection.execute(meta.insert(), [{"name": "schema", "value": str(SCHEMA_VERSION)}])


def _schema(connection: Connection, place: str | Path) -> int:
    """The schema's number, 0 in an empty database."""
    name = places.shown(place)
    tables = set(inspect(connection).get_table_names())
    if not tables:
        return 0
    if not {"meta", "entries", "history"} <= tables:
        raise KnowledgeError(f"{name} is a database but not a nesycd knowledge base")
    found = str(connection.execute(select(meta.c.value).where(meta.c.name == "schema")).scalar_one_or_none())
    if not found.isdecimal() or int(found) > SCHEMA_VERSION:
        raise KnowledgeError(
            f"knowledge base {name} has schema {found}, but {SCHEMA_VERSION} is read here; use the nesycd of that time"
        )
    if int(found) < OLDEST_SCHEMA:
        raise KnowledgeError(
            f"knowledge base {name} has schema {found}, and the oldest that is read here is {OLDEST_SCHEMA}: export it with the "
            "nesycd that made it (nesycd kb export kb.yaml), and import that file into a new base"
        )
    return int(found)
