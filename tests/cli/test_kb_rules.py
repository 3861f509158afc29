"""`nesycd kb` on rules with clauses: approval by tests, running all tests, what follows for a question."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from nesycd.cli.main import app
from nesycd.core.records import Evidence, Fact, Rule, Status
from nesycd.knowledge import KnowledgeBase

FATHERS = [
    Fact(text=f"The father of {child} was {father}.", subject=child, relation="father", object=father)
    for child, father in (("Edward III", "Edward II"), ("Edward II", "Edward I"))
]
CLAUSE = "grandfather(X, Z) :- father(X, Y), father(Y, Z)."


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "kb.sqlite"
    with KnowledgeBase.open(path) as kb:
        kb.add([(fact, Evidence(example="", source="Ann")) for fact in FATHERS], status=Status.APPROVED, reviewer="Ann")
    return path


def nesycd(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["kb", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.output


def add(path: Path, clause: str, *options: str, code: int = 0) -> str:
    return nesycd("add", "A grandfather.", "--kind", "rule", "--clause", clause, *options, "--kb", path, code=code)


def test_a_rule_is_added_with_its_tests_and_derives(path: Path) -> None:
    tests = (
        "--test",
        "father(a, b). father(b, c). => grandfather(a, c).",
        "--test",
        "father(a, b). =/> grandfather(a, b).",
    )
    add(path, CLAUSE, *tests, "--exception", "Z = a")
    assert "1 rules, 2 tests, 0 failed" in nesycd("test-rules", "--kb", path)
    told = nesycd("derive", "Who was Edward III's grandfather?", "--kb", path)
    assert "Edward III's grandfather: Edward I.  (asked for)" in told
    assert "The father of Edward III was Edward II. [fact " in told and "it is no exception: Z = a" in told
    assert "nothing follows" in nesycd("derive", "Who was Wat Tyler?", "--kb", path)
    with KnowledgeBase.open(path) as kb:
        [rule] = kb.entries(kind="rule")
    shown = nesycd("show", rule.item_id, "--kb", path)
    assert "given: father(a, b).; expect_not: grandfather(a, b)." in shown and "exceptions Z = a" in shown


def test_approval_shows_the_failing_test_and_approves_nothing(path: Path) -> None:
    good = Rule(text="Good.", clause=CLAUSE)
    bad = Rule.model_validate(
        {"text": "Bad.", "clause": CLAUSE, "tests": [{"given": "father(a, b).", "expect": "grandfather(a, b)."}]}
    )
    with KnowledgeBase.open(path) as kb:
        for rule in (good, bad):
            kb.propose(rule, Evidence(example="", source="Ann"))
    told = nesycd("approve", good.id, bad.id, "--kb", path, code=2)
    assert "test 1: given father(a, b). expected grandfather(a, b), but nothing of grandfather follows" in told
    assert "Traceback" not in told
    nesycd("approve", "all", "--kb", path, code=2)
    with KnowledgeBase.open(path) as kb:
        assert {entry.status for entry in kb.entries(kind="rule")} == {Status.PROPOSED}
    assert "1 failed" in nesycd("test-rules", "--status", "proposed", "--kb", path, code=1)
    nesycd("approve", good.id, "--kb", path)
    edited = nesycd("edit", bad.id, "--test", "father(a, b). =/> grandfather(a, b).", "--kb", path)
    assert "now reads" in edited
    nesycd("approve", "all", "--kb", path)


def test_a_clause_that_cannot_be_read_is_shown_with_a_caret(path: Path) -> None:
    told = add(path, "grandfather(X Z) :- father(X, Z).", code=2)
    assert "clause: line 1, column 15: expected ',' or ')', but found Z" in told
    assert "\n    grandfather(X Z) :- father(X, Z).\n                  ^\n" in told
    assert "--test" in add(path, CLAUSE, "--test", "father(a, b)", code=2)


@pytest.mark.parametrize("clause", ["n(X + 1) :- n(X).", "p(X) :- not p(X), n(X).", "p(X) :- n("])
def test_an_import_of_approved_rules_is_refused_as_a_whole(path: Path, tmp_path: Path, clause: str) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(
        f"- {{kind: lesson, text: Count., status: approved}}\n"
        f"- kind: rule\n  text: Hostile.\n  status: approved\n  clause: {clause!r}\n"
        "  tests: [{given: n(1)., expect: n(2).}]\n",
        encoding="utf-8",
    )
    assert "error: not approved: rule " in nesycd("import", file, "--kb", path, code=2)
    with KnowledgeBase.open(path) as kb:
        assert len(kb.entries()) == len(FATHERS)


def test_rules_that_came_in_without_the_gate_are_reported(path: Path) -> None:
    bad = Rule(text="Bad \x1b[31m.", clause="p(X) :- \x1b q(Y).")
    with KnowledgeBase.open(path) as kb:
        kb.add([(bad, Evidence(example="", source="Ann"))], status=Status.APPROVED, reviewer="auto")
    told = nesycd("test-rules", "--kb", path, code=1)
    assert f"failed: rule {bad.id[:8]}" in told and "\x1b" not in told
    told = nesycd("derive", "Who was Edward III's grandfather?", "--kb", path)
    assert "cannot run" in told and "\x1b" not in told
