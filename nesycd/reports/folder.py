"""What reports read from run folders: a run as its page shows it, and the answers that a comparison is put together from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from nesycd.core.answers import Attempt
from nesycd.core.errors import RunError
from nesycd.core.records import Entry, Example, Item, Retrieval, Status
from nesycd.knowledge import KnowledgeBase
from nesycd.knowledge.queue import waiting
from nesycd.methods.method import Method
from nesycd.methods.table import METHODS
from nesycd.reports.results import Results, load_results
from nesycd.reports.supervision import sources_of, supervision
from nesycd.runs.folders import COMPARISON
from nesycd.runs.predictions import FILE, Predictions, read_attempts
from nesycd.runs.run import read_records

DOCUMENTS = ("config.json", "manifest.json")
IMPORTED = "_imported"


@dataclass(frozen=True)
class RunFiles:
    """A run as the page shows it. All but `results` may be empty: a page is made of what there is."""

    name: str
    results: Results
    examples: Mapping[str, Mapping[str, Example]] = field(default_factory=dict)
    """Split -> `Example.uid` -> question."""
    attempts: Mapping[tuple[str, str], Mapping[str, Attempt]] = field(default_factory=dict)
    """(method, split) -> `Example.uid` -> attempt."""
    retrievals: Mapping[str, Mapping[str, Retrieval]] = field(default_factory=dict)
    """Split -> `Example.uid` -> what was retrieved."""
    entries: Sequence[Entry] = ()
    waiting: int = 0
    """How many items of the base wait for a decision (`knowledge/queue.py`)."""
    documents: Mapping[str, str] = field(default_factory=dict)
    """File name -> text."""
    folder: Path = Path()
    """As it was named; for commands that are shown."""

    @property
    def called(self) -> str:
        """What commands call the run: its name where it lies in `runs`, else its folder."""
        return self.name if self.folder == Path("runs") / self.name else str(self.folder)

    def elsewhere(self) -> RunFiles:
        """The same for a page that may be read anywhere: its commands name the run, and no folder of this machine."""
        return replace(self, folder=Path("runs") / self.name)

    @cached_property
    def entry_ids(self) -> frozenset[str]:
        """Ids of the items that the base holds."""
        return frozenset(entry.item_id for entry in self.entries)

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

    method: Method
    folders: Mapping[int, Path]
    stored: str

    @property
    def name(self) -> str:
        """The method's."""
        return self.method.name


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
    supervision: dict[str, str] = field(default_factory=dict)
    """Method -> what it was trained on and is told, by the first seed (`reports.supervision`)."""
    bases: dict[tuple[str, int], dict[str, int]] = field(default_factory=dict)
    """(method, seed) -> approved items of the base that the method used, by kind; only methods that use one."""

    @cached_property
    def kinds(self) -> dict[str, str]:
        """Task -> kind of question, "" where the benchmark does not say."""
        return {task: info.kind for one in self.results.values() for task, info in one.tasks.items()}

    def one_seed(self, seed: int) -> RunFiles:
        """The answers of one seed of a comparison as a run."""
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
    methods = [(method, split) for method, by_split in results.methods.items() for split in by_split]
    base, predictions = folder / "kb.sqlite", Predictions(folder / FILE)
    entries, queued = _entries(base) if base.is_file() else ([], 0)
    return RunFiles(
        name=_name(folder),
        results=results,
        examples={split: _examples(folder, split) for split in splits},
        attempts={(method, split): _attempts(folder, split, method, predictions) for method, split in methods},
        retrievals={
            split: {one.example: one for one in read_records(folder, f"retrieve-{split}", Retrieval)}
            for split in splits
        },
        entries=entries,
        waiting=queued,
        documents={name: _text(folder / name) for name in DOCUMENTS if (folder / name).is_file()},
        folder=folder,
    )


def read_material(rows: Sequence[Row], seeds: Sequence[int], splits: Sequence[str]) -> Material:
    """Read answers and questions of a comparison.

    Raises:
        RunError: a damaged file, a method that lacks answers, or one whose knowledge base is empty.
    """
    made = Material(rows, seeds, splits)
    bases: dict[Path, dict[str, int]] = {}
    read: dict[Path, Predictions] = {}
    for row in rows:
        for seed in seeds:
            folder = row.folders[seed]
            if row.method.uses_base:
                bases[folder] = bases.get(folder) or read_base(folder, row.name)
                made.bases[row.name, seed] = bases[folder]
            predictions = read.setdefault(folder, Predictions(folder / FILE))
            for split in splits:
                if (seed, split) not in made.examples:
                    made.examples[seed, split] = _examples(folder, split)
                found = _attempts(folder, split, row.stored, predictions)
                if missing := made.examples[seed, split].keys() - found.keys():
                    raise RunError(
                        f"{folder}: {row.stored} has no answer to {min(missing)} of {split}; compare again to go on"
                    )
                made.attempts[row.name, seed, split] = found
    told = {folder: sources_of(folder, METHODS) for folder in {row.folders[seeds[0]] for row in rows}}
    made.supervision = {row.name: supervision(row.method, told[row.folders[seeds[0]]]) for row in rows}
    first = min(rows, key=lambda row: row.method.beside)
    for seed in seeds:
        made.results[seed] = load_results(first.folders[seed] / "results.json")
    return made


def read_base(folder: Path, method: str) -> dict[str, int]:
    """How many approved items of each kind a run's knowledge base holds.

    Raises:
        RunError: none: `method` cannot be compared by it.
        KnowledgeError: the base is not there, or cannot be read.
    """
    with KnowledgeBase.open(folder / "kb.sqlite", create=False) as base:
        entries = base.entries(status=Status.APPROVED)
    if not entries:
        raise RunError(
            f"{folder / 'kb.sqlite'}: no approved items, so {method} has no knowledge to be compared by; approve some (nesycd kb "
            f"approve) and compare again, or leave {method} out"
        )
    return dict(sorted(Counter(entry.item.kind for entry in entries).items()))


def _examples(folder: Path, split: str) -> dict[str, Example]:
    # A split that is scored again after facts were imported has the questions of the split it came from.
    return {one.uid: one for one in read_records(folder, f"examples-{split.removesuffix(IMPORTED)}", Example)}


def _attempts(folder: Path, split: str, method: str, predictions: Predictions) -> dict[str, Attempt]:
    return {one.example: one for one in read_attempts(folder, f"eval-{split}-{method}", predictions)}


def _entries(path: Path) -> tuple[list[Entry], int]:
    """The entries of a base, and how many wait for a decision."""
    with KnowledgeBase.open(path, create=False) as base:
        return base.entries(), len(waiting(base))


def _name(folder: Path) -> str:
    """Of a run: its folder's; of a comparison's run with that of the comparison, as `find_run` takes it."""
    place = folder.resolve()
    return f"{place.parent.name}/{place.name}" if (place.parent / COMPARISON).is_file() else place.name


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from None
