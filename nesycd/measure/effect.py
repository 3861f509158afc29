"""The effect of the approved items, masked at random on questions that the answering student was not trained on.

Two kinds of questions: training questions, answered by the student of the fold that was not trained on them, with the accepted
rationale as reference; and validation questions, answered by S_E, with its own right answers as reference. Never test, and never
a question that is the only evidence of the item. On one half of all questions items are selected for retirement; on the other
half questions are then answered with and without them, so that proposals are confirmed by answers, not by likelihoods alone.
The KB is not changed here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import stdev

from nesycd.core.answers import Attempt
from nesycd.core.errors import DataError
from nesycd.core.judgements import Masked
from nesycd.core.records import Example, Item, Retrieval
from nesycd.methods.context import Context
from nesycd.methods.knowledge import Knowledge
from nesycd.methods.likelihoods import Scored, score
from nesycd.prompts import completion_text
from nesycd.runs.stage import Artifact
from nesycd.stages import augment, effect
from nesycd.stages.effect import Effect

SPLIT = "valid"
PREFIX = "effect-"
"""Prefix of the stages that a measurement adds to a run folder."""
_AUGMENTED = "augmented"


@dataclass(frozen=True)
class Measurement:
    """The effect of every approved item, and which items are proposed for retirement.

    Attributes:
        questions: how many questions there are; `scored` of them have a right answer to score masks on.
        selection, confirmation, all: effects by item id, over the halves and over all questions.
        noise: standard deviation (nats) of the scores of unchanged contexts that are scored again in other batches.
        rate: the stated false discovery rate.
        selected: items that the selection half names, worst first.
        proposed: of these, the ones that the confirmation half does not support: their mean contrast there is not above the
            noise, and answers there are not worse without them.
        before, after: right answers of the confirmation half's questions that show a selected item, with and without
            these; `asked` questions.
    """

    questions: int
    scored: int
    selection: Mapping[str, Effect]
    confirmation: Mapping[str, Effect]
    all: Mapping[str, Effect]
    noise: float
    rate: float
    selected: tuple[str, ...]
    proposed: tuple[str, ...]
    asked: int
    before: int
    after: int


@dataclass(frozen=True)
class _Question:
    """A question with its context, the answering student, and the references that masks are scored on.

    Attributes:
        items: the context, in order.
        student: `augmented` or the name of a fold's student; `adapter` is its.
        judged: ids of the items of the context that may be judged here.
        references: right answers; empty where there is none, and then nothing is scored.
    """

    example: Example
    student: str
    adapter: Artifact
    items: tuple[Item, ...]
    judged: tuple[str, ...]
    references: tuple[str, ...]


def measure(context: Context, count: int, rate: float) -> Measurement:
    """Mask, score, judge and confirm.

    Args:
        context: see `Context`; its steps are done.
        count: most contexts to score for a question.
        rate: false discovery rate of what is selected, in (0, 1).

    Raises:
        DataError: no approved item is retrieved for any of the questions, or there is no right answer to any of them.
    """
    knowledge = context.knowledge
    if not _reads_facts(context):
        context.run.notify(
            "facts are looked up: only the effect of what is read is measured (lessons, rules, facts that no name leads to)"
        )
    questions = [*_training(context, knowledge), *_validation(context, knowledge)]
    masked = _score_masks(context, questions, count)
    if not masked:
        raise DataError("no question that retrieves an item has a right answer: nothing to score")
    half = effect.halves([question.example for question in questions], context.recipe.seed)
    made = list(_contrasts(masked, questions))
    sides = [effect.judge(effect.pooled(pair for pair in made if half[pair[0]] == side)) for side in (0, 1)]
    noise = _noise(masked)
    selected = tuple(effect.harmful(sides[0], rate, noise))
    before, after = _confirm(context, [question for question in questions if half[question.example.uid]], selected)
    worse = sum(a.correct for a in after) < sum(b.correct for b in before)
    proposed = tuple(item for item in selected if not worse and not _spoken_for(sides[1].get(item), noise))
    return Measurement(
        questions=len(questions),
        scored=len({one.example for one in masked}),
        selection=sides[0],
        confirmation=sides[1],
        all=effect.judge(effect.pooled(made)),
        noise=noise,
        rate=rate,
        selected=selected,
        proposed=proposed,
        asked=len(before),
        before=sum(attempt.correct for attempt in before),
        after=sum(attempt.correct for attempt in after),
    )


def _spoken_for(seen: Effect | None, noise: float) -> bool:
    return seen is not None and seen.mean > noise


def _training(context: Context, knowledge: Knowledge) -> Iterator[_Question]:
    """Training questions, each with the student that was not trained on it; none where there are no such students."""
    if context.recipe.collection.mode != "out_of_fold":
        return
    train = context.examples("train")
    own = augment.own_entries(context.distilled.entries)
    evidence = {uid: [entry.item_id for entry in mine] for uid, mine in own.items()}
    retrievals = context.run.computed(
        f"{PREFIX}retrieve-train",
        Retrieval,
        {"knowledge": knowledge.fingerprint, "examples": train, "evidence": evidence},
        lambda: augment.retrieve_hidden(train, own, knowledge.retriever),
    )
    student_of = {attempt.example: attempt.solver for attempt in context.distilled.collected.attempts}
    for example, retrieval in zip(train, retrievals, strict=True):
        accepted = context.distilled.kept.get(example.uid)
        references = (completion_text(accepted.text, accepted.answer),) if accepted is not None else ()
        name = student_of[example.uid]
        items = _read(context, retrieval)
        judged = _judged(items, knowledge)
        yield _Question(example, name, context.distilled.collected.students[name], items, judged, references)


def _validation(context: Context, knowledge: Knowledge) -> Iterator[_Question]:
    """Validation questions with S_E's own right answers."""
    if SPLIT not in context.task.splits():
        return
    examples = context.examples(SPLIT)
    retrieved = knowledge.retrieved(context.run, f"{PREFIX}retrieve-{SPLIT}", examples)
    found = {one.example: _read(context, one) for one in retrieved}
    informed = _answers(context, "informed", context.distilled.augmented, examples, found)
    alone = _answers(context, "alone", context.distilled.augmented, examples, None)
    for example in examples:
        references = tuple(effect.references(informed[example.uid], alone[example.uid]))
        judged = _judged(found[example.uid], knowledge)
        yield _Question(example, _AUGMENTED, context.distilled.augmented, found[example.uid], judged, references)


def _reads_facts(context: Context) -> bool:
    """Whether S_E is trained with whole contexts."""
    mix = context.recipe.augmented
    return bool(mix.context or mix.calls_and_context)


def _read(context: Context, found: Retrieval) -> tuple[Item, ...]:
    """What S_E reads of the items that are retrieved."""
    return found.items if _reads_facts(context) else found.read


def _judged(items: Sequence[Item], knowledge: Knowledge) -> tuple[str, ...]:
    """The items of the base; derived facts are no items, and stay in every context."""
    known = {entry.item_id for entry in knowledge.entries}
    return tuple(item.id for item in items if item.id in known)


def _answers(
    context: Context,
    stage: str,
    adapter: Artifact,
    examples: Sequence[Example],
    found: Mapping[str, tuple[Item, ...]] | None,
) -> dict[str, Attempt]:
    way = context.reading(stage, adapter, None if found is None else lambda example: found[example.uid])
    return {one.example: one for one in context.answered(f"{PREFIX}{stage}", way, examples)}


_AGAIN = "again"
"""Suffix of the key of a whole context that is scored a second time, for the noise."""


def _score_masks(context: Context, questions: Sequence[_Question], count: int) -> Sequence[Masked]:
    def scored(question: _Question, number: int, place: str, items: tuple[Item, ...]) -> Scored:
        return Scored(
            f"{question.example.uid}/{number}/{place}",
            question.example,
            question.references[number],
            items,
            question.student,
            question.adapter,
            apart=place == _AGAIN,
        )

    wanted = []
    for question in questions:
        uid = question.example.uid
        for number, _ in enumerate(question.references if question.judged else ()):
            for place, mask in enumerate(effect.masks(question.judged, count, context.recipe.seed, uid)):
                items = tuple(i for i in question.items if i.id in mask or i.id not in question.judged)
                wanted.append(scored(question, number, str(place), items))
            wanted.append(scored(question, number, _AGAIN, question.items))
    return score(context, f"{PREFIX}masked", wanted)


def _contrasts(masked: Sequence[Masked], questions: Sequence[_Question]) -> Iterator[tuple[str, dict[str, float]]]:
    """For each question and reference, every judged item's contrast."""
    judged = {question.example.uid: question.judged for question in questions}
    groups: dict[tuple[str, str], list[Masked]] = {}
    for one in masked:
        if not one.key.endswith(_AGAIN):
            groups.setdefault((one.example, one.reference), []).append(one)
    for (uid, _), group in groups.items():
        yield uid, effect.contrasts([(one.items, one.log_likelihood) for one in group], judged[uid])


def _noise(masked: Sequence[Masked]) -> float:
    by_key = {one.key: one.log_likelihood for one in masked}
    again = [key for key in by_key if key.endswith(_AGAIN)]
    moved = [by_key[key] - by_key[key.removesuffix(_AGAIN) + "0"] for key in again]
    return stdev(moved) if len(moved) > 1 else 0.0


def _confirm(
    context: Context, questions: Sequence[_Question], selected: Sequence[str]
) -> tuple[list[Attempt], list[Attempt]]:
    """Answers of one half's questions that show a selected item: with all their items, and without the selected ones."""
    before: list[Attempt] = []
    after: list[Attempt] = []
    shown = [question for question in questions if set(question.judged) & set(selected)]
    for name in dict.fromkeys(question.student for question in shown):
        mine = [question for question in shown if question.student == name]
        contexts: dict[str, tuple[Item, ...]] = {}
        for question in mine:
            contexts[f"with/{question.example.uid}"] = question.items
            kept = tuple(item for item in question.items if item.id not in set(selected))
            contexts[f"without/{question.example.uid}"] = kept
        by_uid = {question.example.uid: question.example for question in mine}
        examples = [by_uid[key.partition("/")[2]].model_copy(update={"uid": key}) for key in contexts]
        made = _answers(context, f"confirm-{name}", mine[0].adapter, examples, contexts)
        before += [made[f"with/{uid}"] for uid in by_uid]
        after += [made[f"without/{uid}"] for uid in by_uid]
    return before, after
