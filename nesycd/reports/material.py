"""What a comparison is put together from: methods, the run folders that hold their answers, and what is read there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from nesycd.core.errors import RunError
from nesycd.core.records import Attempt, Example
from nesycd.reports.results import Results, load_results
from nesycd.runs.run import read_records


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
    results: dict[int, Results] = field(default_factory=dict)

    @cached_property
    def kinds(self) -> dict[str, str]:
        """Task -> kind of question, "" where the benchmark does not say."""
        return {task: info.kind for one in self.results.values() for task, info in one.tasks.items()}


def read_material(rows: Sequence[Row], seeds: Sequence[int], splits: Sequence[str]) -> Material:
    """Read answers and questions.

    Raises:
        RunError: a damaged file, or a method that lacks answers.
    """
    made = Material(rows, seeds, splits)
    for row in rows:
        for seed in seeds:
            folder = row.folders[seed]
            for split in splits:
                if (seed, split) not in made.examples:
                    made.examples[seed, split] = {e.uid: e for e in read_records(folder, f"examples-{split}", Example)}
                found = {a.example: a for a in read_records(folder, f"eval-{split}-{row.arm}", Attempt)}
                if missing := made.examples[seed, split].keys() - found.keys():
                    raise RunError(
                        f"{folder}: {row.arm} has no answer to {min(missing)} of {split}; compare again to go on"
                    )
                made.attempts[row.name, seed, split] = found
    first = min(rows, key=lambda row: row.sort == "ablation")
    for seed in seeds:
        made.results[seed] = load_results(first.folders[seed] / "results.json")
    return made
