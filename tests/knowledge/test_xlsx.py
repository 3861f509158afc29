"""Excel workbooks both ways: any text survives, what Excel shows otherwise than it stores is refused, endings say the format."""

from __future__ import annotations

import datetime
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry, Evidence, Fact, Lesson, Rule, RuleTest, Status
from nesycd.knowledge import FORMATS, KnowledgeBase, export_file, export_text, import_file, read_file
from nesycd.knowledge.formats.mapping import short

FURLONG = Fact(text="A furlong is 10 chains.", subject="furlong", relation="length", object="10 chains")
HOSTILE = [
    "=1+1",
    "+1",
    "'=1",
    "1/2",
    "007",
    "1e5",
    "TRUE",
    "x\r\ny\rz\n",
    "_x0041_",
    "_x005F_x0041_",
    "\x00\x1b\x07",
    "\ufffe",
    "#N/A",
]
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20) | st.sampled_from(HOSTILE)
seen = texts.filter(str.strip)
items = st.one_of(
    st.builds(Lesson, text=seen),
    st.builds(
        Rule, text=seen, clause=texts, scope=st.lists(texts, max_size=2).map(tuple),
        tests=st.lists(st.builds(RuleTest, given=texts), max_size=2).map(tuple),
    ),
    st.builds(Fact, text=seen, subject=seen, relation=seen, object=seen, aliases=st.lists(texts, max_size=3).map(tuple)),
)  # fmt: skip
entries = st.builds(Entry, item=items, status=st.sampled_from(Status), reviewer=st.sampled_from(["", "Ann", "auto"]))


def sheet(folder: Path, *rows: list[Any], name: str = "mine.xlsx") -> Path:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(folder / name)
    return folder / name


@settings(max_examples=30, deadline=None)
@given(st.lists(entries, max_size=5))
def test_a_workbook_gives_its_fields_back(tmp_path_factory: pytest.TempPathFactory, some: list[Entry]) -> None:
    pytest.importorskip("openpyxl")
    file = tmp_path_factory.mktemp("xlsx") / "kb.xlsx"
    with KnowledgeBase.open(":memory:") as kb:
        kb.add_entries(some)
        export_file(kb, file)
        found = sorted((dict(short(one.entry), id=one.id) for one in read_file(file)), key=lambda body: body["id"])
        assert found == sorted(map(short, kb.entries()), key=lambda body: body["id"])
        assert import_file(kb, file).differences == [] and kb.revision <= 1


def test_every_cell_is_text_that_excel_does_not_run(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    with KnowledgeBase.open(":memory:") as kb:
        kb.add([(Lesson(text="=HYPERLINK(1)"), Evidence(example="", source="x"))])
        export_file(kb, tmp_path / "kb.xlsx")
    [only] = openpyxl.load_workbook(tmp_path / "kb.xlsx").worksheets
    assert [(cell.data_type, cell.number_format) for cell in only["B"]] == [("s", "@")] * 2
    assert only["B2"].value == "=HYPERLINK(1)"


def test_a_sheet_that_people_made_is_read(tmp_path: Path) -> None:
    file = sheet(
        tmp_path, [], ["# our measures"], ["Subject", None, "relation ", "object", None], [None, "", " "],
        ["furlong", None, "in chains", 10], ["furlong", None, "in miles", 0.1 + 0.2], ["furlong", None, "is old", True],
        ["#1", None, "is", "best"], ["# the end"],
    )  # fmt: skip
    found = [one.entry.item for one in read_file(file)]
    assert [item.triple for item in found if isinstance(item, Fact)] == [
        ("furlong", "in chains", "10"),
        ("furlong", "in miles", "0.3"),
        ("furlong", "is old", "TRUE"),
        ("#1", "is", "best"),
    ]


def test_all_visible_sheets_are_read_and_a_strange_one_is_named(tmp_path: Path) -> None:
    file = sheet(tmp_path, ["subject", "relation", "object"], ["a", "b", "c"])
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.load_workbook(file)
    for title, rows in (("more", [["kind", "text"], ["lesson", "Count."]]), ("empty", []), ("secret", [["x"]])):
        added = book.create_sheet(title)
        for row in rows:
            added.append(row)
    book["secret"].sheet_state = "hidden"
    book.save(file)
    assert len(read_file(file)) == 2
    book["secret"].sheet_state = "visible"
    book.save(file)
    with pytest.raises(KnowledgeError, match=r"mine.xlsx: sheet 'secret', row 1: the columns must be .*, not 'x'"):
        read_file(file)


def test_what_excel_shows_otherwise_than_it_stores_is_refused_by_its_cell(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    file = sheet(
        tmp_path, ["subject", "relation", "object", "text"], ["half", "is", datetime.datetime(2026, 2, 1), "x"],
        ["part", "is", 0.5, "x"], ["sum", "is", "=1+1", "x"], ["none", "is", "#N/A", "x"], ["good", "is", "1/2", "x"],
    )  # fmt: skip
    book = openpyxl.load_workbook(file)
    book.active["C3"].number_format = "0%"
    book.save(file)
    with pytest.raises(KnowledgeError) as caught:
        read_file(file)
    told = str(caught.value)
    assert "4 of 5 entries cannot be used" in told and "\n" not in told
    for part in ("row 2: object: holds a date (2026-02-01", "row 3: object: holds a number that is shown otherwise (0.5)",
                 "row 4: object: holds a formula (=1+1)", "row 5: object: holds an error (#N/A)"):  # fmt: skip
        assert part in told


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"subject,relation,object\n", "is no .xlsx workbook that can be read"),
        (b"", "is no .xlsx workbook that can be read"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "is an old .xls or has a password"),
    ],
)
def test_files_that_are_no_workbooks(tmp_path: Path, content: bytes, message: str) -> None:
    pytest.importorskip("openpyxl")
    file = tmp_path / "mine.xlsx"
    file.write_bytes(content)
    with pytest.raises(KnowledgeError, match=message) as caught:
        read_file(file)
    assert str(caught.value).startswith(str(file)) and "\n" not in str(caught.value)


def test_damaged_empty_and_giant_workbooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = sheet(tmp_path, ["subject", "relation", "object"], ["a", "b", "c"])
    with zipfile.ZipFile(file) as whole, zipfile.ZipFile(tmp_path / "cut.xlsx", "w") as cut:
        for part in whole.namelist():
            content = whole.read(part)
            cut.writestr(part, content[: len(content) // 2] if "sheet1" in part else content)
    with pytest.raises(KnowledgeError, match=r"is no \.xlsx workbook that can be read"):
        read_file(tmp_path / "cut.xlsx")
    with pytest.raises(KnowledgeError, match="row 1: the columns must be"):
        read_file(sheet(tmp_path, [], [" "], name="empty.xlsx"))
    monkeypatch.setattr("nesycd.knowledge.formats.xlsx_file._MOST_BYTES", 1000)
    with pytest.raises(KnowledgeError, match=r"bytes unpacked, and at most 1,000 are read"):
        read_file(file)


def test_a_text_longer_than_a_cell_is_not_cut(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    with KnowledgeBase.open(":memory:") as kb:
        item = kb.propose(Lesson(text="so " * 11_000), Evidence(example="", source="x"))
        with pytest.raises(KnowledgeError, match=rf"a text of 33,000 characters \(item {item.item_id[:8]}\)"):
            export_file(kb, tmp_path / "kb.xlsx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["kb.html", "kb.xls", "kb.docx", "kb.txt", "kb"])
def test_an_unknown_ending_is_refused_with_the_known_ones(tmp_path: Path, name: str) -> None:
    with KnowledgeBase.open(":memory:") as kb:
        kb.add([(FURLONG, Evidence(example="", source="x"))])
        for act in (export_file, import_file):
            with pytest.raises(KnowledgeError) as caught:
                act(kb, tmp_path / name)
            told = str(caught.value)
            assert all(suffix in told for form in FORMATS.values() for suffix in form.suffixes) and "--format" in told
        assert list(tmp_path.iterdir()) == []
        # Named, the format may stand under an ending that is none's, but not under another one's.
        export_file(kb, tmp_path / name, "csv")
        with pytest.raises(KnowledgeError, match="has the ending of xlsx, but is to be written as yaml"):
            export_file(kb, tmp_path / "kb.xlsx", "yaml")
        with pytest.raises(KnowledgeError, match="xlsx is no text"):
            export_text(kb, "xlsx")


def test_without_openpyxl_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from nesycd.cli.main import app

    with KnowledgeBase.open(tmp_path / "kb.sqlite") as kb:
        kb.add([(FURLONG, Evidence(example="", source="x"))])
    (tmp_path / "old.xlsx").write_bytes(b"PK")
    for module in [module for module in sys.modules if module.partition(".")[0] == "openpyxl"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    for command in (["export", str(tmp_path / "new.xlsx")], ["import", str(tmp_path / "old.xlsx")]):
        done = CliRunner().invoke(app, ["kb", *command, "--kb", str(tmp_path / "kb.sqlite")])
        assert done.exit_code == 2 and done.output.endswith("pip install 'nesycd[xlsx]'\n"), done.output
    assert not (tmp_path / "new.xlsx").exists()
