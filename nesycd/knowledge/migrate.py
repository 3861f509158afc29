"""Bringing a KB of an older schema up to date with Alembic, after a backup of its file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy.engine import Connection

from nesycd.core.errors import KnowledgeError
from nesycd.knowledge import urls as places
from nesycd.knowledge.schema import SCHEMA_VERSION


def bring_up_to_date(
    connection: Connection, place: str | Path, found: int, is_backed_up: bool, notify: Callable[[str], None]
) -> None:
    """Migrate inside the open transaction: killed or failing half-way, the KB stays what it was.

    A file is backed up first. A server's database cannot be from here, so a person must say that it `is_backed_up`.

    Raises:
        KnowledgeError: no backup, or one that cannot be written.
    """
    name = places.shown(place)
    path = places.file_of(places.url_of(place))
    if path is None and not is_backed_up:
        raise KnowledgeError(
            f"knowledge base {name} has schema {found}, and {SCHEMA_VERSION} is needed: back it up (pg_dump), then "
            "bring it up to date by: nesycd kb migrate --yes --kb URL"
        )
    if path is not None:
        kept = backup(path, found)
        notify(f"{name}: brought from schema {found} to {SCHEMA_VERSION}; as it was: {kept}")
    config = configuration(connection)
    command.stamp(config, f"{found:04}", purge=True)
    command.upgrade(config, f"{SCHEMA_VERSION:04}")


def configuration(connection: Connection) -> Config:
    """Alembic's settings for a connection whose transaction the caller holds."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def backup(path: Path, schema: int) -> Path:
    """Copy a KB's file, as of the last change, next to it.

    Raises:
        KnowledgeError: it cannot be written.
    """
    names = (f"{path.stem}.schema-{schema}{(number and f'.{number}') or ''}{path.suffix}" for number in range(10_000))
    kept = next(other for name in names if not (other := path.with_name(name)).exists())
    part = kept.with_name(kept.name + ".part")
    try:
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(part)) as target:
            source.backup(target)
        part.replace(kept)
    except (sqlite3.Error, OSError) as error:
        part.unlink(missing_ok=True)
        raise KnowledgeError(f"{kept}: the backup before the migration cannot be written: {error}") from None
    return kept
