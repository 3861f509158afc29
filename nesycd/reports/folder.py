"""What reports read from run folders: a run as its page shows it, and the answers that a comparison is put together from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from nesycd.core.errors import RunError
from nesycd.core.records import Attempt, Entry, Example, Item, Retrieval
from nesycd.knowledge import KnowledgeBase
from nesycd.reports.results import Results, load_results
from nesycd.runs.run import read_records

DOCUMENTS = ("config.json", "manifest.json")
IMPORTED = "_imported"

ByQuestion = TypeVar("ByQuestion", Attempt, Retrieval)


@dataclass(frozen=True)
class RunFiles:
    """A run as the page shows it. All but `results` may be empty: a page is made of what there is."""

    name: str
    results: Results
    examples: Mapping[str, Mapping[str, Example]] = field(default_factory=dict)
    """Split -> `Example.uid` -> question."""
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
        questions = (one for split in self.examples.values() for one in split.values())
        true = (fact for one in questions if one.truth for fact in one.truth.facts)
        return {item.id: item for group in ((e.item for e in self.entries), retrieved, true) for item in group}


@dataclass(frozen=True)
class Row:
    """A method as the comparison reads it: seed -> the run folder that holds its answers, and their name there."""

    name: str
    sort: str
    about: str
    folders: Mapping[int, Path]
    arm: str


@dataclass
class Material:
    """What is read from the folders of a comparison."""

    rows: Sequence[Row]
    seeds: Sequence[int]
    splits: Sequence[str]
    attempts: dict[tuple[str, int, str], dict[str, Attempt]] = field(default_factory=dict)
    """(method, seed, split) -> `Example.uid` -> attempt."""
    examples: dict[tuple[int, str], dict[str, Example]] = field(default_factory=dict)
    """(seed, split) -> `Example.uid` -> question."""
    results: dict[int, Results] = field(default_factory=dict)

    @cached_property
    def kinds(self) -> dict[str, str]:
        """Task -> kind of question, "" where the benchmark does not say."""
        return {task: info.kind for one in self.results.values() for task, info in one.tasks.items()}

    def one_seed(self, seed: int) -> RunFiles:
        """The answers of one seed as a run, its methods as arms."""
        places = [(row.name, split) for row in self.rows for split in self.splits]
        return RunFiles(
            name="",
            results=self.results[seed],
            examples={split: self.examples[seed, split] for split in self.splits},
            attempts={(name, split): self.attempts[name, seed, split] for name, split in places},
        )


def read_run(folder: Path) -> RunFiles:
    """Read a run folder.

    Raises:
        RunError: no results, or a file that is damaged; the message names it.
        KnowledgeError: a knowledge base that cannot be read.
    """
    results = load_results(folder / "results.json")
    splits = results.splits()
    arms = [(arm, split) for arm, by_split in results.arms.items() for split in by_split]
    base = folder / "kb.sqlite"
    return RunFiles(
        name=folder.resolve().name,
        results=results,
        examples={split: _examples(folder, split) for split in splits},
        attempts={(arm, split): _by_question(folder, f"eval-{split}-{arm}", Attempt) for arm, split in arms},
        retrievals={split: _by_question(folder, f"retrieve-{split}", Retrieval) for split in splits},
        entries=_entries(base) if base.is_file() else (),
        documents={name: _text(folder / name) for name in DOCUMENTS if (folder / name).is_file()},
    )


def read_material(rows: Sequence[Row], seeds: Sequence[int], splits: Sequence[str]) -> Material:
    """Read answers and questions of a comparison.

    Raises:
        RunError: a damaged file, or a method that lacks answers.
    """
    made = Material(rows, seeds, splits)
    for row in rows:
        for seed in seeds:
            folder = row.folders[seed]
            for split in splits:
                if (seed, split) not in made.examples:
                    made.examples[seed, split] = _examples(folder, split)
                found = _by_question(folder, f"eval-{split}-{row.arm}", Attempt)
                if missing := made.examples[seed, split].keys() - found.keys():
                    raise RunError(
                        f"{folder}: {row.arm} has no answer to {min(missing)} of {split}; compare again to go on"
                    )
                made.attempts[row.name, seed, split] = found
    first = min(rows, key=lambda row: row.sort == "ablation")
    for seed in seeds:
        made.results[seed] = load_results(first.folders[seed] / "results.json")
    return made


def _examples(folder: Path, split: str) -> dict[str, Example]:
    # A split that is scored again after facts were imported has the questions of the split it came from.
    return {one.uid: one for one in read_records(folder, f"examples-{split.removesuffix(IMPORTED)}", Example)}


def _by_question(folder: Path, stage: str, record_type: type[ByQuestion]) -> dict[str, ByQuestion]:
    return {one.example: one for one in read_records(folder, stage, record_type)}


def _entries(path: Path) -> list[Entry]:
    with KnowledgeBase.open(path, create=False) as base:
        return base.entries()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from None
