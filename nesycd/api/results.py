"""From the attempts of an evaluation to `results.json`."""

from __future__ import annotations

from typing import Any

from nesycd.core.protocols import KnowsTruth
from nesycd.core.records import Example
from nesycd.knowledge import KnowledgeBase
from nesycd.methods import table
from nesycd.methods.context import Context
from nesycd.methods.evaluate import Scored
from nesycd.reports import Evaluation, build_results
from nesycd.reports.supervision import sources_of, supervision


def results_of(context: Context, scored: Scored) -> dict[str, Any]:
    """The content of `results.json` (see `docs/results.md`)."""
    examples = {example.uid: example for split in scored.examples.values() for example in split}
    with KnowledgeBase.open(context.run.kb_path) as kb:
        stats = kb.stats()
    seconds = context.run.seconds()
    trained = context.distilled
    sources = sources_of(context.run.folder, table.METHODS)
    evaluation = Evaluation(
        examples=examples.values(),
        attempts=scored.attempts,
        kinds={example.task: context.task.kind(example.task) for example in examples.values()},
        frequency={uid: _frequency(context, example) for uid, example in examples.items()},
        knowledge={**stats, "trained_with": trained.trained_with, "used": scored.knowledge},
        method=trained.summary,
        recall=scored.recall,
        answer_in_context=scored.answer_in_context,
        seconds=seconds,
        supervision={name: supervision(table.METHODS[name], sources) for name in {name for name, _ in scored.attempts}},
        router=_router(context),
        resamples=context.recipe.evaluation.bootstrap,
        seed=context.recipe.seed,
    )
    return build_results(evaluation)


def _router(context: Context) -> dict[str, str | float]:
    settings = context.recipe.router
    said: dict[str, str | float] = {"mode": settings.mode, "signal": settings.signal}
    return said | {"threshold": context.distilled.routing.threshold, "closed_book": context.distilled.closed_book}


def _frequency(context: Context, example: Example) -> int | None:
    if example.truth is None or not example.truth.facts or not isinstance(context.task, KnowsTruth):
        return None
    return context.task.train_frequency(example)
