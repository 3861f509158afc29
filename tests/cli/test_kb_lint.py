"""`nesycd kb lint`: findings, exit code, nothing changed."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from nesycd.cli.main import app
from nesycd.knowledge import KnowledgeBase
from nesycd.records import Evidence, Fact, Lesson


def fact(number: int, value: int) -> Fact:
    return Fact(
        text=f"A unit{number} is {value} [b]feet[/b].",
        subject=f"unit{number}",
        relation="makes",
        object=f"{value} feet",
    )


def test_findings_are_named_and_a_contradiction_ends_with_one(tmp_path: Path) -> None:
    place, evidence = tmp_path / "kb.sqlite", Evidence(example="q", source="t")
    with KnowledgeBase.open(place) as kb:
        kb.add([(fact(n, n), evidence) for n in range(2, 12)])
        version = kb.revision
    clean = CliRunner().invoke(app, ["kb", "lint", "--kb", str(place)])
    assert clean.exit_code == 0 and clean.output == "10 items: nothing found\n"
    with KnowledgeBase.open(place) as kb:
        kb.add([(fact(3, 7), evidence), *((Lesson(text=f"The student lost {n} points."), evidence) for n in range(4))])
    found = CliRunner().invoke(app, ["kb", "lint", "--kb", str(place), "--limit", "2"])
    said = " ".join(found.output.split())
    assert found.exit_code == 1 and "suspected contradiction: unit3 has 2 objects of 'makes'" in said
    assert "A unit3 is 7 [b]feet[/b]." in said and "unfit: 2 more; show them by --limit 4" in said
    assert "15 items: 1 suspected contradiction, 4 unfit" in said
    with KnowledgeBase.open(place) as kb:
        assert kb.revision == version + 1
