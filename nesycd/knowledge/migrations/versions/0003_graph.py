"""Schema 3: the log of what is said of entities and relations is one of the tables.

Before, it was made with the first act, and on PostgreSQL nothing kept it from being changed.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table where no act has made it, and have it only grow."""
    bind = op.get_bind()
    if not sa.inspect(bind).has_table("graph_acts"):
        op.create_table(
            "graph_acts",
            sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
            sa.Column("at", sa.String, nullable=False),
            sa.Column("actor", sa.String, nullable=False),
            sa.Column("action", sa.String, nullable=False),
            sa.Column("body", sa.Text, nullable=False),
            sa.Column("note", sa.Text, nullable=False),
        )
    if bind.dialect.name == "sqlite":
        for action in ("UPDATE", "DELETE"):
            name = f"graph_acts_no_{action.lower()}"
            op.execute(f"DROP TRIGGER IF EXISTS {name}")
            op.execute(
                f"CREATE TRIGGER {name} BEFORE {action} ON graph_acts "
                "BEGIN SELECT RAISE(ABORT, 'graph_acts is append-only'); END"
            )
    else:
        op.execute(
            "CREATE TRIGGER graph_acts_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON graph_acts "
            "FOR EACH STATEMENT EXECUTE FUNCTION nesycd_append_only()"
        )
    op.execute("UPDATE meta SET value = '3' WHERE name = 'schema'")
