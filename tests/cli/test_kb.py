"""`nesycd kb`: every command on a real file, and texts that would take over a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nesycd.cli.main import app
from nesycd.core.records import Evidence, Fact, Lesson, Status
from nesycd.knowledge import KnowledgeBase

FATHOM = Fact(text="A fathom is 6 feet.", subject="fathom", relation="length", object="6 feet", aliases=("fadom",))
COUNT = Lesson(text="Count the apples before adding them.")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "kb.sqlite"
    with KnowledgeBase.open(path) as kb:
        kb.add([(FATHOM, Evidence(example="units/1", attempt="abcd", source="expert"))])
        kb.add([(COUNT, Evidence(example="", source="Ann"))], status=Status.APPROVED, reviewer="auto")
    return path


def nesycd(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["kb", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.output


def test_list_search_show_stats(path: Path) -> None:
    both = nesycd("list", "--kb", path)
    assert FATHOM.text in both and COUNT.text in both and FATHOM.id[:8] in both
    assert FATHOM.text not in nesycd("list", "--kb", path, "--status", "approved")
    assert COUNT.text not in nesycd("list", "--kb", path, "--kind", "fact")
    assert "1 more" in nesycd("list", "--kb", path, "--limit", 1)
    assert FATHOM.text in nesycd("search", "FADOM", "feet", "--kb", path)
    shown = nesycd("show", FATHOM.id[:6], "--kb", path)
    assert all(part in shown for part in ("6 feet", "fadom", "proposed", "units/1", "expert", "add"))
    stats = nesycd("stats", "--kb", path)
    assert "items: 2" in stats and "fact 1, lesson 1" in stats and "approved 1, proposed 1" in stats


def test_review_and_edit(path: Path) -> None:
    nesycd("approve", FATHOM.id[:6], "--kb", path, "--by", "Ann")
    nesycd("reject", COUNT.id, "--kb", path, "--by", "Bob")
    noted = nesycd("edit", FATHOM.id[:6], "--object", "7 feet", "--kb", path, "--by", "Ann")
    assert "text does not say the new object" in noted
    assert "note" not in nesycd("edit", FATHOM.id[:6], "--text", "A fathom is 7 feet.", "--kb", path, "--by", "Ann")
    with KnowledgeBase.open(path) as kb:
        fathom, count = kb.get(FATHOM.id), kb.get(COUNT.id)
    assert (fathom.status, fathom.reviewer) == (Status.APPROVED, "Ann")
    assert isinstance(fathom.item, Fact) and (fathom.item.object, fathom.item.text) == ("7 feet", "A fathom is 7 feet.")
    assert (count.status, count.reviewer) == (Status.REJECTED, "Bob")
    nesycd("retire", FATHOM.id, "--kb", path, "--by", "Ann")
    assert "already, rejected" in nesycd("add", COUNT.text, "--kb", path, "--by", "Cid")
    assert "approved 0" in nesycd("approve", "all", "--kb", path)


def test_add_export_import(path: Path, tmp_path: Path) -> None:
    nesycd("add", "A foot is 12 inches.", "--kind", "fact", "--subject", "foot", "--relation", "length",
           "--object", "12 inches", "--alias", "ft", "--kb", path, "--by", "Ann")  # fmt: skip
    nesycd("export", tmp_path / "kb.yaml", "--kb", path)
    other = tmp_path / "other.sqlite"
    KnowledgeBase.open(other).close()
    assert "3 new" in nesycd("import", tmp_path / "kb.yaml", "--kb", other)
    exported = nesycd("export", "-", "--kb", other)
    assert exported == (tmp_path / "kb.yaml").read_text() == nesycd("export", "-", "--kb", path)
    (tmp_path / "mine.yaml").write_text("- {kind: lesson, text: Think.}\n- {kind: lesson, text: Count.}\n")
    assert "2 new" in nesycd("import", tmp_path / "mine.yaml", "--approve", "--by", "Ann", "--kb", other)
    with KnowledgeBase.open(other) as kb:
        assert {e.reviewer for e in kb.entries(search="think")} == {"Ann"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "ffffffff"], "no item has the id"),
        (["show", "ff"], "too short"),
        (["list", "--status", "famous"], "famous"),
        (["add", "x", "--kind", "poem"], "poem"),
        (["add", "x", "--kind", "fact"], "subject"),
        (["edit", FATHOM.id], "nothing to change"),
        (["edit", FATHOM.id, "--clause", "p."], "clause"),
        (["import", "none.yaml"], "none.yaml"),
        (["export", "no/such/folder.yaml"], "cannot be written"),
    ],
)
def test_mistakes_are_told_in_one_line(path: Path, arguments: list[str], message: str) -> None:
    output = nesycd(*arguments, "--kb", path, code=2)
    assert output.startswith("error: ") and message in output and output.count("\n") == 1


def test_the_newest_run_is_the_default(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no run" in nesycd("list", code=2)
    for age, name in ((200, "old"), (100, "new")):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")
        os.utime(folder / "manifest.json", (time.time() - age, time.time() - age))
        with KnowledgeBase.open(folder / "kb.sqlite") as kb:
            kb.propose(Lesson(text=f"From the {name} run."), Evidence(example="", source="x"))
    assert "From the new run." in nesycd("list")
    assert "no knowledge base at" in nesycd("list", "--kb", "none.sqlite", code=2)
    assert not (tmp_path / "none.sqlite").exists()


def test_texts_cannot_take_over_the_terminal(path: Path) -> None:
    evil = Lesson(text="\x1b[2J\x1b]0;gone\x07 [bold]not bold[/bold] [/nonsense] \u202eback\r\x00 x")
    with KnowledgeBase.open(path) as kb:
        item = kb.propose(evil, Evidence(example="\x1b[1m[red]", source="\x1b[31m[blink]")).item_id
    outputs = [
        nesycd("list", "--kb", path),
        nesycd("search", "bold", "--kb", path),
        nesycd("show", item, "--kb", path),
        nesycd("stats", "--kb", path),
        nesycd("edit", item, "--text", evil.text + "\x1b", "--kb", path, "--by", "\x1bAnn"),
        nesycd("export", "-", "--kb", path),
    ]
    for output in outputs:
        assert not set("\x1b\x07\u202e\r\x00") & set(output)
        assert "\\x1b" in output
    assert "[bold]" in outputs[0] and "[/nonsense]" in outputs[2].replace("\n", "")


def test_import_replace(path: Path, tmp_path: Path) -> None:
    file, kb = tmp_path / "kb.yaml", ("--kb", path)
    nesycd("export", file, *kb)
    before = file.read_text(encoding="utf-8")
    nesycd("add", "Count each kind.", "--by", "Ann", *kb)
    assert "1 gone" in (told := nesycd("import", file, "--replace", "--dry-run", *kb)) and "Count each kind." in told
    refused = nesycd("import", file, "--replace", *kb, code=2)
    assert "would lose 1 approved items" in refused and "--yes" in refused
    assert "Count each kind." in nesycd("import", file, "--replace", "--yes", "--by", "Ann", *kb)
    assert nesycd("export", "-", *kb) == before


@pytest.mark.parametrize("command", ["", "edit", "import", "add"])
def test_help_teaches_by_example_and_is_light(command: str) -> None:
    program = (
        "import sys; from nesycd.cli.main import app\n"
        "try: app(sys.argv[1:])\n"
        "finally: print(sorted({'torch', 'sqlalchemy', 'bm25s', 'yaml'} & set(sys.modules)), file=sys.stderr)"
    )
    arguments = ["kb", *([command] if command else []), "--help"]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stderr.strip() == "[]"
    assert "fathom" in done.stdout or command == "edit"
