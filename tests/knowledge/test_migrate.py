"""Knowledge bases of an older schema are brought up to date after a backup, or refused with what to do.

There is one step yet, so the step after it is a test's own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Evidence, Lesson
from nesycd.knowledge import KnowledgeBase, database, migrate, schema

LESSON = Lesson(text="Count first.")
NEXT = f'''
from alembic import op

revision, down_revision = "{schema.SCHEMA_VERSION + 1:04}", "{schema.SCHEMA_VERSION:04}"


def upgrade():
    op.execute("CREATE TABLE more (name VARCHAR)")
    op.execute("UPDATE meta SET value = '{schema.SCHEMA_VERSION + 1}' WHERE name = 'schema'")
'''


@pytest.fixture
def newer(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Called, it makes this nesycd one with a schema more."""

    def become() -> None:
        folder = tmp_path_factory.mktemp("versions")
        (folder / "next.py").write_text(NEXT, encoding="utf-8")
        plain = migrate.configuration

        def with_next(connection: object) -> object:
            config = plain(connection)  # type: ignore[arg-type]
            ours = Path(migrate.__file__).with_name("migrations") / "versions"
            config.set_main_option("path_separator", "newline")
            config.set_main_option("version_locations", f"{ours}\n{folder}")
            return config

        monkeypatch.setattr(migrate, "configuration", with_next)
        for module in (migrate, database):
            monkeypatch.setattr(module, "SCHEMA_VERSION", schema.SCHEMA_VERSION + 1)

    return become


def old_base(place: str | Path) -> str | Path:
    with KnowledgeBase.open(place) as kb:
        kb.add([(LESSON, Evidence(example="q", source="t"))])
    return place


def holds_all(kb: KnowledgeBase) -> None:
    assert kb.get(LESSON.id).item == LESSON and kb.problems() == []
    with kb.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM more")).scalar_one() == 0


def test_the_steps_make_the_tables_that_a_new_base_has(new_place: Callable[[], str]) -> None:
    place = new_place()
    engine = create_engine(place if "://" in place else f"sqlite:///{place}")
    with engine.begin() as connection:
        command.upgrade(migrate.configuration(connection), f"{schema.SCHEMA_VERSION:04}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
    engine.dispose()
    with KnowledgeBase.open(old_base(place)) as kb:
        assert kb.get(LESSON.id).item == LESSON and kb.problems() == []
        for table in schema.APPEND_ONLY:
            with pytest.raises(KnowledgeError, match=f"{table} is append-only"), kb.writing() as connection:
                connection.execute(
                    schema.versions.insert(), [{"name": table, "revision": 1, "at": "", "actor": "", "why": ""}]
                )
                connection.execute(
                    schema.graph_acts.insert(), [{"at": "", "actor": "", "action": "", "body": "", "note": ""}]
                )
                connection.execute(text(f"DELETE FROM {table}"))


def test_an_old_file_opens_after_a_backup(tmp_path: Path, newer: Callable[[], None]) -> None:
    path = old_base(tmp_path / "kb.sqlite")
    newer()
    told: list[str] = []
    with KnowledgeBase.open(path, create=False, notify=told.append) as kb:
        holds_all(kb)
    was = schema.SCHEMA_VERSION
    kept = tmp_path / f"kb.schema-{was}.sqlite"
    assert told == [f"{path}: brought from schema {was} to {was + 1}; as it was: {kept}"]
    with closing(sqlite3.connect(kept)) as connection:
        assert connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone() == (str(was),)
    KnowledgeBase.open(path, create=False, notify=told.append).close()
    assert len(told) == 1 and sorted(p.name for p in tmp_path.iterdir()) == [kept.name, "kb.sqlite"]


def test_a_migration_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, newer: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = old_base(tmp_path / "kb.sqlite")
    newer()
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "SCHEMA_VERSION", 99)
        with pytest.raises(Exception, match="0099"):
            KnowledgeBase.open(path)
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "backup", lambda path, schema: (tmp_path / "no" / "such").touch())
        with pytest.raises(FileNotFoundError):
            KnowledgeBase.open(path)
    with KnowledgeBase.open(path) as kb:
        holds_all(kb)
    first = tmp_path / f"kb.schema-{schema.SCHEMA_VERSION}.1.sqlite"
    assert first.exists(), "the first backup is not overwritten"


def test_a_backup_that_cannot_be_written_stops_the_migration(
    tmp_path: Path, newer: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = old_base(tmp_path / "kb.sqlite")
    newer()

    def refuse(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(KnowledgeError, match=r"schema-4\.sqlite: the backup before the migration cannot be written"):
        KnowledgeBase.open(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone() == ("4",)
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.slow
def test_an_old_database_on_a_server_is_migrated_when_a_person_says_so(
    new_database: Callable[[], str], newer: Callable[[], None]
) -> None:
    place = old_base(new_database())
    newer()
    with pytest.raises(KnowledgeError, match=r"back it up \(pg_dump\).*kb migrate --yes") as caught:
        KnowledgeBase.open(place)
    assert "pa55" not in str(caught.value)
    with KnowledgeBase.open(place, is_backed_up=True) as kb:
        holds_all(kb)


@pytest.mark.parametrize("number", range(1, schema.OLDEST_SCHEMA))
def test_what_is_too_old_is_refused_with_what_to_do(number: int, tmp_path: Path) -> None:
    path = old_base(tmp_path / "kb.sqlite")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE meta SET value = ? WHERE name = 'schema'", (str(number),))
    with pytest.raises(
        KnowledgeError, match=rf"kb\.sqlite has schema {number}.*export it with the nesycd that made it"
    ):
        KnowledgeBase.open(path, create=False)
    assert [file.name for file in tmp_path.iterdir()] == ["kb.sqlite"], "it is left as it is"
