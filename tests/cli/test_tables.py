"""Every table of the command line at 80 and 60 columns, with long names: nothing is cut, and what is left out is said."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from nesycd.cli.edits import print_rates, print_samples
from nesycd.cli.effect import print_effects
from nesycd.cli.main import app
from nesycd.cli.router import _print as print_routers
from nesycd.cli.tables import Column, print_table
from nesycd.core.records import Evidence, Fact
from nesycd.knowledge import KnowledgeBase
from nesycd.llm.ledger import Answer, Budget, Call, Ledger
from nesycd.runs.run import Run

LONG = "a-name-that-nobody-would-type-twice-but-that-scripts-do"
WIDTHS = pytest.mark.parametrize("width", [120, 80, 60, 44])


def printed(width: int, show: Callable[[Console], None]) -> str:
    stream = io.StringIO()
    show(Console(file=stream, width=width, color_system=None))
    return stream.getvalue()


def called(width: int, *words: str | Path) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": str(width), "TERM": "dumb"})
    assert result.exit_code == 0, result.output + str(result.exception)
    return result.output


def misfits(text: str, width: int) -> list[str]:
    """The lines that are too long for the terminal, or in which something was cut."""
    return [line for line in text.splitlines() if len(line.rstrip()) > width or "…" in line.replace(" … ", "")]


def left_out(text: str) -> list[str]:
    """The columns that a table says it leaves out."""
    found = re.search(r"left out, as the terminal is too narrow: (.*?) \(all: COLUMNS=(\d+)", " ".join(text.split()))
    return found[1].split(", ") if found else []


# --- the rule ----------------------------------------------------------------------------------------------------------

COLUMNS = (
    Column("name", wraps=True),
    Column("first", right=True, rank=1),
    Column("second", right=True, rank=2),
    Column("stays", right=True),
)
ROWS = [["one", "1,234,567", "0.123456", "100.0"], [LONG, "2", "3", "4 (3–5)"]]


def test_columns_go_by_their_rank_until_the_others_fit() -> None:
    def at(width: int) -> str:
        return printed(width, lambda console: print_table(console, COLUMNS, ROWS, elsewhere="all.json"))

    assert left_out(at(80)) == []
    for width, gone in ((44, ["second"]), (34, ["first", "second"])):
        text = at(width)
        assert misfits(text, width) == []
        assert left_out(text) == gone and "all.json)" in " ".join(text.split())
        assert ("1,234,567" in text) == ("first" not in gone)
        # A number and its interval stay in one line; the name goes on in the next.
        assert "4 (3–5)" in text and LONG in "".join(line.split("  ")[0].strip() for line in text.splitlines())


def test_the_width_that_is_told_is_wide_enough() -> None:
    narrow = printed(34, lambda console: print_table(console, COLUMNS, ROWS))
    told = re.search(r"COLUMNS=(\d+)", narrow)
    assert told and misfits(narrow, 34) == []
    wide = printed(int(told[1]), lambda console: print_table(console, COLUMNS, ROWS))
    assert left_out(wide) == misfits(wide, int(told[1])) == []


def test_cells_are_not_read_as_markup() -> None:
    assert "[red]x[/red]" in printed(80, lambda console: print_table(console, [Column("a")], [["[red]x[/red]"]]))


# --- the tables --------------------------------------------------------------------------------------------------------


@WIDTHS
def test_runs(tmp_path: Path, width: int) -> None:
    with Run.open(tmp_path / LONG, {"seed": 1}) as run:
        run.artifact("student", {}, lambda folder: {"bytes": (folder / "adapter").write_bytes(b"0" * 5_000_000)})
        run.finish()
    text = called(width, "runs", "--root", tmp_path)
    assert misfits(text, width) == []
    assert "finished" in text and "5.0 MB" in text
    gone = {120: [], 80: ["stages"], 60: ["stages", "checkpoints"], 44: ["stages", "checkpoints", "last change"]}
    assert left_out(text) == gone[width]


@WIDTHS
def test_items_and_the_log(tmp_path: Path, width: int) -> None:
    base = tmp_path / "kb.sqlite"
    text = (
        "An expense above 1000 EUR is approved by the head of the department, and by nobody else, whatever it is for."
    )
    fact = Fact(text=text, subject="expense", relation="approved by", object="head of the department")
    with KnowledgeBase.open(base) as kb:
        kb.add([(fact, Evidence(example="q/1", attempt="abcd", source="m"))], reviewer="")
        kb.approve(fact.id, LONG, "as the handbook of 2026-01-31 says on its page 17")
    for words in (["list"], ["search", "expense"], ["log"], ["log", fact.id]):
        shown = called(width, "kb", *words, "--kb", base)
        assert misfits(shown, width) == [], words
        assert "1000" in shown or words == ["log"], words
        assert (fact.id[:8] in shown) == (words[0] != "log"), words
        assert bool(left_out(shown)) or width == 120, words
    assert "nesycd kb show ID" in " ".join(called(60, "kb", "list", "--kb", base).split())


@WIDTHS
def test_the_ledger(tmp_path: Path, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "l.sqlite"
    monkeypatch.setenv("NESYCD_LEDGER", str(place))
    origin = "https://a-long-name-of-a-server.example.org"
    with Ledger.open(place) as opened:
        call = Call("a", "rationale:a", LONG, origin, '{"messages":[]}', 900)
        number = opened.claim(call, Budget("thesis")).call
        opened.settle(number, call, Answer("said", "", "m-1", 1_234_567, 5, 1_500_000_000, 2.0))
    for by in ("model", "budget"):
        shown = called(width, "ledger", "show", "--by", by).replace(str(place), "")
        assert misfits(shown, width) == [], by
        assert "0.0015" in shown, by
        assert left_out(shown) and ("1234567" in shown) == ("prompt tokens" not in left_out(shown)), by
        assert "nesycd ledger export" in " ".join(shown.split()), by


@WIDTHS
def test_graded_answers(tmp_path: Path, width: int) -> None:
    rows = [
        {"task": task, "question": "1 + 1?", "answer": "2", "response": response}
        for task in (LONG, "short")
        for response in ("So the answer is 2.", "#### 2", '{"answer": 2}', "It is 2.")
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["grade", "--benchmark", "gsm8k", tmp_path / "in.jsonl", "--out", tmp_path / "out.jsonl"]
    text = called(width, *words)
    table = text.partition("left out")[0]
    assert misfits(table, width) == []
    assert re.search(r"^short +4 ", table, re.M) and " %" in table
    assert ("none" in table) or "none" in left_out(text)
    assert bool(left_out(text)) == (width < 120)


def share(count: int) -> dict[str, Any]:
    return {"count": count, "n": 12_345, "share": 0.876, "low": 0.8543, "high": 0.8987}


@WIDTHS
def test_edits(width: int) -> None:
    affected = {"right_before": share(10_000), "right_before_delivered": share(9_000), "all": share(11_000)}
    others = {"touched": share(1), "all": share(2)}
    content = {"edits": 50, "questions": 60, "split": "test", "affected": affected, "others": others}
    text = printed(width, lambda console: print_rates(content, console))
    assert misfits(text, width) == []
    assert text.count("12,345") == 5 and text.count("87.6") == 5
    assert ("(85.4–89.9)" in text) == ("interval" not in left_out(text)) == (width > 44)
    example = SimpleNamespace(task="t", question="How many feet are 12345678 fathoms and 3 feet, when the tide is out?")
    fact = SimpleNamespace(object="6 feet")
    case = SimpleNamespace(
        affected=True, example=example, edit=SimpleNamespace(fact=fact, changed=SimpleNamespace(text="A fathom is 7 feet.")),
        expected="86419749",
    )  # fmt: skip
    made: Any = SimpleNamespace(
        case=case, before=SimpleNamespace(answer="74074071", correct=True), after=SimpleNamespace(answer="86419749"),
        as_wanted=True,
    )  # fmt: skip
    text = printed(width, lambda console: print_samples([made], console))
    assert misfits(text, width) == []
    assert text.count("86419749") == 2 and "12345678" in text
    assert ("74074071" in text) == ("before" not in left_out(text))


@WIDTHS
def test_effects(width: int) -> None:
    one = {"shrunk": -1.25, "sd": 0.75, "n": 1234, "harm": 0.5}
    content = {"items": [{"id": "3fa90000", "text": f"{LONG} is 6 feet.", "all": one}], "proposed": []}
    text = printed(width, lambda console: print_effects(content, console, "effect.json"))
    assert misfits(text, width) == []
    assert "-1.25" in text and left_out(text) == (["n"] if width == 44 else [])


@WIDTHS
def test_routers(width: int) -> None:
    figure = {"value": 0.6789, "low": 0.6543, "high": 0.7012}
    kinds = {kind: figure for kind in ("special", "general", "all")}
    row = {"accuracy": kinds, "routed": 0.5, "tokens": 123.4, "threshold": 0.87, "low": 0.81, "high": 0.93}
    part = {"n": 500, "found": 400, "routers": {"never": row, LONG: row}, "differences": {}}
    text = printed(width, lambda console: print_routers(console, "valid", part))
    assert misfits(text, width) == []
    assert re.search(r"^ ?never .*67\.9 \(65–70\).* 123\.4", text, re.M)
    assert ("0.87 (0.81–0.93)" in text) == ("threshold (95 %)" not in left_out(text))
    assert "router.json" in " ".join(text.split()) or width == 120


@WIDTHS
def test_benchmarks(width: int) -> None:
    table = called(width, "tasks").partition("\nSee questions")[0]
    assert "longtail" in table and misfits(table, width) == []
