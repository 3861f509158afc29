"""What truth maintenance and effect pruning leave of a base, and whether answers are as good without the rest."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from claims.common import (
    ALL,
    SPECIAL,
    after_steps,
    answers,
    changes,
    copied,
    not_worse,
    read_of,
    recipe_of,
    scores,
    table_of,
    write,
)
from nesycd.api.measuring import measure_effect
from nesycd.core.errors import RunError
from nesycd.core.records import Entry
from nesycd.knowledge import entities_at, knowledge_version
from nesycd.knowledge.lint import lint

MARGIN = 0.01
"""By how much answers may be worse, as a fraction."""


def by_lint(entries: Sequence[Entry], path: Path) -> dict[str, str]:
    """Ids of the entries that the findings of lint make needless, with the sort of finding.

    Of two that say nearly the same the one with less evidence goes (of equals the longer one), of a subsumed pair the one that
    says less; what is ill-formed goes. Contradictions are left to people.
    """
    gone: dict[str, str] = {}
    for finding in lint(entries, entities_at(path)):
        if finding.kind == "near-duplicate":
            kept = min(finding.entries, key=lambda e: (-len(e.evidence), len(e.item.text), e.item_id))
            gone |= {e.item_id: finding.kind for e in finding.entries if e is not kept and kept.item_id not in gone}
        elif finding.kind == "subsumed" or finding.kind == "ill-formed":
            gone.setdefault(finding.entries[0].item_id, finding.kind)
    return gone


def by_effect(path: Path, entries: Sequence[Entry]) -> list[str]:
    """Ids that `effect.json` proposes to retire.

    Raises:
        RunError: it cannot be read, or was measured on other knowledge.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version, proposed = content["knowledge"], list(content["proposed"])
    except (OSError, ValueError, KeyError, TypeError):
        raise RunError(f"{path}: cannot be read; measure anew by: nesycd kb effect RECIPE") from None
    if version != knowledge_version(entry.item_id for entry in entries):
        raise RunError(f"{path}: measured on other knowledge; measure anew by: nesycd kb effect RECIPE")
    return proposed


def without(entries: Sequence[Entry], gone: Collection[str]) -> tuple[Entry, ...]:
    """The entries that stay."""
    return tuple(entry for entry in entries if entry.item_id not in gone)


def measure(source: Path, work: Path, overrides: Sequence[str], console: Console, effect: bool) -> dict[str, Any]:
    """Take the test with all items and without those that maintenance and effect name, by the same S_E.

    With `effect`, effects are measured first where the run has no `effect.json`.
    """
    recipe = recipe_of(source, overrides)
    with copied(source, work, recipe, console):
        pass
    if effect and not (work / "effect.json").is_file():
        measure_effect(recipe, work, console)
    with copied(source, work, recipe, console) as begun:
        context = after_steps(begun)
        examples = context.examples("test")
        linted = by_lint(context.distilled.entries, context.run.kb_path)
        path = work / "effect.json"
        harmful = by_effect(path, context.distilled.entries) if path.is_file() else []
        kept = {
            "all items": context.distilled.entries,
            "without lint's": without(context.distilled.entries, linted),
            "without lint's and effect's": without(context.distilled.entries, {*linted, *harmful}),
        }
        contexts = {
            name: read_of(context, f"claims-retrieve-{place}", entries, examples)
            for place, (name, entries) in enumerate(kept.items())
        }
        made = answers(context, "claims-prune", examples, contexts, kept)
        before = made["all items"]
        told = {name: scores(context, examples, attempts) for name, attempts in made.items()}
        change = {name: changes(context, examples, made[name], before) for name in [*kept][1:]}
        content = {
            "schema": "claim-prune/1",
            "run": source.name,
            "questions": len(examples),
            "items": {name: len(entries) for name, entries in kept.items()},
            "by_lint": dict(Counter(linted.values())),
            "by_effect": len(harmful) if path.is_file() else None,
            "gone": sorted({*linted, *harmful}),
            "accuracy": told,
            "difference": change,
            "margin": MARGIN,
            "not_inferior": {
                name: {kind: not_worse(one, MARGIN) for kind, one in by_kind.items()}
                for name, by_kind in change.items()
            },
        }
    rows = {f"{name} ({content['items'][name]})": (told[name], change.get(name)) for name in kept}
    columns = [name for name in (SPECIAL, ALL) if name in told["all items"]]
    console.print(
        table_of("Base before and after maintenance; test, accuracy % and difference to all items", rows, columns)
    )
    for name, verdict in content["not_inferior"].items():
        said = ", ".join(f"{kind} {'yes' if good else 'not shown'}" for kind, good in verdict.items())
        console.print(f"{name}: not inferior by more than {100 * MARGIN:.0f} point: {said}", markup=False)
    write(work / "prune.json", content, console)
    return content
