"""On-policy distillation (GKD, Agarwal et al. 2024): the student learns what a teacher would have written in its own answers.

The teacher is a model on a server, shown some of the texts that the student begins with, or the student itself with its base
plugged in: trained after the knowledge that a question's rationale needs, and shown it (on-policy context distillation, Ye et al.
2026, arXiv 2602.12275). Each round is a sampling and a training of its own, so that a run goes on where it stopped.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from nesycd.core.errors import ConfigError, DataError
from nesycd.core.protocols import ScoringStudent, Student
from nesycd.core.records import Example, Retrieval, Targets, TrainingText
from nesycd.methods import table
from nesycd.methods.method import Method
from nesycd.methods.predict import offering
from nesycd.methods.sampling import Sampled, Sampler, rate_of
from nesycd.methods.training import PREFIX, TEACHER, Texts, budget, informed, texts_of
from nesycd.prompts import Shown

if TYPE_CHECKING:
    # As in `methods.training`.
    from nesycd.methods.context import Context
    from nesycd.runs.stage import Artifact
    from nesycd.students.rendering import Renderer

CANDIDATES = 16
"""Tokens of which the teacher's probability is known at each place; vLLM tells up to 20 unless told otherwise."""
ENDED = 0.1
"""Of the peak learning rate: trainings end with this share, and rounds go on with it. At the peak a round's few steps undid what
was learned before."""
SHOTS = 3
"""Texts that a teacher on a server is shown."""


def train(context: Context, method: Method, texts: Texts) -> Artifact:
    """Distil on policy, in rounds.

    Of the completion tokens `on_policy.share` are the rounds'; those before are spent on the method's texts, as any method's. In
    each round the student samples answers at temperature 1 to training questions whose rationale is kept, as many as give the
    round's tokens. The student that is its teacher is trained for as many tokens as all methods.

    Args:
        context: of the run.
        method: a row of the table.
        texts: of the method that it is like.

    Raises:
        DataError: there is no teacher that knows more.
    """
    method = table.as_trained(method, context.recipe)
    settings, name = context.recipe.on_policy, method.name
    begun = texts_of(context, method, lambda: texts(context, method), None)
    whole, rate = budget(context, method, begun), rate_of(context, method)
    each = max(1, round(whole * settings.share / settings.rounds))
    shown = {} if settings.server else _needed(context, method)
    teacher = None if settings.server else _teacher(context, method, shown, whole)
    student = context.fine_tune(
        f"{PREFIX}{name}.0", begun, learning_rate=rate, completion_token_budget=whole - settings.rounds * each
    )
    asked = [example for example in context.train if example.uid in (shown or context.distilled.kept)]
    sampler = Sampler(context, method, 1.0)
    for number, examples in enumerate(_rounds(context, name, asked, begun, each), 1):
        answers = sampler.answers(student, examples, number)
        read = [one for one in answers if one.segments]
        prompts = _shots(read, begun) if teacher is None else _informed(context, method, read, shown)
        made = _scored(context, f"texts-{name}.{number}", read, prompts, teacher)
        student = context.fine_tune(
            f"{PREFIX}{name}" if number == settings.rounds else f"{PREFIX}{name}.{number}",
            made,
            student,
            {"sampled_tokens": sum(one.attempt.completion_tokens for one in answers)},
            learning_rate=ENDED * rate,
            completion_token_budget=each,
        )
    return student


def _teacher(context: Context, method: Method, shown: Mapping[str, Sequence[Shown]], tokens: int) -> Artifact:
    """The student with its base plugged in: trained on the rationales after the knowledge that they need."""
    named = replace(method, name=f"{method.name}.0")
    made = texts_of(context, named, lambda: informed(context, method, shown), {"shown": [*shown.values()]})
    return context.fine_tune(
        f"{TEACHER}{method.name}", made, learning_rate=rate_of(context, method), completion_token_budget=tokens
    )


def _needed(context: Context, method: Method) -> dict[str, Sequence[Shown]]:
    """What is retrieved from the base with the kept rationale of each question, where anything is: close to an oracle.

    Items that come from the question alone are among it, since the teacher reads no other questions than these.

    Raises:
        DataError: nothing is, for any question.
    """
    kept, knowledge = context.distilled.kept, context.knowledge

    def retrieve() -> list[Retrieval]:
        made = []
        for example in context.train:
            if example.uid in kept:
                hits = knowledge.retriever.retrieve(kept[example.uid].text, task=example.task)
                made.append(Retrieval(example=example.uid, hits=tuple(hits)))
        return made

    inputs = {"knowledge": knowledge.fingerprint, "examples": context.train, "rationales": [*kept.values()]}
    found = context.run.computed(f"found-{method.name}", Retrieval, inputs, retrieve)
    shown = {one.example: one.items for one in found if one.items}
    if not shown:
        raise DataError(
            f"{method.name}: the knowledge base has nothing for any training question, so the student as its own teacher knows "
            "no more than itself; name a teacher in on_policy.server, or leave the method out"
        )
    return dict(shown)


def _rounds(
    context: Context, name: str, asked: Sequence[Example], texts: Sequence[TrainingText], tokens: int
) -> list[list[Example]]:
    """The questions of each round, in turn and each once in a round: as many as have the round's completion tokens."""
    own = [text.own_text for text in texts if text.task != "reading"]
    inputs = {"texts": texts, "student": context.student.fingerprint}
    mean = context.run.value(f"size-{name}.0", inputs, lambda: 1 + sum(context.student.count_tokens(own)) / len(own))
    count = min(len(asked), math.ceil(tokens / mean))
    rounds, rng = context.recipe.on_policy.rounds, random.Random(f"rounds-{context.recipe.seed}")
    order: list[Example] = []
    while len(order) < rounds * count:
        begun = {example.uid for example in order[len(order) - len(order) % count :]}
        # Where one pass ends within a round, its questions come last in the next pass.
        order += sorted(rng.sample(asked, len(asked)), key=lambda example: example.uid in begun)
    return [order[start * count : (start + 1) * count] for start in range(rounds)]


def _informed(
    context: Context, method: Method, answers: Sequence[Sampled], shown: Mapping[str, Sequence[Shown]]
) -> list[str]:
    """The prompts of the student as its own teacher: its own, after the knowledge that the question's rationale needs."""
    tools = context.tools(method.calls, context.knowledge) if method.calls else None
    prompts = offering(context.prompts, tools)
    return [prompts.with_knowledge(one.example, shown[one.example.uid], one.stated) for one in answers]


def _shots(answers: Sequence[Sampled], texts: Sequence[TrainingText]) -> list[str]:
    """The prompts of a teacher on a server: the student's, after some of its texts, of other questions and the same task."""
    usual = [text for text in texts if text.task in ("direct", "augmented")]
    made = []
    for one in answers:
        of_others = [text for text in usual if text.example != one.example.uid]
        near = sorted(of_others, key=lambda text: not text.example.startswith(f"{one.example.task}/"))[:SHOTS]
        made.append("\n\n".join([*(f"{text.prompt}\n{text.completion}" for text in near), one.prompt]))
    return made


def _scored(
    context: Context, stage: str, answers: Sequence[Sampled], prompts: Sequence[str], taught_by: Artifact | None
) -> Sequence[TrainingText]:
    """The answers with what the teacher would have written in them, as a stage of the run; each is asked once."""
    settings = context.recipe.on_policy
    teacher = ["served", settings.model] if taught_by is None else ["itself", taught_by.fingerprint]
    by_uid = {one.example.uid: (one, prompt) for one, prompt in zip(answers, prompts, strict=True)}

    def produce(uids: Sequence[str]) -> Iterator[TrainingText]:
        asked = [by_uid[uid] for uid in uids]
        told = _targets(context, [prompt for _, prompt in asked], [one for one, _ in asked], taught_by)
        for (one, _), targets in zip(asked, told, strict=True):
            yield one.text("augmented").model_copy(update={"targets": targets})

    inputs = {
        "teacher": teacher,
        "asked": [[one.attempt, one.prompt, prompt] for one, prompt in by_uid.values()],
        "candidates": CANDIDATES,
        "student": context.student.fingerprint,
    }
    texts = context.run.records(stage, TrainingText, inputs, list(by_uid), produce)
    return [text for text in texts if text.targets]


def _targets(
    context: Context, prompts: Sequence[str], answers: Sequence[Sampled], taught_by: Artifact | None
) -> Iterator[Targets]:
    settings, segments = context.recipe.on_policy, [one.segments for one in answers]
    if taught_by is not None:
        if not isinstance(context.student, ScoringStudent):
            raise ConfigError(
                f"on-policy distillation: the student {context.student.name!r} cannot score texts; name a teacher in "
                "on_policy.server, or leave the method out"
            )
        yield from context.student.likeliest(prompts, segments, adapter=taught_by.path, count=CANDIDATES)
        return
    from nesycd.students.served_teacher import ServedTeacher

    teacher = ServedTeacher(renderer_of(context.student), settings)
    yield from teacher.likeliest(prompts, segments, count=CANDIDATES)


def renderer_of(student: Student) -> Renderer:
    """What makes a student's token ids, for a teacher on a server.

    Raises:
        ConfigError: it has none.
    """
    found: Renderer | None = getattr(student, "renderer", None)
    if found is None:
        raise ConfigError(f"on_policy.server: the student {student.name!r} has no tokens that a teacher could read")
    return found
