"""Who drafts and when the draft stands: chosen on validation questions, which no student was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nesycd.core.protocols import Router
from nesycd.core.records import Attempt, Entry, Example, Retrieval
from nesycd.methods.context import Parts
from nesycd.methods.knowledge import Knowledge
from nesycd.routing import Case, calibrate, calibrate_routing, router_of
from nesycd.runs.stage import Artifact
from nesycd.stages import spend
from nesycd.stages.route import accuracy, better_closed_book


@dataclass(frozen=True)
class Routing:
    """Which router there is, and what it was chosen from.

    Attributes:
        summary: `calibration`, `valid_accuracy` and `knowledge_use` of the results.
        closed_book: which of `general` and `augmented` answers unrouted questions.
        threshold: calibrated, whether the mode heeds it or not.
        held_out: the validation questions with both answers; none where there is no such split.
    """

    summary: dict[str, Any]
    closed_book: str
    router: Router
    threshold: float
    held_out: tuple[Case, ...]


def choose_router(
    parts: Parts, attempts: Sequence[Attempt], entries: Sequence[Entry], general: Artifact, augmented: Artifact
) -> Routing:
    """Choose the closed-book student on valid, and calibrate the router on its drafts there."""
    valid = parts.examples("valid") if "valid" in parts.task.splits() else []
    settings = parts.recipe.router
    adapters = {"general": general, "augmented": augmented}
    drafts = {
        name: parts.attempts(f"valid-{name}", parts.solver(name, adapter.path), valid, adapter.fingerprint)
        for name, adapter in adapters.items()
    }
    closed_book = better_closed_book(drafts["general"], drafts["augmented"])
    use = None
    held_out: tuple[Case, ...] = ()
    if valid:
        # The very student that will draft, on questions it was not trained on: the margins of fold students, which were
        # trained on less, lie lower (docs/log.md), and in-sample ones far too high.
        found = Knowledge.of(parts, entries).retrieved(parts.run, "retrieve-valid", valid)
        informed = _informed(parts, valid, found, augmented)
        calibration = calibrate_routing(drafts[closed_book], informed, settings.signal)
        use = spend.use_of(len(entries), informed, drafts["augmented"])
        held_out = cases_of(valid, drafts[closed_book], informed)
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


def cases_of(examples: Sequence[Example], drafts: Sequence[Attempt], informed: Sequence[Attempt]) -> tuple[Case, ...]:
    """Questions with both answers, all in the same order."""
    return tuple(
        Case(draft, answer, f"{example.task}/{example.template or example.uid}")
        for example, draft, answer in zip(examples, drafts, informed, strict=True)
    )


def _informed(
    parts: Parts, examples: Sequence[Example], found: Sequence[Retrieval], augmented: Artifact
) -> Sequence[Attempt]:
    """S_E's answers to the valid questions with what is retrieved for them."""
    items = {one.example: one.items for one in found}
    solver = parts.solver("nesycd", augmented.path, knowledge=lambda example: items[example.uid])
    shown = [[item.id for item in items[example.uid]] for example in examples]
    return parts.attempts("valid-nesycd", solver, examples, {"adapter": augmented.fingerprint, "knowledge": shown})
