"""Training texts of rival methods: pure functions of the rationales and the retrieved context.

All share student, LoRA settings and data with Std-CoT; each function names the paper that it follows. Methods with two losses
weigh them as L = (1 - alpha) L_rationale + alpha L_answer, each a mean over its tokens (`balanced`).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from nesycd.core.records import Entry, Example, Fact, Rationale, TrainingText
from nesycd.core.segments import own
from nesycd.grading import CLOSING
from nesycd.prompts import BaselinePrompts, Prompts, Shown, completion_text

ALPHA = 0.3
"""Share of the answers' loss in methods with two losses."""
SHOTS = 3
"""Worked examples of a few-shot prompt."""
Found = Mapping[str, Sequence[Shown]]
"""`Example.uid` -> what was retrieved for it."""
Count = Callable[[Sequence[str]], list[int]]


def answer_texts(
    examples: Sequence[Example], kept: Mapping[str, Rationale], prompts: Prompts, extra: BaselinePrompts, found: Found
) -> list[TrainingText]:
    """Answer fine-tuning: the answer alone; with retrieved passages it is KA fine-tuning (both as in Kang et al. 2023)."""
    made = []
    for example, rationale in _pairs(examples, kept):
        shown = found.get(example.uid, ())
        prompt = bare_prompt(example, shown, prompts, extra)
        made.append(_text(example, "answer", prompt, completion_text("", rationale.answer), shown))
    return made


def bare_prompt(example: Example, shown: Sequence[Shown], prompts: Prompts, extra: BaselinePrompts) -> str:
    """The question with the request for a bare answer, after the retrieved context where there is some."""
    if not shown:
        return prompts.answer_only(example)
    return extra.fill("answer_only_with_knowledge", example, shown)


def step_by_step_texts(
    examples: Sequence[Example], kept: Mapping[str, Rationale], prompts: Prompts, extra: BaselinePrompts
) -> list[TrainingText]:
    """Step-by-step (Hsieh et al. 2023): two prompts for a question, one asks for the answer and one for the rationale alone."""
    made = answer_texts(examples, kept, prompts, extra, {})
    for example, rationale in _pairs(examples, kept):
        made.append(_text(example, "rationale", extra.fill("explain", example), rationale.text.strip()))
    return made


def mt_cot_texts(
    examples: Sequence[Example], kept: Mapping[str, Rationale], prompts: Prompts, extra: BaselinePrompts
) -> list[TrainingText]:
    """MT-CoT (Li et al. 2022): answer prediction, and explanation generation with the answer at the end of the explanation."""
    made = answer_texts(examples, kept, prompts, extra, {})
    for example, rationale in _pairs(examples, kept):
        whole = completion_text(rationale.text, rationale.answer)
        made.append(_text(example, "rationale", extra.fill("explain", example), whole))
    return made


def cascod_texts(
    examples: Sequence[Example], kept: Mapping[str, Rationale], prompts: Prompts, extra: BaselinePrompts
) -> list[TrainingText]:
    """CasCoD (Dai et al. 2024): L(q -> r) and L(q, r -> a), with the prompts of the two stages at inference."""
    made = []
    for example, rationale in _pairs(examples, kept):
        made.append(_text(example, "rationale", prompts.closed_book(example), rationale.text.strip()))
        second = after_rationale(example, rationale.text, extra)
        made.append(_text(example, "answer", second, answer_alone(rationale.answer)))
    return made


def after_rationale(example: Example, rationale: str, extra: BaselinePrompts) -> str:
    """The prompt of CasCoD's second stage, in training and at inference."""
    return extra.fill("answer_after_rationale", example, rationale=" ".join(rationale.split()))


def answer_alone(answer: str) -> str:
    """What follows `CLOSING` in a completion."""
    return completion_text("", answer).removeprefix(CLOSING).strip()


def kard_texts(
    examples: Sequence[Example], kept: Mapping[str, Rationale], prompts: Prompts, found: Found
) -> list[TrainingText]:
    """KARD (Kang et al. 2023): the rationale, after the context retrieved with the teacher's rationale."""
    return [
        _with_block(example, rationale, found.get(example.uid, ()), prompts)
        for example, rationale in _pairs(examples, kept)
    ]


def raft_texts(
    examples: Sequence[Example],
    kept: Mapping[str, Rationale],
    prompts: Prompts,
    oracle: Found,
    pool: Sequence[Shown],
    seed: int,
    size: int = 4,
    share: float = 0.8,
    hidden: Callable[[Example], frozenset[str]] = lambda example: frozenset(),
) -> list[TrainingText]:
    """RAFT (Zhang et al. 2024): the rationale, after `size` documents in random order.

    Args:
        examples, kept, prompts: as elsewhere here.
        oracle: the documents that support the answer.
        pool: the corpus, from which distractors are drawn.
        seed: decides the draws.
        size: documents in a prompt.
        share: of the prompts that hold the oracle documents; the others hold distractors alone.
        hidden: ids of documents that an example must not see.
    """
    rng = random.Random(f"raft-{seed}")
    made = []
    for example, rationale in _pairs(examples, kept):
        golden = list(oracle.get(example.uid, ()))[: size - 1]
        known = {document.id for document in oracle.get(example.uid, ())} | hidden(example)
        shown = golden if rng.random() < share else []
        wanted = size - len(shown)
        drawn = rng.sample(list(pool), min(len(pool), wanted + len(known)))
        documents = [*shown, *[one for one in drawn if one.id not in known][:wanted]]
        rng.shuffle(documents)
        made.append(_with_block(example, rationale, documents, prompts))
    return made


def memorisation_texts(entries: Sequence[Entry], extra: BaselinePrompts) -> list[TrainingText]:
    """Facts in weights: memorisation of each item of the knowledge base, in addition to Std-CoT's texts."""
    made = []
    for entry in entries:
        item = entry.item
        subject = f"{item.subject}, {item.relation}" if isinstance(item, Fact) else item.kind
        prompt = extra.fill("memorise", subject=subject)
        made.append(
            TrainingText(example=f"item/{item.id}", task="memorisation", prompt=prompt, segments=own(item.text.strip()))
        )
    return made


def shown_to(
    example: Example, examples: Sequence[Example], kept: Mapping[str, Rationale], shots: int, seed: int
) -> list[tuple[Example, Rationale]]:
    """The training questions of a few-shot prompt: of the example's own task, filled up from other tasks."""
    pairs = [(other, rationale) for other, rationale in _pairs(examples, kept) if other.uid != example.uid]
    rng = random.Random(f"shots-{seed}-{example.task}")
    order = rng.sample(pairs, len(pairs))
    return sorted(order, key=lambda pair: pair[0].task != example.task)[:shots]


def worked_examples(
    example: Example,
    examples: Sequence[Example],
    kept: Mapping[str, Rationale],
    extra: BaselinePrompts,
    shots: int,
    seed: int,
) -> str:
    """A few-shot prompt: training questions (`shown_to`) with the teacher's rationales, then the question."""
    parts = [
        extra.fill("worked_example", other, completion=completion_text(rationale.text, rationale.answer))
        for other, rationale in shown_to(example, examples, kept, shots, seed)
    ]
    return "\n\n".join([*parts, extra.fill("worked_question", example)])


def balanced(texts: Sequence[TrainingText], count_tokens: Count, alpha: float = ALPHA) -> list[TrainingText]:
    """Weigh two losses as (1 - alpha) : alpha, each the mean over its own completion tokens, end tokens included.

    The trainer divides a batch's sum of weighted token losses by its sum of weights, so only their ratio matters: the
    rarer kind of token gets the larger weight. The largest weight is 1.
    """
    lengths = count_tokens([text.own_text for text in texts])
    tokens: Counter[str] = Counter()
    for text, length in zip(texts, lengths, strict=True):
        tokens["answer" if text.task == "answer" else "rationale"] += length + 1
    each = {"answer": alpha / max(1, tokens["answer"]), "rationale": (1 - alpha) / max(1, tokens["rationale"])}
    most = max(each[kind] for kind in each if tokens[kind])
    weights = {kind: round(weight / most, 6) for kind, weight in each.items()}
    return [
        text.model_copy(update={"weight": weights["answer" if text.task == "answer" else "rationale"]})
        for text in texts
    ]


def _pairs(examples: Iterable[Example], kept: Mapping[str, Rationale]) -> Iterable[tuple[Example, Rationale]]:
    return ((example, kept[example.uid]) for example in examples if example.uid in kept)


def _with_block(example: Example, rationale: Rationale, shown: Sequence[Shown], prompts: Prompts) -> TrainingText:
    completion = completion_text(rationale.text, rationale.answer)
    return _text(example, "augmented", prompts.with_knowledge(example, shown), completion, shown)


def _text(
    example: Example,
    task: Literal["direct", "augmented", "answer", "rationale", "memorisation"],
    prompt: str,
    completion: str,
    shown: Sequence[Shown] = (),
) -> TrainingText:
    knowledge = tuple(one.id for one in shown)
    return TrainingText(example=example.uid, task=task, prompt=prompt, segments=own(completion), knowledge=knowledge)
