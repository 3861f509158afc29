"""What training mixes are made of: the recipe's shares, what each question sees in training, and rationales with look-ups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from nesycd.calls import Calls, LookUp, annotate, with_calls
from nesycd.calls.deriving import replayed
from nesycd.calls.notation import NOTHING_FOLLOWS
from nesycd.core.records import Annotation, Entry, Example, Rationale, Retrieval, TrainingText
from nesycd.core.segments import Segment
from nesycd.methods.predict import offering
from nesycd.prompts import completion_text
from nesycd.stages import augment
from nesycd.stages.read import Reads

if TYPE_CHECKING:
    from nesycd.core.config import Recipe
    from nesycd.methods.context import Context
    from nesycd.methods.knowledge import Knowledge

ANNOTATION = 3
"""Raised when the same rationales and facts would give other annotations."""


def mix_of(recipe: Recipe) -> augment.Mix:
    """The training mix that a recipe asks for."""
    settings = recipe.augmented
    return augment.Mix(
        augmented=settings.weights.augmented,
        direct=settings.weights.direct,
        answer=settings.weights.answer,
        passes=settings.passes,
        calls=settings.calls,
        context=settings.context,
        both=settings.calls_and_context,
        empty_calls=settings.empty_calls,
        fill_to=settings.fill_to,
        closed_share=settings.share_without_knowledge,
        right_closed_share=settings.share_right_without_knowledge,
        answer_share=settings.share_answer_only,
        incomplete_share=settings.share_incomplete,
        distracting_share=settings.share_distracting,
    )


def retrieved_in_training(context: Context, entries: Sequence[Entry], knowledge: Knowledge) -> Sequence[Retrieval]:
    """What is retrieved for each training question, without its single-source items, as a stage of the run."""
    own = augment.own_entries(entries)
    evidence = {uid: [entry.item_id for entry in mine] for uid, mine in own.items()}
    return context.run.computed(
        "retrieve-train",
        Retrieval,
        {"knowledge": knowledge.fingerprint, "examples": context.train, "evidence": evidence},
        lambda: augment.retrieve_hidden(context.train, own, knowledge.retriever, knowledge.query),
    )


def seen_in_training(
    context: Context, entries: Sequence[Entry], retrievals: Sequence[Retrieval]
) -> Mapping[str, augment.Visible]:
    """The items that each training question sees and lacks, by `Example.uid`."""
    own = augment.own_entries(entries)
    if context.recipe.augmented.knowledge == "own":
        return augment.own_knowledge(context.train, own)
    return augment.visible_knowledge(retrievals, own)


def mixed_texts(
    context: Context, kept: Mapping[str, Rationale], entries: Sequence[Entry], knowledge: Knowledge
) -> list[TrainingText]:
    """What NesyCD's student is trained on. `knowledge`: of these entries."""
    seen = seen_in_training(context, entries, retrieved_in_training(context, entries, knowledge))
    looked = looked_up(context, kept, knowledge, "annotate") if context.recipe.augmented.looks_up else None
    mix, seed = mix_of(context.recipe), context.recipe.seed
    return augment.augmented_texts(context.train, kept, seen, entries, context.prompts, mix, seed, looked)


def looked_up(context: Context, kept: Mapping[str, Rationale], knowledge: Knowledge, stage: str) -> augment.Looked:
    """How a rationale is written with its look-ups in this knowledge; the places where they can stand are a stage of the run."""
    annotations, base = annotated(context, kept, knowledge, stage), knowledge.look_up

    def write(example: Example, rationale: Rationale, leave_empty: Callable[[], bool]) -> tuple[Segment, ...]:
        return with_calls(example, rationale.text, annotations[example.uid], base, leave_empty)

    return augment.Looked(offering(context.prompts, Calls(base)), write, reads_of(context, knowledge))


def reads_of(context: Context, knowledge: Knowledge) -> Reads | None:
    """How a student is trained to read questions and to ask the rules of this knowledge; None where it does not."""
    rules, task = knowledge.rules, context.task
    if rules is None:
        return None

    @cache
    def result(goal: str, stated: tuple[str, ...], scope: str) -> str:
        return replayed(goal, stated, rules, scope).found

    def derived(example: Example, rationale: Rationale) -> str:
        stated = tuple(one.text for one in rationale.stated)
        found = result(rationale.goal, stated, example.task)
        said = task.extract(completion_text("", found), example)
        # An option may be chosen by what follows without being named by it.
        return found if example.options or (said and task.grade(said, example)) else NOTHING_FOLLOWS

    return Reads(context.prompts, context.recipe.calls.read, derived)


def annotated(
    context: Context, kept: Mapping[str, Rationale], knowledge: Knowledge, stage: str
) -> dict[str, Annotation]:
    """The places of each kept rationale that can become look-ups, by `Example.uid`, as a stage of the run.

    A derivation says which facts it states; other texts are held against the knowledge base.
    """
    by_derivation = context.recipe.calls.rationales == "auto"
    asked = [(example, kept[example.uid]) for example in context.train if example.uid in kept]

    def make() -> list[Annotation]:
        made = []
        for example, rationale in asked:
            derived = by_derivation and example.truth is not None and rationale.text == " ".join(example.truth.steps)
            base = LookUp.of_facts(example.truth.facts) if derived and example.truth else knowledge.look_up
            made.append(annotate(example, rationale.text, base, given=derived))
        return made

    inputs = {
        "rationales": [rationale for _, rationale in asked],
        "examples": context.train,
        "knowledge": knowledge.look_up.fingerprint,
        "by_derivation": by_derivation,
        "algorithm": ANNOTATION,
    }
    return {one.example: one for one in context.run.computed(stage, Annotation, inputs, make)}


def call_counts(annotations: Mapping[str, Annotation], kept: Mapping[str, Rationale]) -> dict[str, Any]:
    """How many kept rationales have how many places for look-ups, and how many places could not be used, by reason."""
    sizes = Counter(len(one.places) for one in annotations.values())
    skipped: Counter[str] = Counter()
    for one in annotations.values():
        skipped.update(one.skipped)
    return {
        "rationales": len(kept),
        "look_ups": sum(size * count for size, count in sizes.items()),
        "by_look_ups": {str(size): sizes[size] for size in sorted(sizes)},
        "skipped": {reason: skipped[reason] for reason in ("name", "relation", "replay")},
    }
