"""The gate between proposal and approval, as stages of a run: facts (`stages.gate`), rules with clauses (`stages.rule_gate`), and
lessons with rules in words (`stages.lesson_gate`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nesycd.core.judgements import Judgement, LessonJudgement
from nesycd.core.records import Entry, Evidence, Example, Fact, Item, Rationale, Rule, Status
from nesycd.knowledge import KnowledgeBase, item_key, unite
from nesycd.knowledge.merge import tidy
from nesycd.knowledge.priority import PROVEN, UNPROVEN
from nesycd.knowledge.queue import enqueue
from nesycd.methods.context import Context
from nesycd.methods.judge_lessons import judged_lessons
from nesycd.stages import gate, lesson_gate, rule_gate

if TYPE_CHECKING:
    from nesycd.methods.build_kb import Collected

Proposals = Sequence[tuple[Item, Evidence]]
ACTOR = "gate"
"""Who queues what is not proven."""


@dataclass(frozen=True)
class Gated:
    """What the gate found of the proposed items, by `item_key`; an item that is not here was not judged."""

    found: Mapping[str, Judgement | LessonJudgement]
    kinds: Mapping[str, str]

    @property
    def unproven(self) -> frozenset[str]:
        """Keys of the items that are not to be approved by themselves."""
        return frozenset(key for key, one in self.found.items() if one.verdict != "passed")

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """By kind, how many items were `judged`, and how many of them `passed`."""
        judged = Counter(self.kinds[key] for key in self.found)
        passed = Counter(self.kinds[key] for key, one in self.found.items() if one.verdict == "passed")
        return {kind: {"judged": count, "passed": passed[kind]} for kind, count in sorted(judged.items())}

    def queue(self, kb: KnowledgeBase) -> None:
        """Queue what waits for review in a base: what is not proven, and what is proven where a person is to decide on it."""
        reasons = {}
        for entry in kb.entries(status=Status.PROPOSED):
            if (one := self.found.get(item_key(entry.item))) is not None:
                what = PROVEN if one.verdict == "passed" else UNPROVEN
                reasons[entry.item_id] = [f"{what}: {one.told}"]
        if reasons:
            enqueue(kb, reasons, ACTOR, "what the gate found")


def gated(
    context: Context,
    train: Sequence[Example],
    rationales: Sequence[Rationale],
    kept: Mapping[str, Rationale],
    collected: Collected,
    proposals: Proposals,
) -> Gated:
    """Judge the proposed items of the kinds of `knowledge.gate`.

    What a file or a document states is vouched for by that, and is not judged.
    """
    settings = context.recipe.knowledge
    # What is asked of a cluster is meant for other questions, so it is tried on some.
    kinds = {*settings.gate, *["lesson"] * settings.induction}
    asked = {example.uid for example in train}
    united = _entries(proposals)
    entries = {key: one for key, one in united.items() if {piece.example for piece in one.evidence} <= asked}
    given = [one for key, one in united.items() if key not in entries]
    facts = [one for one in entries.values() if isinstance(one.item, Fact)]
    rules = [one for one in entries.values() if isinstance(one.item, Rule) and one.item.clause]
    judged: dict[str, Judgement] = {}
    if "fact" in kinds and facts:
        judged = {one.item: one for one in _facts(context, train, rationales, facts)}
    if "rule" in kinds and rules:
        derived = {one.item: one for one in _rules(context, train, kept, collected, [*rules, *facts], given)}
        judged |= {item: _both(one, derived[item]) for item, one in judged.items() if item in derived}
        judged |= {rule.item_id: derived[rule.item_id] for rule in rules}
    found: list[Judgement | LessonJudgement] = [*judged.values()]
    if "lesson" in kinds:
        words = [pair for pair in proposals if item_key(pair[0]) in entries and lesson_gate.is_judged(pair[0])]
        found += judged_lessons(context, train, kept, collected, words)
    keys = {item.id: item_key(item) for item, _ in proposals} | {one.item_id: key for key, one in entries.items()}
    by_key = {keys[one.item]: one for one in found}
    made = Gated(by_key, {key: entries[key].item.kind for key in by_key})
    if made.unproven:
        context.run.notify(
            f"gate: {len(made.unproven)} of {len(by_key)} proposed items are not proven and stay proposed, first in the queue "
            f"(nesycd kb queue --kb {context.run.kb_path})"
        )
    return made


def _entries(proposals: Proposals) -> dict[str, Entry]:
    """The proposed items as the base would unite them, by `item_key`."""
    found: dict[str, Entry] = {}
    for item, evidence in proposals:
        key, entry = item_key(item), Entry(item=tidy(item), evidence=(evidence,))
        found[key] = unite(found[key], entry) if key in found else entry
    return found


def _facts(
    context: Context, train: Sequence[Example], rationales: Sequence[Rationale], facts: Sequence[Entry]
) -> Sequence[Judgement]:
    inputs = {"proposed": facts, "examples": train, "rationales": rationales, "algorithm": gate.ALGORITHM}
    return context.run.computed("gate-facts", Judgement, inputs, lambda: gate.judge_facts(facts, train, rationales))


def _both(stated: Judgement, derived: Judgement) -> Judgement:
    """The verdict on a fact from what rationales state and from derivations, which count more."""
    told, figures = f"{derived.told}; {stated.told}", {**stated.figures, **derived.figures}
    return derived.model_copy(update={"told": told, "figures": figures})


def _rules(
    context: Context,
    train: Sequence[Example],
    kept: Mapping[str, Rationale],
    collected: Collected,
    proposed: Sequence[Entry],
    others: Sequence[Entry],
) -> Sequence[Judgement]:
    folds = {attempt.example: attempt.solver for attempt in collected.attempts}
    if len(set(folds.values())) < 2:  # in-sample: each question is a fold of its own
        folds = {}
    inputs = {
        "proposed": proposed,
        "others": others,
        "examples": train,
        "rationales": [kept[example.uid] for example in train if example.uid in kept],
        "folds": folds,
        "algorithm": rule_gate.ALGORITHM,
    }

    def judge() -> list[Judgement]:
        return rule_gate.judge_rules(proposed, others, train, kept, folds, context.task.grade, context.engine)

    return context.run.computed("gate-rules", Judgement, inputs, judge)
