"""Alembic's steps from each schema of a KB to the next. `migrate.py` runs them; each is frozen once it is released."""
