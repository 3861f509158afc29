"""What people edited in a file comes back: as edits of the items whose ids it carries, with history, reviewer and notes."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Evidence, Fact, Item, Lesson, Rule, Status
from nesycd.knowledge import KnowledgeBase, export_file, import_file
from nesycd.knowledge.exchange import Imported
from nesycd.knowledge.wording import left_behind, unsaid

ACRE = Fact(text="An acre has 4 roods.", subject="acre", relation="area", object="4 roods", aliases=("acres",))
STONE = Fact(text="A stone weighs 14 pounds.", subject="stone", relation="weight", object="14 pounds")
ADVICE = Lesson(text="Convert to one unit first.")
RULE = Rule(
    text="Half of it is half as much.", clause="half(X, Y) :- whole(Y, X).", says="X | half | Y", scope=("units",)
)
Rows = list[dict[str, str]]


@pytest.fixture(params=["kb.csv", "kb.tsv", "kb.xlsx"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param.endswith("xlsx"):
        pytest.importorskip("openpyxl")
    return tmp_path / str(request.param)


def a_base(*items: Item, reviewer: str = "Ann") -> KnowledgeBase:
    kb = KnowledgeBase.open(":memory:")
    kb.add([(item, Evidence(example="q1", source="expert")) for item in items or (ACRE, STONE, ADVICE)],
           status=Status.APPROVED, reviewer=reviewer)  # fmt: skip
    return kb


def rows_of(path: Path) -> list[list[str]]:
    if path.suffix == ".xlsx":
        import openpyxl

        book = openpyxl.load_workbook(path)
        return [[str(cell.value or "") for cell in row] for row in book.active.iter_rows()]
    with path.open(newline="") as file:
        return list(csv.reader(file, delimiter="\t" if path.suffix == ".tsv" else ","))


def rewritten(path: Path, change: Callable[[Rows], Rows], without: tuple[str, ...] = ()) -> None:
    """As somebody edits an exported table, in a program that writes it with semicolons where it is text."""
    header, *lines = rows_of(path)
    rows = change([dict(zip(header, line, strict=True)) for line in lines])
    columns = [name for name in header if name not in without]
    if path.suffix == ".xlsx":
        import openpyxl

        book = openpyxl.Workbook()
        for line in (columns, *([row[name] for name in columns] for row in rows)):
            book.active.append(line)
        book.save(path)
        return
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, delimiter=";", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def brought_back(kb: KnowledgeBase, path: Path, change: Callable[[Rows], Rows], **how: str) -> Imported:
    export_file(kb, path)
    rewritten(path, change)
    return import_file(kb, path, reviewer="Bob", **how)  # type: ignore[arg-type]


def with_cells(item: Item, **cells: str) -> Callable[[Rows], Rows]:
    return lambda rows: [{**row, **cells} if row["id"].lstrip("'") == item.id else row for row in rows]


def test_an_edited_row_edits_its_item_and_keeps_history_and_reviewer(table: Path) -> None:
    with a_base() as kb:
        done = brought_back(kb, table, with_cells(STONE, text="A stone weighs 6.35 kg.", object="6.35 kg"))
        assert (done.counts.added, done.counts.merged, done.counts.unchanged, done.notes) == (0, 1, 2, ())
        [said] = done.differences
        assert said.changes == {"text": (STONE.text, "A stone weighs 6.35 kg."), "object": ("14 pounds", "6.35 kg")}
        entry = kb.get(STONE.id)
        assert (entry.status, entry.reviewer) == (Status.APPROVED, "Ann")
        assert entry.evidence == (Evidence(example="q1", source="expert"),)
        history = kb.history(STONE.id)
        assert [(line.action, line.actor) for line in history] == [("add", "Ann"), ("edit", "Bob")]
        [revision] = kb.revisions(1)
        assert (revision.actor, revision.action, revision.entries) == ("Bob", "import", 1)


def test_what_nobody_had_looked_at_is_then_the_editors(table: Path) -> None:
    with a_base(reviewer="auto") as kb:
        brought_back(kb, table, with_cells(STONE, text="A stone is 14 pounds."))
        assert (kb.get(STONE.id).reviewer, kb.get(ACRE.id).reviewer) == ("Bob", "auto")
        brought_back(kb, table, with_cells(ACRE, status=" Retired"))
        assert (kb.get(ACRE.id).status, kb.get(ACRE.id).reviewer) == (Status.RETIRED, "Bob")
        assert {line.actor for line in kb.history(ACRE.id)[1:]} == {"Bob"}


def test_a_decision_in_the_file_is_its_reviewers_and_the_history_says_who_brought_it(table: Path) -> None:
    with a_base() as kb:
        brought_back(kb, table, with_cells(ACRE, status="rejected", reviewer="Zoe"))
        assert (kb.get(ACRE.id).status, kb.get(ACRE.id).reviewer) == (Status.REJECTED, "Zoe")
        assert [(line.action, line.actor) for line in kb.history(ACRE.id)][1:] == [("reject", "Bob")]


def test_a_cell_that_was_emptied_takes_its_value_away(table: Path) -> None:
    with a_base(ACRE, RULE) as kb:
        export_file(kb, table)
        blank = {"aliases": "", "says": "", "scope": ""}
        rewritten(table, lambda rows: [{**row, **blank} for row in rows])
        import_file(kb, table, reviewer="Bob")
        acre, rule = kb.get(ACRE.id).item, kb.get(RULE.id).item
        assert acre == ACRE.model_copy(update={"aliases": ()})
        assert rule == RULE.model_copy(update={"says": "", "scope": ()})


def test_without_some_columns_the_rest_of_an_item_stays(table: Path) -> None:
    with a_base(ACRE, STONE) as kb:
        export_file(kb, table)
        few = ("kind", "text", "aliases", "clause", "says", "scope", "exceptions", "tests", "status", "reviewer")
        rewritten(table, with_cells(STONE, object="6 kg"), without=few)
        done = import_file(kb, table, reviewer="Bob")
        assert [(one.sign, sorted(one.changes)) for one in done.differences] == [("~", ["object", "text"])]
        assert kb.get(ACRE.id).item == ACRE
        stone = kb.get(STONE.id)
        assert stone.item.text == "stone: weight 6 kg." and stone.reviewer == "Ann"


def test_a_copied_row_is_a_new_item_and_two_edits_of_one_are_refused(table: Path) -> None:
    def copied(rows: Rows) -> Rows:
        pound = {"text": "A quarter has 28 pounds.", "subject": "quarter", "object": "28 pounds"}
        return [*rows, *({**row, **pound} for row in rows if row["id"].lstrip("'") == STONE.id)]

    with a_base() as kb:
        assert brought_back(kb, table, copied).counts.added == 1
        assert kb.get(STONE.id).item == STONE and len(kb.entries()) == 4
        [quarter] = kb.entries(search="quarter")
        assert (quarter.status, quarter.reviewer) == (Status.APPROVED, "Bob"), "nobody else has seen it"
        before = kb.entries()
        export_file(kb, table)

        def twice(rows: Rows) -> Rows:
            return copied(with_cells(STONE, text="A stone: 14 pounds.")(rows))

        rewritten(table, twice)
        with pytest.raises(
            KnowledgeError, match=r"(row|line) 6: has the id of another item \((row|line) 4\); take it out"
        ):
            import_file(kb, table, reviewer="Bob")
        assert kb.entries() == before


def test_ids_that_the_base_does_not_have_are_told(table: Path) -> None:
    with a_base() as kb, a_base(ADVICE) as other:
        export_file(kb, table)
        rewritten(table, with_cells(STONE, text="A stone is 14 pounds."))
        done = import_file(other, table)
        assert done.counts.added == 2
        assert done.notes == (f"no item here has or had these ids, so their rows are new: {STONE.id[:8]}",)


@pytest.mark.parametrize("name", ["kb.yaml", "kb.csv"])
def test_a_text_or_triple_left_behind_is_told(tmp_path: Path, name: str) -> None:
    with a_base() as kb:
        export_file(kb, tmp_path / name)
        content = (tmp_path / name).read_text()
        for old, new, unsaid_part in (
            ("weighs 14 pounds", "weighs 16 pounds", "'14 pounds'"),
            ("4 roods.", "many roods.", "'4 roods'"),
        ):
            (tmp_path / name).write_text(content.replace(old, new))
            [note] = import_file(kb, tmp_path / name, dry_run=True).notes
            assert f"does not say {unsaid_part}; the student reads only the text" in note
        (tmp_path / name).write_text(content.replace("14 pounds", "16 pounds"))
        assert import_file(kb, tmp_path / name, dry_run=True).notes == ()


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("An ACRE is 4  Roods large.", []),
        ("Acres: 4 roods.", []),
        ("An acre has 14 roods.", ["object"]),
        ("An acre has 4 roodsx.", []),
        ("An acre has 4 rood.", ["object"]),
        ("It has 4 roods.", ["subject"]),
        ("Four of them.", ["subject", "object"]),
    ],
)
def test_what_a_text_says_of_its_triple(text: str, missing: list[str]) -> None:
    assert unsaid(ACRE.model_copy(update={"text": text})) == missing


def test_numbers_are_whole_numbers() -> None:
    fact = Fact(text="It costs 6.5 marks, or 16, or 60.", subject="it", relation="price", object="6")
    assert unsaid(fact) == ["object"]
    assert unsaid(fact.model_copy(update={"text": "It costs 6."})) == []


def test_only_one_half_that_changes_leaves_the_other_behind() -> None:
    paraphrased = Fact(text="Small sums are approved at once.", subject="expense", relation="limit", object="50 EUR")
    reworded = paraphrased.model_copy(update={"text": "Sums below 90 EUR are approved at once."})
    assert left_behind(paraphrased, reworded) == ["object"]
    assert left_behind(paraphrased, reworded.model_copy(update={"object": "90 EUR"})) == []
    assert left_behind(ACRE, ACRE.model_copy(update={"object": "5 roods"})) == ["object"]
    assert left_behind(ACRE, ACRE.model_copy(update={"aliases": ()})) == [] == left_behind(ADVICE, Lesson(text="x"))
