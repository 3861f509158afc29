"""A user's own questions: rows with `question` and `answer`, and optional keys (`columns.KEYS`).

Any file that `core.row_files` reads will do. `answer` of a question with `options` is a letter ("B", "(B)"; it comes first, even
where it is the text of another option) or the text of exactly one option; a list: all are accepted. Either one file, split by
its column `split` or else by `ratios`, or a file for each split. `columns` has the rules by which a row's columns are found.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from nesycd import grading
from nesycd.core.errors import DataError
from nesycd.core.files import did_you_mean, question_key
from nesycd.core.records import Example, content_hash
from nesycd.core.row_files import Dialect, Faults, RowFile, rows_hash
from nesycd.tasks.base import StoredTask, hold_out, in_split, is_missing, split_by_group, unlettered
from nesycd.tasks.columns import KEYS, METADATA, SEVERAL, Columns

SPLITS = {"train": "train", "valid": "valid", "validation": "valid", "val": "valid", "dev": "valid", "test": "test"}
"""What a row's `split` may say, and which split it is here."""
_LONG = 200
"""Characters above which an answer is more likely a whole response than what is to be compared."""


class JsonlSettings(BaseModel):
    """Your own questions: either `path` alone, or `train` and `test`, with or without `valid`. Files are JSONL, JSON, CSV, TSV
    (`.gz` too), Parquet, or folders that `datasets` saved."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
    path: Path | None = None
    """One file with all questions, split by its column `split` (train, valid, test) where it has one, else by `ratios`."""
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
    columns: dict[str, str | tuple[str, ...]] = {}
    """Which columns (keys) of the files hold `question`, `answer`, `id`, `options`, `rationale`, `task` and `split`, where they
    have other names, as `{question = ["instruction", "input"], answer = "output"}`. Several are joined, or all accepted as
    answers, or the options in order; one column as both `answer` and `rationale` is a text that ends in its answer. `metadata`:
    which of the others are kept; not given: all."""
    encoding: str = ""
    """How text files are encoded, such as `windows-1252`; not given: UTF-8, or UTF-16 where the first bytes show it."""
    separator: str = Field(default="", max_length=1)
    """What separates the cells of CSV files; not given: what the header shows."""

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str) -> str:
        try:
            "a".encode(encoding or "utf-8")
        except LookupError:
            raise ValueError(
                f"no encoding is called {encoding!r}; such are utf-8, windows-1252, latin-1, utf-16"
            ) from None
        return encoding

    @field_validator("columns")
    @classmethod
    def _named(cls, columns: dict[str, str | tuple[str, ...]]) -> dict[str, str | tuple[str, ...]]:
        for key, names in columns.items():
            if key not in (*KEYS, METADATA):
                raise ValueError(f"there is no {key!r}{did_you_mean(key, (*KEYS, METADATA))}")
            if not isinstance(names, str) and key not in SEVERAL:
                raise ValueError(f"{key} is one column, not a list")
        return columns

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

    Attributes:
        understood: how each file was read, a sentence each.

    Raises:
        DataError: bad rows (all, with file and line), such as an id used twice (with both places); or an empty set.
    """

    def __init__(self, settings: JsonlSettings) -> None:
        given = {
            part: path for part in ("path", "train", "valid", "test") if (path := getattr(settings, part)) is not None
        }
        # Hashed before they are read: a file that is edited meanwhile counts as edited at the next run.
        fingerprint = content_hash({part: rows_hash(path) for part, path in given.items()})
        reader = _Reader(settings.name, settings.columns, Dialect(settings.encoding, settings.separator))
        read = {part: reader.read(path, "" if part == "path" else part) for part, path in given.items()}
        reader.faults.tell()
        if settings.path is None:
            splits = _with_valid(read, settings.seed)
        elif reader.has_split:
            by_name = {name: [one for one in read["path"] if one.split == name] for name in ("train", "valid", "test")}
            splits = _with_valid(
                {name: by_name[name] for name in by_name if by_name[name] or name != "valid"}, settings.seed
            )
        else:
            total = sum(settings.ratios)
            shares = {n: r / total for n, r in zip(("train", "valid", "test"), settings.ratios, strict=True)}
            splits = split_by_group(read["path"], shares, settings.seed)
        self.understood = tuple(reader.understood)
        super().__init__(settings.name, splits, reader.notes(), fingerprint=fingerprint)


def _with_valid(splits: Mapping[str, list[Example]], seed: int) -> dict[str, list[Example]]:
    """The splits, and a seeded tenth of train as `valid` where there is none."""
    if "valid" in splits:
        return {name: splits[name] for name in ("train", "valid", "test")}
    train, held = hold_out(splits["train"], max(1, len(splits["train"]) // 10), seed)
    return {"train": train, "valid": in_split("valid", held), "test": splits["test"]}


def read_questions(path: Path, name: str) -> list[Example]:
    """All questions of one file, not split; `name` is their task.

    Raises:
        DataError: see `Jsonl`.
    """
    reader = _Reader(name)
    found = reader.read(path, "")
    reader.faults.tell()
    return in_split("test", found)


def examples_of(rows: Iterable[Mapping[str, Any]], name: str, where: str) -> list[Example]:
    """Questions given as mappings rather than in a file; errors begin with `where[NUMBER]`.

    Raises:
        DataError: see `Jsonl`.
    """
    reader = _Reader(name)
    found = list(
        reader.examples(((f"{where}[{number}]", dict(row)) for number, row in enumerate(rows)), Columns({}), "train")
    )
    reader.faults.tell()
    return found


class _Reader:
    """Turns rows into examples; remembers ids, and what is wrong, over all files of one benchmark.

    Attributes:
        faults: the rows that cannot be used; `tell` is left to the caller.
        has_split: whether rows say which split they are of.
        understood: how each file was read.
    """

    def __init__(
        self, name: str, columns: Mapping[str, str | Sequence[str]] | None = None, dialect: Dialect | None = None
    ) -> None:
        self.name = name
        self.faults = Faults()
        self.has_split = False
        self.understood: list[str] = []
        self._columns, self._dialect = columns or {}, dialect
        self._seen: dict[str, str] = {}
        self._repeats: Counter[str] = Counter()
        self._long: list[str] = []
        self._void: list[str] = []

    def read(self, path: Path, split: str) -> list[Example]:
        """The questions of a file; `split`: which it is, "": its rows may say."""
        file, columns = RowFile(path, self.faults, self._dialect), Columns(self._columns)
        bad = self.faults.bad
        found = list(self.examples(file, columns, split))
        columns.check(path)
        if not found and self.faults.bad == bad:
            raise DataError(f"{path}: no questions in this file")
        if not split and self.has_split and (without := [one.uid for one in found if not one.split]):
            raise DataError(
                f"{path}: {len(without)} of {len(found)} questions have no split, such as {without[0]}; give all of them one, "
                "or none"
            )
        self.understood.append("; ".join(filter(None, [f"{path}: {file}, {len(found)} questions", str(columns)])))
        return found

    def examples(self, rows: Iterable[tuple[str, dict[str, Any]]], columns: Columns, split: str) -> Iterator[Example]:
        """The rows that can be used; the others are added to the faults."""
        for where, row in rows:
            with self.faults.of_row():
                yield self._example(columns.read(row, where), where, split)

    def notes(self) -> list[str]:
        """Cautions, one sentence each."""
        notes = []
        if self._long:
            notes.append(
                f"{len(self._long)} answer(s) are long or a whole working, such as at {self._long[0]}: an answer is compared "
                "as a whole; if it stands at the text's end, name the column as both columns.rationale and columns.answer"
            )
        if self._void:
            notes.append(
                f"{len(self._void)} answer(s) are the text 'nan' or 'null', such as at {self._void[0]}: are they missing?"
            )
        return notes

    def _example(self, row: dict[str, Any], where: str, split: str) -> Example:
        question = _text(row, "question", where)
        options = _options(row, where)
        task = f"{self.name}/{_text(row, 'task', where)}" if row.get("task") is not None else self.name
        group = question_key(task, question, options)
        rationale = None if row.get("rationale") is None else _text(row, "rationale", where)
        answers = _answers(row, options, where)
        said = self._split(row, split, where)
        if len(answers[0]) > _LONG or "####" in answers[0]:
            self._long.append(where)
        if answers[0].lower() in ("nan", "null"):
            self._void.append(where)
        return Example(
            uid=self._uid(row, group, where),
            task=task,
            question=question,
            answer=answers[0],
            options=options,
            accepted=answers[1:],
            rationale=rationale,
            split=said,
            group=group,
            metadata=row[METADATA],
        )

    def _split(self, row: dict[str, Any], split: str, where: str) -> str:
        if row.get("split") is None:
            return split
        said = _text(row, "split", where).lower()
        if said not in SPLITS:
            raise DataError(
                f"{where}: there is no split {said!r}{did_you_mean(said, SPLITS)}; a column of another meaning is named in "
                "columns.metadata"
            )
        self.has_split = True
        if split not in ("", SPLITS[said]):
            raise DataError(f"{where}: split is {said!r}, but the file is given as {split}")
        return SPLITS[said]

    def _uid(self, row: dict[str, Any], group: str, where: str) -> str:
        if row.get("id") is not None:
            if isinstance(row["id"], bool) or not isinstance(row["id"], str | int) or row["id"] == "":
                raise DataError(f"{where}: id must be a text or a whole number, but is {row['id']!r}")
            uid = str(row["id"])
        else:
            self._repeats[group] += 1
            uid = f"{self.name}-{group}" + (f"-{self._repeats[group]}" if self._repeats[group] > 1 else "")
        if uid in self._seen:
            raise DataError(f"{where}: id {uid!r} was already used at {self._seen[uid]}; ids must be unique")
        self._seen[uid] = where
        return uid


def _text(row: dict[str, Any], key: str, where: str) -> str:
    if key not in row:
        others = (
            f" (it has: {', '.join(row[METADATA])}; say which is the {key} by columns.{key})" if row[METADATA] else ""
        )
        raise DataError(f"{where}: key {key!r} is missing{others}")
    if not isinstance(row[key], str) or not row[key].strip():
        shown = "missing (empty, null or NaN)" if row[key] is None else repr(row[key])
        raise DataError(f"{where}: {key} must be a text that is not empty, but is {shown}")
    return str(row[key]).strip()


def _options(row: dict[str, Any], where: str) -> tuple[str, ...]:
    """Options are a list of texts or numbers, a mapping of letters to them, or, in CSV, such JSON."""
    options = row.get("options")
    if options is None:
        return ()
    if isinstance(options, str) and options.lstrip().startswith(("[", "{")):
        try:
            options = json.loads(options)
        except ValueError:
            raise DataError(f"{where}: options look like a list, but are not JSON: {options:.60}") from None
    if isinstance(options, dict):
        letters = [grading.letter(place)[1] for place in range(min(26, len(options)))]
        if [*options] != letters:
            raise DataError(f"{where}: options must be a list, or have the letters {', '.join(letters)} in order")
        options = [*options.values()]
    if isinstance(options, list):
        options = [str(one) if isinstance(one, int | float) and not isinstance(one, bool) else one for one in options]
    if not isinstance(options, list) or not all(isinstance(option, str) and option.strip() for option in options):
        raise DataError(f"{where}: options must be a list of texts")
    if not 2 <= len(options) <= 26:
        raise DataError(f"{where}: {len(options)} options, but 2 to 26 are possible (leave the key out if open)")
    return unlettered(options)


def _answers(row: dict[str, Any], options: tuple[str, ...], where: str) -> tuple[str, ...]:
    """All accepted answers, without repeats."""
    given = row.get("answer")
    found = []
    for value in given if isinstance(given, list) and given else [given]:
        if is_missing(value):
            raise DataError(f"{where}: answer is missing: {value} stands in its place")
        if isinstance(value, int | float):  # true and false as well
            value = str(value)
        answer = _text({**row, "answer": value} if "answer" in row else row, "answer", where)
        if options and not (letter := grading.gold_letter(answer, options)):
            raise DataError(f"{where}: answer {answer!r} names none or more than one of the {len(options)} options")
        found.append(letter if options else answer)
    return tuple(dict.fromkeys(found))
