"""BIG-Bench Hard, 27 tasks, as its publisher lays it out (suzgunmirac/BIG-Bench-Hard, MIT), or from the hub.

A folder of `<task>.json` files, each `{"canary", "examples": [{"input", "target"}]}`. Lettered options are parsed from the
text into `Example.options`; lists of words ("- Yes") stay in the question, whose gold is the word. There is no official
split: as in NesyCD each task is split 4:1, test = the last ceil(n/5) after a seeded shuffle (1,304 in all), and repeats
stay on one side. The publisher's prompts with three worked examples (`cot-prompts/<task>.txt`) make the few-shot prompt.

Cautions: the files bear a canary that asks to keep them out of training corpora, so never publish a model trained on
them without saying so. snarks 88 is cut off at the source; three questions (movie_recommendation 163, ruin_names 99
and 144) have options broken at commas with a gold that is no letter, and are kept as open questions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from nesycd import grading
from nesycd.core.errors import DataError
from nesycd.core.files import did_you_mean, question_key, read_json, read_text
from nesycd.core.records import Example
from nesycd.grading import Form
from nesycd.tasks.base import Card, StoredTask, hold_out, in_split, train_and_valid
from nesycd.tasks.source import Source, SourceSettings

NAME = "bbh"
TASKS = (
    "boolean_expressions",
    "causal_judgement",
    "date_understanding",
    "disambiguation_qa",
    "dyck_languages",
    "formal_fallacies",
    "geometric_shapes",
    "hyperbaton",
    "logical_deduction_five_objects",
    "logical_deduction_seven_objects",
    "logical_deduction_three_objects",
    "movie_recommendation",
    "multistep_arithmetic_two",
    "navigate",
    "object_counting",
    "penguins_in_a_table",
    "reasoning_about_colored_objects",
    "ruin_names",
    "salient_translation_error_detection",
    "snarks",
    "sports_understanding",
    "temporal_sequences",
    "tracking_shuffled_objects_five_objects",
    "tracking_shuffled_objects_seven_objects",
    "tracking_shuffled_objects_three_objects",
    "web_of_lies",
    "word_sorting",
)
_SMALL = {"causal_judgement": 187, "penguins_in_a_table": 146, "snarks": 178}
_FORMS: Mapping[str, Form] = {
    "bbh/date_understanding": "date",
    "bbh/dyck_languages": "brackets",
    "bbh/word_sorting": "words",
}
CAUTION = "BBH bears a canary: never publish a model trained on it without saying so"
_OPTION = re.compile(r"^\(([A-Z])\) ?(.*)$")


def form_of(task: str) -> Form:
    """The form of a task's answers; most are options, yes/no words or numbers, which need none."""
    return _FORMS.get(task, "plain")


def read_gold(example: Example) -> Example:
    """The example with the options that stand in its question's text parsed, as in the files' own questions.

    Options that the gold is none of, broken at the source, are dropped: the question is an open one. A gold letter stays one.
    """
    letter = re.fullmatch(r"\(?([A-Za-z])\)?", example.answer)
    if example.options:
        broken = not letter and not grading.option_letter(example.answer, example.options)
        return example.model_copy(update={"options": ()}) if broken else example
    gold = f"({letter[1].upper()})" if letter else example.answer
    question, options = _parse_options(example.question.strip(), gold)
    return example.model_copy(update={"question": question, "options": options})


CARD = Card(
    name=NAME,
    source="suzgunmirac/BIG-Bench-Hard",
    licence="MIT",
    sizes={task: _SMALL.get(task, 250) for task in TASKS},
    splits="no official one: each task 4:1, test = the last ceil(n/5) after a seeded shuffle; valid is a tenth of the rest",
    grading="as an option, yes/no, valid/invalid, True/False or number; word_sorting as an ordered list, dyck_languages as "
    "brackets, date_understanding by its date too",
    hub="lukaemon/bbh",
    by_task=True,
    form=form_of,
    gold=read_gold,
)


class BbhSettings(SourceSettings):
    """BIG-Bench Hard; `path` is the folder of task files."""

    HUB: ClassVar[str] = CARD.hub
    FILES: ClassVar[str] = "the folder with the files <task>.json"
    tasks: tuple[str, ...] = ()
    """Tasks wanted; empty: all 27."""
    prompts: Path | None = None
    """The publisher's folder of few-shot prompts; not given: `cot-prompts` beside `path`, where it is there."""


class Bbh(StoredTask):
    """BIG-Bench Hard; `uid` is `bbh-navigate-007` with the publisher's index, `task` is `bbh/navigate`.

    Raises:
        DataError: no task files, an unknown task, or a file of another shape.
    """

    def __init__(self, settings: BbhSettings) -> None:
        source = Source(settings)
        read = _from_hub(source, settings.tasks) if source.is_hub else _from_files(source, settings.tasks)
        splits: dict[str, list[Example]] = {"train": [], "valid": [], "test": []}
        sizes = {task: len(examples) for task, examples in read.items()}
        notes = [CAUTION, *CARD.size_notes(sizes, source.name)]
        for examples in read.values():
            notes += [
                f"{example.uid}: only one option, cut off at the source"
                for example in examples
                if len(example.options) == 1
            ]
            train, test = hold_out(examples, math.ceil(len(examples) / 5), settings.seed)
            parts = train_and_valid(train, settings.valid, settings.seed) | {"test": in_split("test", test)}
            for split, part in parts.items():
                splits[split] += part
        self._prompts = settings.prompts or (settings.path.parent / "cot-prompts" if settings.path else None)
        super().__init__(NAME, splits, notes, form_of, fingerprint=source.fingerprint)

    def few_shot(self, example: Example) -> str:
        """The publisher's whole prompt: what the task is, three worked examples, the question in their form.

        Raises:
            DataError: the prompts were not found.
        """
        if self._prompts is None or not self._prompts.is_dir():
            raise DataError(
                f"{NAME}: few-shot prompts need the publisher's folder cot-prompts: give its path as prompts"
            )
        path = self._prompts / f"{example.task.partition('/')[2]}.txt"
        # The first line is the canary, which is no part of the prompt.
        shots = read_text(path).partition("-----\n")[2].strip() or read_text(path).strip()
        return f"{shots}\n\nQ: {_as_published(example)}\nA: Let's think step by step."


def _as_published(example: Example) -> str:
    lines = [f"{grading.letter(index)} {option}" for index, option in enumerate(example.options)]
    return "\n".join([example.question, *(["Options:", *lines] if lines else [])])


def _from_files(source: Source, tasks: tuple[str, ...]) -> dict[str, list[Example]]:
    names = sorted(path.stem for path in source.folder.glob("*.json"))
    if not names:
        raise DataError(f"{source.name}: no BBH task files (<task>.json) in this folder")
    for task in tasks:
        if task not in names:
            raise DataError(f"{source.name}: no BBH task {task!r}{did_you_mean(task, names)}")
    return {task: _read(source.file(f"{task}.json")) for task in names if not tasks or task in tasks}


def _from_hub(source: Source, tasks: tuple[str, ...]) -> dict[str, list[Example]]:
    for task in tasks:
        if task not in TASKS:
            raise DataError(f"{source.name}: no BBH task {task!r}{did_you_mean(task, TASKS)}")
    rows = {task: list(source.rows(task, "test")) for task in TASKS if not tasks or task in tasks}
    return {
        task: [_example(task, index, row, where) for index, (where, row) in enumerate(found)]
        for task, found in rows.items()
    }


def _read(path: Path) -> list[Example]:
    content = read_json(path)
    rows = content.get("examples") if isinstance(content, dict) else None
    if not isinstance(rows, list) or not rows:
        raise DataError(f'{path}: not a BBH task file: {{"examples": [{{"input", "target"}}]}} is needed')
    return [_example(path.stem, index, row, f"{path}: example {index}") for index, row in enumerate(rows)]


def _example(name: str, index: int, row: Any, where: str) -> Example:
    if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in ("input", "target")):
        raise DataError(f"{where}: 'input' and 'target' must be texts")
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
