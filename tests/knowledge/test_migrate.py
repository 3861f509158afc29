"""Knowledge bases of every older schema open, with all they held, after a backup.

`schemas/schema-N.sql` is a KB as nesycd wrote it when N was the schema, `schema-N.yaml` its export then.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DatabaseError

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Status
from nesycd.knowledge import KnowledgeBase, database, migrate, read_entities, rows, schema
from nesycd.knowledge.formats import yaml_file

SCHEMAS = Path(__file__).with_name("schemas")
OLD = range(1, schema.SCHEMA_VERSION)


def old_file(number: int, folder: Path) -> Path:
    path = folder / "kb.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((SCHEMAS / f"schema-{number}.sql").read_text(encoding="utf-8"))
    return path


def looks_as_it_was(kb: KnowledgeBase, number: int) -> None:
    assert yaml_file.write(kb.entries()) == (SCHEMAS / f"schema-{number}.yaml").read_text(encoding="utf-8")
    assert kb.problems() == []
    with kb.reading() as connection:
        found = compare_metadata(MigrationContext.configure(connection), schema.metadata)
    assert found == [], "migrated and newly made tables are alike"


@pytest.mark.parametrize("number", OLD)
def test_an_old_file_opens_after_a_backup(number: int, tmp_path: Path) -> None:
    path = old_file(number, tmp_path)
    told: list[str] = []
    with KnowledgeBase.open(path, create=False, notify=told.append) as kb:
        looks_as_it_was(kb, number)
        assert kb.tag("moved", "Ann") == kb.revision > 0
        entry = kb.entries(status=Status.PROPOSED)[0]
        kb.approve(entry.item_id, "Ann")
        kb.revert_to("moved", "Ann")
        looks_as_it_was(kb, number)
    kept = tmp_path / f"kb.schema-{number}.sqlite"
    assert told == [f"{path}: brought from schema {number} to {schema.SCHEMA_VERSION}; as it was: {kept}"]
    with closing(sqlite3.connect(kept)) as connection:
        assert connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone() == (str(number),)
    KnowledgeBase.open(path, create=False, notify=told.append).close()
    assert len(told) == 1 and sorted(p.name for p in tmp_path.iterdir()) == [kept.name, path.name]


def test_the_history_of_schema_1_is_carried_over(tmp_path: Path) -> None:
    with KnowledgeBase.open(old_file(1, tmp_path)) as kb:
        assert kb.version == "93bdbc1b15d9b532", "as it was computed then"
        fathom = kb.history("a894")
        assert [(line.actor, line.action, str(line.status)) for line in fathom] == [
            ("expert", "add", "proposed"),
            ("gpt", "merge", "proposed"),
            ("auto", "approve", "approved"),
        ]
        assert len(kb.revisions()) == 13
        (perch,) = [entry for entry in kb.state("5") if "perch" in entry.item.text]
        assert perch.item.text == "A perch is 16 feet." and (perch.status, perch.reviewer) == (Status.PROPOSED, "")
        assert [e.example for e in perch.evidence] == ["units/2"]
        kb.revert(11, "Ann", "the lesson was right")
        (lesson,) = kb.entries(search="apples")
        assert (lesson.status, lesson.reviewer) == (Status.APPROVED, "auto")


def test_what_schema_2_said_of_entities_and_relations_still_stands(tmp_path: Path) -> None:
    with KnowledgeBase.open(old_file(2, tmp_path)) as kb:
        entities = read_entities(kb)
        assert entities.node("Sun King") == "louis xiv" and entities.node("fathom") == "fathom"
        assert [merge.reverted[:4] for merge in entities.merges] == ["", "Ann,"]
        assert entities.relations["father"].functional and entities.relations["spouse"].symmetric
        with kb.writing() as connection, pytest.raises(DatabaseError, match="graph_acts is append-only"):
            connection.execute(text("DELETE FROM graph_acts"))


def test_what_an_old_history_does_not_say_is_added_by_the_migration(tmp_path: Path) -> None:
    path = old_file(1, tmp_path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE entries SET reviewer = 'Zoe' WHERE kind = 'rule'")
    with KnowledgeBase.open(path) as kb:
        assert kb.problems() == [] and kb.revisions(1)[0].action == "migrate"
        assert [entry.reviewer for entry in kb.entries(kind="rule")] == ["Zoe"]


def test_ids_that_are_not_the_contents_are_renewed(tmp_path: Path) -> None:
    path = old_file(1, tmp_path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE entries SET item_id = '0123456789abcdef' WHERE kind = 'rule'")
    with KnowledgeBase.open(path) as kb:
        looks_as_it_was(kb, 1)
        assert kb.version == "93bdbc1b15d9b532" and kb.revisions(1)[0].action == "renew"


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = old_file(1, tmp_path)
    monkeypatch.setattr(migrate, "SCHEMA_VERSION", 99)
    with pytest.raises(Exception, match="0099"):
        KnowledgeBase.open(path)
    monkeypatch.undo()
    monkeypatch.setattr(migrate, "backup", lambda path, schema: (tmp_path / "no" / "such").touch())
    with pytest.raises(FileNotFoundError):
        KnowledgeBase.open(path)
    monkeypatch.undo()
    with KnowledgeBase.open(path) as kb:
        looks_as_it_was(kb, 1)
    assert (tmp_path / "kb.schema-1.1.sqlite").exists(), "the first backup is not overwritten"


def test_a_backup_that_cannot_be_written_stops_the_migration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = old_file(1, tmp_path)

    def refuse(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(KnowledgeError, match=r"schema-1\.sqlite: the backup before the migration cannot be written"):
        KnowledgeBase.open(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone() == ("1",)
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.slow
@pytest.mark.parametrize("number", OLD)
def test_an_old_database_on_a_server_is_migrated_when_a_person_says_so(
    number: int, new_database: Callable[[], str]
) -> None:
    place = new_database()
    engine = create_engine(place)
    with engine.begin() as connection:
        command.upgrade(migrate.configuration(connection), f"{number:04}")
        lines = (SCHEMAS / f"schema-{number}.sql").read_text(encoding="utf-8").splitlines()
        inserts = [line for line in lines if line.startswith("INSERT") and '"meta"' not in line]
        if any('"graph_acts"' in line for line in lines):
            schema.graph_acts.create(connection)  # as the first act made it
        order = ["entries", "evidence", "names", "revisions", "versions", "history", "graph_acts"]
        for line in sorted(inserts, key=lambda line: order.index(line.split('"')[1])):
            connection.exec_driver_sql(line.replace("%", "%%"))
    engine.dispose()
    with pytest.raises(KnowledgeError, match=r"back it up \(pg_dump\).*kb migrate --yes") as caught:
        KnowledgeBase.open(place)
    assert "pa55" not in str(caught.value)
    with KnowledgeBase.open(place, is_backed_up=True) as kb:
        looks_as_it_was(kb, number)
    for table in ("history", "graph_acts"):
        with (
            KnowledgeBase.open(place) as kb,
            pytest.raises(KnowledgeError, match=f"{table} is append-only"),
            kb.writing() as connection,
        ):
            connection.execute(text(f"DELETE FROM {table}"))


def test_every_older_schema_has_its_fixture() -> None:
    assert {path.name for path in SCHEMAS.iterdir()} == {f"schema-{n}.{end}" for n in OLD for end in ("sql", "yaml")}


def test_ids_follow_when_a_record_gets_a_new_form(
    new_place: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from nesycd.core.records import Evidence, Lesson, Rule

    # A rule with nothing new is what it was, whatever the newest form.
    rule, plain, lesson = Rule(text="If so, then so.", scope=("t",)), Rule(text="If so."), Lesson(text="Count.")
    place = new_place()
    with KnowledgeBase.open(place) as kb:
        kb.add([(item, Evidence(example="q", source="x")) for item in (rule, plain, lesson)])
    assert re.fullmatch(r"\w+/\d+ \w+/\d+ \w+/\d+", database.RECORDS)
    monkeypatch.setattr(Rule, "schema_name", "rule/99")
    for module in (database, rows):
        monkeypatch.setattr(module, "RECORDS", "fact/1 lesson/1 rule/99")
    with KnowledgeBase.open(place) as kb:
        entry, same = sorted(kb.entries(kind="rule"), key=lambda one: -len(one.item.text))
        assert same.item_id == plain.id
        assert entry.item_id != rule.id and kb.get(rule.id) == kb.get(entry.item_id) == entry
        assert kb.get(lesson.id).item_id == lesson.id
        assert kb.problems() == [] and kb.revisions(1)[0].entries == 1
    KnowledgeBase.open(place).close()
