"""Schema 1: entries, evidence, former ids and a history of lines, each by itself."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables, as nesycd 0.1 did before it had revisions."""
    op.create_table(
        "meta", sa.Column("name", sa.String, primary_key=True), sa.Column("value", sa.String, nullable=False)
    )
    op.create_table(
        "entries",
        sa.Column("uid", sa.String, primary_key=True),
        sa.Column("key", sa.String, nullable=False, unique=True),
        sa.Column("item_id", sa.String, nullable=False, unique=True),
        sa.Column("kind", sa.String, nullable=False, index=True),
        sa.Column("status", sa.String, nullable=False, index=True),
        sa.Column("reviewer", sa.String, nullable=False),
        sa.Column("words", sa.Text, nullable=False),
        sa.Column("item", sa.Text, nullable=False),
    )
    op.create_table(
        "evidence",
        sa.Column("entry", sa.String, sa.ForeignKey("entries.uid"), primary_key=True),
        sa.Column("source", sa.String, primary_key=True),
        sa.Column("example", sa.String, primary_key=True),
        sa.Column("attempt", sa.String, primary_key=True),
    )
    op.create_table(
        "names",
        sa.Column("item_id", sa.String, primary_key=True),
        sa.Column("entry", sa.String, sa.ForeignKey("entries.uid"), primary_key=True, index=True),
    )
    op.create_table(
        "history",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("entry", sa.String, sa.ForeignKey("entries.uid"), nullable=False, index=True),
        sa.Column("at", sa.String, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("action", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("item", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
    )
    op.execute(sa.text("INSERT INTO meta VALUES ('schema', '1')"))
