"""How methods train their students: functions here are the `train` of rows in `methods.table`, or give the training texts.

All students start from the base model, share LoRA settings, data and seed, and are trained on as many completion tokens as
NesyCD's student over its whole lineage. Methods that read passages retrieve from a corpus, or from NesyCD's knowledge base.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from nesycd.core.errors import DataError
from nesycd.core.records import TrainingText
from nesycd.methods.method import Method, Train
from nesycd.prompts import question_text
from nesycd.stages import augment, baselines
from nesycd.stages.distil import general_texts

if TYPE_CHECKING:
    # Listing the methods must not import what they work with.
    from nesycd.core.config import Recipe
    from nesycd.methods.context import Context
    from nesycd.prompts import BaselinePrompts, Prompts
    from nesycd.runs.stage import Artifact
    from nesycd.stages.baselines import Found

PREFIX = "train-"
"""Prefix of the stages in which methods train students of their own."""
TEACHER = "teach-"
"""Prefix of the stages in which a student is trained to be the teacher of a method's student."""
Texts = Callable[["Context", Method], list[TrainingText]]


def on_texts(texts: Texts, settings: Callable[[Recipe], object] = lambda recipe: None) -> Train:
    """The `train` of a method that fine-tunes on texts of its own.

    Args:
        texts: makes them from the run's context and the method.
        settings: those of the recipe that they depend on besides.
    """

    def train(context: Context, method: Method) -> Artifact:
        made = texts_of(context, method, lambda: texts(context, method), settings(context.recipe))
        return context.fine_tune(f"{PREFIX}{method.name}", made, completion_token_budget=budget(context, method, made))

    return train


def with_right_answers(texts: Texts) -> Train:
    """The `train` of a method with one round of rejection sampling (`methods.sampling`).

    Args:
        texts: of the method that it is like.
    """

    def train(context: Context, method: Method) -> Artifact:
        from nesycd.methods import sampling

        return sampling.train(context, method, texts)

    return train


def in_rounds(texts: Texts) -> Train:
    """The `train` of a method that distils on policy (`methods.on_policy`); `texts`: of the method that it is like."""

    def train(context: Context, method: Method) -> Artifact:
        from nesycd.methods import on_policy

        return on_policy.train(context, method, texts)

    return train


def texts_of(
    context: Context, method: Method, make: Callable[[], list[TrainingText]], settings: object
) -> Sequence[TrainingText]:
    """A method's own texts, as a stage of the run. `settings`: what they depend on besides the method and the run's steps."""
    distilled = context.distilled
    inputs = {
        "examples": context.train,
        "rationales": [distilled.kept[e.uid] for e in context.train if e.uid in distilled.kept],
        "prompts": [context.prompts.fingerprint, context.baseline_prompts.texts],
        "source": context.source_fingerprint(method.source),
        # Only for methods whose texts depend on the items.
        "entries": list(distilled.entries) if method.uses_base else [],
        "calls": _calls_fingerprint(context, method),
        "settings": settings,
        "seed": context.recipe.seed,
        "student": context.student.fingerprint,
        "passages": method.passages,
        "algorithm": method.version,
    }
    return context.run.computed(f"texts-{method.name}", TrainingText, inputs, make)


def _calls_fingerprint(context: Context, method: Method) -> list[object]:
    if not method.calls:
        return []
    tools = context.tools(method.calls, context.knowledge)
    calls = context.recipe.calls
    reads = [calls.read] if calls.derive else []
    return [tools.state if tools else "", calls.rationales, context.recipe.augmented.empty_calls, *reads]


def budget(context: Context, method: Method, texts: Sequence[TrainingText]) -> int:
    """Completion tokens to train on: as many as NesyCD's, but at most `compare.max_passes` passes over the texts."""
    most: int = context.distilled.summary["completion_tokens"]["nesycd"]
    passes = context.recipe.compare.max_passes
    if passes is None:
        return most
    count = context.student.count_tokens
    # One more for the end token of each text.
    size = context.run.value(
        f"size-{method.name}",
        {"texts": texts, "student": context.student.fingerprint},
        lambda: sum(count([text.own_text for text in texts])) + len(texts),
    )
    return min(most, int(passes * size))


def answers(context: Context, method: Method) -> list[TrainingText]:
    """The answer alone, after the retrieved context where the method reads one."""
    query = context.knowledge.query
    found = {e.uid: context.find(method, e, query(e)) for e in context.train} if method.source else {}
    kept, prompts = context.distilled.kept, context.prompts
    return baselines.answer_texts(context.train, kept, prompts, context.baseline_prompts, found)


def two_losses(make: Callable[..., list[TrainingText]]) -> Texts:
    """Texts for rationale and answer, with weighted losses (see `baselines.balanced`)."""

    def texts(context: Context, method: Method) -> list[TrainingText]:
        prompts: tuple[Prompts, BaselinePrompts] = context.prompts, context.baseline_prompts
        return baselines.balanced(make(context.train, context.distilled.kept, *prompts), context.student.count_tokens)

    return texts


def kard(context: Context, method: Method) -> list[TrainingText]:
    """KARD: the rationale, after the context retrieved with the teacher's rationale as query."""
    found = _by_rationale(context, method)
    texts = baselines.kard_texts(context.train, context.distilled.kept, _prompts(context, method), found)
    return _with_calls(context, method, texts)


def raft(context: Context, method: Method) -> list[TrainingText]:
    """RAFT: the rationale, after the documents it needs among distractors (with the source `all`: all others)."""
    of_corpus = method.source == "corpus"
    pool = context.corpus_passages if of_corpus else [entry.item for entry in context.distilled.entries]
    size = len(pool) if method.source == "all" else method.passages
    oracle = {uid: shown[: size - 1] for uid, shown in _by_rationale(context, method).items()}
    texts = baselines.raft_texts(
        context.train,
        context.distilled.kept,
        _prompts(context, method),
        oracle,
        pool,
        context.recipe.seed,
        size,
        hidden=(lambda example: frozenset()) if of_corpus else context.single_source,
    )
    return _with_calls(context, method, texts)


def calling(context: Context, method: Method) -> list[TrainingText]:
    """Std-CoT's rationales, with look-ups in the method's base."""
    texts = general_texts(context.train, context.distilled.kept, _prompts(context, method))
    return _with_calls(context, method, texts)


def _prompts(context: Context, method: Method) -> Prompts:
    from nesycd.methods.predict import offering

    return offering(context.prompts, context.tools(method.calls, context.knowledge) if method.calls else None)


def _with_calls(context: Context, method: Method, texts: Sequence[TrainingText], stage: str = "") -> list[TrainingText]:
    """The same texts with look-ups in their rationales, where the method makes some.

    `stage`: where the places of these are found; "": one of the method's own.
    """
    if not method.calls:
        return list(texts)
    from nesycd.methods import mixing

    knowledge = context.rationale_items if method.calls == "rationales" else context.knowledge
    looked = mixing.looked_up(context, context.distilled.kept, knowledge, stage or f"annotate-{method.name}")
    rng = random.Random(f"calls-{context.recipe.seed}-{method.name}")
    share = context.recipe.augmented.empty_calls
    by_uid, kept = {example.uid: example for example in context.train}, context.distilled.kept
    made: list[TrainingText] = []
    for text in texts:
        example, rationale = by_uid[text.example], kept[text.example]
        reads, prompt = looked.reads_of(example, rationale), text.prompt
        if reads is not None:
            made += reads.texts(example, rationale, text.weight)
            asked = question_text(example)
            head, _, tail = prompt.rpartition(asked)
            prompt = f"{head}{context.prompts.stating(asked, reads.stated(rationale))}{tail}"
        write = looked.write if reads is None else reads.asked
        segments = write(example, rationale, lambda: rng.random() < share)
        made.append(text.model_copy(update={"prompt": prompt, "segments": augment.closed(segments, rationale.answer)}))
    return made


def rationales(context: Context, method: Method) -> list[TrainingText]:
    """Std-CoT's texts."""
    return general_texts(context.train, context.distilled.kept, context.prompts)


def mixed(context: Context, method: Method) -> list[TrainingText]:
    """NesyCD's texts; Std-CoT's where no item is approved."""
    from nesycd.methods import mixing

    distilled = context.distilled
    if not distilled.entries:
        return rationales(context, method)
    return mixing.mixed_texts(context, distilled.kept, distilled.entries, context.knowledge)


def informed(context: Context, method: Method, shown: Found) -> list[TrainingText]:
    """The rationales after what is shown of the knowledge base, with the method's look-ups: so that it can be read at all.

    Questions that are shown nothing are left out.
    """
    kept = {uid: rationale for uid, rationale in context.distilled.kept.items() if shown.get(uid)}
    texts = baselines.kard_texts(context.train, kept, _prompts(context, method), shown)
    return _with_calls(context, method, texts, "annotate" if method.calls == "kb" else "")


def memorised(context: Context, method: Method) -> list[TrainingText]:
    """The rationales, and each item of the knowledge base for memorisation."""
    return rationales(context, method) + baselines.memorisation_texts(
        context.distilled.entries, context.baseline_prompts
    )


def _by_rationale(context: Context, method: Method) -> Found:
    """What is retrieved with the teacher's rationales as queries: close to an oracle, and not available at inference."""
    kept = context.distilled.kept
    return {e.uid: context.find(method, e, kept[e.uid].text) for e in context.train if e.uid in kept}


def programs(context: Context, method: Method) -> list[TrainingText]:
    """Program distillation: each question with the program that its rationale becomes, if that prints the gold answer.

    Raises:
        DataError: no rationale becomes such a program.
    """
    from nesycd.stages.programs import from_equations, program_texts

    own = getattr(context.task, "program", None)
    made = program_texts(
        context.train,
        context.distilled.kept,
        lambda example, rationale: (own and own(example, rationale)) or from_equations(example, rationale),
        context.task.grade,
        context.prompts,
    )
    told = (
        f"{len(made.texts)} of {len(context.distilled.kept)} rationales became programs ({made.wrong} more are wrong)"
    )
    if not made.texts:
        raise DataError(f"{method.name}: {told}: leave the method out")
    context.run.notify(f"{method.name}: {told}; it is trained on these questions alone")
    return made.texts
