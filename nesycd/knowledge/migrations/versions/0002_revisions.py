"""Schema 2: revisions, named versions, and a history from which every earlier state can be told.

The old history gave neither reviewers nor evidence. Each of its lines becomes a revision of its own; an entry's evidence
is dated to its first line, reviewers follow from who acted; where that does not come to what is there now, one more
revision says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

WHY = "from a knowledge base of schema 1"


def upgrade() -> None:
    """Make the new tables and carry the history over."""
    bind = op.get_bind()
    sqlite = bind.dialect.name == "sqlite"
    if sqlite:
        op.execute("DROP TRIGGER IF EXISTS history_no_update")
        op.execute("DROP TRIGGER IF EXISTS history_no_delete")
    revisions, history = _create()
    numbers, lines = [], []
    for number, line in enumerate(_lines(bind), start=1):
        numbers.append({"number": number, "why": WHY, **{key: line[key] for key in ("at", "actor", "action")}})
        lines.append({"revision": number, **line})
    for table, rows in ((revisions, numbers), (history, lines)):
        if rows:
            op.bulk_insert(table, rows)
    op.execute("INSERT INTO names_2 SELECT item_id, entry FROM names")
    for name in ("history", "names"):
        op.drop_table(name)
        op.rename_table(f"{name}_2", name)
    op.create_index("ix_history_entry", "history", ["entry"])
    op.create_index("ix_history_revision", "history", ["revision"])
    op.create_index("ix_names_entry", "names", ["entry"])
    _protect(sqlite)
    op.execute("UPDATE meta SET value = '2' WHERE name = 'schema'")
    # Ids are looked at once: the first programs that wrote schema 1 kept that of an item whose aliases were not yet tidy.
    op.execute("INSERT INTO meta VALUES ('records', 'unknown')")


def _create() -> tuple[sa.Table, sa.Table]:
    revisions = op.create_table(
        "revisions",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.String, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("action", sa.String, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
    )
    op.create_table(
        "versions",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("at", sa.String, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
    )
    history = op.create_table(
        "history_2",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("revision", sa.Integer, sa.ForeignKey("revisions.number"), nullable=False),
        sa.Column("entry", sa.String, nullable=False),
        sa.Column("at", sa.String, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("action", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("reviewer", sa.String, nullable=False),
        sa.Column("item", sa.Text, nullable=False),
        sa.Column("gained", sa.Text, nullable=False),
        sa.Column("lost", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
    )
    op.create_table(
        "names_2",
        sa.Column("item_id", sa.String, primary_key=True),
        sa.Column("entry", sa.String, primary_key=True),
    )
    return revisions, history


def _lines(bind: sa.Connection) -> Iterator[dict[str, Any]]:
    """The new history's lines, without their revisions' numbers."""
    entries = {row.uid: row for row in bind.execute(sa.text("SELECT uid, status, reviewer, item FROM entries"))}
    proof: dict[str, list[list[str]]] = {uid: [] for uid in entries}
    for row in bind.execute(sa.text("SELECT entry, source, example, attempt FROM evidence ORDER BY 1, 2, 3, 4")):
        proof[row.entry].append([row.source, row.example, row.attempt])
    last: dict[str, tuple[str, str, str]] = {}
    for row in bind.execute(sa.text("SELECT * FROM history ORDER BY seq")).all():
        sources = {piece[0] for piece in proof.get(row.entry, ())}
        by_teacher = row.action in {"add", "merge"} and set(row.actor.split(", ")) <= sources
        reviewer = last[row.entry][1] if row.entry in last else ""
        if not by_teacher or (row.entry not in last and row.status != "proposed"):
            reviewer = row.actor
        yield {
            **{key: getattr(row, key) for key in ("entry", "at", "actor", "action", "status", "item", "note")},
            "reviewer": reviewer,
            "gained": json.dumps(proof.get(row.entry, []) if row.entry not in last else [], ensure_ascii=False),
            "lost": "[]",
        }
        last[row.entry] = (row.status, reviewer, row.item)
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    for uid, row in entries.items():
        if last.get(uid) != (row.status, row.reviewer, row.item):
            yield {
                **{"entry": uid, "at": now, "actor": "nesycd", "action": "migrate", "note": WHY, "lost": "[]"},
                **{"status": row.status, "reviewer": row.reviewer, "item": row.item},
                "gained": json.dumps([] if uid in last else proof[uid], ensure_ascii=False),
            }


def _protect(sqlite: bool) -> None:
    if not sqlite:
        op.execute(
            "CREATE OR REPLACE FUNCTION nesycd_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only'; END $$"
        )
    for table in ("history", "revisions", "versions"):
        if not sqlite:
            op.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION nesycd_append_only()"
            )
            continue
        for action in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
