"""The tables of a KB. Independent of connections, merging and review.

`entries.uid` names an entry for life; `entries.item_id` follows its content; `names` remembers every id it ever had, so
that what a run wrote down still finds it. A revision is one all-or-nothing change, numbered from 1 without gaps; each
entry that it touched has a line in `history` that says what the entry was after it. `history`, `revisions`, `versions`
and `graph_acts` are append-only (triggers refuse changes), and reverting removes an entry's row, never its history.

An item is stored as the JSON of its record, so a new field of an item needs no migration here, where it leaves the ids of
items without it as they are.
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table, Text, event, text
from sqlalchemy.engine import Connection

SCHEMA_VERSION = 4
"""Raised with every migration (`migrations/versions/`)."""
OLDEST_SCHEMA = 4
"""That of the first step among the migrations: what is older cannot be brought up to date."""

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
    Column("entry", String, primary_key=True, index=True),
)
revisions = Table(
    "revisions",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("action", String, nullable=False),
    Column("why", Text, nullable=False),
)
versions = Table(
    "versions",
    metadata,
    Column("name", String, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("at", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("why", Text, nullable=False),
)
history = Table(
    "history",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("revision", Integer, ForeignKey("revisions.number"), nullable=False, index=True),
    Column("entry", String, nullable=False, index=True),
    Column("at", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("action", String, nullable=False),
    # "" where the entry is gone after this line.
    Column("status", String, nullable=False),
    Column("reviewer", String, nullable=False),
    Column("item", Text, nullable=False),
    # Evidence that came and went, as JSON: [[source, example, attempt], ...].
    Column("gained", Text, nullable=False),
    Column("lost", Text, nullable=False),
    Column("note", Text, nullable=False),
)
graph_acts = Table(
    "graph_acts",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("at", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("action", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("note", Text, nullable=False),
)
"""What was said of entities and relations (`entities`): merges, their reversals, declarations."""
APPEND_ONLY = ("history", "revisions", "versions", "graph_acts")


def append_only(dialect: str, table: str) -> list[str]:
    """Statements after which the database refuses to change or delete rows of a table."""
    if dialect == "sqlite":
        return [
            f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            for action in ("UPDATE", "DELETE")
        ]
    return [
        "CREATE OR REPLACE FUNCTION nesycd_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only'; END $$",
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION nesycd_append_only()",
    ]


@event.listens_for(metadata, "after_create")
def _protect(_: MetaData, connection: Connection, **_given: object) -> None:
    for table in APPEND_ONLY:
        for statement in append_only(connection.dialect.name, table):
            connection.execute(text(statement))
