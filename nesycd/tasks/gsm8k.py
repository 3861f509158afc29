"""GSM8K, grade-school word problems, as its publisher lays it out (openai/grade-school-math, MIT), or from the hub.

A folder with `train.jsonl` and `test.jsonl`; a line is `{"question", "answer"}`; the answer is a working that ends in
`#### 72`. Calculator marks (`<<48/2=24>>`) are taken out of the working, and commas out of the gold number.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from nesycd.core.errors import DataError
from nesycd.core.files import question_key, read_jsonl
from nesycd.core.records import Example
from nesycd.tasks.base import Card, StoredTask, no_number, text_of, train_and_valid
from nesycd.tasks.source import Source, SourceSettings

NAME = "gsm8k"
_MARK = re.compile(r"<<[^<>]*>>")


def read_gold(example: Example) -> Example:
    """The example with the number after `####` as its answer, where its answer is a whole working."""
    gold = example.answer.rpartition("####")[2].strip().replace(",", "")
    return example.model_copy(update={"answer": gold}) if "####" in example.answer else example


CARD = Card(
    name=NAME,
    source="openai/grade-school-math",
    licence="MIT",
    sizes={"train": 7473, "test": 1319},
    splits="train and test of the publisher; valid is a seeded tenth of train",
    grading="as a number",
    hub="openai/gsm8k",
    gold=read_gold,
    refused=no_number,
)


class Gsm8kSettings(SourceSettings):
    """Grade-school word problems; `path` is the folder with `train.jsonl` and `test.jsonl`."""

    HUB: ClassVar[str] = CARD.hub
    FILES: ClassVar[str] = "the folder with train.jsonl and test.jsonl"


class Gsm8k(StoredTask):
    """GSM8K; `uid` is `gsm8k-train-00012` with the line number from 0, for valid too, since it is a slice of train.

    Raises:
        DataError: a missing file, a bad line, or an answer without `####`.
    """

    def __init__(self, settings: Gsm8kSettings) -> None:
        source = Source(settings)
        found: dict[str, list[Example]] = {}
        for split in ("train", "test"):
            rows = source.rows("main", split) if source.is_hub else read_jsonl(source.file(f"{split}.jsonl"))
            found[split] = [_example(row, where, split, index) for index, (where, row) in enumerate(rows)]
            if not found[split]:
                raise DataError(f"{source.name}: no questions in {split}")
        notes = CARD.size_notes({split: len(examples) for split, examples in found.items()}, source.name)
        splits = train_and_valid(found["train"], settings.valid, settings.seed) | {"test": found["test"]}
        super().__init__(NAME, splits, notes, fingerprint=source.fingerprint)


def _example(row: dict[str, Any], where: str, split: str, index: int) -> Example:
    question, answer = (text_of(row, key, where, "GSM8K") for key in ("question", "answer"))
    working, mark, gold = answer.rpartition("####")
    if not mark or no_number(gold):
        raise DataError(f"{where}: the answer does not end in '#### number'")
    return Example(
        uid=f"{NAME}-{split}-{index:05d}",
        task=NAME,
        question=question,
        answer=gold.strip().replace(",", ""),
        rationale=_MARK.sub("", working).strip() or None,
        split=split,
        group=question_key(NAME, question),
    )
