"""Tables as CSV and Excel workbooks: keys, units, cells as they are shown, and what is no table."""

from __future__ import annotations

import datetime
import time
from pathlib import Path
from typing import Any

import pytest

from nesycd.core.errors import ConfigError, KnowledgeError
from nesycd.core.records import Fact
from nesycd.documents import Reading, documents_hash, documents_in, read_documents


def read(folder: Path, name: str, content: str | bytes, keys: dict[str, Any] | None = None) -> Reading:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    [reading] = read_documents([folder / name], keys)
    return reading


def facts(reading: Reading) -> list[tuple[str, str, str, str]]:
    return [(*item.triple, evidence.source) for item, evidence in reading.proposals if isinstance(item, Fact)]


def texts(reading: Reading) -> list[str]:
    return [item.text for item, _ in reading.proposals]


def workbook(folder: Path, rows: list[list[Any]], name: str = "p.xlsx", **sheets: list[list[Any]]) -> Any:
    """A workbook, saved; more can be done to it before it is saved again."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for title, cells in {"Rates": rows, **sheets}.items():
        sheet = book.create_sheet(title)
        for row in cells:
            sheet.append(row)
    del book["Sheet"]
    book.save(folder / name)
    return book


def test_each_cell_beside_the_key_is_a_fact_that_cites_its_line(tmp_path: Path) -> None:
    reading = read(tmp_path, "fees.csv", "No;Plan;Fee (EUR);Hours in h;Support\n1;Gold;20;24;yes\n2;Silver;n/a;8;\n")
    assert facts(reading) == [
        ("Gold", "fee", "20 EUR", "fees.csv, line 2"),
        ("Gold", "hours", "24 h", "fees.csv, line 2"),
        ("Gold", "support", "yes", "fees.csv, line 2"),
        ("Silver", "hours", "8 h", "fees.csv, line 3"),
    ]
    assert texts(reading)[:3] == ["The fee of Gold is 20 EUR.", "The hours of Gold are 24 h.", "Gold: support: yes."]
    assert reading.left == {"empty cells": 2}
    assert str(reading) == "4 facts from 2 sentences and rows; left out: empty cells (2)"


def test_a_key_that_is_a_code_is_called_by_its_head_too(tmp_path: Path) -> None:
    [(item, _)] = read(tmp_path, "g.csv", "Grade,Hotel limit (EUR)\nG1,90\n").proposals
    assert isinstance(item, Fact)
    assert (item.text, item.subject, item.aliases) == ("The hotel limit of grade G1 is 90 EUR.", "grade G1", ("G1",))


def test_two_columns_of_one_name_in_two_units_stay_apart(tmp_path: Path) -> None:
    reading = read(tmp_path, "f.csv", "Plan,Fee (EUR),Fee (USD)\nGold,20,22\n")
    assert [(r, o) for _, r, o, _ in facts(reading)] == [("fee (EUR)", "20 EUR"), ("fee (USD)", "22 USD")]


def test_the_key_is_found_or_set(tmp_path: Path) -> None:
    table = "Plan,Region,Fee\nGold,Europe,20\nGold,Asia,25\nSilver,Europe,10\n"
    reading = read(tmp_path, "rates.csv", table)
    assert reading.proposals == [] and reading.left == {"rows without a key": 3}
    assert "rates.csv: line 1: no column has another text in each row" in reading.notes[0]
    assert "knowledge.document_keys (columns: Plan, Region, Fee)" in reading.notes[0]
    reading = read(tmp_path, "rates.csv", table, {"rates.csv": ["Plan", "region"]})
    assert texts(reading)[1] == "The fee of Gold, Asia is 25."
    with pytest.raises(KnowledgeError, match=r"rates\.csv: line 1: no column is called 'Plam' \(did you mean 'Plan'"):
        read(tmp_path, "rates.csv", table, {"rates.csv": "Plam"})
    with pytest.raises(
        ConfigError, match=r"document_keys: no document has the table 'rate\.csv' \(did you mean 'rates\.csv'"
    ):
        read(tmp_path, "rates.csv", table, {"rate.csv": "Plan"})
    # Rows that are named in the first column, without a head, as tables that programs write have them.
    reading = read(tmp_path, "u.csv", ",Economy,First\nU.S.,40,0\nCanada,35,0\n")
    assert facts(reading)[0] == ("U.S.", "economy", "40", "u.csv, line 2")


def test_a_table_of_triples_is_one_of_facts(tmp_path: Path) -> None:
    reading = read(
        tmp_path, "t.csv", "\ufeffSubject,Relation,Object,Text\nOslo,per-diem,60 EUR,Oslo pays 60 EUR.\nParis,,1,x\n"
    )
    assert facts(reading) == [("Oslo", "per-diem", "60 EUR", "t.csv, line 2")] and texts(reading) == [
        "Oslo pays 60 EUR."
    ]
    assert reading.left == {"rows without subject, relation or object": 1}


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"Plan,Fee,Fee\nGold,1,2\n", r"a\.csv:1: two columns are called 'Fee'"),
        (b"Plan,Fee\nGold,1,2\n", r"a\.csv:2: 3 cells, but the header has 2"),
        (b"Plan,Fee\nCaf\xe9,1\n", r"a\.csv:2: .*UTF-8"),
        (b'Plan,Fee\nGold,"1\n', r"a\.csv:2: not a row of CSV: a quotation mark is opened and not closed"),
        (b"PK\x03\x04", r"a\.csv: a workbook or archive"),
    ],
)
def test_a_table_that_cannot_be_read_is_named_with_its_line(content: bytes, fault: str, tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError, match=fault):
        read(tmp_path, "a.csv", content)


def test_what_a_cell_holds_is_text(tmp_path: Path) -> None:
    long = "x" * 600
    reading = read(tmp_path, "a.csv", f'Plan,A,B,C,D\nGold,=1+1,{long},<b>1</b>,"two\nlines"\n')
    assert [(r, o) for _, r, o, _ in facts(reading)] == [("c", "<b>1</b>"), ("d", "two lines")]
    assert reading.left == {"formulas": 1, "too long": 1}


def test_a_workbook_is_read_as_it_is_shown(tmp_path: Path) -> None:
    book = workbook(
        tmp_path,
        [
            ["Price list 2026"],
            [],
            ["Plan", "Fee", "Discount", "From", "Total", "Active", "Support"],
            ["Gold", 1250.5, 0.2, datetime.date(2026, 3, 31), "=B4*2", True, "mail"],
            ["Silver", 10, 0.125, datetime.datetime(2026, 4, 1), 3, False, None],
            ["as agreed with sales"],
        ],
        Notes=[["nothing here"]],
        Old=[["Plan", "Fee"], ["Gold", 1]],
    )
    sheet = book["Rates"]
    for row in (4, 5):
        sheet.cell(row, 2).number_format, sheet.cell(row, 3).number_format = '#,##0.00 "EUR"', "0.0%"
    sheet.merge_cells("G4:G5")
    book["Old"].sheet_state = "hidden"
    book.save(tmp_path / "p.xlsx")
    [reading] = read_documents([tmp_path / "p.xlsx"])
    assert facts(reading) == [
        ("Gold", "fee", "1,250.50 EUR", "p.xlsx#Rates, row 4"),
        ("Gold", "discount", "20.0%", "p.xlsx#Rates, row 4"),
        ("Gold", "from", "2026-03-31", "p.xlsx#Rates, row 4"),
        ("Gold", "active", "yes", "p.xlsx#Rates, row 4"),
        ("Gold", "support", "mail", "p.xlsx#Rates, row 4"),
        ("Silver", "fee", "10.00 EUR", "p.xlsx#Rates, row 5"),
        ("Silver", "discount", "12.5%", "p.xlsx#Rates, row 5"),
        ("Silver", "from", "2026-04-01", "p.xlsx#Rates, row 5"),
        ("Silver", "total", "3", "p.xlsx#Rates, row 5"),
        ("Silver", "active", "no", "p.xlsx#Rates, row 5"),
        ("Silver", "support", "mail", "p.xlsx#Rates, row 5"),
    ]
    assert reading.left["formulas"] == 1


def test_a_head_over_several_columns_goes_before_theirs(tmp_path: Path) -> None:
    book = workbook(tmp_path, [["Plan", "Fee", None], [None, "monthly", "yearly"], ["Gold", 2, 20]])
    book["Rates"].merge_cells("B1:C1")
    book.save(tmp_path / "p.xlsx")
    [reading] = read_documents([tmp_path / "p.xlsx"])
    assert texts(reading) == ["The fee monthly of Gold is 2.", "The fee yearly of Gold is 20."]


def test_a_workbook_that_is_none_is_named(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    with pytest.raises(KnowledgeError, match=r"a\.xlsx: is no \.xlsx workbook"):
        read(tmp_path, "a.xlsx", "Plan,Fee\n")
    workbook(tmp_path, [["Plan", "Fee", "fee"], ["Gold", 1, 2]])
    with pytest.raises(KnowledgeError, match=r"p\.xlsx#Rates: row 1: two columns are called 'Fee'"):
        read_documents([tmp_path / "p.xlsx"])


def test_sheets_that_say_the_same_of_the_same_rows_are_told_apart(tmp_path: Path) -> None:
    workbook(tmp_path, [["Plan", "Fee", "Hours"], ["Gold", 1, 9]], Old=[["Plan", "Fee"], ["Gold", 2]])
    [reading] = read_documents([tmp_path / "p.xlsx"])
    assert [(r, o) for _, r, o, _ in facts(reading)] == [("fee (Rates)", "1"), ("hours", "9"), ("fee (Old)", "2")]
    assert texts(reading)[0] == "Rates: The fee of Gold is 1."


def test_a_key_of_one_sheet_is_set(tmp_path: Path) -> None:
    rows = [["Plan", "Region", "Fee"], ["Gold", "Asia", 1], ["Gold", "Europe", 2]]
    workbook(tmp_path, rows, Other=[["Name", "Fee"], ["Bo", 1]])
    [reading] = read_documents([tmp_path / "p.xlsx"], {"p.xlsx#Rates": "Region"})
    assert [s for s, _, _, _ in facts(reading)] == ["Asia", "Asia", "Europe", "Europe", "Bo"]


def test_folders_are_read_and_names_are_told_apart(tmp_path: Path) -> None:
    for name in ("b/fees.csv", "a/fees.csv", "a/sub/x.md", "a/.hidden/y.md", "a/~$z.xlsx", "a/pic.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("Plan,Fee\nGold,1\n")
    (tmp_path / "a" / "link.csv").symlink_to(tmp_path / "b" / "fees.csv")
    assert documents_in([tmp_path / "a"]) == {"fees.csv", "sub/x.md"}
    before = documents_hash([tmp_path / "a"])
    (tmp_path / "a" / "sub" / "x.md").write_text("New.")
    assert documents_hash([tmp_path / "a"]) != before
    with pytest.raises(KnowledgeError, match=r"two documents are called fees\.csv"):
        read_documents([tmp_path / "a", tmp_path / "b" / "fees.csv"])
    assert documents_in([tmp_path]) == {"a/fees.csv", "a/sub/x.md", "b/fees.csv"}
    for path, fault in (("a/pic.png", r"'\.png' is none of documents"), ("none.md", "none.md: cannot be read"),
                        ("a/.hidden/..", "")):  # fmt: skip
        if fault:
            with pytest.raises(KnowledgeError, match=fault):
                read_documents([tmp_path / path])
    (tmp_path / "empty").mkdir()
    with pytest.raises(KnowledgeError, match="empty: no document is in it"):
        read_documents([tmp_path / "empty"])


def test_ten_thousand_rows_take_seconds(tmp_path: Path) -> None:
    rows = "".join(f"Article {n},{n % 97}.50,{n % 11} days\n" for n in range(10_000))
    began = time.process_time()
    reading = read(tmp_path, "big.csv", f"Article,Price (EUR),Delivery\n{rows}")
    assert len(reading.proposals) == 20_000
    assert time.process_time() - began < 5
