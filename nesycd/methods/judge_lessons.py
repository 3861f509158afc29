"""Induction over clusters of errors, and the gate for lessons, as stages of a run (`stages.induce`, `stages.lesson_gate`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from nesycd.core.answers import Attempt
from nesycd.core.errors import ConfigError
from nesycd.core.judgements import LessonJudgement
from nesycd.core.protocols import Inducer
from nesycd.core.records import Diagnosis, Evidence, Example, Induction, Item, Rationale
from nesycd.methods.context import Context
from nesycd.methods.likelihoods import Scored, score
from nesycd.prompts import completion_text
from nesycd.runs.dealing import together
from nesycd.stages import diagnose, induce, lesson_gate, likeness
from nesycd.stages.lesson_gate import Trial

if TYPE_CHECKING:
    from nesycd.methods.build_kb import Collected

Proposals = Sequence[tuple[Item, Evidence]]


def induced(
    context: Context,
    train: Sequence[Example],
    kept: Mapping[str, Rationale],
    attempts: Sequence[Attempt],
    diagnoses: Sequence[Diagnosis],
) -> Sequence[Induction]:
    """What the teacher proposes for each cluster of errors; nothing where `knowledge.induction` is off.

    Raises:
        ConfigError: the teacher cannot be asked about clusters.
    """
    if not context.recipe.knowledge.induction:
        return []
    teacher = context.teacher
    if not isinstance(teacher, Inducer):
        raise ConfigError(f"knowledge.induction: teacher {teacher.name!r} cannot be asked about clusters of errors")
    found = {one.key: one for one in induce.clusters(diagnose.cases(train, kept, attempts), diagnoses)}
    return context.run.records(
        "inductions",
        Induction,
        {"teacher": teacher.fingerprint},  # a key is the hash of what is asked about
        list(found),
        lambda keys: teacher.inductions([found[key] for key in keys]),
        key_of=attrgetter("cluster"),
    )


def judged_lessons(
    context: Context,
    train: Sequence[Example],
    kept: Mapping[str, Rationale],
    collected: Collected,
    proposals: Proposals,
) -> Sequence[LessonJudgement]:
    """The verdict on each lesson and each rule without clauses that comes from a training question."""
    tried, controls = _tried(context, train, kept, collected, proposals)
    if not tried:
        return []
    by_uid = {example.uid: example for example in train}
    scores = _scored(context, by_uid, kept, collected, tried, controls)
    gains = {trial.item.id: lesson_gate.gains(scores[trial.item.id]) for trial in tried}
    sure = lesson_gate.sure({item: found.p for item, found in gains.items() if found is not None})
    informed = _answered(context, by_uid, collected, [trial for trial in tried if trial.item.id in sure])
    alone = {attempt.example: attempt.correct for attempt in collected.attempts}

    def judge() -> list[LessonJudgement]:
        made = []
        for trial in tried:
            item, keys = trial.item.id, [(_key(uid, trial.item), uid) for uid in trial.questions]
            answers = [(informed[key], alone[uid]) for key, uid in keys if key in informed]
            made.append(lesson_gate.judgement(trial, gains[item], item in sure, answers))
        return made

    inputs = {
        "tried": [[trial.item.id, trial.questions, trial.why] for trial in tried],
        "scores": scores,
        "answers": informed,
        "alone": alone,
        "algorithm": lesson_gate.ALGORITHM,
    }
    return context.run.computed("lessons", LessonJudgement, inputs, judge)


def _scored(
    context: Context,
    by_uid: Mapping[str, Example],
    kept: Mapping[str, Rationale],
    collected: Collected,
    tried: Sequence[Trial],
    controls: Mapping[str, Item],
) -> dict[str, list[tuple[float, float, float | None]]]:
    """By the id of each item what `lesson_gate.gains` takes."""
    solver = {attempt.example: attempt.solver for attempt in collected.attempts}
    asked = list(dict.fromkeys(uid for trial in tried for uid in trial.questions))
    shown: list[tuple[str, tuple[Item, ...]]] = [(uid, ()) for uid in asked]
    shown += [(uid, (controls[uid],)) for uid in asked if uid in controls]
    shown += [(uid, (trial.item,)) for trial in tried for uid in trial.questions]
    wanted = []
    for uid, items in shown:
        reference, name = completion_text(kept[uid].text, kept[uid].answer), solver[uid]
        wanted.append(Scored(_key(uid, *items), by_uid[uid], reference, items, name, collected.students[name]))
    value = {one.key: one.log_likelihood for one in score(context, "lessons-scored", wanted)}
    return {
        trial.item.id: [
            (
                value[_key(uid, trial.item)],
                value[_key(uid)],
                value[_key(uid, controls[uid])] if uid in controls else None,
            )
            for uid in trial.questions
        ]
        for trial in tried
    }


def _key(uid: str, *items: Item) -> str:
    """Names a question with or without an item in its prompt."""
    return "/".join((*(item.id for item in items), uid))


def _tried(
    context: Context,
    train: Sequence[Example],
    kept: Mapping[str, Rationale],
    collected: Collected,
    proposals: Proposals,
) -> tuple[list[Trial], dict[str, Item]]:
    """The trial of each item, and the items that are shown for comparison (`lesson_gate.controls`)."""
    mine = [(item, evidence) for item, evidence in proposals if lesson_gate.is_judged(item) and evidence.example]
    if not mine:
        return [], {}
    if context.recipe.collection.mode == "in_sample":
        why = 'with collection.mode = "in_sample" no student was kept from its questions'
        return [Trial(item, (), (), why) for item in {item.id: item for item, _ in mine}.values()], {}
    budget = context.recipe.knowledge.gate_questions

    def choose() -> dict[str, Any]:
        tried, alike = lesson_gate.trials(mine, train, collected.attempts, kept, budget)
        return {
            "tried": [[trial.item.id, trial.sources, trial.questions, trial.why] for trial in tried],
            "controls": {uid: item.id for uid, item in lesson_gate.controls(tried, alike).items()},
        }

    inputs = {
        "proposals": [[item.id, evidence.example] for item, evidence in mine],
        "examples": train,
        "solvers": [[attempt.example, attempt.solver] for attempt in collected.attempts],
        "kept": sorted(kept),
        "budget": budget,
        "algorithm": [lesson_gate.ALGORITHM, likeness.ALGORITHM],
    }
    chosen = context.run.value("lessons-tried", inputs, choose)
    items = {item.id: item for item, _ in mine}
    tried = [Trial(items[item], tuple(own), tuple(asked), why) for item, own, asked, why in chosen["tried"]]
    return tried, {uid: items[item] for uid, item in chosen["controls"].items()}


def _answered(
    context: Context,
    by_uid: Mapping[str, Example],
    collected: Collected,
    tried: Sequence[Trial],
) -> dict[str, bool]:
    """Whether the answers to the questions of these trials are right with the item in the prompt, by `_key`."""
    solver = {attempt.example: attempt.solver for attempt in collected.attempts}
    shown = {_key(uid, trial.item): (uid, trial.item) for trial in tried for uid in trial.questions}

    def answered(name: str) -> Sequence[Attempt]:
        mine = [(key, uid) for key, (uid, _) in shown.items() if solver[uid] == name]
        examples = [by_uid[uid].model_copy(update={"uid": key}) for key, uid in mine]
        way = context.reading(f"lessons-{name}", collected.students[name], lambda example: (shown[example.uid][1],))
        return context.answered(f"lessons-answered-{name}", way, examples)

    names = dict.fromkeys(solver[uid] for uid, _ in shown.values())
    made = together([partial(answered, name) for name in names])
    return {attempt.example: attempt.correct for attempt in chain.from_iterable(made)}
