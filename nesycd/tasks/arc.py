"""ARC, school science questions, easy and challenge sets (AI2, CC-BY-SA-4.0), as published, normalised, or from the hub.

Read are the publisher's `ARC-Easy/ARC-Easy-Train.jsonl` and so on (`{"id", "question": {"stem", "choices": [{"text",
"label"}]}, "answerKey"}`, labels A-E or 1-5), in the folder given or one below it, or normalised `easy_train.jsonl`
(`{"id", "question", "options", "answer"}`). A split whose file is missing is left out.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from nesycd import grading
from nesycd.core.errors import DataError
from nesycd.core.files import question_key, read_jsonl
from nesycd.core.records import Example
from nesycd.tasks.base import Card, StoredTask, gold_at
from nesycd.tasks.hub import Rows
from nesycd.tasks.source import Source, SourceSettings

NAME = "arc"
_SPLITS = {"train": ("Train", "train"), "valid": ("Dev", "validation"), "test": ("Test", "test")}
"""Split here -> the publisher's name of it, the hub's."""


def read_gold(example: Example) -> Example:
    """The example with its gold's letter: some golds are a number from 1."""
    return gold_at(example, first=1)


CARD = Card(
    name=NAME,
    source="AI2 Reasoning Challenge (allenai)",
    licence="CC-BY-SA-4.0",
    sizes={
        "easy train": 2251,
        "easy valid": 570,
        "easy test": 2376,
        "challenge train": 1119,
        "challenge valid": 299,
        "challenge test": 1172,
    },
    splits="the publisher's train, dev (here valid) and test",
    grading="as an option, by letter or text",
    hub="allenai/ai2_arc",
    gold=read_gold,
)


class ArcSettings(SourceSettings):
    """School science questions."""

    HUB: ClassVar[str] = CARD.hub
    FILES: ClassVar[str] = "the folder with ARC-Easy and ARC-Challenge"
    sets: tuple[Literal["easy", "challenge"], ...] = ("easy", "challenge")
    """Sets wanted."""


class Arc(StoredTask):
    """ARC; `uid` is `arc-easy-` and the publisher's id, `task` is `arc/easy` or `arc/challenge`.

    Raises:
        DataError: no file at all, or a line of another shape.
    """

    def __init__(self, settings: ArcSettings) -> None:
        source = Source(settings)
        splits: dict[str, list[Example]] = {}
        notes: list[str] = []
        for name in settings.sets:
            for split in _SPLITS:
                rows = _rows(source, name, split)
                if rows is None:
                    notes.append(f"{settings.path}: no file of ARC's {name} set for {split}; it is left out")
                    continue
                examples = [_example(name, split, index, row, where) for index, (where, row) in enumerate(rows)]
                notes += CARD.size_notes({f"{name} {split}": len(examples)}, source.name)
                splits.setdefault(split, []).extend(examples)
        if not splits:
            raise DataError(f"{settings.path}: no ARC files (such as ARC-Easy/ARC-Easy-Test.jsonl) in this folder")
        ordered = {split: splits[split] for split in _SPLITS if split in splits}
        super().__init__(NAME, ordered, notes, fingerprint=source.fingerprint)


def _rows(source: Source, name: str, split: str) -> Rows | None:
    """The rows of a set's split; None where none of its files is there."""
    published, (theirs, hubs) = f"ARC-{name.capitalize()}", _SPLITS[split]
    if source.is_hub:
        return source.rows(published, hubs)
    file = f"{published}-{theirs}.jsonl"
    places = (f"{published}/{file}", file, f"{name}_{split}.jsonl")
    found = next((place for place in places if (source.folder / place).is_file()), None)
    return None if found is None else read_jsonl(source.file(found))


def _example(name: str, split: str, index: int, row: dict[str, Any], where: str) -> Example:
    question, options, labels = _parts(row)
    gold = row.get("answerKey", row.get("answer"))
    if not question or len(options) < 2 or not all(options) or not isinstance(gold, str):
        raise DataError(f"{where}: not a question of ARC: question, choices and answerKey are needed")
    place = labels.index(gold) if gold in labels else -1
    answer = grading.letter(place) if place >= 0 else grading.option_letter(gold, options)
    if not answer:
        raise DataError(f"{where}: the answer {gold!r} is none of the choices")
    task = f"{NAME}/{name}"
    uid = str(row.get("id") or f"{split}-{index:04d}")
    return Example(
        uid=f"{NAME}-{name}-{uid}",
        task=task,
        question=question,
        answer=answer,
        options=options,
        split=split,
        group=question_key(task, question, options),
    )


def _parts(row: dict[str, Any]) -> tuple[str, tuple[str, ...], list[str]]:
    """Question, texts of the choices and their labels, from the publisher's, the hub's or the normalised layout."""
    stem: Any = row.get("question")
    choices: Any = row.get("choices")
    if isinstance(stem, dict):
        stem, choices = stem.get("stem"), stem.get("choices")
    if isinstance(choices, dict):
        texts, labels = choices.get("text") or [], choices.get("label") or []
    elif isinstance(choices, list):
        texts = [choice.get("text") for choice in choices if isinstance(choice, dict)]
        labels = [choice.get("label") for choice in choices if isinstance(choice, dict)]
    else:
        texts, labels = row.get("options") or [], []
    question = stem.strip() if isinstance(stem, str) else ""
    return question, tuple(str(text or "").strip() for text in texts), [str(label) for label in labels]
