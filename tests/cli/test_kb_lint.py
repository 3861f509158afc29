"""`nesycd kb lint` and `queue`: findings, exit code, nothing changed but by people."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from nesycd.cli import kb_lint
from nesycd.cli.main import app
from nesycd.core.records import Evidence, Fact, Item, Lesson, Rule, Status
from nesycd.knowledge import KnowledgeBase, Relation, declare_relations


@pytest.fixture(autouse=True)
def _no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kb_lint, "_embed", lambda: None)  # it takes half a second to load


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
    assert "A unit3 is 7 [b]feet[/b]." in said and "ill-formed: 2 more; show them by --limit 4" in said
    assert "15 items: 1 suspected contradiction, 4 ill-formed" in said
    with KnowledgeBase.open(place) as kb:
        assert kb.revision == version + 1


def said(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["kb", *map(str, arguments)])
    return done.exit_code, " ".join(done.output.split())


def test_a_contradiction_through_a_rule_is_queued_and_decided(tmp_path: Path) -> None:
    place = tmp_path / "kb.sqlite"

    def say(subject: str, relation: str, value: str) -> Fact:
        return Fact(text=f"{subject} {relation} {value}.", subject=subject, relation=relation, object=value)

    items: list[Item] = [say("Ann", "mother", "Eve"), say("Eve", "father", "Ben"), say("Ann", "grandfather", "Tom")]
    items += [Rule(text="So it goes.", clause="grandfather(X, Z) :- mother(X, Y), father(Y, Z).")]
    items += [Rule(text="Not so.", clause="p(X) :- not q(X).")]
    with KnowledgeBase.open(place) as kb:
        kb.add([(item, Evidence(example="q", source="t")) for item in items], status=Status.APPROVED, reviewer="Ann")
        declare_relations(kb, [Relation(name="grandfather", functional=True)], "Ann")
        version = kb.version
    code, told = said("lint", "--kb", place, "--queue", "--by", "Bob")
    assert code == 1 and "5 items: 1 contradiction" in told and "4 items queued" in told
    assert (
        'contradiction: grandfather has one object, but: grandfather("Ann", "Tom"), grandfather("Ann", "Ben")' in told
    )
    assert "cannot run and was left out: clause: the variable X" in told
    assert said("lint", "--kb", place, "--queue")[1].endswith("0 items queued; see: nesycd kb queue")
    with KnowledgeBase.open(place) as kb:
        assert kb.version == version and {entry.status for entry in kb.entries()} == {Status.APPROVED}
    code, told = said("queue", "--kb", place)
    assert code == 0 and "4 items wait, 4 of them with a reason" in told and "contradiction with" in told
    for item in items[:2]:
        assert said("approve", item.id, "--kb", place, "--by", "Ann")[0] == 0
    assert said("retire", items[2].id, "--kb", place, "--by", "Ann")[0] == 0
    assert "1 items wait, 1 of them" in said("queue", "--kb", place)[1]
    assert said("lint", "--kb", place)[0] == 0
