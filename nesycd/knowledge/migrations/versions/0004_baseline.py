"""Schema 4, from which later steps start: the tables as they were made then, whatever `schema.py` says by now."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from nesycd.knowledge.schema import append_only

revision = "0004"
down_revision = None

_TABLES: dict[str, list[sa.Column[str] | sa.Column[int]]] = {
    "meta": [
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("value", sa.String, nullable=False),
    ],
    "entries": [
        sa.Column("uid", sa.String, primary_key=True),
        sa.Column("key", sa.String, nullable=False, unique=True),
        sa.Column("item_id", sa.String, nullable=False, unique=True),
        sa.Column("kind", sa.String, nullable=False, index=True),
        sa.Column("status", sa.String, nullable=False, index=True),
        sa.Column("reviewer", sa.String, nullable=False),
        sa.Column("words", sa.Text, nullable=False),
        sa.Column("item", sa.Text, nullable=False),
    ],
    "evidence": [
        sa.Column("entry", sa.String, sa.ForeignKey("entries.uid"), primary_key=True),
        sa.Column("source", sa.String, primary_key=True),
        sa.Column("example", sa.String, primary_key=True),
        sa.Column("attempt", sa.String, primary_key=True),
    ],
    "names": [
        sa.Column("item_id", sa.String, primary_key=True),
        sa.Column("entry", sa.String, primary_key=True, index=True),
    ],
    "revisions": [
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.String, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("action", sa.String, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
    ],
    "versions": [
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("at", sa.String, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
    ],
    "history": [
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("revision", sa.Integer, sa.ForeignKey("revisions.number"), nullable=False, index=True),
        sa.Column("entry", sa.String, nullable=False, index=True),
        sa.Column("at", sa.String, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("action", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("reviewer", sa.String, nullable=False),
        sa.Column("item", sa.Text, nullable=False),
        sa.Column("gained", sa.Text, nullable=False),
        sa.Column("lost", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
    ],
    "graph_acts": [
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at", sa.String, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("action", sa.String, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
    ],
}


def upgrade() -> None:
    """Make the tables, four of which only grow."""
    for name, columns in _TABLES.items():
        op.create_table(name, *columns)
    for name in ("history", "revisions", "versions", "graph_acts"):
        for statement in append_only(op.get_bind().dialect.name, name):
            op.execute(statement)
    op.execute("INSERT INTO meta VALUES ('schema', '4')")
