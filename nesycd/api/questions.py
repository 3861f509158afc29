"""Questions given in Python to `nesycd.distil`: checked, then written to the files that the recipe names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nesycd.core.errors import DataError
from nesycd.core.files import did_you_mean
from nesycd.core.storage import disk_errors, write_atomic
from nesycd.tasks.jsonl import examples_of

SPLITS = ("train", "valid", "test")
WHOLE = "path"
"""The file that is split at random; like `SPLITS`, a setting of the benchmark `jsonl`."""
LEAST = 4
"""Number of different questions that a random split needs: two for training, so that each is answered by a student that was not
trained on it, one for valid, one for test."""


class Questions:
    """Checked questions, by the setting of the benchmark `jsonl` that names their file.

    Args:
        given: see `nesycd.distil`.

    Raises:
        DataError: `questions[3]`, the fourth, is not a question or cannot be written as JSON; or there are too few.
    """

    def __init__(self, given: Iterable[Mapping[str, Any]]) -> None:
        if isinstance(given, str | bytes | Mapping):
            raise DataError(
                f"questions: must be a list of mappings with question and answer, but is {type(given).__name__}"
            )
        rows = [_row(row, f"questions[{number}]") for number, row in enumerate(given)]
        if not rows:
            raise DataError("questions: there are none")
        splits = [row.pop("split", None) for row in rows]
        examples = examples_of(rows, "jsonl", "questions")
        if any(split is not None for split in splits):
            self.rows = _by_split(rows, splits)
        else:
            self.rows = {WHOLE: rows}
            if (different := len({example.group for example in examples})) < LEAST:
                raise DataError(
                    f"questions: {different} different ones are too few: at least {LEAST} are needed, 2 to train on, 1 to "
                    "calibrate the router, 1 to test; or say which is which by split"
                )

    @property
    def rationales(self) -> int:
        """Number of possible training questions with a rationale."""
        return sum("rationale" in row for split, rows in self.rows.items() for row in rows if split in (WHOLE, "train"))

    def files(self, folder: Path) -> dict[str, Path]:
        """The file of each setting, beside the run's folder."""
        ends = {split: f".{split}" for split in SPLITS} | {WHOLE: ""}
        return {key: folder.with_name(f"{folder.name}.questions{ends[key]}.jsonl") for key in self.rows}

    def write(self, folder: Path) -> None:
        """Write `files`.

        Raises:
            RunError: the disk is full, or the folder cannot be written.
        """
        with disk_errors(folder.parent):
            folder.parent.mkdir(parents=True, exist_ok=True)
        for key, path in self.files(folder).items():
            write_atomic(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in self.rows[key]))


def _row(row: Any, where: str) -> dict[str, Any]:
    """A row as JSON values, without missing values."""
    if not isinstance(row, Mapping):
        raise DataError(f"{where}: must be a mapping with question and answer, but is {row!r:.60}")
    try:
        # pandas gives NaN for a missing string.
        there = {key: value for key, value in row.items() if not (isinstance(value, float) and value != value)}
        plain = json.loads(json.dumps(there, ensure_ascii=False, allow_nan=False))
        return {key: value for key, value in plain.items() if value is not None}
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: cannot be written as JSON: {error}") from None


def _by_split(rows: list[dict[str, Any]], splits: list[Any]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for number, (row, split) in enumerate(zip(rows, splits, strict=True)):
        if split is None:
            raise DataError(f"questions[{number}]: has no split, and others have one; give all of them one, or none")
        if split not in SPLITS:
            raise DataError(f"questions[{number}]: there is no split {split!r}{did_you_mean(str(split), SPLITS)}")
        found.setdefault(split, []).append(row)
    for split, least in (("train", 2 if "valid" in found else 3), ("test", 1)):
        if (count := len(found.get(split, ()))) < least:
            raise DataError(f"questions: {count} of split {split!r} are too few: at least {least} are needed")
    return {split: found[split] for split in SPLITS if split in found}
