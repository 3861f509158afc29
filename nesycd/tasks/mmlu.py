"""MMLU, 57 subjects (hendrycks/test, MIT), as its publisher lays it out, or from the hub.

A folder with `dev`, `val` and `test`, each with `<subject>_<part>.csv`: question, four choices, the gold's letter, no
header. The training mix is the paper's: dev and val together (1,816), of which a seeded share becomes `valid`; a `test`
that is missing is left out.
"""

from __future__ import annotations

import csv
from typing import Any, ClassVar

from nesycd import grading
from nesycd.core.errors import DataError
from nesycd.core.files import did_you_mean, question_key, text_lines
from nesycd.core.records import Example
from nesycd.tasks.base import Card, StoredTask, gold_at, train_and_valid
from nesycd.tasks.hub import Rows
from nesycd.tasks.source import Source, SourceSettings

NAME = "mmlu"
_PARTS = {"dev": "dev", "val": "validation", "test": "test"}
"""The publisher's parts -> the hub's splits."""


def read_gold(example: Example) -> Example:
    """The example with its gold's letter: the hub writes the gold as an index from 0."""
    return gold_at(example, first=0)


CARD = Card(
    name=NAME,
    source="hendrycks/test",
    licence="MIT",
    sizes={"dev": 285, "val": 1531, "test": 14042},
    splits="train is the publisher's dev and val together, less a seeded tenth that is valid; test is the publisher's",
    grading="as an option, by letter or text",
    hub="cais/mmlu",
    gold=read_gold,
)


class MmluSettings(SourceSettings):
    """57 subjects; `path` is the folder with `dev`, `val` and `test`."""

    HUB: ClassVar[str] = CARD.hub
    FILES: ClassVar[str] = "the folder with dev, val and test"
    subjects: tuple[str, ...] = ()
    """Subjects wanted, as `"high_school_physics"`; empty: all."""


class Mmlu(StoredTask):
    """MMLU; `uid` is `mmlu-val-anatomy-007` with the line number from 0, `task` is `mmlu/anatomy`.

    Raises:
        DataError: a missing folder, an unknown subject, or a line of another shape.
    """

    def __init__(self, settings: MmluSettings) -> None:
        source = Source(settings)
        found: dict[str, list[Example]] = {}
        for part, split in _PARTS.items():
            if not source.is_hub and part == "test" and not (source.folder / part).is_dir():
                continue
            rows = source.rows("all", split) if source.is_hub else _csv_rows(source, part)
            found[part] = _examples(rows, part)
        notes = CARD.size_notes({part: len(rows) for part, rows in found.items()}, source.name)
        found = {part: _chosen(examples, settings) for part, examples in found.items()}
        splits = train_and_valid(found["dev"] + found["val"], settings.valid, settings.seed)
        if "test" in found:
            splits["test"] = found["test"]
        super().__init__(NAME, splits, notes, fingerprint=source.fingerprint)


def _chosen(examples: list[Example], settings: MmluSettings) -> list[Example]:
    known = {example.task.partition("/")[2] for example in examples}
    for subject in settings.subjects:
        if subject not in known:
            raise DataError(f"{settings.hub or settings.path}: no subject {subject!r}{did_you_mean(subject, known)}")
    return [one for one in examples if not settings.subjects or one.task.partition("/")[2] in settings.subjects]


def _csv_rows(source: Source, part: str) -> Rows:
    """The lines of a part's files, in the order of their names, in the hub's shape."""
    names = sorted(path.name for path in (source.folder / part).glob(f"*_{part}.csv"))
    if not names:
        raise DataError(f"{source.folder / part}: no MMLU files (<subject>_{part}.csv) in this folder")
    for name in names:
        path = source.file(f"{part}/{name}")
        subject = path.stem.removesuffix(f"_{part}")
        try:
            for line in (reader := csv.reader(line for _, line in text_lines(path))):
                where = f"{path}:{reader.line_num}"
                if len(line) != 6:
                    raise DataError(f"{where}: {len(line)} columns, but question, 4 choices and answer are needed")
                yield where, {"subject": subject, "question": line[0], "choices": line[1:5], "answer": line[5]}
        except csv.Error as error:
            raise DataError(f"{path}:{reader.line_num}: not a CSV file: {error}") from None


def _examples(rows: Rows, part: str) -> list[Example]:
    examples: list[Example] = []
    counts: dict[str, int] = {}
    for where, row in rows:
        subject = str(row.get("subject") or "")
        index = counts[subject] = counts.get(subject, -1) + 1
        examples.append(_example(row, where, subject, part, index))
    return examples


def _example(row: dict[str, Any], where: str, subject: str, part: str, index: int) -> Example:
    question, choices = str(row.get("question") or "").strip(), row.get("choices")
    if not subject or not question or not isinstance(choices, list) or len(choices) != 4:
        raise DataError(f"{where}: subject, question and four choices are needed")
    gold = row.get("answer")
    answer = grading.letter(gold) if isinstance(gold, int) else f"({str(gold).strip()})"
    if answer not in {grading.letter(place) for place in range(4)}:
        raise DataError(f"{where}: the answer must be A, B, C or D, but is {gold!r}")
    task = f"{NAME}/{subject}"
    options = tuple(str(choice).strip() or "(empty)" for choice in choices)
    return Example(
        uid=f"{NAME}-{part}-{subject}-{index:03d}",
        task=task,
        question=question,
        answer=answer,
        options=options,
        split="test" if part == "test" else "train",
        group=question_key(task, question, options),
    )
