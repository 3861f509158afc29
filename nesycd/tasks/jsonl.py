"""A user's own questions: one JSON object a line with `question` and `answer`, and optional keys (`KEYS`).

`answer` of a question with `options` is a letter ("B", "(B)"; a letter comes first, even where it is the text of another
option) or the text of exactly one option. Either one file, split here by `ratios`, or a file for each split.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from nesycd import grading
from nesycd.core.errors import DataError
from nesycd.core.files import did_you_mean, file_hash, question_key, read_jsonl
from nesycd.core.records import Example, content_hash
from nesycd.tasks.base import StoredTask, hold_out, in_split, is_missing, split_by_group, unlettered

KEYS = ("question", "answer", "id", "options", "rationale", "task")


class JsonlSettings(BaseModel):
    """Your own questions: either `path` alone, or `train` and `test`, with or without `valid`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
    path: Path | None = None
    """One file with all questions, split by `ratios`."""
    train: Path | None = None
    """The training questions."""
    valid: Path | None = None
    """The questions that thresholds are calibrated on; not given: a seeded tenth of `train`."""
    test: Path | None = None
    """The test questions."""
    ratios: tuple[float, float, float] = (0.7, 0.1, 0.2)
    """Shares of train, valid and test; any positive numbers, scaled to add up to 1."""
    seed: int = 0
    """Draws the splits; not given: the recipe's `seed`."""
    name: str = Field(default="jsonl", min_length=1)
    """The name of these questions in results, and the beginning of their tasks' names."""

    @model_validator(mode="after")
    def _one_way(self) -> JsonlSettings:
        parts = self.train is not None and self.test is not None
        one_file = self.path is not None and not (self.train or self.valid or self.test)
        if not one_file and (self.path is not None or not parts):
            raise ValueError("give either path (one file, split by ratios) or train and test (valid is optional)")
        if min(self.ratios) <= 0:
            raise ValueError("ratios must be three positive numbers: train, valid, test")
        return self


class Jsonl(StoredTask):
    """The benchmark in a user's files.

    Questions without `id` are named by a hash of their text, with `-2`, `-3`, ... for repeats. Equal texts form a
    group and stay on one side of a split made here; equal texts in two given files are named by `warnings()`.

    Raises:
        DataError: a bad line (with file and line), an id used twice (with both), or an empty set.
    """

    def __init__(self, settings: JsonlSettings) -> None:
        reader = _Reader(settings.name)
        given = ((part, getattr(settings, part)) for part in ("path", "train", "valid", "test"))
        # Hashed before they are read: a file that is edited meanwhile counts as edited at the next run.
        fingerprint = content_hash({part: file_hash(path) for part, path in given if path is not None})
        if settings.path is not None:
            total = sum(settings.ratios)
            shares = {n: r / total for n, r in zip(("train", "valid", "test"), settings.ratios, strict=True)}
            splits = split_by_group(list(reader.read(settings.path, "train")), shares, settings.seed)
        else:
            files = {"train": settings.train, "valid": settings.valid, "test": settings.test}
            splits = {name: list(reader.read(path, name)) for name, path in files.items() if path is not None}
            if settings.valid is None:
                count = max(1, len(splits["train"]) // 10)
                train, held = hold_out(splits["train"], count, settings.seed)
                splits = {"train": train, "valid": in_split("valid", held), "test": splits["test"]}
        super().__init__(settings.name, splits, fingerprint=fingerprint)


def read_questions(path: Path, name: str) -> list[Example]:
    """All questions of one file, not split; `name` is their task.

    Raises:
        DataError: see `Jsonl`.
    """
    return list(_Reader(name).read(path, "test"))


def examples_of(rows: Iterable[Mapping[str, Any]], name: str, where: str) -> list[Example]:
    """Questions given as mappings rather than in a file; errors begin with `where[NUMBER]`.

    Raises:
        DataError: see `Jsonl`.
    """
    reader = _Reader(name)
    return [reader.example(dict(row), f"{where}[{number}]", "train") for number, row in enumerate(rows)]


class _Reader:
    """Turns lines into examples; remembers ids over all files of one benchmark."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: dict[str, str] = {}
        self.repeats: Counter[str] = Counter()

    def read(self, path: Path, split: str) -> Iterator[Example]:
        empty = True
        for where, row in read_jsonl(path):
            empty = False
            yield self.example(row, where, split)
        if empty:
            raise DataError(f"{path}: no questions in this file")

    def example(self, row: dict[str, Any], where: str, split: str) -> Example:
        for key in row:
            if key not in KEYS:
                raise DataError(f"{where}: unknown key {key!r}{did_you_mean(key, KEYS)}")
        question = _text(row, "question", where)
        options = _options(row, where)
        task = f"{self.name}/{_text(row, 'task', where)}" if row.get("task") is not None else self.name
        group = question_key(task, question, options)
        rationale = row.get("rationale")
        return Example(
            uid=self.uid(row, group, where),
            task=task,
            question=question,
            answer=_answer(row, options, where),
            options=options,
            rationale=None if rationale is None else _text(row, "rationale", where),
            split=split,
            group=group,
        )

    def uid(self, row: dict[str, Any], group: str, where: str) -> str:
        if row.get("id") is not None:
            if isinstance(row["id"], bool) or not isinstance(row["id"], str | int) or row["id"] == "":
                raise DataError(f"{where}: id must be a text or a whole number, but is {row['id']!r}")
            uid = str(row["id"])
        else:
            self.repeats[group] += 1
            uid = f"{self.name}-{group}" + (f"-{self.repeats[group]}" if self.repeats[group] > 1 else "")
        if uid in self.seen:
            raise DataError(f"{where}: id {uid!r} was already used at {self.seen[uid]}; ids must be unique")
        self.seen[uid] = where
        return uid


def _text(row: dict[str, Any], key: str, where: str) -> str:
    if key not in row:
        raise DataError(f"{where}: key {key!r} is missing")
    if not isinstance(row[key], str) or not row[key].strip():
        raise DataError(f"{where}: {key} must be a text that is not empty, but is {row[key]!r}")
    return str(row[key]).strip()


def _options(row: dict[str, Any], where: str) -> tuple[str, ...]:
    options = row.get("options")
    if options is None:
        return ()
    if not isinstance(options, list) or not all(isinstance(option, str) and option.strip() for option in options):
        raise DataError(f"{where}: options must be a list of texts")
    if not 2 <= len(options) <= 26:
        raise DataError(f"{where}: {len(options)} options, but 2 to 26 are possible (leave the key out if open)")
    return unlettered(options)


def _answer(row: dict[str, Any], options: tuple[str, ...], where: str) -> str:
    value = row.get("answer")
    if is_missing(value):
        raise DataError(f"{where}: answer is missing: {value} stands in its place")
    if isinstance(value, int | float):  # true and false as well
        value = str(value)
    answer = _text({**row, "answer": value} if "answer" in row else row, "answer", where)
    if not options:
        return answer
    letter = grading.gold_letter(answer, options)
    if not letter:
        raise DataError(f"{where}: answer {answer!r} names none or more than one of the {len(options)} options")
    return letter
