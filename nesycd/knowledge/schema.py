"""The database under a KB: its tables and how a connection is opened. Knows nothing of merging or review.

`entries.uid` names an entry for life; `entries.item_id` follows its content; `names` remembers every id it ever had, so
that what a run wrote down still finds it. `history` is append-only (triggers refuse changes on SQLite).
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Engine, ForeignKey, Integer, MetaData, String, Table, Text, create_engine, event, inspect
from sqlalchemy import select as sql_select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.schema import DDL

from nesycd.errors import KnowledgeError

SCHEMA_VERSION = 1
BUSY_SECONDS = 60.0
"""How long a writer waits for others before it gives up."""

metadata = MetaData()
meta = Table("meta", metadata, Column("name", String, primary_key=True), Column("value", String, nullable=False))
entries = Table(
    "entries",
    metadata,
    Column("uid", String, primary_key=True),
    Column("key", String, nullable=False, unique=True),
    Column("item_id", String, nullable=False, unique=True),
    Column("kind", String, nullable=False, index=True),
    Column("status", String, nullable=False, index=True),
    Column("reviewer", String, nullable=False),
    Column("words", Text, nullable=False),
    Column("item", Text, nullable=False),
)
evidence = Table(
    "evidence",
    metadata,
    Column("entry", String, ForeignKey("entries.uid"), primary_key=True),
    Column("source", String, primary_key=True),
    Column("example", String, primary_key=True),
    Column("attempt", String, primary_key=True),
)
names = Table(
    "names",
    metadata,
    Column("item_id", String, primary_key=True),
    Column("entry", String, ForeignKey("entries.uid"), primary_key=True, index=True),
)
history = Table(
    "history",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("entry", String, ForeignKey("entries.uid"), nullable=False, index=True),
    Column("at", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("action", String, nullable=False),
    Column("status", String, nullable=False),
    Column("item", Text, nullable=False),
    Column("note", Text, nullable=False),
)
for _action in ("UPDATE", "DELETE"):
    event.listen(
        history,
        "after_create",
        DDL(  # type: ignore[no-untyped-call]
            f"CREATE TRIGGER history_no_{_action.lower()} BEFORE {_action} ON history "
            "BEGIN SELECT RAISE(ABORT, 'history is append-only'); END"
        ).execute_if(dialect="sqlite"),
    )


def connect(place: str | Path, *, create: bool) -> Engine:
    """An engine on an existing or (with `create`) new KB at a file path or database URL.

    Raises:
        KnowledgeError: no such file, not a KB, a KB of a newer nesycd, or a file that cannot be opened.
    """
    text = str(place)
    is_url = "://" in text
    if not is_url:
        path = Path(text)
        if path.is_dir():
            raise KnowledgeError(f"{path} is a folder; a knowledge base is a file such as {path / 'kb.sqlite'}")
        if not path.exists() and not create:
            raise KnowledgeError(f"there is no knowledge base at {path}")
        if not path.parent.is_dir():
            raise KnowledgeError(f"the folder {path.parent} of the knowledge base does not exist")
    with failures(text):
        engine = create_engine(text if is_url else f"sqlite:///{text}")
        if engine.dialect.name == "sqlite":
            _set_up_sqlite(engine)
        try:
            _check_or_create(engine, text, create)
        except BaseException:
            engine.dispose()
            raise
    return engine


@contextmanager
def failures(place: str) -> Iterator[None]:
    """Turn what the database reports (full disk, lock, damage) into one KnowledgeError that names the KB."""
    try:
        yield
    except DBAPIError as error:
        cause = str(error.orig).strip() or type(error.orig).__name__
        raise KnowledgeError(f"knowledge base {place}: {cause}; nothing of this change was kept") from error
    except (SQLAlchemyError, sqlite3.Error, ImportError) as error:
        raise KnowledgeError(f"knowledge base {place}: {error}") from error


@contextmanager
def writing(engine: Engine, place: str) -> Iterator[Connection]:
    """One all-or-nothing change. Takes the write lock at once, so two writers queue instead of failing half-way."""
    with failures(place), engine.connect() as connection:
        connection = connection.execution_options(nesycd_begin="BEGIN IMMEDIATE")
        with connection.begin():
            yield connection


@contextmanager
def reading(engine: Engine, place: str) -> Iterator[Connection]:
    """One consistent view of the KB."""
    with failures(place), engine.connect() as connection:
        yield connection


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


def _check_or_create(engine: Engine, place: str, create: bool) -> None:
    with writing(engine, place) as connection:
        tables = set(inspect(connection).get_table_names())
        if not tables and create:
            metadata.create_all(connection)
            connection.execute(meta.insert().values(name="schema", value=str(SCHEMA_VERSION)))
            return
        if not {"meta", "entries", "history"} <= tables:
            raise KnowledgeError(f"{place} is a database but not a nesycd knowledge base")
        found = connection.execute(sql_select(meta.c.value).where(meta.c.name == "schema")).scalar_one_or_none()
    if found != str(SCHEMA_VERSION):
        raise KnowledgeError(
            f"knowledge base {place} has schema {found}, but {SCHEMA_VERSION} is read here; use the nesycd of that time"
        )
