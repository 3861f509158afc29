"""CLUTRR: made-up rows in its publisher's shape, and the real files where they are."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from nesycd.calls import BaseRules
from nesycd.core.errors import ConfigError, DataError
from nesycd.core.records import Entry, Example, Fact, Rule, Status
from nesycd.grading import closing
from nesycd.knowledge.exchange import read_file
from nesycd.rules import Engine
from nesycd.rules.rule_tests import failures
from nesycd.rules.statements import by_unit, units
from nesycd.tasks.clutrr import COLUMNS, FILE, Clutrr, ClutrrSettings, rule_of
from nesycd.tasks.registry import build_task, limited
from nesycd.tasks.rows import RowGrader
from nesycd.teachers.expert import ExpertTeacher, diagnose

real = pytest.mark.skipif("NESYCD_DATA" not in os.environ, reason="NESYCD_DATA names no folder of real data")

ROW = {
    "story": "[Ute] met her uncle [Max] in town. She was late. [Ida] and her son [Jan] waited for [Jan]'s sister, [Ute].",
    "query": "('Ida', 'Max')",
    "target_text": "brother",
    "proof_state": "[{('Ida', 'brother', 'Max'): [('Ida', 'daughter', 'Ute'), ('Ute', 'uncle', 'Max')]}, "
    "{('Ida', 'daughter', 'Ute'): [('Ida', 'son', 'Jan'), ('Jan', 'sister', 'Ute')]}]",
    "task_name": "task_1.3",
    "story_edges": "[(0, 1), (1, 2), (2, 3)]",
    "edge_types": "['son', 'sister', 'uncle']",
    "genders": "Ida:female,Jan:male,Ute:female,Max:male",
}


def short_row(number: int) -> dict[str, str]:
    """A story of two relations, told apart by its names."""
    a, b, c = (f"{name}{chr(97 + number)}" for name in ("An", "Bo", "Cy"))
    return {
        "story": f"[{a}] has a son. His name is [{b}]. [{b}] likes his brother [{c}]",
        "query": f"('{a}', '{c}')",
        "target_text": "son",
        "proof_state": f"[{{('{a}', 'son', '{c}'): [('{a}', 'son', '{b}'), ('{b}', 'brother', '{c}')]}}]",
        "task_name": "task_1.2",
        "story_edges": "[(0, 1), (1, 2)]",
        "edge_types": "['son', 'brother']",
        "genders": f"{a}:female,{b}:male,{c}:male",
    }


def write(folder: Path, part: str, rows: Iterable[dict[str, str]], columns: Iterable[str] = COLUMNS) -> None:
    with (folder / FILE.format(part=part)).open("w", newline="", encoding="utf-8-sig") as file:
        out = csv.DictWriter(file, ["", *columns], extrasaction="ignore")
        out.writeheader()
        out.writerows(rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "validation", [short_row(number) for number in range(20)])
    write(tmp_path, "test", [ROW, *(short_row(number) for number in range(20, 24))])
    return tmp_path


def task_of(folder: Path, **settings: Any) -> Clutrr:
    return Clutrr(ClutrrSettings(path=folder, **settings))


def test_rows_become_questions_with_their_derivations(folder: Path) -> None:
    task = task_of(folder)
    assert {split: len(task.load(split)) for split in task.splits()} == {"train": 18, "valid": 2, "test": 5}
    example = task.load("test")[0]
    assert (example.uid, example.task, task.kind(example.task)) == ("clutrr-test-00000", "clutrr/3", "general")
    assert example.question == f"{ROW['story']}\nWhat is Max to Ida?"
    assert (example.answer, example.options) == ("brother", ())
    truth = example.truth
    assert truth is not None and truth.answer == "brother"
    town, together = "[Ute] met her uncle [Max] in town.", "[Ida] and her son [Jan] waited for [Jan]'s sister, [Ute]."
    assert [(one.text, one.said) for one in truth.stated] == [
        ("Ute | uncle | Max", town), ("Max | niece | Ute", town),
        ("Ida | son | Jan", together), ("Jan | mother | Ida", together),
        ("Jan | sister | Ute", together), ("Ute | brother | Jan", together),
    ]  # fmt: skip
    assert truth.goal == "Ida | ? | Max" and truth.facts == ()
    assert example.metadata["genders"] == {"Ida": "female", "Jan": "male", "Ute": "female", "Max": "male"}
    assert truth.steps == (
        "The uncle of Ute is Max.",
        "The son of Ida is Jan.",
        "The sister of Jan is Ute.",
        "So the daughter of Ida is Ute: the sister of the son.",
        "So the brother of Ida is Max: the uncle of the daughter.",
    )
    assert truth.uses == ((),) * 5
    assert example.rationale == " ".join(truth.steps)
    assert truth.rules == (rule_of("son", "sister", "daughter"), rule_of("daughter", "uncle", "brother"))


def test_relations_told_over_several_sentences_have_these(folder: Path) -> None:
    example = task_of(folder).load("test")[1]
    assert example.truth is not None
    assert list(dict.fromkeys(one.said for one in example.truth.stated)) == [
        "[Anu] has a son. His name is [Bou].", "[Bou] likes his brother [Cyu]"
    ]  # fmt: skip
    read = units(example.question)
    assert [len(found) for found in by_unit(example.truth.stated, read)] == [0, 2, 2, 0]


def test_equal_stories_stay_on_one_side(tmp_path: Path) -> None:
    rows = [short_row(number // 2) for number in range(20)]
    write(tmp_path, "validation", rows)
    write(tmp_path, "test", [ROW])
    for seed in range(5):
        task = task_of(tmp_path, seed=seed, valid=0.3)
        groups = [{example.group for example in task.load(split)} for split in task.splits()]
        assert len(groups[0]) + len(groups[1]) == 10 and not groups[0] & groups[1] and not task.warnings()[3:]


def test_test_questions_of_each_length(folder: Path) -> None:
    chosen = task_of(folder, per_length=2).load("test")
    assert Counter(example.task for example in chosen) == {"clutrr/3": 1, "clutrr/2": 2}
    assert chosen == task_of(folder, per_length=2).load("test")
    assert len({tuple(e.uid for e in task_of(folder, per_length=2, seed=s).load("test")) for s in range(6)}) > 1


def test_answers_may_be_worded_as_a_sentence(folder: Path) -> None:
    task = task_of(folder)
    example = task.load("test")[0]
    for answer in ("Brother.", "the brother", "Max is Ida's brother.", "Max is the brother of Ida", "Ida's brother"):
        assert task.grade(task.extract(f"So. Therefore, the answer is {answer}", example), example), answer
    for answer in ("sister", "Ida is Max's brother", "brother-in-law", "", "Max"):
        assert not task.grade(answer, example), answer
    row = {"question": "?", "answer": "mother-in-law", "response": "Therefore, the answer is Mother-in-law."}
    assert RowGrader("clutrr").graded(0, row, "r:1")["correct"]
    with pytest.raises(DataError, match="is no relation"):
        RowGrader("clutrr").graded(0, {"question": "?", "answer": "neighbour", "response": "x"}, "r:1")


def test_the_expert_gives_rationales_and_proposes_rules_but_no_storys_facts(folder: Path) -> None:
    task = limited(task_of(folder), 3)
    [example, *_] = task.load("test")
    teacher = ExpertTeacher(task.derive)  # type: ignore[attr-defined]
    [rationale] = teacher.rationales([example])
    assert (rationale.text, rationale.answer) == (example.rationale, "brother")
    derivation = task.derive(example)  # type: ignore[attr-defined]
    assert example.truth is not None
    assert derivation.facts == () and derivation.rules == example.truth.rules
    for response in ("", "The uncle of Ute is Max. Therefore, the answer is uncle."):
        proposed = diagnose(derivation, response).items
        assert set(example.truth.rules) < set(proposed) and not any(isinstance(item, Fact) for item in proposed)
    with pytest.raises(DataError, match="not a question of clutrr"):
        task.derive(Example(uid="x", task="clutrr/2", question="?", answer="son"))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"proof_state": "[{"}, r"proof_state must be \[\{conclusion"),
        ({"proof_state": "[]"}, r"proof_state must be \[\{conclusion"),
        ({"proof_state": str(ROW["proof_state"]).partition(", {")[0] + "]"}, "does not show that Ute is the daughter of Ida"),
        ({"target_text": "uncle"}, "does not show that Max is the uncle of Ida"),
        ({"edge_types": "['son', 'brother', 'uncle']"}, "does not show that Ute is the sister of Jan"),
        (
            {"proof_state": str(ROW["proof_state"]).replace("('Jan', 'sister', 'Ute')", "('Ute', 'sister', 'Jan')")},
            "concludes that Ute is the daughter of Ida from that Jan is the son of Ida and that Jan is the sister of Ute",
        ),
        (
            {
                "proof_state": "[{('Ida', 'brother', 'Max'): [('Ida', 'brother', 'Max'), ('Max', 'brother', 'Max')]}, "
                "{('Max', 'brother', 'Max'): [('Max', 'brother', 'Max'), ('Max', 'brother', 'Max')]}]"
            },
            "circular",
        ),
        ({"proof_state": str(ROW["proof_state"]).replace("uncle", "boss")}, "'boss', which is none of CLUTRR's relations"),
        ({"query": "('Ida',)"}, "query must be"),
        ({"query": "('Ida', 'Ida')"}, "query must be two persons"),
        ({"query": "('Ida', 'Tom')"}, r"the story does not name \[Tom\]"),
        ({"story_edges": "[(0, 1), (1, 2), (2, 9)]"}, "story_edges names person 9, but genders has 4"),
        ({"story_edges": "[(0, 1), (1, 2)]"}, "2 story_edges, but 3 edge_types"),
        ({"story_edges": "__import__('os')"}, "story_edges must be"),
        ({"genders": "Ida"}, "genders must be"),
        ({"task_name": "task_1.2"}, "task_name is 'task_1.2', but story_edges has 3 relations"),
        ({"story": " "}, "key 'story' is missing or not a text"),
    ],
)  # fmt: skip
def test_a_broken_row_is_named(folder: Path, change: dict[str, str], message: str) -> None:
    write(folder, "test", [short_row(0), ROW | change])
    with pytest.raises(DataError, match=rf"__test\.csv:3: .*{message}"):
        task_of(folder)


def test_wrong_files_are_named(folder: Path, tmp_path: Path) -> None:
    write(folder, "test", [ROW], [name for name in COLUMNS if name != "proof_state"])
    with pytest.raises(DataError, match=r"__test\.csv:1: column 'proof_state' is missing; is this CLUTRR's own file"):
        task_of(folder)
    path = folder / FILE.format(part="test")
    path.write_text("")
    with pytest.raises(DataError, match="column 'story' is missing"):
        task_of(folder)
    path.write_text(",".join(COLUMNS) + "\nonly,two\n")
    with pytest.raises(DataError, match=r"__test\.csv:2: 2 columns, but the first line names 8"):
        task_of(folder)
    path.write_text(",".join(COLUMNS) + '\n"a"b,c\n')
    with pytest.raises(DataError, match=r"__test\.csv:2: not a table of CLUTRR"):
        task_of(folder)
    path.unlink()
    with pytest.raises(DataError, match=r"__test\.csv: no such file"):
        task_of(folder)
    with pytest.raises(ConfigError, match="task clutrr: path: "):
        build_task("clutrr")


def test_an_edited_file_gives_another_fingerprint(folder: Path) -> None:
    first = task_of(folder).fingerprint
    assert first == task_of(folder).fingerprint
    write(folder, "test", [ROW])
    assert task_of(folder).fingerprint != first


# --- the rules ---------------------------------------------------------------------------------------------------------


def base_of(rules: Sequence[Rule], engine: Engine) -> BaseRules:
    return BaseRules([Entry(item=rule, status=Status.APPROVED) for rule in rules], engine)


def derived(base: BaseRules, example: Example) -> str:
    """What the rules say to a question's goal, from what its story states."""
    truth = example.truth
    assert truth is not None
    return base.derive(truth.goal, [one.text for one in truth.stated]).found


def test_the_rules_of_a_proof_derive_its_answer(folder: Path) -> None:
    task = task_of(folder)
    assert [rule.text for rule in task.rules()] == ["If somebody's son has a brother, he is the son."]
    with Engine() as engine:
        assert derived(base_of(task.rules("test"), engine), task.load("test")[0]) == "brother"
        assert derived(base_of(task.rules("train"), engine), task.load("test")[0]) == "(nothing follows)"
        assert not failures([*task.rules("test"), rule_of("husband", "mother", "mother-in-law")], engine)


PEOPLE = Path(__file__).parents[2] / "recipes" / "clutrr-knowledge.yaml"
"""A base by people, for CLUTRR and stories like it."""


def rules_of(path: Path) -> list[Rule]:
    return [one.entry.item for one in read_file(path) if isinstance(one.entry.item, Rule)]


def test_the_base_by_people_has_sound_rules(folder: Path) -> None:
    rules = rules_of(PEOPLE)
    assert len(rules) == len(set(rules)) == 106 and all(rule.clause and rule.says for rule in rules)
    with Engine() as engine:
        assert not failures(rules, engine)
        assert derived(base_of(rules, engine), task_of(folder).load("test")[0]) == "brother"


@pytest.fixture(scope="module")
def published() -> Clutrr:
    return task_of(Path(os.environ["NESYCD_DATA"]) / "clutrr")


@real
def test_the_published_files(published: Clutrr) -> None:
    sizes = {split: len(published.load(split)) for split in published.splits()}
    assert sizes == {"train": 2717, "valid": 302, "test": 1048}
    assert [note for note in published.warnings() if "equal questions" not in note] == published.warnings()[:1]
    for split in published.splits():
        assert all(published.grade(published.extract(closing(e.answer), e), e) for e in published.load(split))
    lengths = Counter(int(example.task.partition("/")[2]) for example in published.load("test"))
    assert lengths == {2: 38, 3: 107, 4: 77, 5: 185, 6: 105, 7: 155, 8: 135, 9: 124, 10: 122}
    rules = published.rules()
    assert len(rules) == 62 == len({rule.text for rule in rules}) and set(published.rules("test")) < set(rules)
    premises = {rule.text.rpartition(", ")[0] for rule in rules}
    assert len(premises) == 62, "no composition has two results"


@real
@pytest.mark.slow
def test_the_training_rules_derive_the_published_answers_from_the_gold_relations(published: Clutrr) -> None:
    """Elsewhere a parent is derived as parent-in-law, or both as near."""
    right = 0
    with Engine() as engine:
        assert not failures(published.rules(), engine)
        base = base_of(published.rules(), engine)
        for example in published.load("test"):
            found = derived(base, example)
            right += found == example.answer
            assert example.answer.removesuffix("-in-law") in found, example.uid
    assert right == 1013


@pytest.mark.slow
@real
def test_the_base_by_people_derives_most_published_answers(published: Clutrr) -> None:
    with Engine() as engine:
        base = base_of(rules_of(PEOPLE), engine)
        assert sum(derived(base, example) == example.answer for example in published.load("test")) == 992
