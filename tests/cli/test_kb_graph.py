"""`nesycd kb graph`, `merge`, `unmerge` and `relations` on a real file."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from nesycd.cli.main import app
from nesycd.core.records import Evidence, Fact, Status
from nesycd.knowledge import KnowledgeBase


def fact(text: str, subject: str, relation: str, value: str, *aliases: str) -> Fact:
    return Fact(text=text, subject=subject, relation=relation, object=value, aliases=aliases)


FACTS = [
    fact("A fathom is 6 feet.", "fathom", "length", "6 feet", "fadom"),
    fact("A foot is 12 inches.", "foot", "length", "12 inches"),
    fact("The father of Louis XIV was Louis XIII.", "Louis XIV", "father", "Louis XIII", "Louis"),
    fact("The father of Louis XIII was Henry IV.", "Louis XIII", "father", "Henry IV", "Louis"),
    fact("The Sun King was born in 1638.", "Sun King", "birth", "1638"),
    fact("\x1b[2J of \x07evil.", "\x1bevil", "is", "\x1b[1m"),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "kb.sqlite"
    with KnowledgeBase.open(path) as kb:
        kb.add([(one, Evidence(example="", source="Ann")) for one in FACTS], status=Status.APPROVED, reviewer="Ann")
    return path


def nesycd(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["kb", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.output


def test_what_lies_around_an_entity(path: Path) -> None:
    near = nesycd("graph", "FADOM", "--kb", path)
    assert "fathom: in 1 facts" in near and FACTS[0].text in near and FACTS[1].text not in near
    far = nesycd("graph", "fathom", "--hops", 2, "--kb", path)
    assert f"    -> {FACTS[1].text}  [length] {FACTS[1].id[:8]}" in far, "6 feet names the foot"
    assert "1 more" in nesycd("graph", "fathom", "--hops", 2, "--limit", 1, "--kb", path)
    back = nesycd("graph", "foot", "--kb", path)
    assert f"<- {FACTS[0].text}" in back
    assert FACTS[2].text in nesycd("graph", "Louis XIII", "Louis XIV", "--kb", path)
    assert "no way leads" in nesycd("graph", "Louis XIII", "foot", "--kb", path)


def test_the_whole_graph_and_what_breaks_declarations(path: Path, tmp_path: Path) -> None:
    said = nesycd("graph", "--stats", "--kb", path)
    assert "facts: 6" in said and "by_relation: birth 1, father 2, is 1, length 2" in said and "misfit" not in said
    declared = tmp_path / "graph.yaml"
    declared.write_text(
        "relations:\n- {name: length, is: [functional], range: number}\n- {name: birth, range: number}\n"
    )
    assert "2 declared, 2 of them new" in nesycd("relations", declared, "--kb", path, "--by", "Ann")
    shown = nesycd("relations", "--kb", path)
    declared.write_text(shown)
    assert "2 declared, 0 of them new" in nesycd("relations", declared, "--kb", path)
    with KnowledgeBase.open(path) as kb:
        more = fact("A fathom is 7 feet.", "fathom", "length", "7 feet")
        kb.add([(more, Evidence(example="", source="Bob"))], status=Status.APPROVED, reviewer="Bob")
    said = nesycd("graph", "--stats", "--kb", path)
    assert f"misfit: length has one object, but 2 are given: {FACTS[0].text} {FACTS[0].id[:8]}" in said


def test_entities_are_merged_and_parted(path: Path) -> None:
    assert "Sun" not in nesycd("graph", "Louis XIV", "--kb", path)
    done = nesycd("merge", "sun king", "Louis XIV", "--by", "Ann", "--why", "the same man", "--kb", path)
    assert "merge 1: sun king is now louis xiv" in done
    assert FACTS[4].text in nesycd("graph", "Sun King", "--kb", path)
    assert FACTS[4].text in nesycd("graph", "Louis XIV", "--kb", path)
    assert "merge 1: sun king into louis xiv (Ann" in nesycd("graph", "--stats", "--kb", path)
    assert "are two again" in nesycd("unmerge", 1, "--by", "Bob", "--why", "no", "--kb", path)
    assert FACTS[4].text not in nesycd("graph", "Louis XIV", "--kb", path)
    assert "taken back by Bob" in nesycd("graph", "--stats", "--kb", path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["graph"], "name an entity"),
        (["graph", "foot", "--stats"], "name an entity, or give --stats"),
        (["graph", "zoe"], "no approved fact is about 'zoe'"),
        (["graph", "Louis"], "may mean louis xiii, louis xiv"),
        (["merge", "zoe", "foot"], "'zoe' is not known"),
        (["unmerge", "7"], "merge 7 is none that stands"),
        (["relations", "none.yaml"], "none.yaml: cannot be read"),
    ],
)
def test_mistakes_are_told_in_one_line(path: Path, arguments: list[str], message: str) -> None:
    output = nesycd(*arguments, "--kb", path, code=2)
    assert output.startswith("error: ") and message in output and output.count("\n") == 1


def test_names_cannot_take_over_the_terminal(path: Path) -> None:
    for shown in (nesycd("graph", "\x1bevil", "--kb", path), nesycd("graph", "--stats", "--kb", path)):
        assert not set("\x1b\x07") & set(shown) and "\\x1b" in shown
