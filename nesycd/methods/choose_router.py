"""Choosing the router, and the student that answers closed-book, on validation questions, which no student was trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nesycd.core.answers import Attempt
from nesycd.core.protocols import Router, Tools
from nesycd.core.records import Entry, Example
from nesycd.methods.context import Context
from nesycd.methods.knowledge import Knowledge
from nesycd.routing import Case, calibrate, calibrate_routing, router_of
from nesycd.runs.stage import Artifact
from nesycd.stages import costs
from nesycd.stages.route import accuracy, better_closed_book

HELD_OUT = "router-"
"""Prefix of the stages in which further splits are answered to compare routers."""


@dataclass(frozen=True)
class Routing:
    """The chosen router, and what it was chosen from.

    Attributes:
        summary: `calibration`, `valid_accuracy` and `knowledge_use` of the results.
        closed_book: which of `general` and `augmented` answers unrouted questions.
        threshold: calibrated in every mode; only the mode `margin` uses it.
        held_out: the validation questions with both answers; empty where the benchmark has no such split.
    """

    summary: dict[str, Any]
    closed_book: str
    router: Router
    threshold: float
    held_out: tuple[Case, ...]


def choose_router(
    context: Context, attempts: Sequence[Attempt], entries: Sequence[Entry], general: Artifact, augmented: Artifact
) -> Routing:
    """Choose the closed-book student on valid, and calibrate the router on its closed-book answers there."""
    valid = context.examples("valid") if "valid" in context.task.splits() else []
    settings = context.recipe.router
    knowledge = Knowledge.of(context, entries)
    tools = tools_of(context, knowledge)
    ways = {
        "general": context.reading("general", general),
        "augmented": context.reading("augmented", augmented, tools=tools),
    }
    drafts = {name: context.answered(f"valid-{name}", way, valid) for name, way in ways.items()}
    # S_P makes no look-ups: where S_E does, its drafts are what a context is added to.
    closed_book = "augmented" if tools else better_closed_book(drafts["general"], drafts["augmented"])
    use = None
    held_out: tuple[Case, ...] = ()
    if valid:
        # The same student that answers closed-book at inference, on questions it was not trained on: margins of fold students,
        # which were trained on less, are lower (docs/log.md), and in-sample margins far too high.
        found = knowledge.retrieved(context.run, "retrieve-valid", valid)
        items = {one.example: one.items if tools is None else one.read for one in found}
        way = context.reading("informed", augmented, lambda example: items[example.uid], tools)
        answers = context.answered("valid-informed", way, valid)
        calibration = calibrate_routing(drafts[closed_book], answers, settings.signal)
        use = costs.use_of(len(entries), answers, drafts["augmented"])
        held_out = cases_of(valid, drafts[closed_book], answers)
    else:
        calibration = calibrate(attempts, settings.signal)
    router = router_of(settings.mode, calibration.threshold, settings.signal)
    summary = {
        "calibration": {
            "split": "valid" if valid else "train",
            "n": calibration.n,
            "n_correct": calibration.n_correct,
            "threshold": calibration.threshold,
            "score": calibration.score,
        },
        "valid_accuracy": {name: accuracy(made) for name, made in drafts.items()} if valid else {},
        "knowledge_use": use,
    }
    return Routing(summary, closed_book, router, calibration.threshold, held_out)


def tools_of(context: Context, knowledge: Knowledge) -> Callable[[Example], Tools | None] | None:
    """What S_E calls on validation questions; None where it is trained without look-ups."""
    if not context.recipe.augmented.looks_up:
        return None
    tools = context.tools("kb", knowledge)
    return lambda example: tools


def cases_of(
    examples: Sequence[Example], closed_book: Sequence[Attempt], augmented: Sequence[Attempt]
) -> tuple[Case, ...]:
    """Questions with both answers, all in the same order."""
    return tuple(
        Case(draft, answer, f"{example.task}/{example.template or example.uid}")
        for example, draft, answer in zip(examples, closed_book, augmented, strict=True)
    )


def cases_on(context: Context, split: str) -> tuple[Case, ...]:
    """The questions of a split with the closed-book and the augmented answer to each; methods' answers are reused."""
    steps, examples = context.distilled, context.examples(split)
    found = context.knowledge.retrieved(context.run, f"retrieve-{split}", examples)
    tools = tools_of(context, context.knowledge)
    items = {one.example: one.items if tools is None else one.read for one in found}
    drafts = context.answered(
        f"{HELD_OUT}{split}-drafts", context.reading("draft", steps.drafts, tools=tools), examples
    )
    way = context.reading("informed", steps.augmented, lambda example: items[example.uid], tools)
    return cases_of(examples, drafts, context.answered(f"{HELD_OUT}{split}-informed", way, examples))
