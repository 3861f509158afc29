"""`nesycd kb log`, `tag`, `diff`, `revert`, `verify`, `migrate`, and files in other formats, as a user would call them."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nesycd.cli.main import app
from nesycd.core.records import Evidence, Fact, Lesson
from nesycd.knowledge import KnowledgeBase

FATHOM = Fact(text="A fathom is 6 feet.", subject="fathom", relation="length", object="6 feet")
COUNT = Lesson(text="Count the apples.")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "kb.sqlite"
    with KnowledgeBase.open(path) as kb:
        kb.add([(FATHOM, Evidence(example="units/1", source="expert")), (COUNT, Evidence(example="q", source="gpt"))])
    monkeypatch.setenv("NESYCD_KB", str(path))
    return path


def nesycd(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["kb", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.output


def test_a_change_is_logged_named_compared_and_taken_back(path: Path) -> None:
    with KnowledgeBase.open(path) as kb:
        version = kb.version
    assert f"v1 is revision 1, version {version}" in nesycd("tag", "v1", "--by", "Ann", "--why", "as diagnosed")
    nesycd("edit", FATHOM.id, "--text", "A fathom is 7 feet.", "--object", "7 feet", "--by", "Ann", "--why", "a book")
    nesycd("approve", "all", "--by", "Bob", "--why", "all read")
    log = nesycd("log")
    assert [line.split()[0] for line in log.splitlines()] == ["revision", "3", "2", "1"]
    assert "Ann" in log and "a book" in log and "all read" in log and "[v1]" in log
    assert "2 more" in nesycd("log", "--limit", 1)
    item = nesycd("log", FATHOM.id[:6])
    assert [line.split()[0] for line in item.splitlines()] == ["revision", "3", "2", "1"]
    assert "A fathom is 6 feet." in item and "A fathom is 7 feet." in item and "a book" in item
    diff = nesycd("diff", "v1")
    assert "object: 6 feet -> 7 feet" in diff and "status: proposed -> approved" in diff and diff.count("~ ") == 2
    assert "1 and v1 are alike" in nesycd("diff", "1", "v1")
    assert "1 items changed by revision 4" in nesycd("revert", 2, "--by", "Cid", "--why", "the book is wrong")
    assert "6 feet" in nesycd("search", "fathom")
    assert "2 items changed by revision 5" in nesycd("revert", "--to", "v1", "--by", "Cid")
    assert "alike" in nesycd("diff", "v1", "now")
    assert "nothing to change" in nesycd("revert", "--to", "v1", "--by", "Cid")
    assert "5 revisions" in nesycd("verify")


def test_what_is_wrong_with_a_base_is_told(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE entries SET reviewer = 'nobody' WHERE kind = 'lesson'")
    assert f"item {COUNT.id} is not what its history says" in nesycd("verify", code=1)


def test_a_base_is_up_to_date_or_too_old_and_then_the_command_says_what_to_do(path: Path) -> None:
    assert "is up to date" in nesycd("migrate")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE meta SET value = '3' WHERE name = 'schema'")
    for command in ("migrate", "list"):
        assert "has schema 3" in (said := nesycd(command, code=2)) and "nesycd kb export kb.yaml" in " ".join(
            said.split()
        )


@pytest.mark.parametrize("name", ["kb.yaml", "kb.jsonld", "kb.csv", "kb.ttl"])
def test_a_file_is_tried_before_it_is_imported(path: Path, tmp_path: Path, name: str) -> None:
    pytest.importorskip("rdflib")
    file = tmp_path / name
    nesycd("export", file)
    assert file.read_text() == nesycd("export", "-", "--format", {"kb.ttl": "turtle"}.get(name, name[3:]))
    file.write_text(file.read_text().replace("Count the apples", "Count the pears"))
    tried = nesycd("import", file, "--dry-run", "--by", "Ann")
    assert "text: Count the apples. -> Count the pears." in tried and "nothing was imported; would be" in tried
    assert "1 changed, 1 as they were" in tried and "apples" in nesycd("list") and "log" not in tried
    assert "imported from" in nesycd("import", file, "--by", "Ann", "--why", "pears it is")
    assert "pears" in nesycd("list") and "pears it is" in nesycd("log")


def test_formats_for_reading(path: Path, tmp_path: Path) -> None:
    nesycd("export", tmp_path / "kb.md")
    nesycd("export", tmp_path / "kb.txt", "--format", "lp")
    assert "| A fathom is 6 feet. | fathom | length | 6 feet |" in (tmp_path / "kb.md").read_text()
    assert f'triple("{FATHOM.id}","fathom","length","6 feet").' in (tmp_path / "kb.txt").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["revert"], "say which revision"),
        (["revert", "1", "--to", "v1"], "say which revision"),
        (["revert", "9"], "no revision 9"),
        (["revert", "--to", "v9"], "no version 'v9'"),
        (["diff", "v9"], "no version 'v9'"),
        (["tag", "1"], "cannot name a version"),
        (["log", "ffffffff"], "no item has the id"),
        (["export", "x.yaml", "--format", "docx"], "format 'docx' is none of"),
        (["import", "x.md"], "only written"),
        (["add", "half \udcff"], "not valid UTF-8 text"),
        (["reject", COUNT.id, "--by", "half \udcff"], "not valid UTF-8 text"),
    ],
)
def test_mistakes_are_told_in_one_line(path: Path, arguments: list[str], message: str) -> None:
    output = nesycd(*arguments, code=2)
    assert output.startswith("error: ") and message in output and output.count("\n") == 1


def test_contents_cannot_take_over_the_terminal(path: Path, tmp_path: Path) -> None:
    pytest.importorskip("rdflib")
    evil = "\x1b[2J\x1b]0;gone\x07[bold]x[/bold][/no]\u202e\r\x9b31m"
    fact = Fact(text=evil, subject=evil, relation=evil, object=evil, aliases=(evil,))
    with KnowledgeBase.open(path) as kb:
        kb.add([(fact, Evidence(example=evil, source=evil, attempt=evil))])
        kb.reject(fact.id, evil, evil)
        kb.edit(COUNT.id, {"text": f"{evil} x"}, evil, evil)
    bad = tmp_path / "bad.csv"
    bad.write_text(f'kind,text\n"{evil}","{evil}"\n')
    worse = tmp_path / "bad.ttl"
    worse.write_text(f"@prefix : <http://x/> . {evil} :a :b .")
    outputs = [
        *(nesycd(*command) for command in (["list"], ["show", fact.id], ["log"], ["log", fact.id], ["stats"])),
        nesycd("diff", "1"),
        nesycd("import", _exported(path, tmp_path / "kb.yaml"), "--dry-run", "--by", evil),
        *(nesycd("export", "-", "--format", form) for form in ("yaml", "markdown", "turtle", "lp", "jsonld")),
        *(nesycd(*command, code=2) for command in (["import", bad], ["import", worse], ["diff", evil], ["tag", evil])),
        nesycd("revert", 3, "--by", evil, "--why", evil),
        nesycd("verify"),
    ]
    for output in outputs:
        assert not set("\x1b\x07\u202e\r\x9b") & set(output), output


def _exported(path: Path, file: Path) -> Path:
    nesycd("export", file)
    file.write_text(file.read_text().replace("units/1", "units/2"))
    return file


@pytest.mark.parametrize("name", ["kb.ttl", "kb.jsonld"])
def test_without_rdflib_the_extra_is_named(
    path: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rdflib")
    nesycd("export", tmp_path / name)
    for module in [module for module in sys.modules if module.partition(".")[0] == "rdflib"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "rdflib", None)
    for command in (["export", tmp_path / f"new-{name}"], ["import", tmp_path / name]):
        assert nesycd(*command, code=2).endswith("pip install 'nesycd[rdf]'\n")
    assert not (tmp_path / f"new-{name}").exists()
