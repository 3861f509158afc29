"""A finished run as it lies in its folder: recipe, results, answers, questions, stages. Needs neither student nor base."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import UnionType
from typing import Any

from nesycd.api.build import data_root
from nesycd.core.config import Recipe
from nesycd.core.errors import ConfigError, RunError
from nesycd.core.markup import tag
from nesycd.core.notebook import Listing, grid, shown
from nesycd.core.paths import locate_data
from nesycd.core.records import Example
from nesycd.methods import table
from nesycd.reports import load_results
from nesycd.reports.figures import percent
from nesycd.reports.plots import Plot, Point
from nesycd.reports.results import Results
from nesycd.runs.manifest import read_manifest, read_recipe
from nesycd.runs.predictions import read_attempts
from nesycd.runs.run import read_records
from nesycd.runs.stage import read_states

_EXAMPLES = "examples-"


@dataclass(frozen=True)
class StageInfo:
    """A stage of a run: whether it is done, its seconds of work, and its metadata."""

    name: str
    done: bool
    seconds: float
    metadata: dict[str, Any]


class StoredRun:
    """What a finished run's folder tells."""

    def __init__(self, folder: str | Path) -> None:
        """See `open_run`."""
        folder = Path(folder)
        if not (folder / "results.json").is_file():
            raise RunError(f"{folder}: not a finished run (no results.json); finish it by: nesycd run RECIPE")
        if (read_manifest(folder) or {}).get("finished") is None:
            raise RunError(f"{folder}: begun again since it was finished; finish it by: nesycd run RECIPE")
        self.folder = folder

    def __repr__(self) -> str:
        """Folder, student, and the accuracy of NesyCD and its baseline on test."""
        found = {
            row["method"]: row["accuracy"] for row in self.results if (row["split"], row["kind"]) == ("test", "all")
        }
        shares = {name: found.get(name) for name in (table.MAIN, table.BASELINE)}
        told = ", ".join(f"{name} {percent(share)}" for name, share in shares.items() if share is not None)
        return f"<run {self.folder}: student {self.recipe.student.model}{f'; on test {told}' if told else ''}>"

    def _repr_html_(self) -> str:
        """For notebooks: the accuracies of all methods."""
        found = {(row["method"], f"{row['split']}: {row['kind']}"): row["accuracy"] for row in self.results}
        methods, places = (list(dict.fromkeys(key[side] for key in found)) for side in (0, 1))
        rows = [[method, *(percent(found.get((method, place))) for place in places)] for method in methods]
        head = tag("p", f"Run {self.folder}, student {self.recipe.student.model}: accuracy")
        return shown(head, grid(["method", *places], rows))

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe that was run, with the paths of its data files resolved.

        Raises:
            RunError: a recipe that this version cannot read.
        """
        return locate_data(read_recipe(self.folder), data_root())

    @cached_property
    def summary(self) -> Results:
        """All of `results.json` (see `docs/results.md`).

        Raises:
            RunError: it is damaged, or does not say how the run's router was set.
        """
        found = load_results(self.folder / "results.json")
        kinds: dict[str, type | UnionType] = {"mode": str, "closed_book": str, "threshold": int | float}
        if wrong := [key for key, kind in kinds.items() if not isinstance(found.router.get(key), kind)]:
            path = self.folder / "results.json"
            raise RunError(
                f"{path}: router.{wrong[0]} is missing or wrong; run the recipe again to have the file written anew"
            )
        return found

    @property
    def results(self) -> list[dict[str, Any]]:
        """A row for each method, split and kind of question, as input for `pandas.DataFrame`.

        `kind` is `all`, or `special` and `general` where the benchmark distinguishes them. `accuracy` is in [0, 1], as are `low`
        and `high`, its 95 % interval; None where `n` is 0.
        """
        rows: list[dict[str, Any]] = Listing()
        for method, by_split in self.summary.methods.items():
            for split, found in by_split.items():
                for kind, part in {"all": found, **found.by_kind}.items():
                    scores = {key: getattr(part, key) for key in ("n", "correct", "accuracy", "low", "high")}
                    rows.append({"method": method, "split": split, "kind": kind, **scores})
        return rows

    def plot(self, split: str = "test", kind: str = "all") -> Plot:
        """The methods' accuracies on a split, with their 95 % intervals, as notebooks draw them; see `results`.

        Raises:
            ConfigError: nothing was scored on this split and kind of question.
        """
        rows = [row for row in self.results if (row["split"], row["kind"]) == (split, kind) and row["n"]]
        if not rows:
            known = dict.fromkeys(f"{row['split']} ({row['kind']})" for row in self.results)
            raise ConfigError(
                f"plot: no method was scored on {split} ({kind}), only on {', '.join(known) or 'nothing'}"
            )
        points = {}
        for row in rows:
            value, low, high = (row[key] for key in ("accuracy", "low", "high"))
            between = f" ({100 * low:.0f}–{100 * high:.0f})" if low is not None and high is not None else ""
            points[row["method"]] = Point(value, low, high, f"{100 * value:.1f}{between}")
        return Plot(f"Accuracy on {split}, {kind} questions", points)

    def answers(self, method: str, split: str = "test") -> list[dict[str, Any]]:
        """A row for each question of a split as a method answered it: gold answer, response, verdict, knowledge, tokens,
        and what else the data says of it (`metadata`).

        Raises:
            RunError: the method did not answer this split.
        """
        examples = self.examples(split)
        made = read_attempts(self.folder, f"eval-{split}-{method}")
        if not made:
            raise RunError(f"{self.folder}: {method} has no answers to {split}")
        rows: list[dict[str, Any]] = Listing()
        for one in made:
            asked, told = examples[one.example], one.model_dump()
            shown = {"method": told.pop("solver"), "question": asked.question, "task": asked.task, "gold": asked.answer}
            rows.append({**shown, **told, "metadata": asked.metadata})
        return rows

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """The splits whose questions the run holds, some of which may have none."""
        found = (self.folder / "stages").glob(f"{_EXAMPLES}*.jsonl")
        return tuple(sorted(path.name.removeprefix(_EXAMPLES).removesuffix(".jsonl") for path in found))

    def examples(self, split: str) -> Mapping[str, Example]:
        """The questions of a split by `Example.uid`, in order; none where the run has no such split.

        Raises:
            RunError: a damaged file.
        """
        if split not in self._examples:
            read = read_records(self.folder, f"{_EXAMPLES}{split}", Example)
            self._examples[split] = {one.uid: one for one in read}
        return self._examples[split]

    @cached_property
    def _examples(self) -> dict[str, dict[str, Example]]:
        return {}

    @property
    def report(self) -> Path:
        """Path of the HTML report."""
        return self.folder / "report.html"

    @property
    def stages(self) -> list[StageInfo]:
        """The run's stages, in the order in which they were started."""
        return Listing(
            StageInfo(name, bool(state["done"]), float(state["seconds"]), dict(state["metadata"]))
            for name, state in read_states(self.folder).items()
        )
