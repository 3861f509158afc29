"""AGIEval, English exam questions, as its publisher lays them out (ruixiangcui/AGIEval, MIT), or from the hub.

A folder (`data/v1` or `v1_1` of the publisher) of `<task>.jsonl` files; a line is `{"passage", "question", "options",
"label", "answer"}`; the gold is `label`, a letter or (in versions before 1.1, not in English tasks) a list of letters, or
`answer` where there are no options (`math`, which needs the extra `math`). A passage goes before the question.

The set `paper` is NesyCD's: eight tasks, 2,546 questions, with LogiQA and without `math` and `gaokao-english`. Questions on
one passage are one cluster for the intervals.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

from pydantic import field_validator

from nesycd import grading
from nesycd.core.errors import DataError
from nesycd.core.files import did_you_mean, question_key, read_jsonl
from nesycd.core.records import Example
from nesycd.grading import Form, latex
from nesycd.tasks.base import Card, StoredTask, gold_at
from nesycd.tasks.hub import Rows
from nesycd.tasks.source import Source, SourceSettings

NAME = "agieval"
PAPER = (
    "aqua-rat",
    "logiqa-en",
    "lsat-ar",
    "lsat-lr",
    "lsat-rc",
    "sat-en",
    "sat-en-without-passage",
    "sat-math",
)
"""The eight tasks of NesyCD and its rivals."""
SETS = {"paper": PAPER, "english": (*PAPER, "gaokao-english", "math")}
_MARK = re.compile(r"\s*[(（]?([A-Z])(?:[)）]|[.．、:]|(?=\s))\s*")
_HUB_OPTIONS = re.compile(r"\s*Answer Choices:.*", re.DOTALL)


def form_of(task: str) -> Form:
    """Mathematics for `math`; letters for all others, whose golds may be several."""
    return "math" if task == f"{NAME}/math" else "letters"


def read_gold(example: Example) -> Example:
    """The example with its options' marks taken off and its gold as letters: "A", "AC" or an index from 0."""
    if not example.options:
        return example
    options = _options(list(example.options), example.uid)
    answer = grading.gold_letter(gold_at(example.model_copy(update={"options": options}), first=0).answer, options)
    if not answer and re.fullmatch(r"[A-Z()\[\], ]+", example.answer):
        answer = ", ".join(f"({gold})" for gold in re.findall(r"[A-Z]", example.answer))
    return example.model_copy(update={"options": options, "answer": answer})


CARD = Card(
    name=NAME,
    source="ruixiangcui/AGIEval",
    licence="MIT",
    sizes={
        "aqua-rat": 254,
        "logiqa-en": 651,
        "lsat-ar": 230,
        "lsat-lr": 510,
        "lsat-rc": 269,
        "sat-en": 206,
        "sat-en-without-passage": 206,
        "sat-math": 220,
        "gaokao-english": 306,
        "math": 1000,
    },
    splits='test only; the set "paper" is the eight tasks of NesyCD (2,546), "english" has gaokao-english and math too',
    grading="as an option (as a set of options where the gold has several); math by math-verify",
    hub="hails/agieval",
    by_task=True,
    form=form_of,
    gold=read_gold,
)


class AgievalSettings(SourceSettings):
    """Exam questions; `hub` is the name to which `-TASK` is added."""

    HUB: ClassVar[str] = CARD.hub
    FILES: ClassVar[str] = "the folder with the files <task>.jsonl"
    tasks: tuple[str, ...] = PAPER
    """Tasks wanted, as a list, or a set of them: `"paper"` (NesyCD's eight) or `"english"` (`gaokao-english`, `math` too)."""

    @field_validator("tasks", mode="before")
    @classmethod
    def _named_set(cls, value: Any) -> Any:
        if isinstance(value, str):
            if value not in SETS:
                raise ValueError(f"no set {value!r}{did_you_mean(value, SETS)}; or give a list of tasks")
            return SETS[value]
        return value


class Agieval(StoredTask):
    """AGIEval; `uid` is `agieval-lsat-ar-007` with the publisher's index, `task` is `agieval/lsat-ar`.

    Raises:
        DataError: a missing file, an unknown task, or a line of another shape.
        ModuleNotFoundError: `math` is wanted, and the extra `math` is not installed.
    """

    def __init__(self, settings: AgievalSettings) -> None:
        examples: list[Example] = []
        notes: list[str] = []
        source = Source(settings)
        for task in settings.tasks:
            if task not in CARD.sizes:
                raise DataError(f"{NAME}: no English task {task!r}{did_you_mean(task, CARD.sizes)}")
            if source.is_hub:
                rows = _as_published(source.rows("", "test", dataset=f"-{task}"))
            else:
                rows = read_jsonl(_file(source, task))
            found = [_example(task, index, row, where) for index, (where, row) in enumerate(rows)]
            notes += CARD.size_notes({task: len(found)}, source.name)
            examples += found
        if "math" in settings.tasks:
            latex.require()
        super().__init__(NAME, {"test": examples}, notes, form_of, fingerprint=source.fingerprint)


def _file(source: Source, task: str) -> Path:
    path = source.folder / f"{task}.jsonl"
    if not path.is_file():
        there = [name for name in CARD.sizes if path.with_stem(name).is_file()]
        raise DataError(f"{path}: no such file; give tasks = {there} to read those that are there")
    return source.file(path.name)


def _example(task: str, index: int, row: dict[str, Any], where: str) -> Example:
    passage, question, label = row.get("passage"), row.get("question"), row.get("label")
    if not isinstance(question, str) or not question.strip() or not isinstance(passage, str | None):
        raise DataError(f"{where}: question must be a text, and passage a text or null; is this AGIEval's own file?")
    given = row.get("options") or []
    if not isinstance(given, list) or not all(isinstance(option, str) for option in given):
        raise DataError(f"{where}: options must be a list of texts")
    options = _options(given, where)
    answer = _letters(label, len(options), where) if options else row.get("answer")
    if not isinstance(answer, str) or not answer.strip():
        raise DataError(f"{where}: 'answer' must be a text where there are no options")
    passage = (passage or "").strip()
    text = f"{passage}\n\n{question.strip()}" if passage else question.strip()
    name = f"{NAME}/{task}"
    return Example(
        uid=f"{NAME}-{task}-{index:03d}",
        task=name,
        question=text,
        answer=answer.strip(),
        options=options,
        rationale=None,
        split="test",
        group=question_key(name, text, options),
        template=question_key(NAME, passage) if passage else "",
    )


def _options(options: list[str], where: str) -> tuple[str, ...]:
    """The texts without their marks, "(A)" or "A." or both; only marks that all of them bear, in order, are taken off."""
    texts = [option.strip() for option in options]
    in_order = [grading.letter(index) for index in range(len(texts))]
    while texts:
        marks = [_MARK.match(text) for text in texts]
        if [f"({mark[1]})" if mark else "" for mark in marks] != in_order:
            break
        texts = [text[mark.end() :].strip() for text, mark in zip(texts, marks, strict=True) if mark]
    if not all(texts):
        raise DataError(f"{where}: an option has no text")
    return tuple(texts)


def _letters(label: Any, count: int, where: str) -> str:
    """ "(A)", or "(A), (C)" where the gold has several."""
    golds = [label] if isinstance(label, str) else label
    known = [grading.letter(index) for index in range(count)]
    if not isinstance(golds, list) or not golds or not all(f"({gold})" in known for gold in golds):
        raise DataError(f"{where}: label must be the letter of an option (or a list of them), but is {label!r}")
    return ", ".join(sorted(f"({gold})" for gold in golds))


def _as_published(rows: Rows) -> Rows:
    """Rows of the hub (`query`, `choices`, `gold` or `answer`) in the publisher's shape, the passage in the question."""
    for where, row in rows:
        query = str(row.get("query") or row.get("question") or "")
        query = re.sub(r"^\s*Q:\s*", "", query)
        query = re.sub(r"\s*A: (?:Among A through|The answer is).*$", "", query, flags=re.DOTALL)
        gold = row.get("gold")
        label = [chr(ord("A") + int(index)) for index in gold] if isinstance(gold, list) else None
        options = list(row.get("choices") or ())
        yield (
            where,
            {
                "passage": None,
                "question": _HUB_OPTIONS.sub("", query).strip(),
                "options": options,
                "label": label,
                "answer": row.get("answer"),
            },
        )
