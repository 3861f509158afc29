"""GSM8K as its publisher lays it out (openai/grade-school-math, MIT): `train.jsonl` and `test.jsonl` in one folder.

A line is `{"question", "answer"}`; the answer is a working that ends in `#### 72`. Calculator marks (`<<48/2=24>>`) are
taken out of the working, and commas out of the gold number.
"""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from nesycd.errors import DataError
from nesycd.files import question_key, read_jsonl
from nesycd.records import Example
from nesycd.tasks.base import StoredTask, hold_out

NAME = "gsm8k"
_MARK = re.compile(r"<<[^<>]*>>")


class Gsm8kSettings(BaseModel):
    """`path` is the folder with `train.jsonl` and `test.jsonl`; `valid` the share of train set aside, by `seed`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    path: Path
    valid: float = Field(default=0.1, gt=0, lt=1)
    seed: int = 0


class Gsm8k(StoredTask):
    """GSM8K; `uid` is `gsm8k-train-00012` with the line number from 0, for valid too, since it is a slice of train.

    Raises:
        DataError: a missing file, a bad line, or an answer without `####`.
    """

    def __init__(self, settings: Gsm8kSettings) -> None:
        train = _read(settings.path / "train.jsonl", "train")
        test = _read(settings.path / "test.jsonl", "test")
        train, held = hold_out(train, max(1, round(len(train) * settings.valid)), settings.seed)
        valid = [example.model_copy(update={"split": "valid"}) for example in held]
        super().__init__(NAME, {"train": train, "valid": valid, "test": test})


def _read(path: Path, split: str) -> list[Example]:
    examples: list[Example] = []
    for where, row in read_jsonl(path):
        for key in ("question", "answer"):
            if not isinstance(row.get(key), str):
                raise DataError(f"{where}: key {key!r} is missing or not a text; is this GSM8K's own file?")
        working, mark, gold = row["answer"].rpartition("####")
        if not mark or not gold.strip():
            raise DataError(f"{where}: the answer does not end in '#### number'")
        question = row["question"].strip()
        examples.append(
            Example(
                uid=f"{NAME}-{split}-{len(examples):05d}",
                task=NAME,
                question=question,
                answer=gold.strip().replace(",", ""),
                rationale=_MARK.sub("", working).strip() or None,
                split=split,
                group=question_key(NAME, question),
            )
        )
    if not examples:
        raise DataError(f"{path}: no questions in this file")
    return examples
