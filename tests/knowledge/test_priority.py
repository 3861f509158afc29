"""The order of review: what hangs on an item, what speaks against it, and nothing else."""

from __future__ import annotations

import random

import pytest

from nesycd.knowledge.priority import Standing, priorities

NAMED = {"peck": {"q1", "q2"}, "firkin": {"q3"}, "semitone": {f"q{n}" for n in range(10)}, "8": set(), "ell": {"q9"}}


def fact(
    name: str, *examples: str, relation: str = "makes", value: str = "2", used: bool = False, **more: object
) -> Standing:
    given = {
        "item_id": f"{name} {relation} {value}",
        "subject": name,
        "relation": relation,
        "value": value,
        "examples": frozenset(examples),
        "pieces": len(examples),
        "stated": frozenset(),
        "harm": 0.0,
        "is_used": used,
        "is_living": True,
        "reasons": ("not proven: nothing states it",),
        "unsure": 0,
    }
    return Standing(**{**given, **more})  # type: ignore[arg-type]


def lesson(name: str, *examples: str, **more: object) -> Standing:
    return fact("", *examples, item_id=name, relation="", value="", **more)


def order(*standings: Standing, named: dict[str, set[str]] | None = NAMED) -> list[str]:
    """Ids as they are reviewed, however they came."""
    found = []
    for seed in range(3):
        mixed = list(standings)
        random.Random(seed).shuffle(mixed)
        made = priorities(mixed, named)
        found.append(sorted(made, key=lambda item_id: made[item_id].key))
    assert found[0] == found[1] == found[2]
    return found[0]


def test_more_hangs_on_what_comes_from_more_questions_and_names_and_numbers_do_not_count() -> None:
    twice, once = fact("peck", "q1", "q2"), fact("firkin", "q3")
    assert order(once, twice) == ["peck makes 2", "firkin makes 2"]
    # What its question does not name, or names as it names everything, is hardly what was missing there.
    common, number = fact("semitone", "q4"), fact("8", "q5")
    assert order(number, common, once, twice) == ["peck makes 2", "firkin makes 2", "8 makes 2", "semitone makes 2"]
    # Where the subject is proposed wherever it is named, as much hangs on it as on others.
    more = [fact("semitone", f"q{n}", relation=f"r{n}") for n in range(10)]
    made = priorities([*more, once, number], NAMED)
    assert made["semitone r3 2"].need == made["firkin makes 2"].need == 1 and made["8 makes 2"].need == 0.25
    assert made["semitone r3 2"].gain == made["firkin makes 2"].gain > made["8 makes 2"].gain


def test_of_values_that_contradict_one_another_the_one_with_more_evidence_comes_first() -> None:
    agreed = fact("peck", "q1", "q2", value="2 gallons")
    other = fact("peck", "q1", value="4 gallons")
    alone = fact("firkin", "q3", value="9 gallons")
    assert order(other, agreed, alone) == ["peck makes 2 gallons", "firkin makes 9 gallons", "peck makes 4 gallons"]
    made = priorities([agreed, other], NAMED)
    assert (made["peck makes 2 gallons"].against, made["peck makes 4 gallons"].against) == (1, 2)
    # Of what is in use a contradiction is the graver the more speaks against it: a wrong item does harm.
    used = [fact("firkin", "q3", used=True, reasons=()), fact("ell", "q9", used=True, reasons=())]
    assert order(*used, fact("ell", "q9", value="3", used=True, reasons=()))[:2] == ["ell makes 2", "ell makes 3"]
    # What was rejected speaks against nothing any more.
    gone = fact("ell", "q9", value="3", is_living=False)
    assert priorities([used[1], gone], NAMED)["ell makes 2"].against == 0


def test_what_the_source_left_and_what_is_not_proven_come_first_and_what_was_left_to_others_last() -> None:
    plain, proven = lesson("plain", "q1", reasons=()), lesson("proven", "q1", reasons=("proven: stated",))
    doubtful = lesson("doubtful", "q1", reasons=("near-duplicate with 3fa9: nearly the same",))
    changed = lesson("changed", reasons=("the source changed: a -> b",), pieces=1)
    unproven = lesson("unproven", "q1")
    left = [lesson(f"left{n}", "q1", "q2", unsure=n, reasons=("not sure (Ann): why?",)) for n in (7, 5)]
    found = order(*left, proven, plain, changed, doubtful, unproven)
    assert found == ["changed", "unproven", "doubtful", "plain", "proven", "left5", "left7"]
    assert priorities([proven], NAMED)["proven"].doubt == pytest.approx(0.1)


def test_what_rationales_state_counts_whole_and_measured_harm_is_doubt() -> None:
    stated = fact("semitone", "q4", stated=frozenset({"q4", "q5"}))
    made = priorities([stated, fact("firkin", "q3")], NAMED)
    assert made["semitone makes 2"].questions == 2 and made["semitone makes 2"].gain == 2.0
    harmful, harmless = lesson("a", "q1", harm=0.9, reasons=()), lesson("b", "q1", harm=0.1, reasons=())
    assert order(harmless, harmful) == ["a", "b"]


def test_without_a_run_the_evidence_decides_and_ties_go_by_id() -> None:
    items = [fact("8", "q5"), fact("add", "q6"), fact("peck", "q1", "q2")]
    assert order(*items, named=None) == ["peck makes 2", "8 makes 2", "add makes 2"]
    assert {one.need for one in priorities(items, None).values()} == {1.0}
