"""Step 4, augmented distillation: the training mix of S_E.

Three tasks: augmented (L_AD, rationale given knowledge), direct chain of thought (L_DC) and answer prediction (L_AP). Beyond
the paper: knowledge is retrieved as at inference; an item whose only evidence is the example itself is hidden from it, so
that no example is trained with a single-source item of its own (METHOD, fault 6); the mix contains distractors, also alone
where nothing was retrieved, and a share of prompts without knowledge (RAFT, arXiv 2403.10131); and where an item proposed from
the example's own error was not retrieved, the rationale is trained closed-book, so that the student does not learn to
hallucinate facts that the context lacks.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nesycd.core.protocols import Retriever
from nesycd.core.records import Entry, Example, Fact, Item, Rationale, Retrieval, Status, TrainingText
from nesycd.core.segments import Segment, own
from nesycd.prompts import Prompts, completion_text
from nesycd.stages.distil import direct_text

if TYPE_CHECKING:
    # Listing the methods must not import what calls work with.
    from nesycd.stages.read import Reads


@dataclass(frozen=True)
class Mix:
    """What S_E is trained on.

    Attributes:
        augmented, direct, answer: loss weights of the three tasks; a task of weight 0 is left out.
        passes: how often each example appears, each time with other distractors.
        calls: share of the examples that appear with look-ups and a context of what is only read (`Visible.read`), in each pass.
        context: the same with a context and without look-ups; the shares below hold for these.
        both: the same with look-ups and a whole context.
        empty_calls: share of the look-ups that find nothing although the base has the fact.
        fill_to: number of items that each context is filled up to with distractors.
        closed_share: share of the examples with a context that also appear closed-book, in [0, 1].
        right_closed_share: the same for examples without an approved item of their own, where it is larger, in [0, 1].
        answer_share: share of the examples that also appear as answer prediction, in [0, 1].
        incomplete_share: share of the examples with missing knowledge that keep their incomplete context, in [0, 1].
        distracting_share: share of the examples with nothing retrieved and nothing missing that get a context of distractors
            alone, in [0, 1].
    """

    augmented: float = 1.0
    direct: float = 1.0
    answer: float = 0.5
    passes: int = 1
    calls: float = 0.0
    context: float = 1.0
    both: float = 0.0
    empty_calls: float = 0.0
    fill_to: int = 4
    closed_share: float = 0.2
    right_closed_share: float = 0.0
    answer_share: float = 0.1
    incomplete_share: float = 0.0
    distracting_share: float = 1.0


@dataclass(frozen=True)
class Visible:
    """What one training example sees.

    Attributes:
        items: retrieved for it.
        read: those of them that it reads where facts are looked up.
        missing: items from its own error that were not retrieved.
        had_error: whether there are items from its own error.
    """

    items: tuple[Item, ...]
    read: tuple[Item, ...]
    missing: tuple[Item, ...]
    had_error: bool


def own_entries(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """`Example.uid` to the approved entries with evidence from its error."""
    own: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.status == Status.APPROVED:
            for uid in sorted({evidence.example for evidence in entry.evidence}):
                own.setdefault(uid, []).append(entry)
    return own


def single_source_items(own: Mapping[str, list[Entry]], example: Example) -> frozenset[str]:
    """Ids of the items whose only evidence is this example: they are hidden from it in training."""
    mine = own.get(example.uid, ())
    return frozenset(entry.item_id for entry in mine if {e.example for e in entry.evidence} == {example.uid})


def retrieve_hidden(
    examples: Sequence[Example],
    own: Mapping[str, list[Entry]],
    retriever: Retriever,
    query: Callable[[Example], str] = lambda example: example.question,
) -> list[Retrieval]:
    """Retrieve for every training example as at inference, without its single-source items.

    `query`: gives the search query.
    """
    found = []
    for example in examples:
        single_source = single_source_items(own, example)
        hits = retriever.retrieve(query(example), hide=single_source, task=example.task)
        found.append(Retrieval(example=example.uid, hits=tuple(hits)))
    return found


def visible_knowledge(retrievals: Sequence[Retrieval], own: Mapping[str, list[Entry]]) -> dict[str, Visible]:
    """The retrieved and the missing items of each example, by `Example.uid`."""
    seen = {}
    for retrieval in retrievals:
        mine = own.get(retrieval.example, [])
        found = {item.id for item in retrieval.items}
        missing = tuple(entry.item for entry in mine if isinstance(entry.item, Fact) and entry.item_id not in found)
        seen[retrieval.example] = Visible(retrieval.items, retrieval.read, missing, bool(mine))
    return seen


def own_knowledge(examples: Sequence[Example], own: Mapping[str, list[Entry]]) -> dict[str, Visible]:
    """As in the paper's released code: each example gets the items proposed from its own error."""
    seen = {}
    for example in examples:
        items = tuple(entry.item for entry in own.get(example.uid, ()))
        advice = tuple(item for item in items if not isinstance(item, Fact))
        seen[example.uid] = Visible(items, advice, (), bool(items))
    return seen


@dataclass(frozen=True)
class Looked:
    """How a question and its rationale are written for a student that looks facts up.

    Attributes:
        prompts: with the look-ups that the base offers.
        write: a rationale with its look-ups; the function is called for each and says whether it comes back empty
            (`calls.with_calls`).
        reads: how a question is read and the rules are asked; None: they are not.
    """

    prompts: Prompts
    write: Callable[[Example, Rationale, Callable[[], bool]], tuple[Segment, ...]]
    reads: Reads | None = None

    def reads_of(self, example: Example, rationale: Rationale) -> Reads | None:
        """How this question is read, where the statements of its rationale are to be trained on."""
        return self.reads if self.reads is not None and self.reads.trusts(example, rationale) else None


def augmented_texts(
    examples: Sequence[Example],
    rationales: Mapping[str, Rationale],
    visible: Mapping[str, Visible],
    entries: Sequence[Entry],
    prompts: Prompts,
    mix: Mix,
    seed: int,
    looked: Looked | None = None,
) -> list[TrainingText]:
    """The mix, pass by pass. Examples without a kept rationale are left out.

    `looked` is needed where `mix` has look-ups.
    """
    pool = [entry.item for entry in entries if entry.status == Status.APPROVED and isinstance(entry.item, Fact)]
    texts: list[TrainingText] = []
    for number in range(mix.passes):
        for example in examples:
            rationale = rationales.get(example.uid)
            if rationale is not None:
                rng = random.Random(f"mix-{seed}-{number}-{example.uid}")
                reads = (
                    mix.context >= 1 or random.Random(f"context-{seed}-{number}-{example.uid}").random() < mix.context
                )
                if reads:
                    texts += _texts_of(example, rationale, visible[example.uid], pool, prompts, mix, rng)
                if looked is not None:
                    rng = random.Random(f"calls-{seed}-{number}-{example.uid}")
                    texts += _calling(example, rationale, visible[example.uid], pool, prompts, mix, rng, looked)
    return texts


def _calling(
    example: Example,
    rationale: Rationale,
    seen: Visible,
    pool: Sequence[Item],
    prompts: Prompts,
    mix: Mix,
    rng: random.Random,
    looked: Looked,
) -> list[TrainingText]:
    """The texts with look-ups: with what is read beside them, and with a whole context."""
    made: list[TrainingText] = []
    alone, both = rng.random() < mix.calls, rng.random() < mix.both
    reads = looked.reads_of(example, rationale) if mix.augmented else None
    if reads is not None and (alone or both):
        made += reads.texts(example, rationale, mix.augmented)
    stated = reads.stated(rationale) if reads is not None else ()
    noise = distractors(seen, pool, mix.fill_to, rng)
    for wanted, items in ((alone, [*seen.read]), (both, with_distractors(seen.items, noise, rng))):
        if wanted and mix.augmented:
            write = looked.write if reads is None else reads.asked
            segments = write(example, rationale, lambda: rng.random() < mix.empty_calls)
            made.append(
                TrainingText(
                    example=example.uid,
                    task="augmented",
                    prompt=looked.prompts.with_knowledge(example, items, stated),
                    segments=closed(segments, rationale.answer),
                    weight=mix.augmented,
                    knowledge=tuple(item.id for item in items),
                )
            )
    return made


def closed(segments: Sequence[Segment], answer: str) -> tuple[Segment, ...]:
    """A rationale in segments, followed by the closing sentence."""
    *before, last = segments or own("")
    if last.source == "supplied":
        return (*segments, *own(f" {completion_text('', answer)}"))
    ending = completion_text(last.text, answer) if not before else f"{last.text.rstrip()} {completion_text('', answer)}"
    return (*before, *own(ending))


def _texts_of(
    example: Example,
    rationale: Rationale,
    seen: Visible,
    pool: Sequence[Item],
    prompts: Prompts,
    mix: Mix,
    rng: random.Random,
) -> list[TrainingText]:
    made = []
    # Drawn first, so that they do not depend on the context.
    closed, bare, incomplete, lost = (rng.random() for _ in range(4))
    noise = distractors(seen, pool, mix.fill_to, rng)
    if seen.items:
        usable = not seen.missing or incomplete < mix.incomplete_share
    else:
        usable = bool(noise) and not seen.missing and lost < mix.distracting_share
    if usable and mix.augmented:
        items = with_distractors(seen.items, noise, rng)
        made.append(
            TrainingText(
                example=example.uid,
                task="augmented",
                prompt=prompts.with_knowledge(example, items),
                segments=own(completion_text(rationale.text, rationale.answer)),
                weight=mix.augmented,
                knowledge=tuple(item.id for item in items),
            )
        )
    closed_share = mix.closed_share if seen.had_error else max(mix.closed_share, mix.right_closed_share)
    if mix.direct and (not usable or closed < closed_share):
        made.append(direct_text(example, rationale, prompts, mix.direct))
    if mix.answer and bare < mix.answer_share:
        made.append(
            TrainingText(
                example=example.uid,
                task="answer",
                prompt=prompts.answer_only(example),
                segments=own(completion_text("", rationale.answer)),
                weight=mix.answer,
            )
        )
    return made


def distractors(seen: Visible, pool: Sequence[Item], fill_to: int, rng: random.Random) -> list[Item]:
    """Items that fill a context up to `fill_to`, other than those that the example sees or lacks."""
    taken = {item.id for item in (*seen.items, *seen.missing)}
    wanted = max(0, fill_to - len(seen.items))
    drawn = rng.sample(pool, min(wanted + len(taken), len(pool))) if wanted else []
    return [item for item in drawn if item.id not in taken][:wanted]


def with_distractors(items: Sequence[Item], noise: Sequence[Item], rng: random.Random) -> list[Item]:
    """Retrieved items with distractors inserted at random places."""
    result = list(items)
    for item in noise:
        result.insert(rng.randint(0, len(result)), item)
    return result
