"""MetaMathQA, GSM8K and MATH training questions reworded (meta-math/MetaMathQA, MIT): for training only.

`path` is the publisher's `MetaMathQA-395K.json` (one JSON list) or a JSONL file of the same rows, `{"query", "response",
"type", "original_question"}`. A response ends in "The answer is: X"; that is the gold, what is before it the rationale.
Questions made from one original stay on one side of a split. The golds are mathematics: the extra `math` is needed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from nesycd import grading
from nesycd.core.errors import DataError
from nesycd.core.files import question_key, read_json, read_jsonl
from nesycd.core.records import Example
from nesycd.grading import Form, latex
from nesycd.tasks.base import Card, StoredTask, train_and_valid
from nesycd.tasks.hub import Rows
from nesycd.tasks.source import Source, SourceSettings

NAME = "metamath"


def _form(task: str) -> Form:
    return "math"


def read_gold(example: Example) -> Example:
    """The example with the stated answer as its answer, where its answer is a whole response."""
    stated = grading.closing_answer(example.answer)
    return example.model_copy(update={"answer": stated}) if stated else example


CARD = Card(
    name=NAME,
    source="meta-math/MetaMathQA",
    licence="MIT",
    sizes={"train": 395000},
    splits="train, less a seeded share that is valid; no test",
    grading="as mathematics, by math-verify",
    hub="meta-math/MetaMathQA",
    form=_form,
    gold=read_gold,
)


class MetamathSettings(SourceSettings):
    """GSM8K and MATH training questions, reworded; `path` is the file."""

    HUB: ClassVar[str] = CARD.hub
    FILES: ClassVar[str] = "the file MetaMathQA-395K.json, or JSONL"
    count: int = 0
    """Questions read at most, from the beginning of the file; 0: all 395,000."""


class Metamath(StoredTask):
    """MetaMathQA; `uid` is `metamath-train-000012` with the row's number from 0.

    Raises:
        DataError: a missing file, or a row of another shape.
        ModuleNotFoundError: the extra `math` is not installed.
    """

    def __init__(self, settings: MetamathSettings) -> None:
        latex.require()
        source = Source(settings)
        rows = source.rows("", "train") if source.is_hub else _file_rows(source.file())
        first = islice(rows, settings.count or None)
        read = [_example(row, where, index) for index, (where, row) in enumerate(first)]
        examples = [example for example in read if example is not None]
        notes = [] if settings.count else CARD.size_notes({"train": len(read)}, source.name)
        if len(examples) < len(read):
            notes.append(f"{len(read) - len(examples)} row(s) do not end in 'The answer is: ...'; they are left out")
        splits = train_and_valid(examples, settings.valid, settings.seed)
        super().__init__(NAME, splits, notes, _form, fingerprint=source.fingerprint)


def _file_rows(path: Path) -> Rows:
    if path.suffix == ".json":
        return _list_rows(path)
    return read_jsonl(path)


def _list_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    rows = read_json(path)
    if not isinstance(rows, list):
        raise DataError(f"{path}: a list of rows is needed")
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            raise DataError(f"{path}: row {index}: an object is needed, but this is {json.dumps(row)[:40]}")
        yield f"{path}: row {index}", row


def _example(row: dict[str, Any], where: str, index: int) -> Example | None:
    """The row's question; None where its response states no answer."""
    query, response = row.get("query"), row.get("response")
    if not isinstance(query, str) or not query.strip() or not isinstance(response, str):
        raise DataError(f"{where}: query and response must be texts; is this MetaMathQA's own file?")
    working, answer = grading.split_closing(response)
    if not answer:
        return None
    return Example(
        uid=f"{NAME}-train-{index:06d}",
        task=NAME,
        question=query.strip(),
        answer=answer,
        rationale=working.partition("####")[0].strip() or None,
        group=question_key(NAME, str(row.get("original_question") or query)),
        template=question_key(NAME, str(row.get("original_question") or query)),
    )
