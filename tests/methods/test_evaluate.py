"""What evaluation scores a split with."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nesycd.core.config import load_recipe
from nesycd.core.records import Entry, Example, Status
from nesycd.methods import evaluate
from nesycd.tasks.longtail import LongTail

LONGTAIL = Path(__file__).parents[2] / "recipes" / "longtail.toml"


def test_missing_facts_that_the_base_has_already_are_not_imported_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice in the base, a fact stood twice in a prompt's context."""
    task = LongTail()
    missing = task.missing_facts("ood_unseen")
    scored: dict[str, list[str]] = {}

    def score(context: Any, methods: Any, knowledge: Any, split: str, *_: object) -> None:
        scored[split] = [entry.item_id for entry in knowledge.entries]

    def examples(split: str) -> list[Example]:
        return task.load(split) if split == "ood_unseen" else []

    monkeypatch.setattr(evaluate, "_score", score)
    monkeypatch.setattr(evaluate, "_tell_other_knowledge", lambda *_: None)
    recipe = load_recipe(LONGTAIL, ['evaluation.splits=["ood_unseen"]'])
    by_person = Entry(item=missing[0], status=Status.APPROVED, reviewer="ada")
    monkeypatch.setattr(evaluate.Knowledge, "of", lambda context, entries: SimpleNamespace(entries=entries))
    steps, known = SimpleNamespace(entries=(by_person,)), SimpleNamespace(entries=(by_person,))
    context: Any = SimpleNamespace(task=task, recipe=recipe, examples=examples, distilled=steps, knowledge=known)
    evaluate.evaluate(context, [])
    assert scored == {
        "ood_unseen": [missing[0].id],
        "ood_unseen_imported": [fact.id for fact in missing],
    }
