"""In place of step 3: a reviewed knowledge base (`knowledge.base`) becomes the run's, without what leaks under its splits.

The run's base is a copy. What leaks is hidden in it (retired, with the reason) rather than the base refused: which questions are
held out differs from seed to seed, and an item that came from one of them is fair under other seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nesycd.core.errors import KnowledgeError
from nesycd.core.judgements import Refusal
from nesycd.core.records import Entry, Evidence, Example, Item
from nesycd.knowledge import AUTO, KnowledgeBase, LeakFilter, filters
from nesycd.knowledge.reviewed import Reviewed, copy_base, read_reviewed
from nesycd.methods.context import Context
from nesycd.prompts import question_text
from nesycd.stages import diagnose

HIDDEN_BY = "leak filter"
"""The reviewer of what is hidden."""


def held_out(context: Context) -> list[Example]:
    """All questions outside the training split: used only to refuse leaking items, never to choose items."""
    return [one for split in context.task.splits() if split != "train" for one in context.examples(split)]


def read_of(outside: Sequence[Example]) -> list[list[str]]:
    """All of held-out questions that the filters read."""
    return [[example.uid, example.split, question_text(example)] for example in outside]


@dataclass(frozen=True)
class Taken:
    """A reviewed base under the splits of a run."""

    context: Context
    train: Sequence[Example]
    base: Reviewed

    @classmethod
    def of(cls, context: Context, train: Sequence[Example], path: Path) -> Taken:
        """The base at a path.

        Raises:
            KnowledgeError: there is no base, or nothing in it is approved.
        """
        return cls(context, train, read_reviewed(path))

    @cached_property
    def proposed(self) -> list[tuple[Item, Evidence]]:
        """Its items with their evidence; questions of other benchmarks count as none, and say nothing of this one's."""
        known = {one.uid for one in (*self.train, *held_out(self.context))}
        return [
            (entry.item, one if one.example in known else one.model_copy(update={"example": ""}))
            for entry in self.base.entries
            for one in entry.evidence or (Evidence(example="", source=self.base.path.name),)
        ]

    @cached_property
    def refused(self) -> Sequence[Refusal]:
        """What leaks, with the reasons: a stage of the run."""
        outside = held_out(self.context)

        def check() -> list[Refusal]:
            leaks = LeakFilter(self.train, outside).leaks(self.proposed)
            return [
                Refusal(item=item, evidence=evidence, filter="leak", reason=leak.reason, question=leak.question)
                for (item, evidence), leak in zip(self.proposed, leaks, strict=True)
                if leak
            ]

        inputs = {
            "base": self.base,
            "examples": self.train,
            "held_out": read_of(outside),
            "algorithm": filters.ALGORITHM,
        }
        return self.context.run.computed("refused", Refusal, inputs, check)

    @cached_property
    def hidden(self) -> dict[str, str]:
        """The items that are hidden, by id, with the reason: nothing that speaks for them is fair under these splits."""
        fair = {item.id for item, _ in diagnose.without(self.proposed, self.refused)}
        return {one.item.id: one.reason for one in self.refused if one.item.id not in fair}

    @property
    def inputs(self) -> dict[str, Any]:
        """All that the run's base depends on."""
        settings = self.context.recipe.knowledge
        limits = {"kinds": sorted(settings.kinds), "max_items": settings.max_items, "seed": self.context.recipe.seed}
        return {"base": self.base, "refused": self.refused, **limits}

    def build(self) -> dict[str, Any]:
        """Make the run's base; the one before stays beside it where it has what the reviewed base never had."""
        settings, run = self.context.recipe.knowledge, self.context.run
        clean = diagnose.without(self.proposed, self.refused)
        fit = [pair for pair in clean if pair[0].kind in settings.kinds]
        kept = {item.id for item, _ in diagnose.limited(fit, settings.max_items, self.context.recipe.seed)}
        others = [
            one.item_id for one in self.base.entries if one.item_id not in kept and one.item_id not in self.hidden
        ]
        fresh = run.kb_path.with_name("kb.new.sqlite")
        fresh.unlink(missing_ok=True)
        with KnowledgeBase.open(copy_base(self.base.path, fresh), is_backed_up=True) as kb:
            for item, reason in self.hidden.items():
                kb.retire(item, HIDDEN_BY, reason)
            for item in others:
                kb.retire(item, AUTO, "left out by knowledge.kinds or knowledge.max_items")
            made = {"proposals": len(self.base.entries), **kb.stats()}
        if self.hidden:
            item, reason = next(iter(self.hidden.items()))
            run.notify(
                f"{self.base.path}: {len(self.hidden)} of {len(self.base.entries)} approved items leak under these splits and "
                f"are hidden, such as {item[:8]}, which {reason} (all: nesycd kb refused --run {run.folder})"
            )
        return made

    def has_all_of(self, path: Path) -> bool:
        """Whether the reviewed base knows each entry of another base, now or formerly."""
        with KnowledgeBase.open(path, create=False) as old, KnowledgeBase.open(self.base.path, create=False) as kb:
            for entry in old.entries():
                try:
                    kb.get(entry.item_id)
                except KnowledgeError:
                    return False
        return True

    def localised(self, entries: Sequence[Entry]) -> list[Entry]:
        """Entries with the evidence by which they leak here: of what `proposed` knows, what is fair alone where there is such."""
        known = {one.uid for one in (*self.train, *held_out(self.context))}
        own = {"", *(one.uid for one in self.train)}
        found = []
        for entry in entries:
            here = tuple(one for one in entry.evidence if not one.example or one.example in known)
            fair = tuple(one for one in here if one.example in own)
            found.append(entry.model_copy(update={"evidence": fair or here}))
        return found
