"""Is what is deleted from the base gone? S_E answers the questions that need it, and so does a student that never saw it.

The second student is trained as S_E was, for as many tokens, without the training questions that need one of the deleted facts
and with the base that is left.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from claims.common import (
    SPECIAL,
    after_steps,
    answers,
    changes,
    copied,
    read_of,
    recipe_of,
    scores,
    table_of,
    write,
)
from nesycd.core.answers import Attempt
from nesycd.core.errors import DataError
from nesycd.core.records import Entry, Example
from nesycd.knowledge import normal_triple
from nesycd.measure.edits import needed_and_found
from nesycd.methods import mixing
from nesycd.methods.context import Context
from nesycd.methods.knowledge import Knowledge
from nesycd.runs.stage import Artifact
from nesycd.stages import augment

TARGET = 0.02
"""How much oftener than by the student that never saw the facts an answer may still be right, as a fraction."""
Triples = frozenset[tuple[str, str, str]]


def needs(example: Example, facts: Triples) -> bool:
    """Whether a question needs one of these facts."""
    return example.truth is not None and any(normal_triple(fact) in facts for fact in example.truth.facts)


def drawn(entries: Sequence[Entry], examples: Sequence[Example], count: int, seed: int) -> Triples:
    """Facts of the base that a question needs, at most `count`; the same for the same arguments.

    Raises:
        DataError: no question needs a fact of the base.
    """
    items = tuple(entry.item for entry in entries)
    found = needed_and_found(examples, {example.uid: items for example in examples})
    if not found:
        raise DataError("no approved fact of the base is needed by a test question, so none can be deleted")
    chosen = random.Random(f"deletions-{seed}").sample(sorted(found), min(count, len(found)))
    return frozenset(normal_triple(found[one][0]) for one in chosen)


def never_saw(context: Context, facts: Triples, left: Sequence[Entry]) -> Artifact:
    """A student trained as S_E, without the questions that need one of the facts, and with the base that is left."""
    steps, recipe = context.distilled, context.recipe
    train = [example for example in context.train if not needs(example, facts)]
    kept = {example.uid: steps.kept[example.uid] for example in train if example.uid in steps.kept}
    known, own = Knowledge.of(context, left), augment.own_entries(left)
    seen = augment.visible_knowledge(augment.retrieve_hidden(train, own, known.retriever, known.query), own)
    looked = mixing.looked_up(context, kept, known, "claims-annotate") if recipe.augmented.looks_up else None
    texts = augment.augmented_texts(
        train, kept, seen, left, context.prompts, mixing.mix_of(recipe), recipe.seed, looked
    )
    tokens: int = steps.summary["completion_tokens"]["nesycd"]
    rate = recipe.augmented.learning_rate
    return context.fine_tune("claims-never-saw", texts, learning_rate=rate, completion_token_budget=tokens)


def measure(source: Path, work: Path, overrides: Sequence[str], console: Console, count: int) -> dict[str, Any]:
    """Ask the test questions that need one of `count` facts with the run's base and without these facts."""
    with copied(source, work, recipe_of(source, overrides), console) as begun:
        context = after_steps(begun)
        entries = context.distilled.entries
        facts = drawn(entries, context.examples("test"), count, context.recipe.seed)
        left = tuple(e for e in entries if e.item.kind != "fact" or normal_triple(e.item) not in facts)
        examples = [example for example in context.examples("test") if needs(example, facts)]
        contexts = {
            "before": read_of(context, "claims-retrieve-before", entries, examples),
            "deleted": read_of(context, "claims-retrieve-deleted", left, examples),
        }
        bases = {"before": entries, "deleted": left}
        made = answers(context, "claims-deletions", examples, contexts, bases)
        made |= answers(
            context,
            "claims-deletions-never-saw",
            examples,
            {"never saw them": contexts["deleted"]},
            {"never saw them": left},
            student=never_saw(context, facts, left),
        )
        told = {name: scores(context, examples, attempts) for name, attempts in made.items()}
        change = changes(context, examples, made["deleted"], made["never saw them"])
        content = {
            "schema": "claim-deletions/1",
            "run": source.name,
            "deleted": len(facts),
            "questions": len(examples),
            "accuracy": told,
            "difference": change,
            "refusals": {name: _refusals(attempts) for name, attempts in made.items()},
            "target": TARGET,
            "within_target": {name: one["value"] <= TARGET for name, one in change.items()},
        }
    title = f"{len(facts)} facts deleted, {len(examples)} questions that need them; right, %"
    console.print(table_of(title, {name: (score, None) for name, score in told.items()}, [SPECIAL]))
    gap = change[SPECIAL]
    console.print(
        f"deleted - never saw them: {100 * gap['value']:+.1f} points "
        f"({100 * gap['low']:+.1f} to {100 * gap['high']:+.1f}); without an answer: "
        + ", ".join(f"{name} {n['without_answer']}" for name, n in content["refusals"].items())
    )
    write(work / "deletions.json", content, console)
    return content


def _refusals(attempts: Sequence[Attempt]) -> dict[str, int]:
    """How many answers tell of a look-up that found nothing, and how many have no answer."""
    return {
        "not_found": sum(any(call.name == "look_up" and not call.items for call in a.calls) for a in attempts),
        "without_answer": sum(not attempt.answer for attempt in attempts),
    }
