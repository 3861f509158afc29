"""NesyCD (Liao et al., AAAI 2025), read top to bottom: the four steps, the router, and what is handed to evaluation.

Each call of `context.run` is one stage of the run folder, fingerprinted by its inputs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from nesycd.core.answers import Attempt
from nesycd.core.errors import DataError
from nesycd.core.protocols import Router
from nesycd.core.records import Entry, Example, Fact, Rationale, Retrieval, TrainingText
from nesycd.methods import mixing
from nesycd.methods.build_kb import Collected, build_knowledge, check_reviewed
from nesycd.methods.choose_router import Routing, choose_router
from nesycd.methods.context import KNOWLEDGE, Context
from nesycd.methods.knowledge import Knowledge
from nesycd.retrieval.recall import count_recall
from nesycd.runs.dealing import together
from nesycd.runs.stage import Artifact
from nesycd.stages import collect, costs, rationalise
from nesycd.stages.distil import general_texts


@dataclass(frozen=True)
class Distilled:
    """What the method's steps produce for evaluation and serving."""

    general: Artifact
    """S_P."""
    std_cot: Artifact
    """The Std-CoT baseline: trained on rationales alone, on as many completion tokens as S_E's whole lineage."""
    augmented: Artifact
    """S_E."""
    entries: tuple[Entry, ...]
    """The approved entries of the knowledge base, in its present version."""
    routing: Routing
    collected: Collected
    kept: Mapping[str, Rationale]
    """The accepted rationales, by `Example.uid`."""
    summary: dict[str, Any]
    """Counts and rates of the steps: `method` in the results (`docs/results.md`)."""

    @property
    def closed_book(self) -> str:
        """Which of `general` and `augmented` answers unrouted questions."""
        return self.routing.closed_book

    @property
    def drafts(self) -> Artifact:
        """The adapter of that student."""
        return self.augmented if self.closed_book == "augmented" else self.general

    @property
    def router(self) -> Router:
        """See `Routing`."""
        return self.routing.router

    @property
    def trained_with(self) -> dict[str, Any] | None:
        """The version of the knowledge base that S_E was trained with (`version`, `revision`, `items`); None: not recorded.

        Where an edit of the base changes no training text, S_E is not retrained.
        """
        found: dict[str, Any] | None = self.augmented.metadata.get(KNOWLEDGE)
        return found


def distil(context: Context, until: str = "") -> Distilled | None:
    """Run all steps of the method; finished ones are read back.

    Args:
        context: see `Context`.
        until: stop after the step `rationalise`, `distil`, `collect`, `diagnose` or `augment`, and return None.

    Raises:
        DataError: no training questions, or no right rationale for any of them.
        ReviewWaits: see `check_reviewed`.
    """
    train = context.examples("train")
    if not train:
        raise DataError(f"task {context.task.name!r} has no training questions")
    rationales = _rationales(context, train)
    kept = rationalise.kept(rationales)
    if not kept:
        reason = next((r.failure for r in rationales if r.failure), "all answers were wrong")
        raise DataError(
            f"teacher {context.teacher.name!r} gave no right rationale for {len(train)} questions: {reason}"
        )
    if until == "rationalise":
        return None
    texts = general_texts(train, kept, context.prompts)
    of_all = partial(context.fine_tune, "general", texts)
    if until == "distil":
        of_all()
        return None
    steps: list[Callable[[], Any]] = [of_all, partial(_collect, context, train, texts, of_all)]
    general, collected = together(steps)
    attempts = collected.attempts
    if until == "collect":
        return None
    known = build_knowledge(context, train, rationales, kept, collected)
    entries = known.entries
    if until == "diagnose":
        return None
    check_reviewed(context, known)
    augmented, mix = _augmented(context, train, kept, entries, general, known.version)
    if until == "augment":
        return None
    std_cot = _std_cot(context, texts, general, augmented)
    routing = choose_router(context, attempts, entries, general, augmented)
    route = routing.summary
    valid_accuracy = route["valid_accuracy"]
    use = route["knowledge_use"]
    summary = {
        "rationales": rationalise.counts(rationales),
        "teacher": costs.spent(rationales, known.diagnoses, use["useful"] if use else None),
        "error_rates": {
            "collection": context.recipe.collection.mode,
            "collected": collect.error_rate(attempts),
            "valid": 1 - valid_accuracy["general"] if valid_accuracy else None,
        },
        "leaks": known.leaks,
        "self_check": known.self_check,
        "gate": known.gate,
        **mix,
        **route,
        "completion_tokens": {
            "std_cot": lineage(std_cot, None),
            "nesycd": lineage(augmented, general if _continues(context, general, augmented) else None),
        },
    }
    return Distilled(general, std_cot, augmented, tuple(entries), routing, collected, kept, summary)


def _rationales(context: Context, train: Sequence[Example]) -> Sequence[Rationale]:
    by_uid = {example.uid: example for example in train}

    def ask(uids: Sequence[str]) -> Iterable[Rationale]:
        context.ready()
        return rationalise.rationalise([by_uid[uid] for uid in uids], context.teacher, context.task)

    inputs = {"teacher": context.teacher.fingerprint, "examples": train}
    return context.run.records("rationales", Rationale, inputs, list(by_uid), ask)


def _continues(context: Context, general: Artifact, augmented: Artifact) -> bool:
    """Whether S_E started from S_P, whose training tokens then count towards S_E's."""
    return context.recipe.augmented.init == "general" and augmented.fingerprint != general.fingerprint


def lineage(adapter: Artifact, init: Artifact | None) -> int:
    """Completion tokens that a student was trained on, including those of the adapter that it started from."""
    tokens = int(adapter.metadata["completion_tokens"])
    return tokens + (int(init.metadata["completion_tokens"]) if init is not None else 0)


# --- step 2 ----------------------------------------------------------------------------------------------------------


def _collect(
    context: Context, train: Sequence[Example], texts: Sequence[TrainingText], of_all: Callable[[], Artifact]
) -> Collected:
    """Attempts at all training questions: by S_P itself, or by students that were not trained on them."""
    settings = context.recipe.collection
    if settings.mode == "in_sample":
        general = of_all()
        made = list(context.answered("collect", context.reading("general", general), train))
        return Collected(made, {"general": general})
    fold_of = collect.assign_folds(train, settings.folds, context.recipe.seed)

    def of_fold(fold: int) -> tuple[Artifact, Sequence[Attempt]]:
        held = [example for example in train if fold_of[example.uid] == fold]
        others = [text for text in texts if fold_of[text.example] != fold]
        if not held or not others:
            raise DataError(
                f"{len(train)} training questions are too few for {settings.folds} folds; set collection.mode=in_sample"
            )
        epochs = settings.epochs or context.recipe.training.epochs
        student = context.fine_tune(f"fold-{fold}", others, epochs=epochs)
        return student, context.answered(f"collect-fold-{fold}", context.reading(f"fold-{fold}", student), held)

    folds = together([partial(of_fold, fold) for fold in range(settings.folds)])
    answered = {attempt.example: attempt for _, attempts in folds for attempt in attempts}
    students = {f"fold-{fold}": student for fold, (student, _) in enumerate(folds)}
    return Collected([answered[example.uid] for example in train], students)


# --- step 4 ----------------------------------------------------------------------------------------------------------


def _augmented(
    context: Context,
    train: Sequence[Example],
    kept: Mapping[str, Rationale],
    entries: Sequence[Entry],
    general: Artifact,
    version: Mapping[str, Any],
) -> tuple[Artifact, dict[str, Any]]:
    knowledge = Knowledge.of(context, entries)
    retrievals = mixing.retrieved_in_training(context, entries, knowledge)
    if not entries:
        context.run.notify("no approved knowledge: augmented distillation is left out, S_E is S_P")
        return general, {"mix": _counts(()), "train_recall": {"prompts": None, "questions": None}, "calls": None}
    settings = context.recipe.augmented
    texts = mixing.mixed_texts(context, kept, entries, knowledge)
    from_general = settings.init == "general"
    # Where S_E starts from the base model, it gets as many completion tokens as S_P, which then is also the Std-CoT baseline.
    budget = None if from_general else int(general.metadata["completion_tokens"])
    augmented = context.fine_tune(
        "augmented",
        texts,
        general if from_general else None,
        {KNOWLEDGE: dict(version)},
        learning_rate=settings.learning_rate,
        epochs=settings.epochs,
        completion_token_budget=budget,
    )
    looks_up = settings.looks_up
    calls = mixing.call_counts(mixing.annotated(context, kept, knowledge, "annotate"), kept) if looks_up else None
    mix = mixing.mix_of(context.recipe)
    reading = [text for text in texts if text.task == "augmented"] if mix.context or mix.both else []
    recall = _train_recall(train, reading, entries, retrievals)
    return augmented, {"mix": _counts(texts), "train_recall": recall, "calls": calls}


def _counts(texts: Sequence[TrainingText]) -> dict[str, int]:
    counts = {task: sum(text.task == task for text in texts) for task in ("augmented", "direct", "answer", "reading")}
    return counts if counts["reading"] else {task: counts[task] for task in ("augmented", "direct", "answer")}


def _train_recall(
    train: Sequence[Example],
    texts: Sequence[TrainingText],
    entries: Sequence[Entry],
    retrievals: Sequence[Retrieval],
) -> dict[str, float | None]:
    """Recall of needed facts: in the augmented training texts where these have contexts, and over all training questions."""
    by_uid = {example.uid: example for example in train}
    items = {entry.item_id: entry.item for entry in entries}
    # Items outside the base were derived by rules, and are never among the needed facts.
    shown = [[items[item] for item in text.knowledge if item in items] for text in texts]
    # Where facts are looked up, those that are needed are not to be read.
    reads = [
        any(isinstance(item, Fact) for item in found) or all(segment.source == "student" for segment in text.segments)
        for text, found in zip(texts, shown, strict=True)
    ]
    prompts = count_recall(
        [by_uid[text.example] for text in itertools.compress(texts, reads)], [*itertools.compress(shown, reads)]
    )
    questions = count_recall(train, [retrieval.items for retrieval in retrievals])
    found = {"prompts": prompts, "questions": questions}
    return {name: one.share if one.needed else None for name, one in found.items()}


def _std_cot(context: Context, texts: Sequence[TrainingText], general: Artifact, augmented: Artifact) -> Artifact:
    """The baseline, trained on rationales alone for as many completion tokens as S_E's lineage."""
    if not _continues(context, general, augmented):
        return general
    budget = lineage(augmented, general)
    return context.fine_tune("std-cot", texts, completion_token_budget=budget)
