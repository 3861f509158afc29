"""Measurements on a run: each first completes the run where it is not finished, and writes a file into the run folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nesycd.api.dealing import done_by
from nesycd.api.finished import OpenRun
from nesycd.api.running import complete, finish, opened
from nesycd.core.config import Recipe
from nesycd.core.errors import DataError
from nesycd.core.records import Example, Status
from nesycd.core.storage import write_json_atomic
from nesycd.knowledge import KnowledgeBase
from nesycd.measure import edits, effect, knowledge_tests
from nesycd.measure.edits import Outcome
from nesycd.methods import table
from nesycd.methods.choose_router import cases_on
from nesycd.methods.context import Context
from nesycd.methods.predict import respond
from nesycd.reports import accuracy_interval, paired_difference
from nesycd.reports.router_page import write_router_page
from nesycd.reports.stats import Design, choice_interval
from nesycd.routing import ROUTERS, Case, Judged, judge, outcomes, right, routes, sweep, tokens
from nesycd.runs.consent import Consent

if TYPE_CHECKING:
    from rich.console import Console

EDITS_FILE, EFFECT_FILE, ROUTER_FILE, ROUTER_PAGE = "edits.json", "effect.json", "router.json", "router.html"
EDITS_SCHEMA, EFFECT_SCHEMA, ROUTER_SCHEMA = "edits/3", "effect/1", "router-calibration/1"
REVIEWER = "effect"
"""The reviewer recorded where items with a harmful effect are retired."""
COMPARED = (("margin", "found"), ("margin", "mean margin"))
"""Pairs of routers whose differences are reported with intervals."""
HELD_OUT_SPLIT = "valid"

# --- effect of edits ------------------------------------------------------------------------------------------------------


def measure_edits(
    recipe: Recipe, folder: Path, console: Console | None = None, count: int = 50, consent: Consent | None = None
) -> tuple[dict[str, Any], edits.Measurement]:
    """Complete a recipe's run, measure whether answers change as `count` edits of its knowledge base require, write `edits.json`.

    Returns:
        The content of the file (`docs/results.md`), and the measurement.
    """

    def work(shown: Console | None) -> tuple[dict[str, Any], edits.Measurement]:
        with opened(recipe, folder, shown, consent, ("edits", count)) as context:
            edits.check(context)
            context, _ = complete(context)
            measured = edits.measure(context, count)
            finish(context)
            if len(measured.edits) < count:
                context.run.notify(
                    f"only {len(measured.edits)} facts are needed by test questions and retrieved for them"
                )
            content = edits_json(context, measured)
            write_json_atomic(folder / EDITS_FILE, content)
        return content, measured

    return done_by(recipe.engine, console, work)


def edits_json(context: Context, measured: edits.Measurement) -> dict[str, Any]:
    """The content of `edits.json` (see `docs/results.md`)."""
    with KnowledgeBase.open(context.run.kb_path) as kb:
        version = kb.version
    affected = [outcome for outcome in measured.outcomes if outcome.case.affected]
    others = [outcome for outcome in measured.outcomes if not outcome.case.affected]
    untouched = [
        (True, edit.changed.id)
        for edit, number in zip(measured.edits, measured.untouched, strict=True)
        for _ in range(number)
    ]
    rate = _rates(context)
    right = [outcome for outcome in affected if outcome.before.correct]
    tasks = sorted({outcome.case.example.task for outcome in affected})
    return {
        "schema": EDITS_SCHEMA,
        "method": table.MAIN,
        "split": edits.SPLIT,
        "seed": context.recipe.seed,
        "questions": measured.questions,
        "edits": len(measured.edits),
        "candidates": measured.candidates,
        "knowledge": version,
        "affected": {
            "all": rate(_marks(affected)),
            "right_before": rate(_marks(right)),
            "right_before_delivered": rate(_marks(outcome for outcome in right if outcome.case.delivered)),
            "by_task": {
                task: {
                    "all": rate(_marks(o for o in affected if o.case.example.task == task)),
                    "right_before": rate(_marks(o for o in right if o.case.example.task == task)),
                }
                for task in tasks
            },
        },
        "others": {"all": rate([*_marks(others), *untouched]), "touched": rate(_marks(others))},
        "without_answer": measured.without_answer,
        "cases": [_case(outcome) for outcome in measured.outcomes],
    }


Marks = list[tuple[bool, str]]
"""For each answer whether it is as required, and the edit it was given under ("" = none)."""


def _marks(outcomes: Iterable[Outcome]) -> Marks:
    return [(outcome.as_wanted, outcome.case.edit.changed.id) for outcome in outcomes]


def _rates(context: Context) -> Callable[[Marks], dict[str, Any]]:
    """Shares with bootstrap intervals; edits are resampled, since answers under one edit are not independent."""

    def rate(marks: Marks) -> dict[str, Any]:
        design = Design([""] * len(marks), [edit for _, edit in marks], seed=context.recipe.seed)
        found = asdict(accuracy_interval([good for good, _ in marks], design))
        n, share, low, high, method = (found[key] for key in ("n", "value", "low", "high", "method"))
        good = sum(good for good, _ in marks)
        return {"n": n, "count": good, "share": share, "low": low, "high": high, "interval": method}

    return rate


def _case(outcome: Outcome) -> dict[str, Any]:
    case = outcome.case
    return {
        "fact": case.edit.fact.id,
        "from": case.edit.fact.text,
        "to": case.edit.changed.text,
        "example": case.example.uid,
        "question": case.example.question,
        "affected": case.affected,
        "touched": case.touched,
        "delivered": case.delivered,
        "gold": case.example.answer,
        "expected": case.expected,
        "before": outcome.before.answer,
        "after": outcome.after.answer,
        "response": outcome.after.response,
        "right_before": outcome.before.correct,
        "as_wanted": outcome.as_wanted,
    }


# --- effect of each item -------------------------------------------------------------------------------------------------


def measure_effect(
    recipe: Recipe,
    folder: Path,
    console: Console | None = None,
    masks: int = 8,
    rate: float = 0.1,
    retire: bool = False,
    consent: Consent | None = None,
) -> tuple[dict[str, Any], effect.Measurement]:
    """Complete a recipe's run, measure the effect of each item of its knowledge base, and write `effect.json`.

    Args:
        recipe, folder, console, consent: see `running.opened`.
        masks: most masked contexts to score for a question.
        rate: false discovery rate among the items named harmful, at most.
        retire: whether the items proposed for retirement are retired.

    Returns:
        The content of the file (`docs/results.md`), and the measurement.
    """

    def work(shown: Console | None) -> tuple[dict[str, Any], effect.Measurement]:
        with opened(recipe, folder, shown, consent, ("effect", masks, rate)) as context:
            context, _ = complete(context)
            measured = effect.measure(context, masks, rate)
            finish(context)
            with KnowledgeBase.open(context.run.kb_path) as kb:
                content = effect_json(kb, measured)
                write_json_atomic(folder / EFFECT_FILE, content)
                if retire:
                    kb.decide(measured.proposed, Status.RETIRED, REVIEWER)
        return content, measured

    return done_by(recipe.engine, console, work)


def effect_json(kb: KnowledgeBase, measured: effect.Measurement) -> dict[str, Any]:
    """The content of `effect.json` (see `docs/results.md`)."""
    items = {entry.item_id: entry.item for entry in kb.entries(status=Status.APPROVED)}
    halves = {"all": measured.all, "selection": measured.selection, "confirmation": measured.confirmation}
    rows: list[dict[str, Any]] = []
    for item_id, item in items.items():
        seen: Any = {name: asdict(half[item_id]) for name, half in halves.items() if item_id in half}
        rows.append({"id": item_id, "kind": item.kind, "text": item.text, **seen})
    rows.sort(key=lambda row: (row.get("all", {}).get("shrunk", 0.0), row["id"]))
    return {
        "schema": EFFECT_SCHEMA,
        "knowledge": kb.version,
        "questions": measured.questions,
        "scored": measured.scored,
        "approved": len(items),
        "measured": len(measured.all),
        "noise": measured.noise,
        "false_discovery_rate": measured.rate,
        "selected": list(measured.selected),
        "proposed": list(measured.proposed),
        "confirmation": {"questions": measured.asked, "right_with": measured.before, "right_without": measured.after},
        "items": rows,
    }


# --- comparison of routers ------------------------------------------------------------------------------------------------


def compare_routers(
    recipe: Recipe, folder: Path, console: Console | None = None, test: bool = False, consent: Consent | None = None
) -> dict[str, Any]:
    """Complete a recipe's run, compare routers on its validation questions, and write `router.json` and `router.html`.

    Args:
        recipe, folder, console, consent: see `running.opened`.
        test: also evaluate on the test questions; the number of times is recorded.

    Returns:
        The content of `router.json` (`docs/results.md`).
    """

    def work(shown: Console | None) -> dict[str, Any]:
        with opened(recipe, folder, shown, consent, ("router", "test") if test else ()) as context:
            context, _ = complete(context)
            steps = context.distilled
            cases = steps.routing.held_out
            if not cases:
                raise DataError(f"routers are compared on {HELD_OUT_SPLIT} questions, and the benchmark has none")
            judged = [judge(router, cases) for router in ROUTERS]
            content: dict[str, Any] = {
                "schema": ROUTER_SCHEMA,
                "mode": recipe.router.mode,
                "draft": steps.closed_book,
                "held_out": _held_out(context, context.examples(HELD_OUT_SPLIT), cases, judged),
                "test": None,
                "test_uses": _uses(folder / ROUTER_FILE) + test,
            }
            if test:
                content["test"] = _tested(context, context.examples("test"), cases_on(context, "test"), judged)
            finish(context)
            write_json_atomic(folder / ROUTER_FILE, content)
        return content

    content = done_by(recipe.engine, console, work)
    write_router_page(folder / ROUTER_PAGE, folder.name, content)
    return content


def _uses(path: Path) -> int:
    """How often the test questions were used before."""
    try:
        return int(json.loads(path.read_text(encoding="utf-8"))["test_uses"])
    except FileNotFoundError:
        return 0
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise DataError(f"{path}: not what `nesycd router calibrate` wrote; move it away") from None


def _held_out(
    context: Context, examples: Sequence[Example], cases: Sequence[Case], judged: Sequence[Judged]
) -> dict[str, Any]:
    content = _judged(context, examples, cases, {one.name: one.routed for one in judged})
    content["templates"] = len({case.group for case in cases})
    for one in judged:
        if one.curve:
            options, right = outcomes(cases, one)
            told = choice_interval(options, right, _design(context, examples))
            row = {"threshold": one.threshold, "low": told.low, "high": told.high}
            content["routers"][one.name] |= row | {"curve": [*map(list, sweep(cases, one))]}
    return content


def _tested(
    context: Context, examples: Sequence[Example], cases: Sequence[Case], judged: Sequence[Judged]
) -> dict[str, Any]:
    return _judged(context, examples, cases, {one.name: routes(one.router, cases) for one in judged})


def _judged(
    context: Context, examples: Sequence[Example], cases: Sequence[Case], routed: dict[str, Sequence[bool]]
) -> dict[str, Any]:
    """Accuracy and cost of each router by kind of question and by task, and differences between some of them."""
    kind_of = [context.task.kind(example.task) for example in examples]
    groups = {"all": [*range(len(examples))]}
    groups |= {
        kind: [n for n, one in enumerate(kind_of) if one == kind] for kind in ("special", "general") if kind in kind_of
    }
    tasks = {task: [n for n, e in enumerate(examples) if e.task == task] for task in sorted({e.task for e in examples})}
    answers = {name: right(cases, decisions) for name, decisions in routed.items()}
    designs = {group: _design(context, [examples[n] for n in places]) for group, places in groups.items()}
    rows: dict[str, dict[str, Any]] = {
        name: {
            "accuracy": {
                group: asdict(accuracy_interval([answers[name][n] for n in places], designs[group]))
                for group, places in groups.items()
            },
            "by_task": {task: sum(answers[name][n] for n in places) / len(places) for task, places in tasks.items()},
            "routed": sum(decisions) / len(decisions),
            "tokens": tokens(cases, decisions),
            "threshold": None,
            "low": None,
            "high": None,
            "curve": [],
        }
        for name, decisions in routed.items()
    }
    differences = {
        f"{left} - {other}": {
            group: asdict(
                paired_difference(
                    [answers[left][n] for n in places], [answers[other][n] for n in places], designs[group]
                )
            )
            for group, places in groups.items()
        }
        for left, other in COMPARED
    }
    found = sum(case.found for case in cases)
    return {"n": len(cases), "found": found, "routers": rows, "differences": differences}


def _design(context: Context, examples: Sequence[Example]) -> Design:
    tasks, templates = [example.task for example in examples], [example.template for example in examples]
    return Design(tasks, templates, context.recipe.evaluation.bootstrap, context.recipe.seed)


# --- pinned answers ------------------------------------------------------------------------------------------------------


def run_suite(
    run: OpenRun, examples: Sequence[Example], pinned: knowledge_tests.Pins | None = None
) -> knowledge_tests.Outcome:
    """Ask a finished run a suite of questions, and compare its answers with the pinned ones (see `measure.knowledge_tests`)."""
    students = run.identity(table.ROUTED)
    predictor = knowledge_tests.pinned_predictor(run.predictor, pinned, students)
    way = run.way(table.ROUTED)
    return knowledge_tests.run_suite(
        run.task, lambda questions: respond(predictor, way, questions), examples, pinned, students
    )
