"""A teacher that lies: what of its lies is found by contradiction, by measured effect and by a reviewer, and what that is worth.

The gate (`knowledge.gate`) is off, since it keeps lies out before. The reviewer is simulated: it looks at the first N items of a
queue and rejects exactly the lies among them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from claims.common import (
    ALL,
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
from claims.prune import without
from nesycd.core.errors import ConfigError
from nesycd.core.protocols import FactSource, KnowsTruth
from nesycd.core.records import Entry, Fact
from nesycd.knowledge import entities_at, normal_triple
from nesycd.knowledge.lint import Finding, lint
from nesycd.measure import effect as effects
from nesycd.teachers.noisy import NoisyTeacher

LOOKED_AT = (10, 20, 50, 100)
"""How many items the reviewer looks at."""


def lies_in(entries: Sequence[Entry], truth: FactSource) -> set[str]:
    """Ids of the facts that are not among the benchmark's true ones."""
    found = set()
    for entry in entries:
        if isinstance(entry.item, Fact):
            true = {normal_triple(fact) for fact in truth.facts_about(entry.item.subject)}
            if normal_triple(entry.item) not in true:
                found.add(entry.item_id)
    return found


def contradicted(findings: Sequence[Finding]) -> tuple[set[str], set[str]]:
    """Ids that a contradiction names, and of these the ones that have less evidence than another of their finding."""
    named: set[str] = set()
    weaker: set[str] = set()
    for finding in findings:
        if "contradiction" in finding.kind:
            most = max(len(entry.evidence) for entry in finding.entries)
            named |= {entry.item_id for entry in finding.entries}
            weaker |= {entry.item_id for entry in finding.entries if len(entry.evidence) < most}
    return named, weaker


def queues(entries: Sequence[Entry], findings: Sequence[Finding]) -> dict[str, list[str]]:
    """Ids in the order in which people meet them: as `kb list` shows them, and what `kb lint` names before the rest."""
    listed = [entry.item_id for entry in entries]
    named = [entry.item_id for finding in findings for entry in finding.entries]
    return {"list": listed, "lint first": [*dict.fromkeys([*named, *listed])]}


def caught(found: Collection[str], lies: Collection[str]) -> dict[str, int]:
    """How many lies, and how many other items, a way of finding them names."""
    return {"lies": len(set(found) & set(lies)), "others": len(set(found) - set(lies))}


def measure(
    source: Path,
    work: Path,
    overrides: Sequence[str],
    console: Console,
    share: float,
    always: bool,
    effect: bool,
) -> dict[str, Any]:
    """Go through the run again with a lying teacher, look for the lies, and take the test with and without what was found.

    Rationales are true, so S_P and the folds' students are those of the run; only S_E is trained anew, with the lies.

    Args:
        source, work, overrides, console: see `copied`.
        share: of the facts, or of the times that one is proposed, in [0, 1].
        always: whether a fact is always or never lied about; else each time anew, so that truth and lie can meet.
        effect: measure effects too.

    Raises:
        ConfigError: the benchmark does not know its truth, or the base is reviewed by people.
    """
    with copied(source, work, recipe_of(source, ["knowledge.gate=[]", *overrides]), console) as opened:
        truth = opened.task
        if not isinstance(truth, KnowsTruth) or not isinstance(truth, FactSource):
            raise ConfigError(f"task.name: {truth.name!r} does not know its truth; lies are measured on longtail")
        if opened.recipe.knowledge.review != "auto":
            raise ConfigError("knowledge.review: lies are measured where nobody has reviewed the base (auto)")
        teacher = NoisyTeacher(opened.teacher, truth, share, opened.recipe.seed, always)
        opened.run.describe(teacher=teacher.fingerprint)
        context = after_steps(replace(opened, teacher=teacher))
        examples = context.examples("test")
        entries, lies = context.distilled.entries, lies_in(context.distilled.entries, truth)
        findings = lint(entries, entities_at(context.run.kb_path))
        named, weaker = contradicted(findings)
        found: dict[str, set[str]] = {"contradiction, less evidence": weaker}
        told = {"contradiction, named": caught(named, lies), "contradiction, less evidence": caught(weaker, lies)}
        if effect:
            measured = effects.measure(context, 8, 0.1)
            found["effect, proposed"] = set(measured.proposed)
            told |= {"effect, selected": caught(measured.selected, lies)}
            told |= {"effect, proposed": caught(measured.proposed, lies)}
        for order, queue in queues(entries, findings).items():
            for count in LOOKED_AT:
                name = f"reviewer (simulated), {order}, {count} items"
                found[name] = set(queue[:count]) & lies
                told[name] = caught(found[name], lies)
        kept = {"as taught": entries}
        kept |= {name: without(entries, gone) for name, gone in found.items()}
        kept["without any lie"] = without(entries, lies)
        contexts = {
            name: read_of(context, f"claims-retrieve-{place}", some, examples)
            for place, (name, some) in enumerate(kept.items())
        }
        made = answers(context, "claims-lying", examples, contexts, kept)
        before = made["as taught"]
        content = {
            "schema": "claim-lying/1",
            "run": source.name,
            "share": share,
            "always": always,
            "items": len(entries),
            "facts": sum(isinstance(entry.item, Fact) for entry in entries),
            "lies": len(lies),
            "caught": told,
            "accuracy": {name: scores(context, examples, attempts) for name, attempts in made.items()},
            "difference": {name: changes(context, examples, made[name], before) for name in [*kept][1:]},
        }
    console.print(caught_table(content))
    rows = {name: (one, content["difference"].get(name)) for name, one in content["accuracy"].items()}
    columns = [name for name in (SPECIAL, ALL) if name in content["accuracy"]["as taught"]]
    console.print(
        table_of("Without what was found; test, accuracy % and difference to the base as taught", rows, columns)
    )
    write(work / "lying.json", content, console)
    return content


def caught_table(content: dict[str, Any]) -> Table:
    """How many of the lies each way finds."""
    how = "always the same" if content["always"] else "each time anew"
    title = f"{content['lies']} lies among {content['facts']} facts (a share of {content['share']:g}, {how})"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", padding=(0, 1, 0, 0))
    for heading in ("found by", "lies", "%", "others"):
        table.add_column(heading, justify="left" if heading == "found by" else "right")
    for name, one in content["caught"].items():
        share = f"{100 * one['lies'] / content['lies']:.0f}" if content["lies"] else "–"
        table.add_row(name, str(one["lies"]), share, str(one["others"]))
    return table
