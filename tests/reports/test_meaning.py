"""The sentence of a report is right in every case: helped, did harm, not told apart, nothing to compare with, few questions."""

from __future__ import annotations

from typing import Any

import pytest

from nesycd.methods.table import METHODS
from nesycd.reports.comparison import Comparison
from nesycd.reports.meaning import comparison_meaning, main_pair, run_meaning, verdict_of
from nesycd.reports.results import Results

PART = {"routed": 0, "delivered": 0}
NONE = {"prompt_tokens": 0, "completion_tokens": 0, "knowledge_tokens": 0, "seconds": 0}


def score(correct: int, n: int, low: float | None = 0.1, high: float | None = 0.9) -> dict[str, Any]:
    share = correct / n if n else None
    ends = (low, high) if n else (None, None)
    return {"n": n, "correct": correct, "accuracy": share, "low": ends[0], "high": ends[1], "interval": "bootstrap"}


def gap(value: float | None, low: float | None, high: float | None, n: int = 100) -> dict[str, Any]:
    return {"n": n, "value": value, "low": low, "high": high, "interval": "bootstrap"}


def results(
    methods: dict[str, tuple[int, int]], differences: dict[str, dict[str, Any]] | None = None, split: str = "test"
) -> Results:
    """Of each method its right answers and its questions; of each pair its difference by kind."""
    scored = {
        name: {split: {**score(*counts), **PART, **NONE, "by_task": {}, "by_kind": {}, "by_frequency": {}}}
        for name, counts in methods.items()
    }
    return Results.model_validate(
        {
            "schema": "results/2",
            "tasks": {},
            "methods": scored,
            "differences": {split: differences or {}},
            **{"gap_closed": {}, "gain_by_frequency": {}, "retrieval": {}, "router": {}, "seconds": {}},
            "knowledge": {"items": 0, "by_kind": {}, "by_status": {}},
            "total_seconds": 0,
        }
    )


OURS = "the student with its knowledge base (nesycd"
THEIRS = "the student trained on rationales alone (std_cot"
LED = f"On the 100 test questions {OURS}, 60.0 % right)"
STD = f"{THEIRS}, 30.0 % right)"
CHANCE = "no two methods are held against each other, so whether that is more than chance cannot be said."
TWO = {"std_cot": (30, 100), "nesycd": (60, 100)}
FEW = {"std_cot": (3, 9), "nesycd": (3, 9)}


@pytest.mark.parametrize(
    ("found", "verdict", "sentence"),
    [
        pytest.param(
            results(TWO, {"nesycd - std_cot": {"all": gap(0.3, 0.21, 0.384)}}),
            "better",
            f"{LED} is better than {STD} by 30.0 points (95 % interval 21.0 to 38.4).",
            id="helped",
        ),
        pytest.param(
            results(TWO, {"nesycd - std_cot": {"all": gap(-0.3, -0.384, -0.21)}}),
            "worse",
            f"{LED} is worse than {STD} by 30.0 points (95 % interval 21.0 to 38.4).",
            id="did harm: the interval has no sign, and its smaller end is first",
        ),
        pytest.param(
            results(TWO, {"nesycd - std_cot": {"all": gap(0.02, -0.05, 0.09)}}),
            "not told apart",
            f"{LED} cannot be told apart from {STD}: the difference is +2.0 points, its 95 % interval -5.0 to +9.0.",
            id="not told apart",
        ),
        pytest.param(
            results(TWO, {"nesycd - std_cot": {"all": gap(0.1, 0.0, 0.2)}}),
            "not told apart",
            f"{LED} cannot be told apart from {STD}: the difference is +10.0 points, its 95 % interval +0.0 to +20.0.",
            id="an interval that ends at zero includes it",
        ),
        pytest.param(
            results(FEW, {"nesycd - std_cot": {"all": gap(0.0, -0.18, 0.18, n=9)}}),
            "not told apart",
            f"On only 9 test questions {OURS}, 33.3 % right) cannot be told apart from {THEIRS}, 33.3 % right): the difference "
            "is +0.0 points, its 95 % interval -18.0 to +18.0.",
            id="a tie on few questions",
        ),
        pytest.param(
            results({"std_cot": (0, 1), "nesycd": (1, 1)}, {"nesycd - std_cot": {"all": gap(1.0, None, None, n=1)}}),
            "not told apart",
            f"On only one test question {OURS}, 100.0 % right) cannot be told apart from {THEIRS}, 0.0 % right): the difference "
            "is +100.0 points, and has no interval.",
            id="one question",
        ),
        pytest.param(
            results({"std_cot": (30, 100), "nesycd": (60, 120)}, {"nesycd - std_cot": {"all": gap(0.3, 0.2, 0.4)}}),
            "better",
            f"On the 100 test questions {OURS}) is better than {STD} by 30.0 points (95 % interval 20.0 to 40.0).",
            id="no accuracy over other questions than the difference",
        ),
        pytest.param(
            results(
                TWO,
                {
                    "nesycd - std_cot": {
                        "special": gap(0.5, 0.4, 0.6, n=80),
                        "general": gap(-0.2, -0.4, -0.1, n=20),
                        "all": gap(0.3, 0.2, 0.4),
                    }
                },
            ),
            "better",
            f"{LED} is better than {STD} by 30.0 points (95 % interval "
            "20.0 to 40.0); better on the 80 that need special knowledge (+50.0) and worse on only 20 that need none (-20.0).",
            id="harm on one kind of question is said",
        ),
        pytest.param(
            results(
                {"nesycd_no_kb": (30, 100), "nesycd": (60, 100)}, {"nesycd - nesycd_no_kb": {"all": gap(0.3, 0.2, 0.4)}}
            ),
            "better",
            f"{LED} is better than the same student without the base (nesycd_no_kb, "
            "30.0 % right) by 30.0 points (95 % interval 20.0 to 40.0).",
            id="no baseline but the unplugged student",
        ),
        pytest.param(
            results(
                {"nesycd": (60, 100), "raft_kb": (50, 100)},
                {"nesycd - raft_kb": {"all": gap(0.1, 0.05, 0.2)}},
                "ood_unseen",
            ),
            "better",
            f"On the 100 ood_unseen questions {OURS}, 60.0 % right) is better than raft_kb (50.0 % right) by 10.0 points (95 % "
            "interval 5.0 to 20.0).",
            id="no test split",
        ),
        pytest.param(
            results({"std_cot": (30, 100)}),
            "not compared",
            "std_cot answers 30.0 % (95 % interval 10.0 to 90.0) of the 100 test questions right; no other method was scored, so "
            "what the knowledge base brings cannot be said.",
            id="one method",
        ),
        pytest.param(
            results({"zero_shot": (3, 100), "std_cot": (30, 100)}),
            "not compared",
            f"On the 100 test questions std_cot has the highest accuracy, 30.0 % (95 % interval 10.0 to 90.0); {CHANCE}",
            id="no pair",
        ),
        pytest.param(
            results({"zero_shot": (3, 9), "std_cot": (3, 9), "nesycd_oracle": (9, 9)}),
            "not compared",
            f"On only 9 test questions, ceilings aside, zero_shot and std_cot have the highest accuracy, 33.3 %; {CHANCE}",
            id="a tie without a pair; a ceiling is no winner",
        ),
        pytest.param(
            results({"std_cot": (0, 0), "nesycd": (0, 0)}, {"nesycd - std_cot": {"all": gap(None, None, None, n=0)}}),
            "not compared",
            "No answers were scored, so there is nothing to say of accuracy.",
            id="no questions",
        ),
        pytest.param(
            results({}),
            "not compared",
            "No answers were scored, so there is nothing to say of accuracy.",
            id="no methods",
        ),
    ],
)
def test_the_sentence_of_a_run(found: Results, verdict: str, sentence: str) -> None:
    told = run_meaning(found)
    assert told.sentence == sentence
    assert told.verdict == verdict


def test_nesycd_is_held_against_the_first_of_its_baselines() -> None:
    pairs = {
        "shouting - std_cot": {"all": gap(0.1, 0.05, 0.2)},
        "nesycd - std_cot": {"all": gap(None, None, None, n=0)},
        "nesycd - raft_kb": {"all": gap(0.1, 0.05, 0.2)},
        "nesycd - nesycd_no_kb": {"all": gap(0.5, 0.4, 0.6)},
    }
    pair = main_pair(results(TWO, pairs))
    assert pair is not None and (pair.left, pair.right) == ("nesycd", "raft_kb")
    assert METHODS["nesycd"].against[0] == "std_cot", "what a run's differences begin with"


@pytest.mark.parametrize(
    ("value", "low", "high", "verdict"),
    [
        (0.1, 0.01, 0.2, "better"),
        (-0.1, -0.2, -0.01, "worse"),
        (0.1, -0.01, 0.2, "not told apart"),
        (0.0, 0.0, 0.0, "not told apart"),
        (-0.1, -0.2, 0.0, "not told apart"),
        (0.1, None, None, "not told apart"),
        (None, None, None, "not compared"),
    ],
)
def test_methods_are_told_apart_by_an_interval_without_zero(
    value: float | None, low: float | None, high: float | None, verdict: str
) -> None:
    assert verdict_of(value, low, high) == verdict


def figure(value: float, n: int = 100) -> dict[str, Any]:
    return {"n": n, "value": value, "low": value - 0.1, "high": value + 0.1, "seeds": [value]}


def compared(
    shares: dict[str, float],
    first: tuple[float, float, float] | None,
    others: dict[str, tuple[float, float]],
    seeds: tuple[int, ...] = (0,),
    kind: str = "all",
) -> Comparison:
    """`first`: the primary difference with its interval; `others`: of each further method its difference and corrected p."""
    made = None if first is None else {**figure(first[0]), "low": first[1], "high": first[2], "p": 0.01}
    gaps = {name: {**figure(value), "p": p / 2, "p_holm": p} for name, (value, p) in others.items()}
    place = "test" if kind == "all" else f"test/{kind}"
    return Comparison.model_validate(
        {
            "schema": "comparison/3",
            "name": "c",
            "seeds": seeds,
            "methods": {name: {"role": METHODS[name].role, "about": ""} for name in shares},
            "scores": {name: {"test": {kind: figure(share)}} for name, share in shares.items()},
            "domains": {},
            "primary": {
                **{"named": True, "left": "nesycd", "right": "std_cot", "split": "test", "kind": kind},
                "difference": made,
            },
            "differences": {name: {place: one} for name, one in gaps.items()}
            | ({"std_cot": {place: made}} if made else {}),
            **{"costs": {}, "errors": {}, "leaks": {}, "scored": {}, "resamples": 10},
        }
    )


BOTH = {"nesycd": 0.6, "std_cot": 0.3}
FOUR = {**BOTH, "raft_kb": 0.6, "answer_ft": 0.2, "cascod": 0.7, "nesycd_oracle": 0.9, "no_rules": 0.8}
BETTER = f"{OURS}, 60.0 % right) is better than {STD} by 30.0 points (95 % interval 20.0 to 40.0)"
HOLM = " (p < 0.05 after Holm's correction)."


@pytest.mark.parametrize(
    ("made", "verdict", "sentence"),
    [
        (compared(BOTH, (0.3, 0.2, 0.4), {}), "better", f"On the 100 test questions {BETTER}."),
        (
            compared(BOTH, (0.3, 0.2, 0.4), {}, seeds=(0, 1), kind="special"),
            "better",
            f"Over 2 seeds, in 100 answers to special test questions, {BETTER}.",
        ),
        (
            compared(BOTH, (0.1, -0.1, 0.3), {}),
            "not told apart",
            f"{LED} cannot be told apart from {STD}: the difference is +10.0 points, its 95 % interval -10.0 to +30.0.",
        ),
        (
            compared({**BOTH, "raft_kb": 0.5}, (0.3, 0.2, 0.4), {"raft_kb": (0.1, 0.2)}),
            "better",
            f"On the 100 test questions {BETTER}; it is not told apart from raft_kb{HOLM}",
        ),
        (
            compared({**BOTH, "raft_kb": 0.5}, (0.3, 0.2, 0.4), {"raft_kb": (-0.1, 0.01)}),
            "better",
            f"On the 100 test questions {BETTER}; it is worse than raft_kb{HOLM}",
        ),
        (
            # Ceilings and ablations are no rivals.
            compared(
                FOUR,
                (0.3, 0.2, 0.4),
                {
                    **{"raft_kb": (0.0, 1.0), "answer_ft": (0.4, 0.01), "cascod": (-0.1, 0.04)},
                    **{"nesycd_oracle": (-0.3, 0.001), "no_rules": (-0.2, 0.001)},
                },
            ),
            "better",
            f"On the 100 test questions {BETTER}; it is better than 1, not told apart from 1 and worse than cascod of the 3 "
            f"other methods{HOLM}",
        ),
        (
            compared(
                {**BOTH, "raft_kb": 0.5, "cascod": 0.5},
                (0.3, 0.2, 0.4),
                {"raft_kb": (0.1, 0.01), "cascod": (0.1, 0.02)},
            ),
            "better",
            f"On the 100 test questions {BETTER}; it is better than each of the 2 other methods{HOLM}",
        ),
        (
            compared({"raft_kb": 0.5, "std_cot": 0.3}, None, {}),
            "not compared",
            "On the test questions raft_kb has the highest accuracy, 50.0 % (95 % interval 40.0 to 60.0); nesycd was not run, so "
            "nesycd and std_cot cannot be held against each other.",
        ),
        (
            compared({"raft_kb": 0.5, "cascod": 0.5}, None, {}),
            "not compared",
            "On the test questions raft_kb and cascod have the highest accuracy, 50.0 %; nesycd and std_cot were not "
            "run, so nesycd and std_cot cannot be held against each other.",
        ),
        (
            compared({}, None, {}),
            "not compared",
            "No answers were scored, so there is nothing to say: nesycd and std_cot were not run.",
        ),
    ],
)
def test_the_sentence_of_a_comparison(made: Comparison, verdict: str, sentence: str) -> None:
    told = comparison_meaning(made)
    assert told.sentence == sentence
    assert told.verdict == verdict
