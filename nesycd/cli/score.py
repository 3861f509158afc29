"""From the attempts of an evaluation to `results.json`."""

from __future__ import annotations

from typing import Any

from nesycd.core.protocols import KnowsTruth
from nesycd.core.records import Example
from nesycd.knowledge import KnowledgeBase
from nesycd.methods.context import Parts
from nesycd.methods.evaluate import Scored
from nesycd.methods.nesycd import Trained
from nesycd.reports import Evaluation, build_results


def results_of(parts: Parts, trained: Trained, scored: Scored) -> dict[str, Any]:
    """The content of `results.json` (see `docs/results.md`)."""
    examples = {example.uid: example for split in scored.examples.values() for example in split}
    with KnowledgeBase.open(parts.run.kb_path) as kb:
        stats = kb.stats()
    seconds = parts.run.seconds()
    wanted = set(parts.recipe.evaluation.arms)
    evaluation = Evaluation(
        examples=examples.values(),
        attempts={key: attempts for key, attempts in scored.attempts.items() if key[0] in wanted},
        kinds={example.task: parts.task.kind(example.task) for example in examples.values()},
        frequency={uid: _frequency(parts, example) for uid, example in examples.items()},
        knowledge={**stats, "trained_with": trained.trained_with, "used": scored.knowledge},
        method=trained.summary,
        recall=scored.recall,
        answered=scored.answered,
        seconds=seconds,
        router=_router(parts, trained),
        resamples=parts.recipe.evaluation.bootstrap,
        seed=parts.recipe.seed,
    )
    return build_results(evaluation)


def _router(parts: Parts, trained: Trained) -> dict[str, str | float]:
    settings = parts.recipe.router
    said: dict[str, str | float] = {"mode": settings.mode, "signal": settings.signal}
    return said | {"threshold": trained.routing.threshold, "closed_book": trained.closed_book}


def _frequency(parts: Parts, example: Example) -> int | None:
    if example.truth is None or not example.truth.facts or not isinstance(parts.task, KnowsTruth):
        return None
    return parts.task.train_frequency(example)
