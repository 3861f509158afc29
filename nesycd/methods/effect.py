"""What the approved knowledge does: its items are masked at random on questions that no training has seen.

Every figure comes from questions of `SPLIT`, never from test, and an item is never judged on a question that it came from. On
one half of the questions items are selected for retirement; on the other half the answers are then given with and without
them, so that what is proposed was confirmed by answers, not by likelihoods alone. Nothing in the KB is changed here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import stdev

from nesycd.errors import ConfigError, DataError
from nesycd.methods.knowledge import Knowledge
from nesycd.methods.nesycd import Trained
from nesycd.methods.parts import Parts
from nesycd.protocols import Prompt
from nesycd.records import Attempt, Entry, Example, Item, Masked, content_hash
from nesycd.run_stage import Artifact
from nesycd.stages import effect
from nesycd.stages.effect import Effect

SPLIT = "valid"
STAGES = ("effect-retrieve", "effect-informed", "effect-alone", "effect-masked", "effect-confirm")
"""What a measurement adds to a run folder."""


@dataclass(frozen=True)
class Measurement:
    """What every approved item does, and which are proposed for retirement.

    Attributes:
        questions: how many questions there are; `scored` of them have a right answer to score masks on.
        selection, confirmation, all: effects by item id, over the halves and over all questions.
        noise: standard deviation (nats) of what the unchanged block scores when it is scored again in other batches.
        rate: the stated false discovery rate.
        selected: items that the selection half names, worst first.
        proposed: of these, the ones that the confirmation half does not speak for: their mean contrast there is not above
            the noise, and answers there are not worse without them.
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
class _Asked:
    """The questions with what is retrieved for them, S_E's answers with it and without, and what may be judged where."""

    examples: Sequence[Example]
    found: Mapping[str, tuple[Item, ...]]
    informed: Mapping[str, Attempt]
    alone: Mapping[str, Attempt]
    judged: Mapping[str, tuple[str, ...]]


def measure(parts: Parts, trained: Trained, count: int, rate: float) -> Measurement:
    """Mask, score, judge and confirm.

    Args:
        parts: see `Parts`.
        trained: see `distil`.
        count: blocks to score for a question, at most.
        rate: false discovery rate of what is selected, in (0, 1).

    Raises:
        ConfigError: the benchmark has no split `valid`.
        DataError: no approved item is retrieved for any of its questions, or none is answered rightly.
    """
    if SPLIT not in parts.task.splits():
        raise ConfigError(f"task {parts.task.name!r} has no split {SPLIT!r}, on which items are judged")
    asked = _ask(parts, trained)
    masked = _score_masks(parts, trained.augmented, asked, count)
    if not masked:
        raise DataError(f"no question of {SPLIT!r} that retrieves an item is answered rightly: nothing to score")
    half = effect.halves(asked.examples, parts.recipe.seed)
    made = list(_contrasts(masked, asked))
    sides = [effect.judge(effect.pooled(pair for pair in made if half[pair[0]] == side)) for side in (0, 1)]
    noise = _noise(masked)
    selected = tuple(effect.harmful(sides[0], rate, noise))
    before, after = _confirm(parts, trained.augmented, asked, [u for u in asked.judged if half[u]], selected)
    worse = sum(a.correct for a in after) < sum(b.correct for b in before)
    proposed = tuple(item for item in selected if not worse and not _spoken_for(sides[1].get(item), noise))
    return Measurement(
        questions=len(asked.examples),
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


def _ask(parts: Parts, trained: Trained) -> _Asked:
    examples = parts.examples(SPLIT)
    knowledge = Knowledge.of(parts, trained.entries)
    found = {one.example: one.items for one in knowledge.retrieved(parts.run, STAGES[0], examples)}
    adapter = trained.augmented

    def answers(stage: str, name: str, items: Mapping[str, tuple[Item, ...]] | None) -> dict[str, Attempt]:
        solver = parts.solver(name, adapter.path, knowledge=None if items is None else lambda e: items[e.uid])
        shown = None if items is None else content_hash([[item.id for item in items[e.uid]] for e in examples])
        depends = {"adapter": adapter.fingerprint, "knowledge": shown}
        return {attempt.example: attempt for attempt in parts.attempts(stage, solver, examples, depends)}

    # What was derived is no item of the base, and stays in every block.
    known = {entry.item_id for entry in trained.entries}
    ids = {uid: tuple(item.id for item in items if item.id in known) for uid, items in found.items()}
    return _Asked(
        examples,
        found,
        answers(STAGES[1], "nesycd", found),
        answers(STAGES[2], "nesycd_no_kb", None),
        effect.pairs(ids, _own(trained.entries)),
    )


def _own(entries: Sequence[Entry]) -> dict[str, frozenset[str]]:
    own: dict[str, set[str]] = {}
    for entry in entries:
        for evidence in entry.evidence:
            own.setdefault(evidence.example, set()).add(entry.item_id)
    return {uid: frozenset(items) for uid, items in own.items()}


@dataclass(frozen=True)
class _Block:
    """One thing to score: a question with a part of its items, and a reference answer."""

    key: str
    example: Example
    reference: str
    items: tuple[Item, ...]


_AGAIN = "again"
"""Ends the key of a whole block that is scored a second time, for the noise."""


def _blocks(parts: Parts, asked: _Asked, count: int) -> Iterator[_Block]:
    for example in asked.examples:
        judged = asked.judged.get(example.uid, ())
        if not judged:
            continue
        for number, text in enumerate(effect.references(asked.informed[example.uid], asked.alone[example.uid])):
            # Items that may not be judged here stay in every block.
            parts_of = effect.masks(judged, count, parts.recipe.seed, example.uid)
            for place, mask in enumerate(parts_of):
                items = tuple(i for i in asked.found[example.uid] if i.id in mask or i.id not in judged)
                yield _Block(f"{example.uid}/{number}/{place}", example, text, items)
            yield _Block(f"{example.uid}/{number}/{_AGAIN}", example, text, asked.found[example.uid])


def _score_masks(parts: Parts, adapter: Artifact, asked: _Asked, count: int) -> Sequence[Masked]:
    blocks = {block.key: block for block in _blocks(parts, asked, count)}
    inputs = {
        "student": parts.student.fingerprint,
        "adapter": adapter.fingerprint,
        "prompts": parts.prompts.fingerprint,
        "blocks": [[b.key, b.example.id, b.reference, [item.id for item in b.items]] for b in blocks.values()],
    }

    def score(keys: Sequence[str]) -> list[Masked]:
        chosen = [blocks[key] for key in keys]
        prompts = [Prompt(b.key, parts.prompts.with_knowledge(b.example, b.items)) for b in chosen]
        found = parts.student.log_likelihoods(prompts, [b.reference for b in chosen], adapter=adapter.path)
        return [
            Masked(
                key=block.key,
                example=block.example.uid,
                reference=block.reference,
                items=tuple(item.id for item in block.items),
                log_likelihood=round(value, 6),
            )
            for block, value in zip(chosen, found, strict=True)
        ]

    def plan() -> list[list[str]]:
        # What is scored again must not meet the same company, or it would meet the same rounding.
        keys = [*(k for k in blocks if not k.endswith(_AGAIN)), *(k for k in blocks if k.endswith(_AGAIN))]
        return [keys[start : start + _BATCH] for start in range(0, len(keys), _BATCH)]

    if not blocks:
        return []
    return parts.run.batches(
        STAGES[3], Masked, inputs, plan=plan, produce=score, key_of=lambda one: one.key, keys=list(blocks)
    )


_BATCH = 256
"""Blocks scored between two writes."""


def _contrasts(masked: Sequence[Masked], asked: _Asked) -> Iterator[tuple[str, dict[str, float]]]:
    """For each question and reference, every judged item's contrast."""
    groups: dict[tuple[str, str], list[Masked]] = {}
    for one in masked:
        if not one.key.endswith(_AGAIN):
            groups.setdefault((one.example, one.reference), []).append(one)
    for (uid, _), group in groups.items():
        yield uid, effect.contrasts([(one.items, one.log_likelihood) for one in group], asked.judged[uid])


def _noise(masked: Sequence[Masked]) -> float:
    by_key = {one.key: one.log_likelihood for one in masked}
    again = [key for key in by_key if key.endswith(_AGAIN)]
    moved = [by_key[key] - by_key[key.removesuffix(_AGAIN) + "0"] for key in again]
    return stdev(moved) if len(moved) > 1 else 0.0


def _confirm(
    parts: Parts, adapter: Artifact, asked: _Asked, uids: Sequence[str], selected: Sequence[str]
) -> tuple[list[Attempt], list[Attempt]]:
    """Answers of one half's questions that show a selected item: with all their items, and without the selected ones."""
    shown = [uid for uid in uids if set(asked.judged[uid]) & set(selected)]
    if not shown:
        return [], []
    by_uid = {example.uid: example for example in asked.examples}
    blocks: dict[str, tuple[Item, ...]] = {}
    for uid in shown:
        drop = set(asked.judged[uid]) & set(selected)
        blocks[f"with/{uid}"] = asked.found[uid]
        blocks[f"without/{uid}"] = tuple(item for item in asked.found[uid] if item.id not in drop)
    examples = [by_uid[key.partition("/")[2]].model_copy(update={"uid": key}) for key in blocks]
    solver = parts.solver("nesycd", adapter.path, knowledge=lambda example: blocks[example.uid])
    depends = {"adapter": adapter.fingerprint, "knowledge": [[i.id for i in items] for items in blocks.values()]}
    made = {attempt.example: attempt for attempt in parts.attempts(STAGES[4], solver, examples, depends)}
    return [made[f"with/{uid}"] for uid in shown], [made[f"without/{uid}"] for uid in shown]
