"""What the page reads from a run folder: results, questions, attempts, what was retrieved, the KB, config and manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from nesycd.core.errors import RunError
from nesycd.core.records import Attempt, Entry, Example, Item, Retrieval
from nesycd.knowledge import KnowledgeBase
from nesycd.reports.results import Results, load_results
from nesycd.runs.run import read_records

DOCUMENTS = ("config.json", "manifest.json")
KNOWLEDGE = "kb.sqlite"
IMPORTED = "_imported"


@dataclass(frozen=True)
class RunFiles:
    """A run as the page shows it. All but `results` may be empty: a page is made of what there is."""

    name: str
    results: Results
    examples: Mapping[str, Sequence[Example]] = field(default_factory=dict)
    """Split -> questions."""
    attempts: Mapping[tuple[str, str], Mapping[str, Attempt]] = field(default_factory=dict)
    """(arm, split) -> `Example.uid` -> attempt."""
    retrievals: Mapping[str, Mapping[str, Retrieval]] = field(default_factory=dict)
    """Split -> `Example.uid` -> what was retrieved."""
    entries: Sequence[Entry] = ()
    documents: Mapping[str, str] = field(default_factory=dict)
    """File name -> text."""

    @cached_property
    def items(self) -> dict[str, Item]:
        """Every item that a prompt may have held, by id: those of the KB, those retrieved, the questions' true facts."""
        retrieved = (item for split in self.retrievals.values() for one in split.values() for item in one.items)
        true = (fact for split in self.examples.values() for one in split if one.truth for fact in one.truth.facts)
        return {item.id: item for group in ((e.item for e in self.entries), retrieved, true) for item in group}


def read_run(folder: Path) -> RunFiles:
    """Read a run folder.

    Raises:
        RunError: no results, or a file that is damaged; the message names it.
        KnowledgeError: a knowledge base that cannot be read.
    """
    results = load_results(folder / "results.json")
    splits = results.splits()
    arms = [(arm, split) for arm, by_split in results.arms.items() for split in by_split]
    base = folder / KNOWLEDGE
    return RunFiles(
        name=folder.resolve().name,
        results=results,
        examples={split: _examples(folder, split) for split in splits},
        attempts={
            (arm, split): {one.example: one for one in read_records(folder, f"eval-{split}-{arm}", Attempt)}
            for arm, split in arms
        },
        retrievals={
            split: {one.example: one for one in read_records(folder, f"retrieve-{split}", Retrieval)}
            for split in splits
        },
        entries=_entries(base) if base.is_file() else (),
        documents={name: _text(folder / name) for name in DOCUMENTS if (folder / name).is_file()},
    )


def _examples(folder: Path, split: str) -> list[Example]:
    # A split that is scored again after facts were imported has the questions of the split it came from.
    return read_records(folder, f"examples-{split.removesuffix(IMPORTED)}", Example)


def _entries(path: Path) -> list[Entry]:
    with KnowledgeBase.open(path, create=False) as base:
        return base.entries()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from None
