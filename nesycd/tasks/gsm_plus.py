"""GSM-Plus, GSM8K's test questions changed in eight ways (qtli/GSM-Plus, CC-BY-SA-4.0), as published or from the hub.

A folder with `testmini.jsonl` (300 questions of each way) or `test.jsonl`; a line has `question`, `solution`, `answer`
and `perturbation_type`. Each way is a task, `gsm_plus/adding-operation`; `kinds` keeps some of them. "critical thinking"
asks what cannot be answered: its gold is "None". Some golds are rounded; see `grading.forms`.

Caution: it is built from GSM8K's *test* questions, so nothing that was trained on those may be scored here.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Literal

from nesycd.core.errors import DataError
from nesycd.core.files import did_you_mean, question_key, read_jsonl
from nesycd.core.records import Example
from nesycd.grading import Form
from nesycd.tasks.base import Card, StoredTask, no_number, text_of
from nesycd.tasks.source import Source, SourceSettings

NAME = "gsm_plus"


def _form(task: str) -> Form:
    return "number"


def _refused(gold: str) -> str:
    return "" if gold.lower() == "none" else no_number(gold)


CARD = Card(
    name=NAME,
    source="qtli/GSM-Plus",
    licence="CC-BY-SA-4.0",
    sizes={"testmini": 2400, "test": 10552},
    splits="test only: testmini, or test by choice",
    grading='as a number, rounded golds with leeway; "None" by what says that there is no answer',
    hub="qintongli/GSM-Plus",
    form=_form,
    refused=_refused,
)


class GsmPlusSettings(SourceSettings):
    """GSM8K's test questions, changed; `path` is the folder with `testmini.jsonl` or `test.jsonl`."""

    HUB: ClassVar[str] = CARD.hub
    FILES: ClassVar[str] = "the folder with testmini.jsonl or test.jsonl"
    part: Literal["testmini", "test"] = "testmini"
    """The publisher's split: 2,400 questions, or all 10,552."""
    kinds: tuple[str, ...] = ()
    """Ways of change wanted, as the publisher names them (`"critical thinking"`); empty: all eight."""


class GsmPlus(StoredTask):
    """GSM-Plus; `uid` is `gsm_plus-testmini-00012` with the line number from 0.

    Raises:
        DataError: a missing file, a bad line, or an unknown kind.
    """

    def __init__(self, settings: GsmPlusSettings) -> None:
        source, part = Source(settings), settings.part
        rows = source.rows("", part) if source.is_hub else read_jsonl(source.file(f"{part}.jsonl"))
        examples = [_example(row, where, part, index) for index, (where, row) in enumerate(rows)]
        notes = CARD.size_notes({part: len(examples)}, source.name)
        known = {example.task for example in examples}
        wanted = {_task(kind): kind for kind in settings.kinds}
        for task, kind in wanted.items():
            if task not in known:
                names = [name.partition("/")[2].replace("-", " ") for name in known]
                raise DataError(f"{source.name}: no kind {kind!r}{did_you_mean(kind, names)}")
        kept = [example for example in examples if not wanted or example.task in wanted]
        super().__init__(NAME, {"test": kept}, notes, _form, fingerprint=source.fingerprint)


def _task(kind: str) -> str:
    return f"{NAME}/{re.sub(r'[^a-z0-9]+', '-', kind.lower()).strip('-')}"


def _example(row: dict[str, Any], where: str, part: str, index: int) -> Example:
    question, answer, kind = (
        text_of(row, key, where, "GSM-Plus") for key in ("question", "answer", "perturbation_type")
    )
    task = _task(kind)
    return Example(
        uid=f"{NAME}-{part}-{index:05d}",
        task=task,
        question=question,
        answer=answer,
        split="test",
        group=question_key(task, question),
        template=question_key(NAME, str(row.get("seed_question") or question)),
    )
