"""BIG-Bench Hard as its publisher lays it out (suzgunmirac/BIG-Bench-Hard, MIT): a folder of `<task>.json` files.

A file is `{"canary", "examples": [{"input", "target"}]}`. Lettered options are parsed from the text into
`Example.options`; lists of words ("- Yes") stay in the question, whose gold is the word. There is no official split:
as in NesyCD each task is split 4:1, test = the last ceil(n/5) after a seeded shuffle (1,304 in all), and repeats stay
on one side.

Cautions: the files bear a canary that asks to keep them out of training corpora, so never publish a model trained on
them without saying so. snarks 88 is cut off at the source; three questions (movie_recommendation 163, ruin_names 99
and 144) have options broken at commas with a gold that is no letter, and are kept as open questions.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from nesycd import grading
from nesycd.errors import DataError
from nesycd.files import did_you_mean, question_key, read_json
from nesycd.records import Example
from nesycd.tasks.base import StoredTask, hold_out

NAME = "bbh"
CAUTION = "BBH bears a canary: never publish a model trained on it without saying so"
_OPTION = re.compile(r"^\(([A-Z])\) ?(.*)$")


class BbhSettings(BaseModel):
    """`path` is the folder of task files, `tasks` those wanted (empty = all), `valid` the share of the train side."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    path: Path
    tasks: tuple[str, ...] = ()
    valid: float = Field(default=0.1, gt=0, lt=1)
    seed: int = 0


class Bbh(StoredTask):
    """BIG-Bench Hard; `uid` is `bbh-navigate-007` with the publisher's index, `task` is `bbh/navigate`.

    Raises:
        DataError: no task files, an unknown task, or a file of another shape.
    """

    def __init__(self, settings: BbhSettings) -> None:
        splits: dict[str, list[Example]] = {"train": [], "valid": [], "test": []}
        notes = [CAUTION]
        for path in _task_files(settings):
            examples = _read(path)
            notes += [
                f"{example.uid}: only one option, cut off at the source"
                for example in examples
                if len(example.options) == 1
            ]
            train, test = hold_out(examples, math.ceil(len(examples) / 5), settings.seed)
            train, valid = hold_out(train, max(1, round(len(train) * settings.valid)), settings.seed)
            for split, part in (("train", train), ("valid", valid), ("test", test)):
                splits[split] += [example.model_copy(update={"split": split}) for example in part]
        super().__init__(NAME, splits, notes)


def _task_files(settings: BbhSettings) -> list[Path]:
    files = {path.stem: path for path in sorted(settings.path.glob("*.json"))}
    if not files:
        raise DataError(f"{settings.path}: no BBH task files (<task>.json) in this folder")
    for task in settings.tasks:
        if task not in files:
            raise DataError(f"{settings.path}: no BBH task {task!r}{did_you_mean(task, files)}")
    return [path for task, path in files.items() if not settings.tasks or task in settings.tasks]


def _read(path: Path) -> list[Example]:
    content = read_json(path)
    rows = content.get("examples") if isinstance(content, dict) else None
    if not isinstance(rows, list) or not rows:
        raise DataError(f'{path}: not a BBH task file: {{"examples": [{{"input", "target"}}]}} is needed')
    return [_example(path.stem, index, row, path) for index, row in enumerate(rows)]


def _example(name: str, index: int, row: Any, path: Path) -> Example:
    if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in ("input", "target")):
        raise DataError(f"{path}: example {index}: 'input' and 'target' must be texts")
    target = row["target"].strip()
    question, options = _parse_options(row["input"].strip(), target)
    task = f"{NAME}/{name}"
    return Example(
        uid=f"{NAME}-{name}-{index:03d}",
        task=task,
        question=question,
        answer=target,
        options=options,
        group=question_key(task, question, options),
    )


def _parse_options(text: str, target: str) -> tuple[str, tuple[str, ...]]:
    """Question and lettered options; the whole text and () where there are none or the gold is not one of them."""
    question, _, block = text.rpartition("\nOptions:\n")
    matches = [_OPTION.match(line) for line in block.splitlines()]
    options = tuple(match[2].strip() for match in matches if match)
    letters = [f"({match[1]})" for match in matches if match]
    in_order = letters == [grading.letter(index) for index in range(len(matches))]
    if not question or not in_order or target not in letters:
        return text, ()
    return question.strip(), options
