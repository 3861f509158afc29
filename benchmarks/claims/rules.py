"""What rules and the graph add to direct facts, by task: derived facts, hops, both, for the same S_E or one trained for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from claims.common import (
    ALL,
    SPECIAL,
    after_steps,
    answers,
    changes,
    contexts_of,
    copied,
    recipe_of,
    scores,
    table_of,
    write,
)
from nesycd.core.answers import Attempt
from nesycd.core.errors import ConfigError, RunError
from nesycd.core.records import Entry, Evidence, Example, Rule, Status
from nesycd.knowledge import KnowledgeBase
from nesycd.methods.context import Context
from nesycd.retrieval import count_recall, holds_answer

SPLITS = ("test", "ood_composed")
VARIANTS = {"direct": (0, False), "hops": (2, False), "rules": (0, True), "both": (2, True)}
"""Name to (hops, whether rules run)."""
MUST_GAIN = ("genealogy", "composed")
BY_HAND = "by hand"


def settings_of(variant: str) -> list[str]:
    """A variant as overrides of a recipe."""
    hops, derive = VARIANTS[variant]
    return [f"retrieval.hops={hops}", f"knowledge.derive={str(derive).lower()}"]


def benchmark_rules(context: Context) -> list[Rule]:
    """The rules with clauses behind the training questions, each once: what a person who knows the tasks would write down."""
    rules = {r.id: r for e in context.examples("train") if e.truth for r in e.truth.rules if r.clause}
    return [*rules.values()]


def as_entries(rules: Sequence[Rule]) -> list[Entry]:
    """Approved entries of rules that somebody adds by hand."""
    evidence = (Evidence(example="", source=BY_HAND),)
    return [Entry(item=rule, status=Status.APPROVED, reviewer=BY_HAND, evidence=evidence) for rule in rules]


def lacking(entries: Sequence[Entry], examples: Sequence[Example]) -> dict[str, dict[str, Any]]:
    """Of each task that must gain: how many of its rules with clauses the base has, and why nothing can follow from them."""
    have = {entry.item.text for entry in entries if isinstance(entry.item, Rule) and entry.item.clause}
    told: dict[str, dict[str, Any]] = {}
    for task in MUST_GAIN:
        rules = {r.text: r for e in examples if e.task == task and e.truth for r in e.truth.rules if r.clause}
        present = [rule for text, rule in rules.items() if text in have]
        asking = [rule for rule in rules.values() if rule.clause and "given(" in rule.clause]
        why = ""
        if rules and len(asking) == len(rules):
            why = "its rules ask for numbers of the question (given), from which nothing is derived by design"
        elif not present:
            why = "no rule with a clause was proposed for it: a teacher that finds a missing fact proposes facts alone"
        told[task] = {"rules": len(rules), "in_base": len(present), "lacking": why}
    return told


def measure(
    source: Path, work: Path, overrides: Sequence[str], console: Console, by_hand: bool, retrain: bool
) -> dict[str, Any]:
    """Answer test and `ood_composed` under each variant.

    Args:
        source, work, overrides, console: see `copied`.
        by_hand: add the benchmark's own rules (of the training families) to the base, as a person would.
        retrain: train an S_E for each variant, in a copy of its own, besides asking the run's.

    Raises:
        ConfigError: the overrides set what the variants are about.
    """
    if any(override.strip().startswith(("retrieval.hops", "knowledge.derive")) for override in overrides):
        raise ConfigError("--set: retrieval.hops and knowledge.derive are what is compared; leave them out")
    recipe = recipe_of(source, overrides)
    content: dict[str, Any] = {"schema": "claim-rules/1", "run": source.name, "by_hand": by_hand}
    with copied(source, work, recipe, console) as begun:
        context = after_steps(begun)
        added = as_entries(benchmark_rules(context)) if by_hand else []
        have = {entry.item_id for entry in context.distilled.entries}
        entries = (*context.distilled.entries, *(entry for entry in added if entry.item_id not in have))
        examples = {split: context.examples(split) for split in SPLITS}
        content["rules"] = lacking(entries, [e for some in examples.values() for e in some])
        same: dict[str, dict[str, Sequence[Attempt]]] = {}
        content["contexts"] = {}
        for split, questions in examples.items():
            contexts = {}
            for variant in VARIANTS:
                other = replace(context, recipe=recipe_of(source, [*overrides, *settings_of(variant)]))
                contexts[variant] = contexts_of(other, f"claims-retrieve-{split}-{variant}", entries, questions)
            ids = {entry.item_id for entry in entries}
            content["contexts"][split] = {name: _told(questions, found, ids) for name, found in contexts.items()}
            bases = dict.fromkeys(contexts, entries)
            same[split] = dict(answers(context, f"claims-rules-{split}", questions, contexts, bases))
        content["same_student"] = _figures(context, examples, same, console, "the same S_E")
    for task, told in content["rules"].items():
        why = f": {told['lacking']}" if told["lacking"] else ""
        console.print(f"{task}: {told['in_base']} of {told['rules']} rules with clauses in the base{why}", markup=False)
    for split, by_variant in content["contexts"].items():
        for task in MUST_GAIN:
            derived = {name: told["derived"].get(task, 0) for name, told in by_variant.items()}
            if any(derived.values()):
                console.print(f"{split}, {task}: questions with a derived fact in the context: {derived}", markup=False)
    if retrain:
        content["retrained"] = _retrained(source, work, overrides, console, by_hand)
    write(work / "rules.json", content, console)
    return content


def _retrained(
    source: Path, work: Path, overrides: Sequence[str], console: Console, by_hand: bool
) -> dict[str, dict[str, Any]]:
    made: dict[str, dict[str, Sequence[Attempt]]] = {split: {} for split in SPLITS}
    for variant in VARIANTS:
        recipe = recipe_of(source, [*overrides, *settings_of(variant)])
        with copied(source, work.with_name(f"{work.name}-{variant}"), recipe, console) as begun:
            if not begun.run.kb_path.is_file():
                raise RunError(f"{source}: its knowledge base is gone; run the recipe again")
            if by_hand:
                with KnowledgeBase.open(begun.run.kb_path) as kb:
                    kb.add_entries(as_entries(benchmark_rules(begun)))
            context = after_steps(begun)
            examples = {split: context.examples(split) for split in SPLITS}
            for split, questions in examples.items():
                contexts = contexts_of(context, f"claims-retrieve-{split}", context.distilled.entries, questions)
                bases = {variant: context.distilled.entries}
                made[split] |= answers(context, f"claims-rules-{split}", questions, {variant: contexts}, bases)
    return _figures(context, examples, made, console, "an S_E trained for each")


def _told(examples: Sequence[Example], contexts: Mapping[str, Any], ids: set[str]) -> dict[str, Any]:
    """Recall, share of contexts with the answer, and by task the questions whose context has a derived fact."""
    derived: dict[str, int] = {}
    for example in examples:
        if any(item.id not in ids for item in contexts[example.uid]):
            derived[example.task] = derived.get(example.task, 0) + 1
    return {
        "recall": count_recall(examples, [contexts[e.uid] for e in examples]).share,
        "answer_in_context": sum(holds_answer(e, contexts[e.uid]) for e in examples) / max(1, len(examples)),
        "derived": derived,
    }


def _figures(
    context: Context,
    examples: Mapping[str, Sequence[Example]],
    made: Mapping[str, Mapping[str, Sequence[Attempt]]],
    console: Console,
    who: str,
) -> dict[str, dict[str, Any]]:
    content: dict[str, dict[str, Any]] = {}
    for split, by_variant in made.items():
        questions, base = examples[split], by_variant["direct"]
        content[split] = {
            name: {
                "accuracy": scores(context, questions, attempts, by_task=True),
                "difference": None if name == "direct" else changes(context, questions, attempts, base, by_task=True),
            }
            for name, attempts in by_variant.items()
        }
        rows = {name: (told["accuracy"], told["difference"]) for name, told in content[split].items()}
        found = [*content[split]["direct"]["accuracy"]]
        columns = [name for name in (*MUST_GAIN, SPECIAL, ALL) if name in found]
        console.print(table_of(f"{split}, {who}: accuracy % and difference to direct facts", rows, columns))
    return content
