"""What Alembic runs: the steps wanted, on the connection that `migrate.py` hands over with its transaction open."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
