"""`nesycd kb read-documents` as a user types it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from nesycd.cli.main import app
from nesycd.knowledge import KnowledgeBase

FEES = "Plan,Fee (EUR)\nGold,20\nSilver,10\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("fees.csv").write_text(FEES)
    return tmp_path


def done(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["kb", *words])
    assert result.exit_code == code, result.output
    return result.output


def test_documents_begin_a_base_and_changes_are_queued_there() -> None:
    base = ("--kb", "policy.sqlite")
    told = done("read-documents", "fees.csv", *base, "--dry-run")
    assert "nothing was changed; would be: 2 new" in told and not Path("policy.sqlite").exists()
    told = done("read-documents", "fees.csv", *base, "--by", "Ann")
    assert "fees.csv: 2 facts from 2 sentences and rows" in told and "began policy.sqlite" in told
    assert "+ " in told and "fact proposed: The fee of Gold is 20 EUR." in told
    assert "now: 2 new, 0 queued" in told and "nesycd kb approve all" in told
    done("approve", "all", *base, "--by", "Ann")
    told = done("read-documents", "fees.csv", *base)
    assert "now: 0 new, 0 queued because their source changed, 0 withdrawn, 2 as they were" in told
    Path("fees.csv").write_text(f"# as of May\n{FEES}".replace("20", "25"))
    told = done("read-documents", "fees.csv", *base)
    assert "now: 1 new, 1 queued because their source changed, 0 withdrawn, 1 as they were (1 at another place)" in told
    queue = done("queue", *base)
    assert queue.index("The fee of Gold is 20 EUR.") < queue.index("The fee of Gold is 25 EUR.")
    assert "The fee of Gold is 20 EUR. -> The fee of Gold is 25 EUR. (was fees.csv, line 2)" in " ".join(queue.split())
    assert "2 items wait, 2 of them with a reason" in queue
    with KnowledgeBase.open("policy.sqlite") as kb:
        assert {one.source for entry in kb.entries() for one in entry.evidence} == {
            "fees.csv, line 3",
            "fees.csv, line 4",
        }
    assert "read documents" in done("log", *base)


def test_the_key_of_a_table_is_named() -> None:
    Path("rates.csv").write_text("Plan,Region,Fee\nGold,Asia,1\nGold,Europe,2\nSilver,Asia,1\n")
    told = done("read-documents", "rates.csv", "--kb", "a.sqlite")
    assert "note: rates.csv: line 1: no column has another text in each row" in told and "now: 0 new" in told
    assert not Path("a.sqlite").exists(), "a base in which there is nothing is not begun"
    keys = ("--key", "rates.csv=Plan", "--key", "rates.csv=Region")
    assert "The fee of Gold, Europe is 2." in done("read-documents", "rates.csv", "--kb", "a.sqlite", *keys)


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("fees.csv", "--key", "fees.csv"), 'error: --key fees.csv: write TABLE=COLUMN, such as --key "fees.csv=Plan"'),
        (("fees.csv", "--key", "fee.csv=Plan"), "document_keys: no document has the table 'fee.csv'"),
        (("none.md",), "error: none.md: cannot be read: No such file or directory"),
        (("a.pdf",), "error: a.pdf: the ending '.pdf' is none of documents"),
    ],
)
def test_a_mistake_is_one_line(words: tuple[str, ...], fault: str) -> None:
    told = done("read-documents", *words, "--kb", "k.sqlite", code=2)
    assert fault in told and told.startswith("error: ") and told.count("\n") == 1
    assert not Path("k.sqlite").exists()
