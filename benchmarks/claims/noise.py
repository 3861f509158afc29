"""Who still answers where retrieval brings more than is needed? Contexts of the test are filled up with what BM25 finds besides.

Asked are all students of a run that were trained with the knowledge base: NesyCD's, and those of KARD and RAFT, with look-ups and
without, where the run is a comparison's. Who looks facts up does so here too, beside the context.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from claims.common import (
    ALL,
    SPECIAL,
    Contexts,
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
from nesycd.core.records import Entry, Example, Item
from nesycd.methods.context import Context
from nesycd.methods.knowledge import Knowledge
from nesycd.methods.table import MAIN, METHODS, checkpoint_of
from nesycd.runs.artifacts import open_artifact
from nesycd.runs.stage import Artifact, read_states

READERS = tuple(
    name
    for name, method in METHODS.items()
    if method.role == "rival" and (method.student, method.source, method.prompt) == (name, "kb", "question")
)
"""Rivals that are trained to read the knowledge base and to write a rationale (kard_kb, raft_kb, kard_calls, raft_calls)."""
AS_FOUND = "as found"


def readers(context: Context) -> dict[str, Artifact]:
    """The students to ask: NesyCD's, and those rivals that lie finished in the run's folder."""
    found, states = {MAIN: context.distilled.augmented}, read_states(context.run.folder)
    for name in READERS:
        state = states.get(stage := checkpoint_of(name, states))
        if state is not None and state["done"]:
            found[name] = open_artifact(context.run.folder, stage)
    return found


def nearest(context: Context, entries: Sequence[Entry], examples: Sequence[Example], count: int) -> Contexts:
    """The items that BM25 ranks first for each question, needed or not."""
    recipe = context.recipe
    ranking = {
        "kind": "fused",
        "sources": ("lexical",),
        "min_coverage": 0.0,
        "max_items": count,
        "budget_tokens": 10_000,
    }
    settings = recipe.retrieval.model_copy(update=ranking)
    known = Knowledge.of(replace(context, recipe=recipe.model_copy(update={"retrieval": settings})), entries)
    return {e.uid: [hit.item for hit in known.retriever.retrieve(known.query(e), task=e.task)] for e in examples}


def filled(real: Contexts, near: Contexts, size: int, seed: int) -> Contexts:
    """Each context with the nearest other items at random places, up to `size` items."""
    made = {}
    for uid, items in real.items():
        rng, shown = random.Random(f"noise-{seed}-{uid}"), list(items)
        known = {item.id for item in items}
        for item in [one for one in near[uid] if one.id not in known][: max(0, size - len(items))]:
            shown.insert(rng.randint(0, len(shown)), item)
        made[uid] = shown
    return made


def measure(
    source: Path, work: Path, overrides: Sequence[str], console: Console, sizes: Sequence[int]
) -> dict[str, Any]:
    """Take the test with contexts as they are found and filled up to each of `sizes`, by each student that reads."""
    with copied(source, work, recipe_of(source, overrides), console) as begun:
        context = after_steps(begun)
        examples = context.examples("test")
        real = contexts_of(context, "claims-retrieve", context.distilled.entries, examples)
        near = nearest(context, context.distilled.entries, examples, max(sizes))
        contexts: dict[str, Mapping[str, Sequence[Item]]] = {AS_FOUND: real}
        contexts |= {f"{size} items": filled(real, near, size, context.recipe.seed) for size in sizes}
        made = {
            name: answers(
                context,
                f"claims-noise-{name}",
                examples,
                contexts,
                dict.fromkeys(contexts, context.distilled.entries),
                student=None if name == MAIN else student,
                calls=None if name == MAIN else bool(METHODS[name].calls),
            )
            for name, student in readers(context).items()
        }
        told = {name: {shown: scores(context, examples, a) for shown, a in by.items()} for name, by in made.items()}
        lost = {
            name: {shown: changes(context, examples, a, by[AS_FOUND]) for shown, a in by.items() if shown != AS_FOUND}
            for name, by in made.items()
        }
        ahead = {
            name: {shown: changes(context, examples, made[MAIN][shown], a) for shown, a in by.items()}
            for name, by in made.items()
            if name != MAIN
        }
        content = {
            "schema": "claim-noise/1",
            "run": source.name,
            "questions": len(examples),
            "items_each": {
                shown: sum(len(each[e.uid]) for e in examples) / max(1, len(examples))
                for shown, each in contexts.items()
            },
            "accuracy": told,
            "change": lost,
            "nesycd_minus": ahead,
        }
    for name, by in told.items():
        rows = {shown: (score, lost[name].get(shown)) for shown, score in by.items()}
        columns = [group for group in (SPECIAL, ALL) if group in by[AS_FOUND]]
        console.print(table_of(f"{name}: test, accuracy % and paired difference to contexts as found", rows, columns))
    for name, gaps in ahead.items():
        told_gaps = ", ".join(f"{shown} {100 * gap[ALL]['value']:+.1f}" for shown, gap in gaps.items())
        console.print(f"{MAIN} - {name}, points: {told_gaps}")
    write(work / "noise.json", content, console)
    return content
