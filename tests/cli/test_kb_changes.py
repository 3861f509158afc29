"""Commands that change a base: which one it was, what a file changed, a text that leaves its triple behind; evidence."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from nesycd.cli.main import app
from nesycd.core.answers import Prediction
from nesycd.core.records import Diagnosis, Evidence, Example, Fact, Lesson, Status
from nesycd.core.segments import Segment
from nesycd.core.storage import RecordLog, write_json_atomic
from nesycd.knowledge import KnowledgeBase
from nesycd.runs.manifest import fresh_manifest

ACRE = Fact(text="An acre has 4 roods.", subject="acre", relation="area", object="4 roods")
ADVICE = Lesson(text="Convert to one unit first.")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "kb.sqlite"
    with KnowledgeBase.open(path) as kb:
        kb.add([(ACRE, Evidence(example="areas/1", source="expert")), (ADVICE, Evidence(example="", source="Ann"))])
    return path


def nesycd(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["kb", *map(str, arguments)], terminal_width=200)
    assert result.exit_code == code, result.output
    return result.output


# --- which base -------------------------------------------------------------------------------------------------------


def test_every_command_that_writes_says_which_base_it_changed(path: Path, tmp_path: Path) -> None:
    relations = tmp_path / "relations.yaml"
    relations.write_text("relations: [{name: area, is: [functional]}]")
    table = tmp_path / "mine.csv"
    table.write_text("subject,relation,object\nrood,area,40 perches\n")
    for command in (
        ["add", "Sum up."], ["edit", ADVICE.id, "--text", "Use one unit."], ["approve", ACRE.id], ["approve", "all"],
        ["reject", ADVICE.id], ["retire", ACRE.id], ["import", table], ["tag", "v1"], ["revert", 2], ["revert", "--to", "v1"],
        ["merge", "rood", "acre"], ["unmerge", 1], ["relations", relations], ["lint", "--queue"],
    ):  # fmt: skip
        said = nesycd(*command, "--kb", path, "--by", "Ann")
        with KnowledgeBase.open(path) as kb:
            assert f"in {path}, now at revision {kb.revision}" in said, command
    for command in (["list"], ["show", ACRE.id], ["import", table, "--dry-run"], ["relations"], ["lint"]):
        assert "now at revision" not in nesycd(*command, "--kb", path)


def test_an_import_says_how_many_of_the_new_items_wait_for_approval(path: Path, tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    table.write_text("subject,relation,object\nrood,area,40 perches\nperch,length,11 cubits\n")
    assert "2 of the new wait for approval" in nesycd("import", table, "--kb", path)
    assert "wait for approval" not in nesycd("import", table, "--kb", path)
    other = tmp_path / "other.csv"
    other.write_text("subject,relation,object\ncubit,length,2 spans\n")
    assert "wait for approval" not in nesycd("import", other, "--approve", "--kb", path)


@pytest.mark.parametrize("command", ["approve", "reject", "retire"])
def test_a_decision_on_several_items_is_one_revision_or_none(path: Path, command: str) -> None:
    with KnowledgeBase.open(path) as kb:
        before, revision = {entry.item_id: entry for entry in kb.entries()}, kb.revision
    assert "no item" in nesycd(command, ACRE.id, "0000000000000000", "--kb", path, "--by", "Ann", code=2)
    with KnowledgeBase.open(path) as kb:
        assert {entry.item_id: entry for entry in kb.entries()} == before and kb.revision == revision
    said = nesycd(command, ACRE.id, ADVICE.id, ACRE.id[:6], "--kb", path, "--by", "Ann")
    assert said.count(ACRE.id[:8]) == 1 and said.count(ADVICE.id[:8]) == 1
    with KnowledgeBase.open(path) as kb:
        assert kb.revision == revision + 1
        assert {kb.get(item.id).reviewer for item in (ACRE, ADVICE)} == {"Ann"}
    nesycd("revert", revision + 1, "--kb", path, "--by", "Ann")
    with KnowledgeBase.open(path) as kb:
        assert {entry.item_id: entry for entry in kb.entries()} == before


def test_a_base_is_begun_by_import_and_add_and_that_is_said(tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    table.write_text("subject;relation;object\nrood;area;40 perches\n")
    new = tmp_path / "new.sqlite"
    assert "1 new" in nesycd("import", table, "--kb", new, "--dry-run") and not new.exists()
    assert f"began {new}, now at revision 1" in nesycd("import", table, "--kb", new)
    assert "rood: area 40 perches." in nesycd("list", "--kb", new)
    other = tmp_path / "other.sqlite"
    assert f"began {other}, now at revision 1" in nesycd("add", "Sum up.", "--kb", other)


def test_what_fails_begins_no_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table = tmp_path / "mine.csv"
    table.write_text("subject;relation;object\nrood;;\n")
    nesycd("import", table, "--kb", "new.sqlite", code=2)
    assert "there is no knowledge base" in nesycd("import", table, "--kb", "sqlite:///new.sqlite", "--dry-run", code=2)
    table.write_text("subject;relation;object\n")
    assert "0 new" in (said := nesycd("import", table, "--kb", "new.sqlite")) and "began" not in said
    assert "a base is a database such as kb.sqlite" in nesycd("import", table, "--kb", "new.yaml", code=2)
    assert "does not exist" in nesycd("add", "Sum up.", "--kb", "no/new.sqlite", code=2)
    assert "there is no knowledge base" in nesycd("edit", "ffff", "--text", "x", "--kb", "new.sqlite", code=2)
    assert "or give a base: --kb kb.sqlite (new or not)" in nesycd("add", "Sum up.", code=2)
    assert [one.name for one in tmp_path.iterdir()] == ["mine.csv"]


def test_what_an_import_changed_is_said(path: Path, tmp_path: Path) -> None:
    table = tmp_path / "kb.csv"
    nesycd("export", table, "--kb", path)
    table.write_text(table.read_text().replace("4 roods", "160 perches") + '"lesson","Sum up."' + ',""' * 12 + "\n")
    said = nesycd("import", table, "--kb", path, "--by", "Bob")
    assert "text: An acre has 4 roods. -> An acre has 160 perches." in said and "object: 4 roods -> 160 perches" in said
    assert "1 new, 1 changed, 1 as they were" in said and "+" not in said and "note" not in said
    table.write_text(table.read_text().replace("An acre has 160", "An acre has many"))
    assert "does not say '160 perches'; the student reads only the text" in nesycd("import", table, "--kb", path)


# --- text and triple --------------------------------------------------------------------------------------------------


def test_a_text_that_leaves_the_triple_behind_is_refused(path: Path) -> None:
    refused = nesycd("edit", ACRE.id, "--text", "An acre has 5 roods.", "--kb", path, code=2)
    assert refused == (
        "error: the new text does not say the object '4 roods': give --object too, or --text-only to leave the triple as it is; "
        "nothing was changed\n"
    )
    refused = nesycd("edit", ACRE.id, "--text", "A rood has 40 perches.", "--kb", path, code=2)
    assert "the subject 'acre' and the object '4 roods': give --subject and --object too" in refused
    # What is given of the triple does not let the rest of it stay behind.
    for given, told in (
        (["A rood has 40 perches.", "--object", "40 perches"], "the subject 'acre': give --subject too"),
        (["A rood has 40 perches.", "--subject", "rood"], "the object '4 roods': give --object too"),
        (["An acre measures 5 roods.", "--relation", "measures"], "the object '4 roods': give --object too"),
    ):
        assert told in nesycd("edit", ACRE.id, "--text", *given, "--kb", path, code=2)
    with KnowledgeBase.open(path) as kb:
        assert kb.get(ACRE.id).item == ACRE and kb.revision == 1


@pytest.mark.parametrize(
    "options",
    [
        ["--text", "An acre has 5 roods.", "--object", "5 roods"],
        ["--text", "An acre has four roods.", "--object", "4 roods"],
        ["--text", "Four roods are an acre.", "--text-only"],
        ["--text", "An acre: 4 roods."],
        ["--text", "A rood has 40 perches.", "--subject", "rood", "--object", "40 perches"],
        ["--text", "A yoke has 4 roods.", "--alias", "yoke"],
        ["--alias", "acres"],
    ],
)
def test_both_together_or_on_purpose_are_taken(path: Path, options: list[str]) -> None:
    assert "now at revision 2" in nesycd("edit", ACRE.id, *options, "--kb", path)


# --- evidence ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder with three errors of one kind, and the base made of them."""
    folder = tmp_path / "runs" / "r"
    (folder / "stages").mkdir(parents=True)
    write_json_atomic(folder / "manifest.json", fresh_manifest())
    examples, answers, diagnoses, evidence = [], [], [], []
    for number in range(3):
        uid = f"areas/{number}"
        examples.append(
            Example(uid=uid, task="areas", question=f"How many [roods] are {number} acres?", answer=str(4 * number))
        )
        text = f"An acre has 5 roods.\x1b\nSo the answer is {5 * number}."
        answers.append(Prediction(key=uid, student="s", segments=(Segment(text=text, source="student"),)))
        cause = f"It takes an acre for 5 roods ({number})."
        diagnoses.append(Diagnosis(example=uid, attempt=answers[-1].id, teacher="t", items=(ACRE,), cause=cause))
        evidence.append(Evidence(example=uid, attempt=answers[-1].id, source="t"))
    RecordLog(folder / "stages" / "examples-train.jsonl", Example).rewrite(examples)
    RecordLog(folder / "stages" / "diagnoses.jsonl", Diagnosis).rewrite(diagnoses)
    RecordLog(folder / "predictions.jsonl", Prediction).rewrite(answers)
    with KnowledgeBase.open(folder / "kb.sqlite") as kb:
        kb.add([(ACRE, piece) for piece in evidence], status=Status.APPROVED, reviewer="auto")
    return folder


def test_show_tells_the_evidence_itself(run: Path, tmp_path: Path) -> None:
    said = " ".join(nesycd("show", ACRE.id, "--kb", run / "kb.sqlite", "--limit", 2).split())
    for part in (
        "question How many [roods] are 1 acres?", "right 4", r"answered An acre has 5 roods.\x1b So the answer is 5.",
        "cause It takes an acre for 5 roods (1).", "by --limit 3",
    ):  # fmt: skip
        assert part in said
    assert "areas/2" in said and "2 acres?" not in said
    # A base that was copied out of its run names the run, and takes it.
    (tmp_path / "copy.sqlite").write_bytes((run / "kb.sqlite").read_bytes())
    assert "name it by --run" in nesycd("show", ACRE.id, "--kb", tmp_path / "copy.sqlite")
    assert "1 acres?" in nesycd("show", ACRE.id, "--kb", tmp_path / "copy.sqlite", "--run", run)
    assert "no run 'x'" in nesycd("show", ACRE.id, "--kb", tmp_path / "copy.sqlite", "--run", "x", code=2)


def test_show_goes_without_what_is_gone_or_damaged(run: Path) -> None:
    (run / "predictions.jsonl").unlink()
    said = nesycd("show", ACRE.id, "--kb", run / "kb.sqlite")
    assert "1 acres?" in said and "answered" not in said and "5 roods (1)" in said
    (run / "stages" / "diagnoses.jsonl").write_text("no record\n")
    said = nesycd("show", ACRE.id, "--kb", run / "kb.sqlite")
    assert "what stands behind the evidence cannot be read" in said and "areas/1" in said and "history" in said
