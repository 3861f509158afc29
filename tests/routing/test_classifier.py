"""The classifier router: its features, its fitting, its JSON, and its comparison with other routers."""

from __future__ import annotations

import json
import math
import random

import numpy as np
import pytest

from nesycd.core.errors import DataError, RunError
from nesycd.core.protocols import Router
from nesycd.core.records import Attempt, Fact, Hit, Lesson
from nesycd.routing import calibrate_routing, compare, features, fitting
from nesycd.routing.classifier import ClassifierRouter, Logistic, Pair
from nesycd.routing.fitting import Case

FATHOM = Fact(text="A fathom is 6 feet.", subject="fathom", relation="makes", object="6 feet", aliases=("fathoms",))
HITS = (Hit(item=FATHOM, score=5.5, why="names fathom"), Hit(item=Lesson(text="Mind."), score=0.5, why="bm25 #1"))


def attempt(uid: str, right: bool, least: float = 0.5, entropy: float | None = None, **more: object) -> Attempt:
    signals = {"margin": (1 + least) / 2, "least_margin": least, "entropy": entropy, "largest_entropy": entropy}
    return Attempt(example=uid, solver="s", response="r", correct=right, **signals, **more)  # type: ignore[arg-type]


def made(n: int = 80, entropies: bool = True) -> list[Case]:
    """Drafts that are right where they are sure, and knowledge that helps with fathoms alone; every fifth finds nothing."""
    rng = random.Random(1)
    cases = []
    for number in range(n):
        least, fathoms = rng.random(), number % 2 == 0
        draft = attempt(str(number), rng.random() < least, least, 2 * (1 - least) if entropies else None)
        found = HITS if number % 5 else ()
        shown = {"knowledge": ("k",), "knowledge_tokens": 10} if found else {}
        informed = attempt(str(number), rng.random() < (0.95 if fathoms else 0.1), **shown)
        question = f"How many feet are {number} {'fathoms' if fathoms else 'cubits'}?"
        cases.append(Case(draft, informed, question, found, f"t{number % 8}"))
    return cases


def test_features_are_what_their_names_say() -> None:
    draft = attempt("a", True, 0.25, 1.5)
    names = (*features.DRAFT, *features.HITS, *features.QUESTION, "word:fathoms", "word:rods")
    found = features.values(names, draft, "How many feet are 12 fathoms and 3 spans?", HITS)
    # Of many, feet, fathoms and spans the items hold two.
    assert found == [0.25, 0.625, 1.5, 1.5, 2.0, 5.5, 6.0, 0.5, 7.0, 3.0, 1.0, 0.0]
    assert features.values(("entropy", "top_score", "covered"), attempt("a", True), "1?", ()) == [None, 0.0, 0.0]


def test_words_get_a_feature_where_they_tell_questions_apart() -> None:
    asked = [f"How many feet are {n} {'fathoms' if n % 2 else 'rods'}, {'x' * n}?" for n in range(1, 30)]
    assert set(features.word_names(asked)) == {"word:fathoms", "word:rods"}
    many = [
        " ".join(f"w{chr(97 + k // 26)}{chr(97 + k % 26)}" for k in range(200) if (n >> k % 5) & 1) for n in range(32)
    ]
    assert len(features.word_names(many)) == features.MAX_WORDS


def test_a_regression_counts_what_is_missing_as_its_mean_and_scales_its_logit() -> None:
    one = Logistic((1.0, 2.0), (2.0, 1.0), (1.0, 3.0), 0.5, slope=2.0, offset=-1.0)
    rows = np.array([[3.0, 2.0], [math.nan, 2.5]])
    assert one.logits(rows).tolist() == [1.5, 2.0]
    assert one.chances(rows).tolist() == pytest.approx([1 / (1 + math.exp(-2)), 1 / (1 + math.exp(-3))])


def test_folds_keep_groups_together_and_hold_each_case_out_once() -> None:
    groups = [f"g{n % 7}" for n in range(40)]
    folds = fitting.group_folds(groups)
    assert len(folds) == 5 and sum(held.astype(int) for _, held in folds).tolist() == [1] * 40  # type: ignore[union-attr]
    for train, held in folds:
        assert not {g for g, t in zip(groups, train, strict=True) if t} & {
            g for g, h in zip(groups, held, strict=True) if h
        }
    with pytest.raises(DataError, match="one template"):
        fitting.group_folds(["a", "a"])


def test_it_learns_who_is_helped_and_survives_json() -> None:
    cases = made()
    router, score = fitting.fit_router(cases)
    assert isinstance(router, Router)
    sure, unsure = attempt("s", True, 0.98, 0.04), attempt("u", True, 0.05, 1.9)
    fathoms, cubits = "How many feet are 7 fathoms?", "How many feet are 7 cubits?"
    assert router.route(unsure, fathoms, HITS) and not router.route(sure, cubits, HITS)
    assert not router.route(unsure, fathoms, ()), "nothing was found, so there is nothing to give"
    alone, informed = router.chances(unsure, fathoms, HITS)
    assert alone < 0.4 < 0.7 < informed
    drafts = sum(case.draft.correct for case in cases) / len(cases)
    assert drafts < score <= 1
    again = ClassifierRouter.from_json(json.loads(json.dumps(router.to_json())))
    assert again == router
    with pytest.raises(RunError, match="another version"):
        ClassifierRouter.from_json({**router.to_json(), "features": 0})


def test_drafts_without_entropies_give_a_router_without_them() -> None:
    pair, _ = fitting.fit_pair([case for case in made(entropies=False) if case.hits], ("entropy", "margin"))
    assert "margin" in pair.names and "entropy" not in pair.names
    assert not {"entropy", "mean entropy"} & set(compare.measurable(made(entropies=False)))
    assert compare.measurable(made()) == [*compare.ROUTERS]


def test_where_all_answers_are_alike_the_regression_says_their_share() -> None:
    cases = [Case(attempt("a", False), attempt("a", True), "q", HITS, f"g{n}") for n in range(4)]
    pair, gains = fitting.fit_pair(cases, ("margin",))
    assert pair.informed.chances(compare.rows_of(pair, cases)).tolist() == pytest.approx([0.9] * 4)
    assert gains == pytest.approx([0.8] * 4)
    with pytest.raises(DataError, match="nothing was found"):
        fitting.fit_router([Case(attempt("a", True), attempt("a", True), "q", (), "g")])


def test_probabilities_come_out_of_fold() -> None:
    """Labels that only the template knows: fitted in sample they would be found, out of fold they are not."""
    rng = random.Random(3)
    cases = []
    for group in range(8):
        right = rng.random() < 0.5
        cases += [
            Case(
                attempt(str(n), right, rng.random()),
                attempt(str(n), True),
                f"word{chr(97 + group)} what",
                HITS,
                f"g{group}",
            )
            for n in range(6)
        ]
    _, gains = fitting.fit_pair(cases, ("margin",))
    chances = [1 - gain for gain in gains]
    right = [case.draft.correct for case in cases]
    loss = np.mean([abs(chance - one) for chance, one in zip(chances, right, strict=True)])
    assert loss > 0.3


def test_the_margin_router_is_compared_as_it_is_calibrated() -> None:
    cases = made()
    fitted = compare.fit("margin", cases)
    told = calibrate_routing([c.draft for c in cases], [c.informed for c in cases])
    assert fitted.cut == told.threshold
    right = compare.right(cases, fitted.routes(cases))
    assert sum(right) / len(right) == pytest.approx(told.score)


@pytest.mark.parametrize("name", ["never", "always", "found", "entropy", "mean margin"])
def test_each_router_routes_what_it_is_for(name: str) -> None:
    cases = made()
    judged = compare.judge(name, cases)
    found = [bool(case.hits) for case in cases]
    expected = {"never": [False] * len(cases), "always": [True] * len(cases), "found": found}
    if name in expected:
        assert [*judged.routed] == expected[name] and judged.fitted.threshold(judged.fitted.cut) is None
        return
    assert not any(one and not hit for one, hit in zip(judged.routed, found, strict=True))
    threshold = judged.fitted.threshold(judged.fitted.cut)
    assert threshold is not None and threshold >= 0
    routed = [case for case, one in zip(cases, judged.fitted.routes(cases), strict=True) if one]
    unsure = {
        "entropy": [case for case in cases if (case.draft.largest_entropy or 0.0) > threshold],
        "mean margin": [case for case in cases if case.draft.margin < threshold],
    }
    assert routed == [case for case in unsure[name] if case.hits]


@pytest.mark.parametrize("name", [*compare.SIGNALS])
def test_drafts_that_could_not_be_surer_can_be_routed(name: str) -> None:
    draft = attempt("a", False, 1.0, 0.0)
    cases = [Case(draft, attempt("a", True), "q", HITS, f"g{n}") for n in range(6)]
    assert compare.fit(name, cases).routes(cases) == [True] * 6


def test_outcomes_and_sweep_agree_with_routing_at_every_cut() -> None:
    cases = made()
    fitted = compare.fit("margin", cases)
    cuts, right = compare.outcomes(cases, fitted)
    assert cuts == sorted(cuts) and fitted.cut in cuts
    for column, cut in enumerate(cuts[:: len(cuts) // 5]):
        routed = [bool(c.hits) and c.draft.least_margin < cut for c in cases]
        assert right[:, cuts.index(cut)].tolist() == compare.right(cases, routed), column
    points = compare.sweep(cases, fitted, 10)
    assert points[0][0] == 0 and points[-1][0] == pytest.approx(10 * sum(bool(c.hits) for c in cases) / len(cases))
    assert [cut for *_, cut in points if cut == fitted.cut]


def test_the_classifier_beats_what_sees_less() -> None:
    """Knowledge helps with one sort of question only: wherever something is found is too often, the margin does not know."""
    cases = made(120)
    judged = {name: compare.judge(name, cases) for name in ("found", "margin", "classifier")}
    scores = {name: sum(compare.right(cases, one.routed)) for name, one in judged.items()}
    assert scores["classifier"] > max(scores["found"], scores["margin"])
    chances = judged["classifier"].chances
    assert set(chances) == {place for place, case in enumerate(cases) if case.hits}
    informed = [values[1] for values in chances.values()]
    error = compare.calibration_error(informed, [cases[place].informed.correct for place in chances])
    assert error < 0.15


def test_calibration_error() -> None:
    assert compare.calibration_error([0.5, 0.5, 1.0], [True, False, True]) == 0.0
    assert compare.calibration_error([0.9, 0.9, 0.1, 0.1], [True, False, False, False]) == pytest.approx(0.25)
    assert compare.calibration_error([], []) == 0.0


def test_a_pair_reads_drafts_of_any_sort() -> None:
    pair = Pair(("margin", "hits"), Logistic((0, 0), (1, 1), (1, 0), 0), Logistic((0, 0), (1, 1), (0, 1), 0))
    assert pair.rows([]).shape == (0, 2)
    assert pair.gains(pair.rows([(attempt("a", True, 1.0), "q", HITS)]))[0] == pytest.approx(
        1 / (1 + math.exp(-2)) - 1 / (1 + math.exp(-1))
    )
